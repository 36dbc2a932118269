"""Temporary credentials for a TURN server that shares a secret with this server and has no accounts.

draft-uberti-behave-turn-rest-00, as in coturn (`use-auth-secret`): the user name contains the expiry time, and the
password is an HMAC of the user name under the secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from streamer.core.errors import ConfigError

ADDRESS = re.compile(r"turns?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(\?transport=(udp|tcp))?", re.ASCII)
MOST_BYTES = 1024  # size limit of the secret file


@dataclass(frozen=True)
class Turn:
    """TURN servers that share one secret.

    addresses: such as turn:example.com:3478 or turns:example.com:443?transport=tcp.
    """

    addresses: tuple[str, ...]
    secret: str

    def ice_server(self, who: str, expires: float) -> dict[str, object]:
        """Return an RTCIceServer for browsers. who: a name for the TURN server's log; expires: Unix seconds."""
        name = f"{int(expires)}:{who}"
        password = hmac.digest(self.secret.encode(), name.encode(), hashlib.sha1)
        return {"urls": list(self.addresses), "username": name, "credential": base64.b64encode(password).decode()}


def read_turn(addresses: tuple[str, ...], secret: Path | None) -> Turn | None:
    """Load the TURN configuration, or return None if TURN is off. Raises ConfigError."""
    if not addresses and secret is None:
        return None
    if not addresses or secret is None:
        raise ConfigError("--turn and --turn-secret belong together: where the server is, and what it shares with it")
    for address in addresses:
        if not ADDRESS.fullmatch(address):
            raise ConfigError(f"--turn {address[:80]!r}; expected turn:HOST:PORT or turns:HOST:PORT?transport=tcp")
    try:
        with secret.open("rb") as file:
            text = file.read(MOST_BYTES).decode("ascii", errors="replace").strip()
    except OSError as error:
        raise ConfigError(f"--turn-secret {secret}: cannot be read ({error.strerror})") from None
    if len(text) < 16 or not text.isascii() or not text.isprintable():
        expected = "expected one line of 16 characters or more, coturn's static-auth-secret"
        raise ConfigError(f"--turn-secret {secret}: {expected}")
    return Turn(addresses, text)
