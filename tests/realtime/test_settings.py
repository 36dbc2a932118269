"""Where an agent is, and what it is asked for: mistakes are one clear line, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.core.errors import ConfigError
from streamer.realtime.settings import RealtimeSettings, read_settings


def test_the_key_comes_from_the_environment() -> None:
    ours, theirs = {"AVATAR_REALTIME_KEY": "ours"}, {"OPENAI_API_KEY": "theirs"}
    assert read_settings("wss://example.com/v1", None, ours | theirs) == RealtimeSettings(
        "wss://example.com/v1", "ours"
    )
    assert read_settings("wss://example.com/v1", None, theirs).key == ""  # OpenAI's is for OpenAI
    assert read_settings("wss://api.openai.com/v1/realtime?model=m", None, theirs).key == "theirs"
    assert read_settings("ws://127.0.0.1:9000", None, ours).key == "ours"
    assert read_settings("wss://example.com:81/?secret=1", None, {}).place == "example.com:81"


@pytest.mark.parametrize(
    ("url", "environment", "words"),
    [
        ("https://example.com", {}, "expected an address ws://"),
        ("nonsense", {}, "expected an address ws://"),
        ("wss://", {}, "expected an address ws://"),
        ("wss://me:secret@example.com", {}, "no user, password or fragment"),
        ("wss://example.com:port", {}, "--realtime: Port"),
        ("wss://api.openai.com/v1/realtime", {}, "set AVATAR_REALTIME_KEY or OPENAI_API_KEY"),
        ("ws://example.com", {"AVATAR_REALTIME_KEY": "k"}, "unencrypted; use wss://"),
        ("wss://example.com", {"AVATAR_REALTIME_KEY": "a\nb"}, "is not a key"),
    ],
)
def test_a_backend_that_cannot_be_used_is_refused(url: str, environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        read_settings(url, None, environment)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("text", "words"), [("{", "JSON object"), ("[]", "JSON object"), (None, "No such file")])
def test_settings_that_cannot_be_read_are_refused(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "session.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_settings("ws://localhost", file, {})


def test_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "session.json"
    file.write_text('{"voice": "alloy"}')
    assert read_settings("ws://localhost", file, {}).session == {"voice": "alloy"}
