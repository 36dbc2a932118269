"""`avatar doctor`: each finding is a line with the way out, and only what a server cannot run without is a fault."""

from __future__ import annotations

import datetime
import socket
from pathlib import Path

import pytest

from streamer.cli.main import main
from streamer.core.errors import ConfigError
from streamer.measure.doctor import machine, reach
from streamer.measure.doctor.finding import Finding, Weight, good, looked_at
from streamer.webrtc.turn_credentials import Turn
from tests.fakes.certificates import write_pair
from tests.fakes.ports import free_port


def test_an_error_of_a_check_is_its_finding() -> None:
    def failing() -> Finding:
        raise ConfigError("the port is taken; choose another")

    def breaking() -> Finding:
        raise ValueError("of a\nlibrary")

    assert looked_at("port", failing) == Finding(Weight.FAULT, "port", "the port is taken; choose another")
    assert looked_at("port", failing, needed=False).weight is Weight.WARNING
    assert looked_at("port", breaking).text == "ValueError: of a library"
    assert str(looked_at("port", lambda: good("port", "free"))) == "ok    port         free"


def test_a_certificate_is_told_by_the_days_that_it_has_left(tmp_path: Path) -> None:
    day = datetime.timedelta(days=1)
    for days, weight in ((90, Weight.GOOD), (5, Weight.WARNING), (-2, Weight.FAULT)):
        pair = write_pair(tmp_path, lasts=days * day)
        found = reach.certificate(pair.chain, pair.key, public=True)
        assert found.weight is weight, found
    assert reach.certificate(None, None, public=True).weight is Weight.WARNING
    assert reach.certificate(None, None, public=False).weight is Weight.GOOD


def test_a_turn_server_that_is_not_there_is_a_fault() -> None:
    port = free_port()
    (found,) = reach.turn(Turn((f"turn:127.0.0.1:{port}?transport=tcp",), "0123456789abcdef"))
    assert found.weight is Weight.FAULT
    assert "cannot be reached" in found.text


@pytest.mark.parametrize(
    ("host", "public", "is_open", "weight"),
    [
        ("localhost", None, False, Weight.GOOD),
        ("0.0.0.0", None, False, Weight.GOOD),
        ("0.0.0.0", None, True, Weight.WARNING),
        ("localhost", "https://example.com/", True, Weight.WARNING),
    ],
)
def test_an_open_server_is_told(host: str, public: str | None, is_open: bool, weight: Weight) -> None:
    assert reach.access(host, public, is_open).weight is weight


def test_faces_that_others_may_look_at_are_told(tmp_path: Path) -> None:
    (tmp_path / "avatars").mkdir(mode=0o755)
    (tmp_path / "avatars").chmod(0o755)
    assert "chmod 700" in machine.disk(tmp_path).text
    (tmp_path / "avatars").chmod(0o700)
    assert "chmod" not in machine.disk(tmp_path).text


@pytest.mark.process  # sounddevice looks for its library with ldconfig
def test_the_status_tells_whether_a_server_could_run(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVATAR_ENGINES", str(tiny_folder))
    monkeypatch.setenv("AVATAR_SERVE_PORT", "0")
    assert main(["doctor", "--quick"]) == 0
    told = capsys.readouterr().out
    assert "ok    engines      family tiny" in told
    assert told.endswith("nothing stands in the way\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("AVATAR_SERVE_PORT", str(taken.getsockname()[1]))
        assert main(["doctor", "--quick"]) == 1
    told = capsys.readouterr().out
    assert "FAULT port" in told
    assert "choose another with --port" in told
    assert told.endswith("1 fault\n")


@pytest.mark.slow
def test_the_speed_of_a_family_is_told(tiny_folder: Path) -> None:
    assert "a picture takes" in machine.speed(tiny_folder, None, 1).text
