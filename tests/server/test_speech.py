"""Speech pushed into a session is what the peer hears; what is cleared is not; a client's mistakes are its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import pytest
from websockets.asyncio.client import connect
from yarl import URL

from clients.speech import SpeechClient, SpeechClientError
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from streamer.server.metrics import parse
from tests.fakes.opus_encoder import opus_packets
from tests.fakes.spoken import (
    AUDIBLE,
    SAMPLE_RATE,
    STEP_MS,
    about,
    caller_of,
    heard,
    steps,
    until_heard,
    until_silent,
    voiced,
)

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

HELLO = '{"type": "hello", "version": 1}'
BEGIN = '{"type": "begin", "sample_rate": 24000}'
ATTEMPTS = 4  # at being heard without a packet that a busy machine leaves out


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "2", "--threads", "1"]) as launched:
        yield launched


@asynccontextmanager
async def raw(caller: Caller, *said: str | bytes) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as http, http.ws_connect(caller.location + "/speech") as socket:
        for message in said:
            await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        yield socket


async def until(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (event := json.loads(await socket.receive_str()))["type"] != kind:
            pass
    return dict(event)


async def test_opus_is_heard_as_pcm_is(server: LaunchedServer) -> None:
    pcm = np.repeat(np.frombuffer(steps([0.3, 0.8, 0.3]), "<i2"), 2)  # 48 kHz
    async with caller_of(server) as caller, SpeechClient(caller.location) as speech:
        await speech.begin_opus()
        for packet in opus_packets(pcm, 20, 1):
            await speech.push_packet(packet)
        await speech.end()
        await speech.idle()
        await until_silent(caller)
    level = heard(caller.recording)
    voice = level[level > AUDIBLE]  # on a busy machine, silence lies between packets
    assert about(len(voice), 3 * STEP_MS, caller.recording)
    assert voice[250:350].mean() == pytest.approx(0.8, abs=0.1)
    assert voice[50:150].mean() == pytest.approx(0.3, abs=0.1)


async def test_speech_pushed_ten_times_as_fast_is_heard_complete_and_in_order(server: LaunchedServer) -> None:
    levels = [float(level) for level in np.random.default_rng(1).permutation(np.linspace(0.1, 0.9, 15))]
    events: list[dict[str, Any]] = []
    for _ in range(ATTEMPTS):
        events.clear()
        async with caller_of(server) as caller, SpeechClient(caller.location, events.append) as speech:
            await speech.begin(SAMPLE_RATE)
            for level in levels[:10]:  # ten times as fast as it is spoken
                await speech.push(steps([level]))
                await asyncio.sleep(STEP_MS / 10_000)
            await speech.end()
            await speech.say(steps(levels[10:]), SAMPLE_RATE)
            await speech.idle()
            await until_silent(caller)
            sound, pictures = voiced(caller.recording), caller.recording.pictures
        moved = [np.abs(picture.mouth - pictures[0].mouth).max() for picture in pictures]
        if len(sound) == pytest.approx(len(levels) * STEP_MS, abs=30) and max(moved) > 3:
            break
    else:
        pytest.fail(f"{len(sound)} ms heard each time, {len(levels) * STEP_MS} said; mouth moved by {max(moved)}")
    middles = [np.median(sound[i * STEP_MS + 60 : i * STEP_MS + 140]) for i in range(len(levels))]
    assert np.argsort(middles).tolist() == np.argsort(levels).tolist()
    finals = [(event["speech"], event["position_ms"]) for event in events if event.get("final")]
    assert finals == [(1, 10 * STEP_MS), (2, 5 * STEP_MS)]
    assert [event["type"] for event in events].count("started") == 2
    assert events[-1] == {"type": "idle"}


async def test_cleared_speech_stops_at_the_reported_position(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, SpeechClient(caller.location) as speech:
        await speech.say(steps([0.5] * 250), SAMPLE_RATE)
        await until_heard(caller, 1000)
        position = await speech.clear()
        await until_silent(caller)
        assert about(len(voiced(caller.recording)), position, caller.recording, within=40)
        assert 1000 <= position < 40_000
        await speech.say(steps([0.5] * 2), SAMPLE_RATE)
        await speech.idle()
        await until_silent(caller)
    audible = int(np.count_nonzero(heard(caller.recording) > AUDIBLE))
    assert about(audible, position + 2 * STEP_MS, caller.recording, within=60)


async def test_speech_takes_the_microphones_place_and_gives_it_back(server: LaunchedServer) -> None:
    """A microphone that is heard all the time, but for while the pushed speech, louder, is."""
    tone = (0.1 * 32767 * np.sin(2 * np.pi * 300 * np.arange(48_000 * 60) / 48_000)).astype(np.int16)
    async with caller_of(server, tone, "") as caller, SpeechClient(caller.location) as speech:
        await until_it_is_the_tone(caller)
        await speech.say(steps([0.8] * 5), SAMPLE_RATE)
        await speech.idle()
        await until_silent(caller, above=0.5)
        await until_it_is_the_tone(caller)
        level = heard(caller.recording)
    loud = np.flatnonzero(level > 0.5)
    assert about(int(loud[-1] - loud[0]), 1000, caller.recording)


async def until_it_is_the_tone(caller: Caller) -> None:
    """Until the microphone's tone is what came back last."""
    while not 0.07 < np.median(heard(caller.recording)[-200:]) < 0.15:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


MISTAKES = [
    ([b"\0\0" * 100], "order", 1008),
    (['{"type": "hello", "version": 99}'], "version", 1002),
    ([HELLO, BEGIN, *["sound"] * 30], "mistakes", 1008),
    ([HELLO, BEGIN, *[b"\0\0"] * 20_000], "rate", 1008),
]


@pytest.mark.parametrize(("said", "code", "closed"), MISTAKES, ids=[code for _, code, _ in MISTAKES])
async def test_a_client_that_misbehaves_is_sent_away_and_the_other_is_heard(
    server: LaunchedServer, said: list[str | bytes], code: str, closed: int
) -> None:
    async with caller_of(server) as good, caller_of(server) as bad, SpeechClient(good.location) as speech:
        await speech.say(steps([0.5] * 5), SAMPLE_RATE)
        async with raw(bad) as socket:
            for number, message in enumerate(said):
                try:
                    await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
                except ConnectionError:
                    break
                if number % 50 == 0:
                    await asyncio.sleep(0)
            events = [json.loads(event.data) async for event in socket]
            assert (events[-1]["code"], events[-1]["fatal"], socket.close_code) == (code, True, closed)
        await speech.idle()
        await until_silent(good)
        assert about(len(voiced(good.recording)), 5 * STEP_MS, good.recording)
        async with SpeechClient(bad.location) as again:  # its session is unharmed, too
            await again.say(steps([0.5]), SAMPLE_RATE)
            await again.idle()


async def test_pings_are_answered_and_a_flood_of_them_is_sent_away(server: LaunchedServer) -> None:
    async with caller_of(server) as caller:
        async with connect(caller.location.replace("http", "ws", 1) + "/speech") as answered:
            await asyncio.wait_for(await answered.ping(b"there?"), 60)
        async with raw(caller, HELLO) as socket:
            with contextlib.suppress(ConnectionError):
                for _ in range(10_000):
                    await socket.ping()
                    await asyncio.sleep(0)
            events = [json.loads(event.data) async for event in socket]
            assert (events[-1].get("code"), socket.close_code) == ("rate", 1008)
        async with SpeechClient(caller.location) as speech:
            await speech.say(steps([0.5]), SAMPLE_RATE)
            await speech.idle()


async def test_a_message_of_a_gigabyte_is_refused_when_it_is_announced(server: LaunchedServer) -> None:
    async with caller_of(server) as good, caller_of(server) as caller, SpeechClient(good.location) as speech:
        await speech.say(steps([0.5] * 3), SAMPLE_RATE)
        address = urlsplit(caller.location)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"GET {address.path}/speech HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
        head += (
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        writer.write(head.encode())
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        writer.write(struct.pack("!BBQ", 0x82, 0x80 | 127, 1 << 30) + b"\0\0\0\0" + b"\0" * 1000)
        frame = await reader.readexactly(4)
        assert (frame[0], struct.unpack("!H", frame[2:])[0]) == (0x88, 1009)
        writer.close()
        async with raw(caller, HELLO) as socket:
            assert (await until(socket, "hello"))["version"] == 1
        await speech.idle()
        await until_silent(good)
        assert about(len(voiced(good.recording)), 3 * STEP_MS, good.recording)


async def test_refused_messages_leave_the_speech_as_it_was(server: LaunchedServer) -> None:
    async with (
        caller_of(server) as caller,
        raw(caller, HELLO, BEGIN, "sound", b"\0", HELLO, steps([0.5] * 2), '{"type": "end"}') as socket,
    ):
        codes = [(await until(socket, "error"))["code"] for _ in range(3)]
        assert codes == ["json", "samples", "order"]
        assert (await until(socket, "started"))["speech"] == 1
        await until(socket, "idle")
        await until_silent(caller)
        assert about(len(voiced(caller.recording)), 2 * STEP_MS, caller.recording)


async def test_more_than_may_wait_is_refused(server: LaunchedServer) -> None:
    second = bytes(2 * SAMPLE_RATE)
    async with caller_of(server) as caller, raw(caller, HELLO, BEGIN, *[second] * 65) as socket:
        error = await until(socket, "error")
        assert (error["code"], error["fatal"]) == ("full", False)
        await socket.send_str('{"type": "clear"}')
        assert (await until(socket, "idle")) == {"type": "idle"}


async def test_a_client_that_goes_takes_its_speech_along(server: LaunchedServer) -> None:
    async with caller_of(server) as caller:
        async with SpeechClient(caller.location) as speech:
            await speech.say(steps([0.5] * 250), SAMPLE_RATE)
            with pytest.raises(SpeechClientError, match="another client speaks"):
                async with SpeechClient(caller.location):
                    pass
            await until_heard(caller, 200)
        await until_silent(caller)
        assert len(voiced(caller.recording)) < 40_000


async def test_the_socket_ends_with_its_session(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, raw(caller, HELLO) as socket:
        await until(socket, "hello")
        async with aiohttp.ClientSession() as http, http.delete(caller.location) as response:
            assert response.status == 200
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1001


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("session/guess/speech", {}, 404),
        ("{session}/speech", {"Origin": "http://elsewhere.example"}, 403),
    ],
)
async def test_only_a_client_with_the_token_may_speak(
    server: LaunchedServer, path: str, headers: dict[str, str], status: int
) -> None:
    async with caller_of(server, vowels(1.0), "") as caller, aiohttp.ClientSession() as http:
        address = path.format(session=caller.location) if "{" in path else server.url + path
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await http.ws_connect(address, headers=headers)
        assert refusal.value.status == status
        async with http.get(caller.location + "/speech") as response:
            assert response.status == 426


KEY = "a-secret-of-the-stage"


async def test_a_key_addresses_the_latest_call_with_it(server: LaunchedServer) -> None:
    address = f"{server.url}session/{KEY}"
    async with caller_of(server, query=f"speech=1&key={KEY}") as first:
        async with SpeechClient(address) as speech:
            await speech.say(steps([0.5]), SAMPLE_RATE)
            await speech.idle()
        async with caller_of(server), caller_of(server, query=f"speech=1&key={KEY}") as second:  # both places are taken
            async with SpeechClient(address) as speech:
                await speech.say(steps([0.5] * 2), SAMPLE_RATE)
                await speech.idle()
            await until_silent(first)
            await until_silent(second)
            assert about(len(voiced(first.recording)), STEP_MS, first.recording)
            assert about(len(voiced(second.recording)), 2 * STEP_MS, second.recording)
            async with aiohttp.ClientSession() as http:
                async with http.delete(first.location) as response:
                    assert (response.status, (await response.text()).count("\n")) == (410, 1)
                async with http.delete(address) as response:  # to speak is not to end
                    assert response.status == 404
    with pytest.raises(SpeechClientError, match="no such session"):
        async with SpeechClient(address):
            pass


async def test_of_calls_with_one_key_at_the_same_moment_one_is_left(server: LaunchedServer) -> None:
    callers = [Caller(server.url, None, f"speech=1&key={KEY}") for _ in range(4)]
    refused = [error for error in await gather(callers) if error]
    assert all("410: a newer call" in str(error) for error in refused)
    async with aiohttp.ClientSession() as http:
        answers = [(await http.delete(caller.location)).status for caller in callers if caller.location]
    assert sorted(answers) == [200] + [410] * (3 - len(refused))
    for caller in callers:
        if caller.location:
            await caller.__aexit__(None, None, None)


async def gather(callers: list[Caller]) -> list[BaseException | None]:
    """Call all at once; what each was refused with."""
    called = await asyncio.gather(*(caller.__aenter__() for caller in callers), return_exceptions=True)
    return [answer if isinstance(answer, BaseException) else None for answer in called]


@pytest.mark.parametrize(
    "key", ["", "short", "x" * 15, "x" * 129, "sixteen+letters!", "%00" * 16, "%ff" * 16, "%C3%A4" * 16]
)
async def test_an_invalid_key_is_refused_and_not_repeated(server: LaunchedServer, key: str) -> None:
    address, headers = f"{server.url}session?speech=1&key={key}", {"Content-Type": "application/sdp"}
    async with aiohttp.ClientSession() as http:
        async with http.post(URL(address, encoded=True), data=b"v=0", headers=headers) as response:
            text = "key must be 16 to 128 letters, digits, - or _\n"
            assert (response.status, await response.text()) == (400, text)
        async with http.get(URL(f"{server.url}session/{key or '-'}/speech", encoded=True)) as response:
            assert response.status == 404


async def test_speech_is_0_or_1(server: LaunchedServer) -> None:
    async with aiohttp.ClientSession() as http:
        address, headers = server.url + "session?speech=yes", {"Content-Type": "application/sdp"}
        async with http.post(address, data=b"v=0", headers=headers) as response:
            assert (response.status, await response.text()) == (400, "speech is 'yes', expected 0 or 1\n")


async def test_speech_is_counted(server: LaunchedServer) -> None:
    async def counts() -> dict[str, float]:
        async with aiohttp.ClientSession() as http, http.get(server.url + "metrics") as response:
            found = parse(await response.text())
        return {name: value for name, value in found.items() if name.startswith("speech_")}

    before = await counts()
    async with caller_of(server) as caller:
        async with SpeechClient(caller.location) as speech:
            await speech.say(steps([0.5] * 2), SAMPLE_RATE)
            await speech.idle()
            await speech.say(steps([0.5] * 25), SAMPLE_RATE)
            await until_heard(caller, 2 * STEP_MS + 400)
            assert (await counts())["speech_clients_open"] == 1
            cleared_ms = await speech.clear()
        during = await counts()
    after = await counts()
    assert during == after
    more = {name.removeprefix("speech_"): after[name] - before[name] for name in after}
    assert more.pop("heard_seconds_total") == pytest.approx(2 * STEP_MS / 1000 + cleared_ms / 1000)
    assert more == {"clients_open": 0, "clients_total": 1, "utterances_total": 2, "clears_total": 1}
