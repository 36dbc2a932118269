"""`avatar token`, and what `avatar serve` asks for: closed beyond localhost unless it is told otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.access.grant import ADMIN, TALK
from streamer.access.revocation import REVOKED, Revocations
from streamer.access.secret import FILE, new_secret, public_text
from streamer.access.tokens import Verifier
from streamer.cli.access_arguments import TOKEN_VARIABLE, access, given_token
from streamer.cli.main import main, make_parser
from streamer.core.errors import ConfigError


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


def asked_for(*arguments: str) -> tuple[Verifier | None, str | None]:
    args = make_parser().parse_args(["serve", *arguments])
    keys, invitation = access(args, args.public_url)
    return Verifier(keys) if keys else None, invitation


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["token", *arguments]) == 0
    return capsys.readouterr().out.strip()


def test_localhost_asks_for_no_token_and_nothing_is_made(own_home: Path) -> None:
    for host in ("localhost", "127.0.0.1", "::1"):
        assert asked_for("--host", host) == (None, None)
    assert list(own_home.iterdir()) == []


def test_a_cluster_is_open_on_localhost_and_closed_beyond(own_home: Path) -> None:
    start = ("cluster", "start")
    assert access(make_parser().parse_args(start)) == ((), None)
    keys, invitation = access(make_parser().parse_args([*start, "--host", "0.0.0.0"]))
    assert invitation is not None
    assert Verifier(keys).check(invitation).may(TALK)


def test_beyond_localhost_the_users_own_secret_is_asked_for_and_an_invitation_printed(own_home: Path) -> None:
    verifier, invitation = asked_for("--host", "0.0.0.0")
    assert verifier is not None
    assert invitation is not None
    grant = verifier.check(invitation)
    assert grant.may(TALK)
    assert not grant.rules
    assert verifier.check((own_home / FILE).read_text().strip()).rules


def test_a_server_may_be_opened_on_purpose(own_home: Path) -> None:
    assert asked_for("--host", "0.0.0.0", "--open") == (None, None)
    with pytest.raises(ConfigError, match="give one of them"):
        asked_for("--open", "--token", new_secret())


def test_tokens_are_minted_for_a_server_that_knows_the_public_key(capsys: pytest.CaptureFixture[str]) -> None:
    public = printed(capsys, "--public")
    verifier, invitation = asked_for("--token", public)
    assert verifier is not None
    assert invitation is None
    token = printed(capsys, "--for", "ada", "--scope", "talk,photos", "--valid", "30m", "--avatar", "mina,kofi")
    grant = verifier.check(token)
    assert (grant.owner, sorted(grant.scopes), grant.photos) == ("ada", ["photos", "talk"], 10)
    assert grant.avatars == frozenset({"mina", "kofi"})
    assert verifier.check(printed(capsys)).owner.startswith("visitor-")


def test_a_link_carries_the_token_where_no_log_sees_it(capsys: pytest.CaptureFixture[str]) -> None:
    secret = new_secret()
    link = printed(capsys, "--secret", secret, "--scope", "admin", "--url", "https://avatar.example/here")
    address, token = link.split("#token=")
    assert address == "https://avatar.example/here/"
    assert Verifier([public_text(secret)]).check(token).scopes == {ADMIN}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scope", "root"], "root found, some of talk, watch, push, photos, admin"),
        (["--valid", "forever"], "forever found, a time from 1m to 366d"),
        (["--valid", "1000d"], "1000d found, a time from 1m to 366d"),
        (["--for", "a b"], "a b found, 1 to 64 letters"),
        (["--secret", public_text(new_secret())], "a public key, which signs nothing"),
        (["--secret", "/nowhere"], "cannot be read"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main(["token", *arguments])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_client_takes_its_token_from_a_text_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("abc.def.ghi\n")
    assert given_token("abc.def.ghi") == given_token(str(file)) == "abc.def.ghi"
    monkeypatch.setenv(TOKEN_VARIABLE, str(file))
    assert given_token(make_parser().parse_args(["camera"]).token) == "abc.def.ghi"
    assert given_token(None) is None
    for strange in ("/nowhere", "a\x00b", str(tmp_path)):
        with pytest.raises(ConfigError, match="--token"):
            given_token(strange)


def test_tokens_are_listed_and_revoked_by_id_or_whole(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "list") == ""
    ada, bob = (printed(capsys, "--for", name, "--scope", "talk,watch") for name in ("ada", "bob"))
    listed = printed(capsys, "list").splitlines()
    assert [line.split()[-2:] for line in listed] == [["ada", "talk,watch"], ["bob", "talk,watch"]]
    revocations = Revocations(own_home / REVOKED)
    names = [line.split()[0] for line in listed]
    assert printed(capsys, "revoke", names[0]) == f"avatar: token {names[0]} of ada is revoked"
    assert (revocations.hold(names[0]), revocations.hold(names[1])) == (True, False)
    assert "of bob" in printed(capsys, "revoke", bob, names[0])
    assert [line.split()[1] for line in printed(capsys, "list").splitlines()] == ["revoked", "revoked"]
    assert not any(token in file.read_text() for token in (ada, bob) for file in own_home.iterdir())
    assert "not made here" in printed(capsys, "revoke", "an-id-of-elsewhere")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["revoke"], "which?"),
        (["revoke", "no id"], "neither a token nor the id of one"),
        (["list", "x"], "only `avatar token revoke` takes tokens"),
        (["forget"], "invalid choice"),
    ],
)
def test_what_cannot_be_revoked_is_told(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main(["token", *arguments])
    except SystemExit as stop:
        status = stop.code
    assert (status, words in capsys.readouterr().err) == (2, True)
