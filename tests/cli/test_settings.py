"""Options from a file and from variables: the command line wins, mistakes are named with their file and key."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import pytest

from streamer.cli.main import COMMANDS, main, make_parser

FILE = """
avatar = "mina"
threads = 3

[serve]
port = 9000
still = true
sessions = "auto"
allow-origin = ["https://a.example", "https://b.example"]
yaw = -10.5

[render]
out = "talking.mp4"
track = 2

[bench]
size = [256, 512]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a file of options; no variables but those of the test."""
    monkeypatch.chdir(tmp_path)
    for name in ("AVATAR_CONFIG", "AVATAR_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "avatar.toml").write_text(FILE)
    return tmp_path


def parsed(*arguments: str) -> argparse.Namespace:
    return make_parser().parse_args(arguments)


def test_the_file_sets_options_as_the_command_line_would() -> None:
    args = parsed("serve")
    assert (args.port, args.still, args.yaw, args.avatar, args.threads) == (9000, True, -10.5, "mina", 3)
    assert args.sessions is None
    assert list(args.allow_origin) == ["https://a.example", "https://b.example"]
    assert parsed("bench").size == (256, 512)


def test_a_required_option_may_come_from_the_file() -> None:
    args = parsed("render", "--audio", "speech.wav")
    assert (args.out, args.track) == (Path("talking.mp4"), 2)


def test_variables_win_over_the_file_and_the_command_line_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATAR_PORT", "9001")
    assert (parsed("serve").port, parsed("mic").port) == (9001, 9001)
    monkeypatch.setenv("AVATAR_SERVE_PORT", "9002")
    assert (parsed("serve").port, parsed("mic").port) == (9002, 9001)
    assert parsed("serve", "--port", "9003").port == 9003
    monkeypatch.setenv("AVATAR_SERVE_STILL", "no")
    assert not parsed("serve").still
    monkeypatch.setenv("AVATAR_SERVE_ALLOW_ORIGIN", "https://c.example,https://d.example")
    assert list(parsed("serve").allow_origin) == ["https://c.example", "https://d.example"]


def test_what_may_be_repeated_is_replaced_by_the_command_line() -> None:
    assert list(parsed("serve", "--allow-origin", "https://x.example").allow_origin) == ["https://x.example"]
    assert list(parsed("serve").allow_origin) == ["https://a.example", "https://b.example"]


def test_another_file_is_named_by_a_variable_or_on_the_command_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATAR_CONFIG", "")  # is restored after the test
    (folder / "other.toml").write_text("[serve]\nport = 1\n")
    assert parsed("--config", "other.toml", "serve").port == 1
    assert parsed("serve").port == 1


def test_the_users_own_file_holds_where_the_folder_has_none(folder: Path, own_home: Path) -> None:
    (folder / "avatar.toml").rename(own_home / "avatar.toml")
    assert parsed("serve").port == 9000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[serve]\nport = 99999", "[serve] port: 99999 found, a whole number from 0 to 65535 expected"),
        ("[serve]\nport = true", "[serve] port: True found, a text or a number expected"),
        ('[serve]\nstill = "yes"', "[serve] still: 'yes' found, true or false expected"),
        ('[serve]\nallow-origin = "https://a"', "[serve] allow-origin: 'https://a' found, a list expected"),
        ('[render]\nmode = "round"', "avatar.toml: [render] mode: 'round' found, one of crop"),
        ("[serve]\nprot = 1", "[serve] prot: no such option; did you mean port?"),
        ("[sevre]\nport = 1", "[sevre]: no such command; did you mean serve?"),
        ("porr = 1", "avatar.toml: porr: no such option; did you mean port?"),
        ("[serve", "is not TOML"),
        ("\x00", "is not TOML"),
        ("[serve]\nlookahead = {a = 1}", "[serve] lookahead: {'a': 1} found"),
    ],
)
def test_mistakes_are_one_line_with_file_and_key(
    folder: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "avatar.toml").write_text(text)
    command = "render" if "render" in text else "serve"
    assert main([command, "--audio", "a", "--out", "b"] if command == "render" else [command]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert "avatar.toml" in line


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AVATAR_SERVE_PROT", "1", "did you mean AVATAR_SERVE_PORT?"),
        ("AVATAR_PORT", "many", "AVATAR_PORT: many found, a whole number"),
        ("AVATAR_SERVE_STILL", "perhaps", "AVATAR_SERVE_STILL: 'perhaps' found, true or false expected"),
        ("AVATAR_CONFIG", "/nowhere", "/nowhere: cannot be read"),
    ],
)
def test_mistakes_in_variables_are_named(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert main(["serve"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_config_shows_each_value_with_its_source_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVATAR_SERVE_VOICE", "piper:x.onnx")
    monkeypatch.setenv("AVATAR_TOKEN", "avs_" + "s" * 43)
    assert main(["config", "serve"]) == 0
    shown = capsys.readouterr().out
    assert "port = 9000  # avatar.toml" in shown.replace(str(Path.cwd()) + "/", "")
    assert 'voice = "piper:x.onnx"  # AVATAR_SERVE_VOICE' in shown
    assert 'host = "localhost"  # as it comes' in shown
    assert 'token = "(hidden)"  # AVATAR_TOKEN' in shown
    assert "sss" not in shown
    assert set(tomllib.loads(shown)["serve"]) >= {"port", "voice", "still"}


def test_the_example_has_every_option_and_holds_when_it_is_taken_in(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "avatar.toml").unlink()
    assert main(["config", "--example"]) == 0
    example = capsys.readouterr().out
    assert set(tomllib.loads(example)) == set(COMMANDS) - {"config"}
    settled = [
        line[2:] if line.startswith(("# port = ", "# host = ", "# threads = ")) else line
        for line in example.splitlines()
    ]
    (folder / "avatar.toml").write_text("\n".join(settled))
    assert parsed("serve").port == 8080


def test_config_of_what_is_no_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "sevre"]) == 2
    assert "there is no command 'sevre'" in capsys.readouterr().err
