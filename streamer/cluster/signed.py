"""Signed session addresses that name their worker, so that any gateway can route them without a table.

    /session/WORKER.TOKEN.SIGNATURE/speech

The token remains the session's secret; the signature prevents callers from choosing which worker a gateway contacts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

MOST = 256  # characters of a signed name; a token has 32, a key up to 128
SIGNATURE_BYTES = 12


@dataclass(frozen=True)
class Signed:
    """Content of a signed part of a path: a worker, and the name of one of its objects."""

    worker: str
    name: str


class Signer:
    """Signs and verifies names with the cluster's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, worker: str, name: str) -> str:
        """Return the signed name for callers."""
        return f"{worker}.{name}.{self._signature(worker, name)}"

    def sign_path(self, worker: str, path: str) -> str:
        """Return a worker's path with its last part signed."""
        before, _, name = path.rpartition("/")
        return f"{before}/{self.sign(worker, name)}"

    def read(self, text: str) -> Signed | None:
        """Return the content of a signed name, or None if the signature is missing or wrong."""
        parts = text.split(".") if len(text) <= MOST else []
        if len(parts) != 3:
            return None
        worker, name, signature = parts
        if not hmac.compare_digest(self._signature(worker, name).encode(), signature.encode()):
            return None
        return Signed(worker, name)

    def read_path(self, path: str) -> tuple[Signed, str] | None:
        """Return the signed part of a path and the path with the plain name in its place, or None."""
        parts = path.split("/")
        for number, part in enumerate(parts):
            if (signed := self.read(part)) is not None:
                return signed, "/".join([*parts[:number], signed.name, *parts[number + 1 :]])
        return None

    @property
    def pass_word(self) -> str:
        """Password that gateways send to workers. Workers never send it."""
        return hmac.new(self._secret, b"gateway", hashlib.sha256).hexdigest()

    def _signature(self, worker: str, name: str) -> str:
        digest = hmac.new(self._secret, f"session {worker} {name}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:SIGNATURE_BYTES]).decode()
