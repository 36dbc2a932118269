"""What `--output` takes: streams and files that can be written, and nothing that FFmpeg would make more of."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.core.errors import AvatarError
from streamer.output.destination import Destination


@pytest.mark.parametrize(
    ("text", "url", "name", "container"),
    [
        ("udp://127.0.0.1:5000", "udp://127.0.0.1:5000?pkt_size=1316", "udp://127.0.0.1:5000", "mpegts"),
        ("UDP://studio:5000/", "udp://studio:5000?pkt_size=1316", "udp://studio:5000", "mpegts"),
        ("udp://[::1]:5000", "udp://[::1]:5000?pkt_size=1316", "udp://[::1]:5000", "mpegts"),
        ("tcp://127.0.0.1:5000", "tcp://127.0.0.1:5000", "tcp://127.0.0.1:5000", "mpegts"),
        ("rtmp://127.0.0.1:1935/live", "rtmp://127.0.0.1:1935/live", "rtmp://127.0.0.1:1935/live", "flv"),
        (
            "whip+https://media.example/whip/me?key=x",
            "https://media.example/whip/me?key=x",
            "whip+https://media.example/whip/me?…",
            "whip",
        ),
        (
            "whip+http://localhost:8889/me/whip",
            "http://localhost:8889/me/whip",
            "whip+http://localhost:8889/me/whip",
            "whip",
        ),
    ],
)
def test_streams(text: str, url: str, name: str, container: str) -> None:
    destination = Destination.parse(text)
    assert (destination.url, destination.name, destination.container) == (url, name, container)
    assert destination.live
    assert not destination.alpha


def test_a_stream_s_key_and_password_are_not_shown() -> None:
    destination = Destination.parse("rtmps://me:word@live.example/app/secret-key?test=1")
    assert destination.url == "rtmps://me:word@live.example/app/secret-key?test=1"
    assert destination.name == "rtmps://live.example/app/…"


@pytest.mark.parametrize(
    ("name", "container", "alpha"),
    [
        ("a.mp4", "mp4", False),
        ("a.MKV", "matroska", False),
        ("a.webm", "webm", True),
        ("a.ts", "mpegts", False),
        ("udp:5.flv", "flv", False),
        ("concat:a.ts|b.ts", "mpegts", False),
    ],
)
def test_files(tmp_path: Path, name: str, container: str, alpha: bool) -> None:
    destination = Destination.parse(str(tmp_path / name))
    assert (destination.container, destination.alpha, destination.live) == (container, alpha, False)
    assert destination.url.startswith(f"file:{tmp_path}/.")
    assert destination.partial is not None
    assert destination.partial.suffix == Path(name).suffix


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected udp://HOST:PORT"),
        ("film", "expected udp://HOST:PORT"),
        ("film.avi", r"ends in \.mp4, \.mkv, \.webm, \.ts, \.flv"),
        ("file:///etc/film.mp4", "file://..: no such output"),
        ("http://example/film.mp4", "http://..: no such output"),
        ("tee://a", "tee://..: no such output"),
        ("whip+http://media.example/me", "unencrypted only to this machine"),
        ("whip+https://me:word@media.example/me", "its token goes into AVATAR_WHIP_TOKEN"),
        ("whip+https:///me", "no host in it"),
        ("srt://127.0.0.1:5000", "has no SRT; send to udp"),
        ("udp://127.0.0.1", "expected udp://HOST:PORT and nothing more"),
        ("udp://127.0.0.1:5000?localaddr=1.2.3.4", "expected udp://HOST:PORT and nothing more"),
        ("udp://127.0.0.1:99999", "not an address"),
        ("udp://127.0.0.1:0", "no host in it"),
        ("udp://@:5000", "no host in it"),
        ("udp://[::1:5000", "not an address"),
        ("rtmp://127.0.0.1", "expected rtmp://HOST/APP/KEY"),
        ("rtmp://127.0.0.1/live/a pageUrl=x", "at most 2000 letters and signs"),
        ("rtmp://127.0.0.1/live/a\nb", "at most 2000 letters and signs"),
        ("rtmp://127.0.0.1/live/" + "a" * 2000, "at most 2000 letters and signs"),
        ("/nowhere/film.mp4", "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(text: str, message: str) -> None:
    with pytest.raises(AvatarError, match=message) as caught:
        Destination.parse(text)
    assert "\n" not in str(caught.value)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    with pytest.raises(AvatarError, match=r"film\.mp4: exists already"):
        Destination.parse(str(tmp_path / "film.mp4"))
