"""Speech pushed into a session on this machine: what the devices get, what the client is told, and who may speak."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from clients.speech import SpeechClient, SpeechClientError
from streamer.audio.format import AUDIO_PTIME_MS, MS
from streamer.cli.main import main
from streamer.core.aio import Clock, MonotonicClock
from streamer.desktop.local_session import LocalSession
from streamer.desktop.sources import NoMicrophone
from streamer.desktop.speech_server import LocalSpeech
from streamer.session.options import SessionOptions
from streamer.session.playout import FADE_MS
from streamer.session.speech.speech_format import Pcm
from streamer.session.speech.speech_protocol import Idle, Played, Started, Told
from tests import ROOT
from tests.fakes.clock import FakeClock
from tests.fakes.local import LOUDEST, STILL, Ear, LevelWorker, Screen
from tests.waiting import eventually

RATE = 24_000
LEVEL = LOUDEST / 2


class Stage:
    """A session that hears pushed speech only, with all its ends."""

    def __init__(self, clock: Clock, lead_s: float = 0.0) -> None:
        self.worker = LevelWorker()
        self.screen = Screen(clock)
        self.ear = Ear(clock, lead_s)
        options = SessionOptions("dot", STILL, 225)
        self.session = LocalSession(options, self.worker, clock, self.screen, self.ear, lambda note: None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.session.run(NoMicrophone()))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        with LocalSpeech(0) as speech:
            async with speech.served(self.session), self.running(), asyncio.timeout(60):
                yield speech.address

    def voiced_ms(self) -> float:
        return float(np.count_nonzero(self.ear.sound()[:, 0] > LEVEL * 3000)) / MS

    def heard_about(self, milliseconds: float, within: float) -> bool:
        """Whether so much voice came, less the packets that a machine that stalls left out."""
        left_out = (self.ear.heard[-1][1] + 1 - len(self.ear.heard)) * AUDIO_PTIME_MS
        return milliseconds - left_out - within <= self.voiced_ms() <= milliseconds + within


def speech(seconds: float, level: float = LEVEL) -> bytes:
    return np.full(round(seconds * RATE), level * 32767, "<i2").tobytes()


@pytest.mark.slow
async def test_a_client_that_only_pings_does_not_keep_the_word() -> None:
    stage = Stage(MonotonicClock())
    stage.session.speech.limits = replace(stage.session.speech.limits, greet_s=0.5)
    async with stage.served() as address, aiohttp.ClientSession() as http, http.ws_connect(address) as socket:
        while not socket.closed:
            with contextlib.suppress(ConnectionError):  # a slow machine reads of the end later than it comes
                await socket.ping()
            try:
                message = await socket.receive(timeout=0.1)
            except TimeoutError:
                continue
            if message.type is aiohttp.WSMsgType.TEXT:
                assert json.loads(message.data)["code"] == "greeting"
        assert socket.close_code == aiohttp.WSCloseCode.POLICY_VIOLATION
        async with SpeechClient(address):
            pass


async def _push_tenfold(client: SpeechClient, seconds: float) -> None:
    await client.begin(RATE)
    for _ in range(round(seconds / 0.2)):
        await client.push(speech(0.2))
        await asyncio.sleep(0.02)
    await client.end()


@pytest.mark.slow
async def test_speech_pushed_ten_times_as_fast_reaches_the_device_whole_and_moves_the_face() -> None:
    stage, events = Stage(MonotonicClock()), list[dict[str, Any]]()
    async with stage.served() as address, SpeechClient(address, events.append) as client:
        assert client.delay_ms == stage.session.delay_ms
        await _push_tenfold(client, 1.0)
        await client.idle()
        assert stage.heard_about(1000, within=5)
    assert [event["type"] for event in events] == ["started", *["played"] * 4, "idle"]
    assert (events[-2]["position_ms"], events[-2]["final"], events[-2]["interrupted"]) == (1000, True, False)
    assert max(grey for _, _, grey in stage.screen.shown if grey < 255) == pytest.approx(100, abs=2)


@pytest.mark.slow
async def test_what_is_cleared_is_silent_and_the_position_is_what_the_device_got() -> None:
    stage = Stage(MonotonicClock())
    async with stage.served() as address, SpeechClient(address) as client:
        await _push_tenfold(client, 3.0)
        await eventually(lambda: stage.ear.heard and stage.voiced_ms() >= 500)
        position = await client.clear()
        assert 500 <= position <= 2500
        assert stage.heard_about(position, within=40)
        await client.say(speech(0.4), RATE)
        await client.idle()
        assert stage.heard_about(position + 400, within=40)


@pytest.mark.parametrize("lead_s", [0.0, 0.1])
async def test_a_cut_is_silence_with_the_next_packet_and_a_shut_mouth_with_the_next_picture(lead_s: float) -> None:
    """In simulated time, so exactly; a device that needs its sound early gets silence early, too."""
    clock = FakeClock()
    stage, told = Stage(clock, lead_s), list[Told]()
    async with stage.running():
        await clock.advance(0.1)
        stage.session.speech.attach(told.append)
        stage.session.speech.pushed.begin(1, Pcm(RATE, 1))
        stage.session.speech.pushed.push(speech(5.0))
        stage.session.speech.pushed.end()
        await clock.advance(1.5)
        assert stage.screen.shown[-1][2] == pytest.approx(100, abs=2)
        cut = clock.now()
        stage.session.speech.interrupt()
        await clock.advance(2.0)
    sound_after = np.concatenate([samples for moment, _, samples in stage.ear.heard if moment > cut])
    assert not sound_after[FADE_MS * MS :].any()
    assert {grey for moment, _, grey in stage.screen.shown if moment > cut + 0.04} == {0}
    (final,) = [event for event in told if isinstance(event, Played) and event.final]
    assert final.interrupted
    assert final.position_ms == pytest.approx(stage.voiced_ms(), abs=FADE_MS)


async def test_the_next_speaker_gets_no_report_about_the_one_before() -> None:
    clock = FakeClock()
    stage, told = Stage(clock), list[Told]()
    async with stage.running():
        await clock.advance(0.1)
        port = stage.session.speech
        port.attach(lambda event: None)
        port.pushed.begin(1, Pcm(RATE, 1))
        port.pushed.push(speech(5.0))
        await clock.advance(1.0)
        port.detach()
        port.attach(told.append)
        await clock.advance(0.5)
        assert told == []
        assert port.counts.heard_ms == pytest.approx(stage.voiced_ms(), abs=FADE_MS)
        port.pushed.begin(1, Pcm(RATE, 1))
        port.pushed.push(speech(0.2))
        port.pushed.end()
        await clock.advance(1.0)
    assert told == [Started(1), Played(1, 200, True), Idle()]


@pytest.mark.slow
async def test_one_client_at_a_time_and_no_page_of_another_site() -> None:
    stage = Stage(MonotonicClock())
    async with stage.served() as address, aiohttp.ClientSession() as http:
        async with SpeechClient(address) as client:
            with pytest.raises(SpeechClientError, match="another client speaks"):
                async with SpeechClient(address):
                    pass
            await client.say(speech(0.2), RATE)
            await client.idle()
        for headers in ({"Origin": "http://elsewhere.example"}, {"Host": "rebound.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await http.ws_connect(address, headers=headers)
            assert refusal.value.status == 403
        async with http.get(address.replace("ws", "http", 1)) as response:
            assert response.status == 426


HELLO, BEGIN = '{"type": "hello", "version": 1}', '{"type": "begin", "sample_rate": 24000}'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "code", "closed"),
    [
        ([HELLO, BEGIN, "sound"], "json", None),
        (['{"type": "hello", "version": 99}'], "version", 1002),
        ([HELLO, BEGIN, *["sound"] * 30], "mistakes", 1008),
        ([HELLO, BEGIN, bytes(128 * 1024)], None, 1009),
    ],
    ids=["text for sound", "version", "mistakes", "too long"],
)
async def test_a_client_that_misbehaves_harms_no_other(
    said: list[str | bytes], code: str | None, closed: int | None
) -> None:
    stage = Stage(MonotonicClock())
    async with stage.served() as address, aiohttp.ClientSession() as http:
        async with http.ws_connect(address) as socket:
            for message in said:
                await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
            errors = []
            while (event := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                errors += [error for error in [json.loads(event.data).get("code")] if error]
                if errors == [code] and closed is None:
                    break
            assert errors[-1:] == ([code] if code else [])
            assert socket.close_code == closed
        async with SpeechClient(address) as client:
            await client.say(speech(0.2), RATE)
            await client.idle()


async def test_the_socket_ends_with_the_session() -> None:
    stage = Stage(MonotonicClock())
    async with aiohttp.ClientSession() as http:
        async with stage.served() as address:
            socket = await http.ws_connect(address)
            await socket.send_str('{"type": "hello", "version": 1}')
            await socket.receive_str()
            last = asyncio.create_task(socket.receive())
            await asyncio.sleep(0)
        assert (await last).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1001


@pytest.mark.process
async def test_ctrl_c_ends_the_example_that_waits_for_a_line() -> None:
    stage = Stage(MonotonicClock())
    async with stage.served() as address:
        command = [sys.executable, "examples/say.py", address]
        say = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=asyncio.subprocess.PIPE
        )
        try:
            await eventually(lambda: stage.session.speech.is_taken)
            say.send_signal(signal.SIGINT)
            async with asyncio.timeout(60):
                await say.wait()
        finally:
            if say.returncode is None:
                say.kill()
                await say.wait()


@pytest.mark.process
def test_the_command_takes_speech_in_place_of_a_microphone(tiny_folder: Path) -> None:
    command = [sys.executable, "-m", "streamer", "mic", "--engines", str(tiny_folder), "--threads", "1"]
    command += ["--speech", "0", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        told = ""
        while (found := re.search(r"speech is taken at (ws://localhost:\d+/speech)", told)) is None:
            told += (line := process.stdout.readline())
            assert line, told
        page = re.search(r"the face is at (\S+)", told)
        assert page
        heard = asyncio.run(_say(found[1]))
        with urllib.request.urlopen(f"{page[1]}picture", timeout=60) as stream:
            assert b"\xff\xd8\xff" in stream.read(4000)
        process.kill()
    assert "Dot speaks with the sound of pushed speech" in told
    assert heard == ["started", "played", "idle"]


async def _say(address: str) -> list[str]:
    events = list[dict[str, Any]]()
    async with SpeechClient(address, events.append) as client, asyncio.timeout(60):
        await client.say(speech(0.2), RATE)
        await client.idle()
    return [event["type"] for event in events]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--speech", "{taken}"], r"cannot listen on localhost, port \d+: .*; choose another with --speech"),
        (["--speech", "80000"], "80000 found, a whole number from 0 to 65535 expected"),
        (["--speech", "--input", "x.wav"], "not allowed with"),
    ],
)
def test_what_cannot_work_is_one_line(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = ["mic", "--engines", str(tiny_folder), *(part.format(taken=port) for part in more)]
        try:
            status = main(command)
        except SystemExit as end:
            status = int(end.code or 0)
    (line,) = capsys.readouterr().err.splitlines()
    assert (status, bool(re.search(says, line))) == (2, True), line
