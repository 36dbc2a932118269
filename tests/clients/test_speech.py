"""The speech client keeps to the server's limits, and what it says of what was heard is true."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from clients.resuming_speech import ResumingSpeech
from clients.speech import SpeechClient, SpeechClientError
from streamer.measure.launched_server import LaunchedServer, launch
from tests.fakes.spoken import SAMPLE_RATE, STEP_MS, caller_of, steps, until_heard, voiced

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1"]) as launched:
        yield launched


async def test_the_client_waits_while_the_servers_buffer_is_full(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, SpeechClient(caller.location) as speech:
        async with asyncio.timeout(60):
            await speech.say(steps([0.5] * (61_500 // STEP_MS)), SAMPLE_RATE)
        assert await speech.clear() >= 1000  # it was heard so far before all of it was taken


async def test_the_client_waits_while_too_many_utterances_wait(server: LaunchedServer) -> None:
    events: list[dict[str, Any]] = []
    async with caller_of(server) as caller, SpeechClient(caller.location, events.append) as speech:
        for _ in range(70):
            await speech.say(bytes(480), SAMPLE_RATE)
        await speech.idle()
    assert [event["speech"] for event in events if event.get("final")] == list(range(1, 71))


async def test_the_client_pushes_no_faster_than_the_server_takes_it(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, SpeechClient(caller.location) as speech:
        for _ in range(3):  # long answers in small pieces, each interrupted
            await speech.begin(SAMPLE_RATE)
            for _ in range(2_500):
                await speech.push(bytes(960))
            await speech.end()
            await speech.clear()


async def test_speech_that_another_task_clears_is_dropped_and_the_next_is_heard(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, SpeechClient(caller.location) as speech:
        saying = asyncio.create_task(speech.say(steps([0.5] * (70_000 // STEP_MS)), SAMPLE_RATE))
        await until_heard(caller, 200)
        assert not saying.done()  # it waits for room
        assert await speech.clear() >= 200
        async with asyncio.timeout(60):
            await saying
            before = len(voiced(caller.recording))
            await speech.say(steps([0.5] * 3), SAMPLE_RATE)
            await speech.idle()
        await until_heard(caller, before + 2 * STEP_MS)


@asynccontextmanager
async def far_away(location: str, seconds: float) -> AsyncIterator[str]:
    """The session's address by a way on which what the server says takes so long."""
    there = urlsplit(location)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                await asyncio.sleep(delay)
                writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(carry(reader, forth, 0), carry(back, writer, seconds))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as relays:
        yield f"http://localhost:{relays.sockets[0].getsockname()[1]}{there.path}"


async def test_idle_of_earlier_speech_is_not_taken_for_the_next(server: LaunchedServer) -> None:
    events: list[dict[str, Any]] = []
    async with (
        caller_of(server) as caller,
        far_away(caller.location, 0.4) as address,
        SpeechClient(address, events.append) as speech,
    ):
        await speech.say(steps([0.5]), SAMPLE_RATE)
        await until_heard(caller, STEP_MS - 50)
        await asyncio.sleep(0.2)  # idle is on its way, where the machine is not much too slow
        await speech.say(steps([0.5] * 4), SAMPLE_RATE)
        await speech.idle()
        assert [event["position_ms"] for event in events if event.get("final")] == [STEP_MS, 4 * STEP_MS]


async def test_a_failing_event_listener_leaves_no_caller_waiting(server: LaunchedServer) -> None:
    def fail(event: dict[str, Any]) -> None:
        raise RuntimeError("of the agent's own")

    refusals: list[str] = []

    async def speak(location: str) -> None:
        async with SpeechClient(location, fail) as speech, asyncio.timeout(60):
            await speech.say(steps([0.5]), SAMPLE_RATE)
            try:
                await speech.idle()
            except SpeechClientError as refusal:
                refusals.append(str(refusal))

    async with caller_of(server) as caller:
        with pytest.raises(RuntimeError, match="own"):
            await speak(caller.location)
    assert refusals == ["on_event has failed"]


async def test_sound_may_be_cut_in_the_middle_of_a_sample(server: LaunchedServer) -> None:
    events: list[dict[str, Any]] = []
    async with caller_of(server) as caller, SpeechClient(caller.location, events.append) as speech:
        sound = steps([0.5] * 4)
        await speech.begin(SAMPLE_RATE)
        for start in range(0, len(sound), 1001):
            await speech.push(sound[start : start + 1001])
        await speech.end()
        await speech.idle()
    assert [event["position_ms"] for event in events if event.get("final")] == [4 * STEP_MS]


async def test_after_a_refusal_the_next_words_are_heard(server: LaunchedServer) -> None:
    """One line says what was wrong; a client that was told goes on."""
    events: list[dict[str, Any]] = []
    async with caller_of(server) as caller, SpeechClient(caller.location, events.append) as speech, asyncio.timeout(60):
        with pytest.raises(SpeechClientError, match="expected 8000 to 48000 Hz"):
            await speech.say(bytes(480), sample_rate=4_000)
        await speech.say(b"ID3" + bytes(40_000), SAMPLE_RATE)
        with pytest.raises(SpeechClientError, match="an MP3 file found"):
            await speech.idle()
        await speech.say(steps([0.5] * 4), SAMPLE_RATE)
        await speech.idle()
        assert not speech.lost
    assert [event["position_ms"] for event in events if event.get("final")][-1] == 4 * STEP_MS


async def test_what_the_server_says_of_an_address_is_shown(server: LaunchedServer) -> None:
    with pytest.raises(SpeechClientError, match="session") as caught:
        await SpeechClient(f"{server.url}session/nobody").__aenter__()
    assert "HTTP" not in str(caught.value)


async def test_speech_goes_on_where_it_broke_off_when_its_session_is_begun_anew(server: LaunchedServer) -> None:
    """What the first session has told as heard and what the second says are all of it, and no more."""
    key, length_ms = "a-key-that-nobody-guesses", 6_000
    location, query = f"{server.url}session/{key}", f"speech=1&key={key}"
    events: list[dict[str, Any]] = []
    async with (
        caller_of(server, query=query) as first,
        ResumingSpeech(location, patience_s=60, on_event=events.append) as speech,
    ):
        saying = asyncio.create_task(speech.say(steps([0.5] * (length_ms // STEP_MS)), SAMPLE_RATE))
        await until_heard(first, 1_000)
        async with caller_of(server, query=query) as second, asyncio.timeout(60):  # which ends the first
            heard_ms = await saying
            await until_heard(second, 100)
    assert speech.losses == 1
    assert abs(heard_ms - length_ms) <= 1
    positions = [event["position_ms"] for event in events if event["type"] == "played"]
    again = next(number for number, (one, next_one) in enumerate(pairwise(positions)) if next_one < one)
    assert positions[again] >= 750
    assert abs(positions[again] + positions[-1] - length_ms) <= 1


async def test_speech_for_a_session_that_stays_away_says_so(server: LaunchedServer) -> None:
    with pytest.raises(SpeechClientError, match="no such session"):
        async with ResumingSpeech(f"{server.url}session/a-key-that-nobody-has", patience_s=0.3):
            pass
