"""Access tokens: short-lived JSON Web Tokens (RFC 7519), signed with Ed25519 (RFC 8037)."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any

import jwt
import msgspec

from streamer.access.grant import EVERYTHING, SCOPES, Grant
from streamer.access.secret import PUBLIC, SECRET, leads_to, private_key, public_key, public_text
from streamer.core.errors import AvatarError

ISSUER = "avatar-streamer"
ALGORITHM = "EdDSA"
REQUIRED = ["exp", "sub", "jti", "scope", "iss"]
LEEWAY_S = 30.0  # allowed clock difference between two machines
MOST_CHARACTERS = 2048  # of a token; checked before decoding
COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)  # RFC 7515, 3.1
OWNER = re.compile(r"[A-Za-z0-9_.@-]{1,64}", re.ASCII)

_Owner = Annotated[str, msgspec.Meta(pattern=rf"\A{OWNER.pattern}\Z")]
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"\A[A-Za-z0-9_-]+\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class TokenError(AvatarError):
    """A token was rejected; the message gives the reason and contains no part of the token."""


class _Claims(msgspec.Struct):
    """The claims of a token, except its issuer. scope: RFC 8693, 4.2."""

    sub: _Owner
    jti: _Short
    exp: float
    scope: str
    avatars: list[str] | None = None
    sessions: _Count | None = None
    minutes: Annotated[float, msgspec.Meta(ge=0)] | None = None
    photos: _Count | None = None


def told_by(token: str) -> tuple[str, float] | None:
    """Return a token's id and expiry (Unix seconds) without verifying its signature; None if it is not a token."""
    if len(token) > MOST_CHARACTERS or not COMPACT.fullmatch(token):
        return None
    try:
        claims = msgspec.convert(jwt.decode(token, options={"verify_signature": False}), _Claims)
    except (jwt.PyJWTError, msgspec.ValidationError):
        return None
    return claims.jti, claims.exp


def mint(
    secret: str,
    owner: str,
    scopes: Sequence[str],
    lasts_s: float,
    *,
    avatars: Sequence[str] | None = None,
    sessions: int | None = None,
    minutes: float | None = None,
    photos: int | None = None,
) -> str:
    """Mint a token for `owner`, valid from now on for `lasts_s` seconds. The limits are those of `Grant`."""
    now = time.time()
    claims: dict[str, Any] = {"iss": ISSUER, "sub": owner, "jti": secrets.token_hex(8), "scope": " ".join(scopes)}
    claims |= {"iat": int(now), "exp": int(now + lasts_s)}
    limits = {"avatars": avatars, "sessions": sessions, "minutes": minutes, "photos": photos}
    claims |= {name: value for name, value in limits.items() if value is not None}
    return jwt.encode(claims, private_key(secret), ALGORITHM)


class Verifier:
    """Verifies tokens with public keys, given directly or derived from the given secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises ConfigError for an invalid public key."""
        self._public = [key if PUBLIC.fullmatch(key) else public_text(key) for key in keys]
        self._keys = [public_key(text) for text in self._public]

    def check(self, text: str) -> Grant:
        """Return the permissions of a token, or of the secret itself. Raises TokenError."""
        if SECRET.fullmatch(text):
            if sum(leads_to(text, public) for public in self._public):  # compares all keys, for constant time
                return EVERYTHING
            raise TokenError("the secret is not this server's")
        if len(text) > MOST_CHARACTERS:
            raise TokenError(f"the token has more than {MOST_CHARACTERS} characters")
        if not COMPACT.fullmatch(text):  # base64 decoders skip invalid characters
            raise TokenError("the token cannot be read; was it copied whole?")
        return _grant(self._claims(text))

    def _claims(self, text: str) -> dict[str, Any]:
        for key in self._keys:
            try:
                return dict(
                    jwt.decode(text, key, [ALGORITHM], options={"require": REQUIRED}, issuer=ISSUER, leeway=LEEWAY_S)
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise TokenError("the token has expired; ask for a new one") from None
            except jwt.PyJWTError:
                raise TokenError("the token cannot be read; was it copied whole?") from None
        raise TokenError("the token is not one of this server's")


def _grant(claims: dict[str, Any]) -> Grant:
    try:
        known = msgspec.convert(claims, _Claims)
    except msgspec.ValidationError as error:
        raise TokenError(f"the token says what cannot be: {error}") from None
    scopes = frozenset(known.scope.split())
    if not scopes or not scopes <= frozenset(SCOPES):
        raise TokenError(f"the token has scopes beside {', '.join(SCOPES)}, or none")
    avatars = None if known.avatars is None else frozenset(known.avatars)
    return Grant(known.sub, known.jti, scopes, avatars, known.exp, known.sessions, known.minutes, known.photos)
