"""The secret that tokens are minted with, and the public key that a server verifies them with.

A secret is 256 random bits. An Ed25519 key pair (RFC 8032) is derived from it: tokens are signed with the private key,
and a server needs only the public key. So a server on another machine stores no secret, and an attacker who reads its
files can neither mint a token nor present the secret: a secret is checked by comparing the public key derived from it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engines.files import private_folder, replacing
from streamer.core.errors import ConfigError

SECRET = re.compile(r"avs_[A-Za-z0-9_-]{43}", re.ASCII)
PUBLIC = re.compile(r"avk_[A-Za-z0-9_-]{43}", re.ASCII)
FILE = "token-secret"  # in the user's data folder
MOST_BYTES = 4096  # of a key file
MOST_KEYS = 4  # of a server: the new key, and old ones being retired
_EXPECTED = "expected a file with a secret (avs_...) or public key (avk_...) of `avatar token`, or one of these itself"


def new_secret() -> str:
    """Return a new random secret."""
    return "avs_" + secrets.token_urlsafe(32)


def private_key(secret: str) -> Ed25519PrivateKey:
    """Derive the key that signs tokens."""
    seed = hashlib.blake2b(secret.encode(), digest_size=32, person=b"avatar token").digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_text(secret: str) -> str:
    """Return the public key of a secret as text (`avk_...`), for a server."""
    raw = private_key(secret).public_key().public_bytes_raw()
    return "avk_" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def public_key(text: str) -> Ed25519PublicKey:
    """Decode a public key from its text (`avk_...`). Raises ConfigError."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text.removeprefix("avk_") + "="))
    except (ValueError, binascii.Error):
        raise ConfigError(f"--token: a public key that is none; {_EXPECTED}") from None


def leads_to(secret: str, public: str) -> bool:
    """Return whether `secret` is the secret of this public key; the comparison takes constant time."""
    return hmac.compare_digest(public_text(secret).encode(), public.encode())


def read(given: str) -> list[str]:
    """Return the secrets and public keys in `given`: one key, or the name of a file with up to MOST_KEYS, one a line.

    Raises ConfigError; its message never contains text that may be a secret.
    """
    if SECRET.fullmatch(given) or PUBLIC.fullmatch(given):
        return [given]
    path = Path(given)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        named = given if len(given) < 200 and given.isprintable() and not given.startswith("av") else "the text given"
        reason = getattr(error, "strerror", None) or "no possible name"
        raise ConfigError(f"--token {named}: cannot be read ({reason}); {_EXPECTED}") from None
    found = [line.strip() for line in text.decode("ascii", errors="replace").splitlines() if line.strip()]
    fits = all(SECRET.fullmatch(line) or PUBLIC.fullmatch(line) for line in found)
    if not found or not fits or len(found) > MOST_KEYS:
        raise ConfigError(f"--token {path}: {len(found)} lines, not all of them keys; {_EXPECTED}")
    return found


def own_secret(home: Path) -> str:
    """Return the user's own secret; create it on first use. Raises ConfigError."""
    path = home / FILE
    try:
        if not path.exists():
            private_folder(home)
            with replacing(path, private=True) as partial:
                partial.write_text(f"{new_secret()}\n")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); name another with --token FILE") from None
    first = read(str(path))[0]
    if not SECRET.fullmatch(first):
        raise ConfigError(f"{path}: holds a public key, expected a secret")
    return first
