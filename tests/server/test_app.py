"""The server as its peers see it: a process, HTTP requests, calls over loopback."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
from aiohttp.http_exceptions import BadStatusLine
from aiortc import InvalidStateError

from streamer.core.errors import EngineError, SessionError
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from streamer.server.app import not_the_clients, on_stray_error
from streamer.server.metrics import parse
from tests.fakes.ports import free_port
from tests.families import tiny_family
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

SDP = {"Content-Type": "application/sdp"}


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "2", "--threads", "1"]) as launched:
        yield launched


async def request(
    server: LaunchedServer, method: str, path: str, data: bytes | None = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, server.url + path, data=data, headers=headers) as response,
    ):
        return response.status, await response.text(errors="replace"), dict(response.headers)


def test_the_patience_with_a_start_does_not_end_the_server_later(server: LaunchedServer) -> None:
    assert server.process.poll() is None
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)


async def metrics(server: LaunchedServer) -> dict[str, float]:
    return parse((await request(server, "GET", "metrics"))[1])


async def until_idle(server: LaunchedServer) -> None:
    async with asyncio.timeout(60):
        while (await metrics(server))["sessions_open"]:  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(0.05)


async def test_page_and_its_files_come_with_strict_headers(server: LaunchedServer) -> None:
    status, page, headers = await request(server, "GET", "")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) >= 3
    for file in files:
        assert (await request(server, "GET", file))[0] == 200
    assert (await request(server, "GET", "../pyproject.toml"))[0] == 404


async def test_a_page_that_begins_by_itself_is_not_opened_by_other_sites(server: LaunchedServer) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("none", 200), ("same-origin", 200)):
        assert (await request(server, "GET", "obs", None, **{"Sec-Fetch-Site": site}))[0] == status
    status, page, headers = await request(server, "GET", "obs")
    assert status == 200
    assert "script-src 'self';" in headers["Content-Security-Policy"]
    for file in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (await request(server, "GET", file))[0] == 200


async def test_healthz_and_avatars(server: LaunchedServer) -> None:
    assert (await request(server, "GET", "healthz"))[:2] == (200, "ready\n")
    async with aiohttp.ClientSession() as http, http.get(server.url + "avatars") as response:
        found = await response.json()
    avatars = found["avatars"]
    assert found["recorded"] is False
    assert [(avatar["name"], avatar["default"]) for avatar in avatars] == [("dot", True)]
    async with aiohttp.ClientSession() as http, http.get(server.url + avatars[0]["picture"].lstrip("/")) as response:
        assert (await response.read()).startswith(b"\x89PNG")
    assert (await request(server, "GET", "avatars/nobody.png"))[0] == 404


async def test_portraits_are_seen_while_the_engines_load(tiny_folder: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "streamer", "serve", "--engines", str(tiny_folder), "--port", str(port)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(240), aiohttp.ClientSession() as http:
            assert b"loading" in await process.stdout.readline()
            seen: list[dict[str, Any]] = []
            while not seen or not seen[-1]["ready"]:
                async with http.get(f"http://localhost:{port}/avatars") as response:
                    if response.status == 200:
                        seen.append(await response.json())
                await asyncio.sleep(0.02)
            assert [avatar["name"] for avatar in seen[0]["avatars"]] == ["dot"]
            assert not seen[0]["ready"]
            async with http.get(f"http://localhost:{port}/avatars/dot.png") as response:
                assert response.content_type == "image/png"
    finally:
        process.terminate()
        await process.wait()


async def test_a_session_tells_of_its_new_pictures(server: LaunchedServer) -> None:
    async with Caller(server.url, vowels(10.0)) as caller, aiohttp.ClientSession() as http, asyncio.timeout(90):
        address = caller.location
        reports: list[dict[str, Any]] = []
        while len(reports) < 2 or reports[-1]["pictures"] <= reports[0]["pictures"]:
            async with http.get(address) as response:
                assert response.status == 200
                reports.append(await response.json())
            await asyncio.sleep(0.1)
        assert set(reports[0]) == {*("pictures", "repeated", "late", "delay_ms", "left_out", "microphone_packets_lost")}
        assert reports[0]["delay_ms"] >= 100
    await until_idle(server)
    assert (await request(server, "GET", "session/1"))[0] == 404


async def test_portraits_come_on_the_background_that_a_session_would_have(server: LaunchedServer) -> None:
    pictures = {}
    for background in ("", "?background=none", "?background=transparent", "?background=0000ff"):
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}avatars/dot.png{background}") as response:
            png = np.frombuffer(await response.read(), np.uint8)
            pictures[background] = np.asarray(cv2.imdecode(png, cv2.IMREAD_UNCHANGED), np.uint8)
    plain = pictures[""]
    assert plain.shape == (tiny_family.SIZE, tiny_family.SIZE, 3)
    assert (pictures["?background=none"] == plain).all()
    clear = pictures["?background=transparent"]
    assert (clear[clear[..., 3] == 255, :3] == plain[clear[..., 3] == 255]).all()
    assert (clear[..., 3].min(), clear[..., 3].max()) == (0, 255)
    blue = pictures["?background=0000ff"]
    assert (blue[clear[..., 3] == 0] == (255, 0, 0)).all()
    assert (blue[clear[..., 3] == 255] == plain[clear[..., 3] == 255]).all()
    status, text, _ = await request(server, "GET", "avatars/dot.png?background=mauve")
    assert (status, text.count("\n"), "expected a colour" in text) == (400, 1, True)


@pytest.mark.parametrize(
    ("query", "body", "headers", "status", "words"),
    [
        ("", b"hello", SDP, 400, "must begin with v=0"),
        ("", b"\xff\xfe", SDP, 400, "not text"),
        ("", b"", SDP, 400, "must begin with v=0"),
        ("", b"v=0\r\nm=audio what", SDP, 400, "cannot be parsed"),
        ("", b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", SDP, 400, "no audio"),
        ("", b"v=0\r\n" + b"m=audio 9 X 0\r\n" * 100, SDP, 400, "100 media sections"),
        ("", b"v=0\r\n" + b"a=x\r\n" * 30_000, SDP, 413, "larger than"),
        ("", b"v=0", {"Content-Type": "application/json"}, 415, "expected application/sdp"),
        ("", b"v=0", SDP | {"Content-Encoding": "gzip"}, 400, "no audio"),  # not unpacked, so harmless
        ("", gzip.compress(b"v=0", mtime=0), SDP | {"Content-Encoding": "gzip"}, 400, "not text"),
        ("?avatar=nobody", b"v=0", SDP, 404, "there are dot"),
        ("?avatar=../../etc", b"v=0", SDP, 404, "no avatar"),
        ("?lookahead=5000", b"v=0", SDP, 400, "takes 0 to"),
        ("?lookahead=-1", b"v=0", SDP, 400, "whole milliseconds"),
        ("?still=2", b"v=0", SDP, 400, "still is '2', expected 0 or 1"),
        ("?pose-style=1", b"v=0", SDP, 400, "family tiny has no styles of head motion"),
        ("?yaw=40", b"v=0", SDP, 400, "yaw of 40 degrees; tiny takes -10 to 10"),
        ("", b"v=0", SDP | {"Origin": "http://elsewhere.example"}, 403, "other sites"),
        ("", b"v=0", SDP | {"Host": "rebound.example"}, 403, "localhost only"),
    ],
)
async def test_bad_requests_are_refused_in_one_clear_line(
    server: LaunchedServer, query: str, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    found, text, _ = await request(server, "POST", f"session{query}", body, **headers)
    assert (found, words in text, text.count("\n")) == (status, True, 1), text
    assert (await metrics(server))["sessions_open"] == 0


async def test_a_malformed_request_is_answered_and_not_logged_as_a_server_error(server: LaunchedServer) -> None:
    status, _, _ = await request(server, "GET", "healthz", Long="x" * 20_000)
    assert status == 400
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 0, "", None, None)
    hung_up = aiohttp.ClientConnectionResetError("Cannot write to closing transport")
    for error, told in ((BadStatusLine("x"), False), (hung_up, False), (RuntimeError(), True), (None, True)):
        record.exc_info = (type(error), error, None) if error else None
        assert not_the_clients(record) is told


async def test_a_call_that_ends_while_connecting_is_not_a_server_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    on_stray_error(loop, {"message": "never retrieved", "exception": InvalidStateError("RTCIceTransport is closed")})
    assert caplog.records == []
    on_stray_error(loop, {"message": "never retrieved", "exception": RuntimeError("a fault")})
    assert "a fault" in caplog.text


async def test_sessions_cannot_be_ended_by_guessing(server: LaunchedServer) -> None:
    assert (await request(server, "DELETE", "session/1"))[0] == 404


async def test_lost_packets_are_counted_and_the_call_goes_on(server: LaunchedServer) -> None:
    async with Caller(server.url, vowels(60.0), loss=0.3) as caller, asyncio.timeout(90):
        lost = silence = 0.0
        while lost < 10 or silence < 0.2 or not is_loud(caller):
            await asyncio.sleep(0.2)
            counts = await metrics(server)
            lost, silence = counts["microphone_packets_lost_total"], counts["microphone_silence_seconds_total"]
    await until_idle(server)


async def test_two_callers_hear_themselves_and_see_the_avatar(server: LaunchedServer) -> None:
    """Each gets its own sound back, delayed, and pictures; the third is asked to wait."""
    sound = vowels(30.0)
    silence = np.zeros_like(sound)
    async with (
        Caller(server.url, sound) as speaker,
        Caller(server.url, silence, "avatar=dot&lookahead=0&still=1&yaw=-5&expression-scale=0.5") as listener,
    ):
        assert speaker.location != listener.location
        with pytest.raises(SessionError, match="503: all 2 places are taken"):
            async with Caller(server.url, silence):
                pass
        await eventually(lambda: speaks(speaker) and len(listener.recording.pictures) > 40)
        await eventually(lambda: all(len(caller.recording.sound) > 60 for caller in (speaker, listener)))
        counts = await metrics(server)
    await until_idle(server)
    assert counts["sessions_open"] == 2
    assert max(packet.level.max() for packet in listener.recording.sound) < 0.01
    for caller in (speaker, listener):
        assert caller.recording.pictures[0].size == (tiny_family.SIZE, tiny_family.SIZE)


def is_loud(caller: Caller) -> bool:
    """Whether its sound has come back."""
    return max((packet.level.max() for packet in caller.recording.sound), default=0.0) > 0.2


def speaks(caller: Caller) -> bool:
    """Whether its sound has come back, and its mouth has moved."""
    pictures = caller.recording.pictures
    return is_loud(caller) and max((np.abs(each.mouth - pictures[0].mouth).max() for each in pictures), default=0) > 3


async def test_a_session_ends_when_asked_to(server: LaunchedServer) -> None:
    async with Caller(server.url, vowels(1.0)) as caller:
        path = caller.location.removeprefix(server.url)
        assert (await request(server, "DELETE", path, Origin="http://elsewhere.example"))[0] == 403
        assert (await request(server, "DELETE", path))[0] == 200
        assert (await request(server, "DELETE", path))[0] == 404
    await until_idle(server)


def test_a_taken_port_is_one_clear_line(tiny_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "streamer", "serve", "--port", port, "--engines", str(tiny_folder)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert f"cannot listen on localhost, port {port}" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_transparent_cannot_be_the_background_of_all_sessions(tiny_folder: Path) -> None:
    """The page that people talk on would show what only /obs can join."""
    with (
        pytest.raises(EngineError, match=r"carries no transparency; the page /obs"),
        launch(["--engines", str(tiny_folder), "--background", "transparent"]),
    ):
        pass


def test_a_damaged_family_is_one_clear_line(tmp_path: Path) -> None:
    folder = tiny_family.build(tmp_path / "tiny")
    (folder / "motion.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"motion\.onnx"), launch(["--engines", str(folder)]):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_server_and_its_process(tiny_folder: Path, number: signal.Signals) -> None:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4"]) as launched:
        async with Caller(launched.url, vowels(1.0)):
            launched.process.send_signal(number)
            assert await asyncio.to_thread(launched.process.wait, 60) == 0  # 2 s on an idle machine


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups")
def test_ctrl_c_while_the_engines_load_is_quiet(tiny_folder: Path) -> None:
    """It reaches the inference process, too, which is then still starting."""
    command = [sys.executable, "-m", "streamer", "serve", "--port", "0", "--engines", str(tiny_folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert "loading the engines" in process.stdout.readline()
        time.sleep(0.2)  # wherever it is by then
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")
