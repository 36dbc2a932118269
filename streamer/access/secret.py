"""The secret that tokens are minted with, and the key that a server checks them by.

A secret is 256 random bits. An Ed25519 key pair (RFC 8032) is derived from it: tokens are signed with the private key,
and a server needs the public one only. So a server on another machine keeps no secret at all, and whoever reads its
files can neither mint a token nor present the secret itself, which is compared by the public key that it leads to.
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
FILE = "token-secret"  # in the user's home of avatars
MOST_BYTES = 4096  # of a file
MOST_KEYS = 4  # of a server: the new one, and those that are being retired
_EXPECTED = "expected a file with a secret (avs_...) or public key (avk_...) of `avatar token`, or one of these itself"


def new_secret() -> str:
    """A secret that nobody has."""
    return "avs_" + secrets.token_urlsafe(32)


def private_key(secret: str) -> Ed25519PrivateKey:
    """The key that signs tokens."""
    seed = hashlib.blake2b(secret.encode(), digest_size=32, person=b"avatar token").digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_text(secret: str) -> str:
    """The public key of a secret, as text for a server."""
    raw = private_key(secret).public_key().public_bytes_raw()
    return "avk_" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def public_key(text: str) -> Ed25519PublicKey:
    """The key in a public text. Raises ConfigError."""
    try:
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text.removeprefix("avk_") + "="))
    except (ValueError, binascii.Error):
        raise ConfigError(f"--token: a public key that is none; {_EXPECTED}") from None


def leads_to(secret: str, public: str) -> bool:
    """Whether a text that somebody presents is the secret of a public key; takes as long whatever it is."""
    return hmac.compare_digest(public_text(secret).encode(), public.encode())


def read(given: str) -> list[str]:
    """The secrets and public keys in `given`: one of them, or the name of a file with up to MOST_KEYS, one a line.

    Raises ConfigError, which repeats nothing of what may be a secret.
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
    """The user's own secret, made at the first time. Raises ConfigError."""
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
