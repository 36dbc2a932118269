"""Tokens: what is minted is granted; whatever is forged, stale or strange is refused."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from streamer.access.grant import EVERYTHING, PHOTOS, TALK, WATCH
from streamer.access.secret import new_secret, private_key, public_key, public_text
from streamer.access.tokens import ISSUER, MOST_CHARACTERS, TokenError, Verifier, mint

SECRET = new_secret()


def claims(**changed: Any) -> dict[str, Any]:
    """Of a token that is good for a day: it is made when the tests are collected."""
    usual = {"iss": ISSUER, "sub": "ada", "jti": "id", "scope": TALK, "exp": int(time.time()) + 24 * 3600}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def signed(**changed: Any) -> str:
    return jwt.encode(claims(**changed), private_key(SECRET), "EdDSA")


@pytest.mark.parametrize("key", [SECRET, public_text(SECRET)], ids=["secret", "public"])
def test_what_is_minted_is_granted_by_the_secret_and_by_its_public_key(key: str) -> None:
    token = mint(SECRET, "ada", [TALK, PHOTOS], 60, avatars=["mina"], sessions=1, minutes=2.5, photos=3)
    grant = Verifier([key]).check(token)
    assert (grant.owner, sorted(grant.scopes), grant.avatars) == ("ada", [PHOTOS, TALK], frozenset({"mina"}))
    assert (grant.sessions, grant.minutes, grant.photos) == (1, 2.5, 3)
    assert grant.may(TALK)
    assert not grant.may(WATCH)


def test_two_tokens_of_one_name_are_two_tokens() -> None:
    verifier = Verifier([SECRET])
    assert (
        verifier.check(mint(SECRET, "ada", [TALK], 60)).token != verifier.check(mint(SECRET, "ada", [TALK], 60)).token
    )


def test_a_new_secret_may_stand_beside_the_one_that_it_replaces() -> None:
    new = new_secret()
    verifier = Verifier([new, public_text(SECRET)])
    for secret in (SECRET, new):
        assert verifier.check(mint(secret, "ada", [TALK], 60)).owner == "ada"
        assert verifier.check(secret) == EVERYTHING


def test_another_secret_opens_nothing() -> None:
    for text in (new_secret(), mint(new_secret(), "ada", ["admin"], 60)):
        with pytest.raises(TokenError, match="this server's"):
            Verifier([SECRET]).check(text)


def tampered() -> str:
    """Its scope is changed, its signature is not."""
    head, body, signature = signed().split(".")
    changed = json.loads(base64.urlsafe_b64decode(body + "==")) | {"scope": "admin"}
    return ".".join([head, base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("="), signature])


def of_another_kind() -> str:
    """Signed with what everybody may know, as if it were a shared secret."""
    return jwt.encode(claims(scope="admin"), public_key(public_text(SECRET)).public_bytes_raw() * 2, "HS256")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (signed(exp=int(time.time()) - 60), "expired"),
        (tampered(), "this server's"),
        (of_another_kind(), "cannot be read"),
        (jwt.encode(claims(scope="admin"), "", "none"), "cannot be read"),
        (signed(iss="another"), "cannot be read"),
        (signed(exp=None), "cannot be read"),
        (signed(sub=None), "cannot be read"),
        (signed(sub=""), "cannot be"),
        (signed(sub="a\nb"), "cannot be"),
        (signed(sub="ada\n"), "cannot be"),
        (signed(scope="talk root"), "scopes beside"),
        (signed(scope=""), "scopes beside"),
        (signed(sessions=-1), "cannot be"),
        (signed(minutes="many"), "cannot be"),
        (signed(avatars="mina"), "cannot be"),
        (signed(note="x" * MOST_CHARACTERS), "more than"),
        (signed() + "=", "cannot be read"),
        (signed().replace(".", ".!", 1), "cannot be read"),
        (signed() + "\n", "cannot be read"),
        ("", "cannot be read"),
        ("a.b.c", "cannot be read"),
        ("ü.ü.ü", "cannot be read"),
    ],
    ids=lambda text: "token" if "." in text else text,  # tokens differ from one run to the next
)
def test_what_is_forged_stale_or_strange_is_refused(token: str, words: str) -> None:
    with pytest.raises(TokenError, match=words) as refused:
        Verifier([SECRET]).check(token)
    assert "\n" not in str(refused.value)
