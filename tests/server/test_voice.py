"""Text is spoken for those without a microphone; what is too long or none is refused, and nothing hangs."""

from __future__ import annotations

import io
import shutil
import wave
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from streamer.measure.launched_server import LaunchedServer, launch
from streamer.server.routes.voice_handlers import VoiceHandlers
from streamer.voice.espeak import Espeak

ESPEAK = shutil.which("espeak-ng")
pytestmark = pytest.mark.process
needs_espeak = pytest.mark.skipif(ESPEAK is None, reason="NO ESPEAK-NG: typed text is not tested on this machine")


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4"]) as launched:
        yield launched


async def say(url: str, data: bytes, query: str = "", **headers: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession(headers=headers) as http, http.post(f"{url}voice{query}", data=data) as response:
        return response.status, await response.read()


@needs_espeak
@pytest.mark.parametrize("language", ["en", "de", "cmn"])
async def test_text_becomes_a_whole_wav_file(server: LaunchedServer, language: str) -> None:
    status, sound = await say(server.url, b"Good morning, 123.", f"?language={language}")
    assert status == 200
    with wave.open(io.BytesIO(sound)) as reader:
        samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
        assert 0.3 < len(samples) / reader.getframerate() < 10
    assert np.abs(samples).max() > 3_000


@needs_espeak
@pytest.mark.parametrize(
    ("data", "query", "headers", "status", "words"),
    [
        (b"", "", {}, 400, "no text"),
        (b" \n\t\x00", "", {}, 400, "no text"),
        (b"\xff\xfe", "", {}, 400, "not UTF-8"),
        (b"a" * 301, "", {}, 413, "300 are taken"),
        (b"a" * 5_000, "", {}, 413, "longer than the 300 characters"),
        (b"hello", "?language=../../etc", {}, 400, "expected one such as"),
        (b"hello", "?language=-f", {}, 400, "expected one such as"),
        (b"hello", "?language=xx", {}, 422, "does not speak xx"),
        (b"hello", "", {"Origin": "http://elsewhere.example"}, 403, "other sites"),
    ],
)
async def test_what_cannot_be_spoken_is_one_clear_line(
    server: LaunchedServer, data: bytes, query: str, headers: dict[str, str], status: int, words: str
) -> None:
    found, text = await say(server.url, data, query, **headers)
    assert (found, text.count(b"\n")) == (status, 1), text
    assert words in text.decode()


@needs_espeak
async def test_text_is_not_taken_as_an_option(server: LaunchedServer, tmp_path: Path) -> None:
    target = tmp_path / "written.wav"
    status, sound = await say(server.url, f"-w {target}".encode())
    assert (status, sound[:4], target.exists()) == (200, b"RIFF", False)


def program(folder: Path, body: str) -> str:
    path = folder / "synthesiser"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("body", "patience_s", "status", "words"),
    [
        ("sleep 60", 0.5, 503, "not spoken within"),
        ("exit 1", 60, 422, "does not speak"),
        ("yes", 60, 200, "RIFF"),
    ],
)
async def test_a_synthesiser_that_hangs_fails_or_never_ends_is_ended(
    tmp_path: Path, body: str, patience_s: float, status: int, words: str
) -> None:
    handlers = VoiceHandlers(Espeak(program(tmp_path, body), speak_s=patience_s, most_bytes=1 << 20))
    app = web.Application()
    app.add_routes([web.post("/voice", handlers.speak)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        found, answer = await say(f"http://127.0.0.1:{runner.addresses[0][1]}/", b"hello")
    finally:
        await runner.cleanup()
    assert (found, words in answer.decode(errors="replace")) == (status, True)
    assert len(answer) <= 1 << 20


async def test_without_a_synthesiser_the_page_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Espeak.installed() is None
    assert not VoiceHandlers(None).available
