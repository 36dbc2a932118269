"""Session addresses that name their worker, signed: any gateway routes them without a table.

    /session/WORKER.TOKEN.SIGNATURE/speech

The token alone is the secret that it always was; the signature keeps strangers from choosing whom a gateway talks to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

MOST = 256  # characters; a token has 32, a key up to 128
SIGNATURE_BYTES = 12


@dataclass(frozen=True)
class Signed:
    """Of a part of a path: the worker that knows what is called `name`."""

    worker: str
    name: str


class Signer:
    """Signs and reads with the cluster's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, worker: str, name: str) -> str:
        """The name as the outside world gets it."""
        return f"{worker}.{name}.{self._signature(worker, name)}"

    def sign_path(self, worker: str, path: str) -> str:
        """A path whose last part is the worker's name for something."""
        before, _, name = path.rpartition("/")
        return f"{before}/{self.sign(worker, name)}"

    def read(self, text: str) -> Signed | None:
        """What was signed; None for anything else."""
        parts = text.split(".") if len(text) <= MOST else []
        if len(parts) != 3:
            return None
        worker, name, signature = parts
        if not hmac.compare_digest(self._signature(worker, name).encode(), signature.encode()):
            return None
        return Signed(worker, name)

    def read_path(self, path: str) -> tuple[Signed, str] | None:
        """The signed part of a path, and the path with the worker's own name in its place."""
        parts = path.split("/")
        for number, part in enumerate(parts):
            if (signed := self.read(part)) is not None:
                return signed, "/".join([*parts[:number], signed.name, *parts[number + 1 :]])
        return None

    @property
    def pass_word(self) -> str:
        """What a gateway shows to a worker, and a worker to nobody."""
        return hmac.new(self._secret, b"gateway", hashlib.sha256).hexdigest()

    def _signature(self, worker: str, name: str) -> str:
        digest = hmac.new(self._secret, f"session {worker} {name}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:SIGNATURE_BYTES]).decode()
