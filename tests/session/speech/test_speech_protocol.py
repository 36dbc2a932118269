"""What a client may say when; everything else is refused and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.limits import SpeechLimits
from streamer.session.speech.speech_format import Opus, Pcm
from streamer.session.speech.speech_protocol import (
    TRANSITIONS,
    Allowance,
    Begin,
    Clear,
    End,
    Hello,
    Message,
    Sound,
    SpeechError,
    SpeechProtocol,
    State,
)
from tests.fakes.sound import encoded, speech_like

LIMITS = SpeechLimits()
HELLO = '{"type": "hello", "version": 1}'
BEGIN = '{"type": "begin", "format": "s16le", "sample_rate": 24000, "channels": 1}'
WAYS = {State.GREETING: [], State.READY: [HELLO], State.SPEAKING: [HELLO, BEGIN]}


def at(state: State) -> SpeechProtocol:
    protocol = SpeechProtocol(LIMITS)
    for text in WAYS[state]:
        protocol.text(text, 0)
    assert protocol.state is state
    return protocol


SAID: dict[type[Message], Callable[[SpeechProtocol], Message]] = {
    Hello: lambda protocol: protocol.text(HELLO, 0),
    Begin: lambda protocol: protocol.text(BEGIN, 0),
    Sound: lambda protocol: protocol.binary(b"\0" * 480, 0.0),
    End: lambda protocol: protocol.text('{"type": "end"}', 0),
    Clear: lambda protocol: protocol.text('{"type": "clear"}', 0),
}


@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("state", State)
def test_each_state_takes_what_its_row_of_the_table_has_and_nothing_else(state: State, kind: type[Message]) -> None:
    protocol = at(state)
    if (state, kind) in TRANSITIONS:
        assert isinstance(SAID[kind](protocol), kind)
        assert protocol.state is TRANSITIONS[state, kind]
    else:
        with pytest.raises(SpeechError, match="expected"):
            SAID[kind](protocol)
        assert protocol.state is state


def test_a_whole_conversation() -> None:
    protocol = at(State.READY)
    assert protocol.text(BEGIN, 0) == Begin(Pcm(24_000, 1))
    assert protocol.binary(b"\1\2", 0.0) == Sound(b"\1\2")
    assert protocol.text('{"type": "end"}', 1) == End()
    assert protocol.text('{"type": "clear"}', 1) == Clear()
    assert protocol.text('{"type": "begin", "sample_rate": 48000, "channels": 2}', 0) == Begin(Pcm(48_000, 2))
    with pytest.raises(SpeechError, match="whole samples of 4 bytes"):
        protocol.binary(b"\0\0", 0.0)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("hello", "json", "sound goes in binary"),
        ("[1]", "json", "object"),
        ("[" * 1000, "json", "not JSON"),
        ("{" + " " * 2000 + "}", "size", "at most 1024"),
        ('{"type": "speak"}', "type", "'speak' found"),
        ('{"type": ["begin"]}', "type", "begin"),
        ("{}", "type", "None"),
        ('{"type": "begin", "sample_rate": 24000, "format": "mp3"}', "format", "expected s16le or opus"),
        ('{"type": "begin"}', "format", "sample_rate None"),
        ('{"type": "begin", "sample_rate": 1}', "format", "8000 to 48000"),
        ('{"type": "begin", "sample_rate": 1e4}', "format", "sample_rate"),
        ('{"type": "begin", "sample_rate": true}', "format", "sample_rate"),
        ('{"type": "begin", "sample_rate": 8000, "channels": 6}', "format", "1 or 2"),
    ],
)
def test_an_invalid_message_is_refused_in_one_line(text: str, code: str, words: str) -> None:
    protocol = at(State.READY)
    with pytest.raises(SpeechError) as refusal:
        protocol.text(text, 0)
    assert (refusal.value.code, refusal.value.fatal) == (code, False)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 200
    assert protocol.state is State.READY


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.5, [1] * 200])
def test_another_version_is_the_end(version: object) -> None:
    with pytest.raises(SpeechError) as refusal:
        at(State.GREETING).text(json.dumps({"type": "hello", "version": version}), 0)
    assert refusal.value.code == "version"
    assert refusal.value.fatal
    assert "speaks 1" in str(refusal.value)


def test_a_message_before_hello_ends_the_connection() -> None:
    with pytest.raises(SpeechError, match="hello expected") as refusal:
        at(State.GREETING).binary(b"\0\0", 0.0)
    assert refusal.value.fatal


def test_opus_packets_are_recognised() -> None:
    protocol = at(State.READY)
    assert protocol.text('{"type": "begin", "format": "opus"}', 0) == Begin(Opus())
    packet = bytes([0b11111_1_00, 1, 2, 3])  # 20 ms, stereo
    assert protocol.binary(packet, 0.0) == Sound(packet)
    assert Opus().seconds(packet) == 0.020
    assert Opus().seconds(bytes([0b00011_0_01, 1, 1])) == 0.120
    assert Opus().seconds(bytes([0b10000_0_11, 48, 0])) == 0.120
    not_packets = [b"", b"OggS" + bytes(60), bytes([0b00011_0_11, 3]), bytes([0b11111_0_01, 1]), bytes([3, 0]), b"\x03"]
    for data in [*not_packets, bytes([0b11111_1_00]) + bytes(2_000)]:
        with pytest.raises(SpeechError, match="not an Opus packet") as refusal:
            protocol.binary(data, 0.0)
        assert refusal.value.code == "samples"
    with pytest.raises(SpeechError, match="Wait for played"):
        protocol.binary(packet, LIMITS.buffered_s)


@pytest.mark.parametrize("size", [0, 1, 481])
def test_half_samples_are_refused(size: int) -> None:
    protocol = at(State.SPEAKING)
    with pytest.raises(SpeechError, match="whole samples") as refusal:
        protocol.binary(b"\0" * size, 0.0)
    assert not refusal.value.fatal
    assert protocol.state is State.SPEAKING


def test_no_more_waits_than_may() -> None:
    protocol = at(State.SPEAKING)
    second = b"\0" * 48_000
    protocol.binary(second, LIMITS.buffered_s - 1.0)
    with pytest.raises(SpeechError, match="Wait for played") as refusal:
        protocol.binary(second, LIMITS.buffered_s - 0.9)
    assert refusal.value.code == "full"
    ready = at(State.READY)
    with pytest.raises(SpeechError, match="64 utterances"):
        ready.text(BEGIN, LIMITS.utterances)
    assert ready.state is State.READY


@pytest.mark.slow
@given(st.text(max_size=60) | st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8)).map(json.dumps))
def test_no_text_is_worse_than_a_refusal(text: str) -> None:
    protocol = at(State.SPEAKING)
    with pytest.raises(SpeechError):
        protocol.text(text, 0)
    assert protocol.state is State.SPEAKING


def test_an_allowance_is_used_up_and_comes_back() -> None:
    allowance = Allowance(rate=10.0, burst=3.0, now=100.0)
    assert all(allowance.take(1, 100.0) for _ in range(3))
    assert not allowance.take(1, 100.0)
    assert not allowance.take(1, 100.05)
    assert allowance.take(1, 100.5)


@pytest.mark.parametrize(
    ("suffix", "codec", "kind"),
    [
        ("mp3", "libmp3lame", "an MP3 file"),
        ("wav", "pcm_s16le", "a WAV file"),
        ("ogg", "libopus", "an Ogg file"),
        ("flac", "flac", "a FLAC file"),
        ("m4a", "aac", "an MP4 file"),
        ("aac", "aac", "an AAC file"),
        ("webm", "libopus", "a WebM file"),
    ],
)
def test_a_file_pushed_as_samples_is_refused_once_and_the_rest_skipped(
    tmp_path: Path, suffix: str, codec: str, kind: str
) -> None:
    content = encoded(tmp_path / f"a.{suffix}", codec, np.repeat(speech_like(1.0), 3), rate=48_000).read_bytes()
    bare = content[content.index(b"\xff\xfb") :] if suffix == "mp3" else content  # as programs send it, without a tag
    for file in (content, bare):
        protocol = at(State.SPEAKING)
        with pytest.raises(SpeechError, match=f"{kind}.* found, s16le announced"):
            protocol.binary(file[:1000], 0.0)
        assert protocol.binary(file[1000:1999], 0.0) == Sound(b"")
        protocol.text('{"type": "end"}', 0)
        protocol.text(BEGIN, 0)
        assert protocol.binary(b"\1\2", 0.0) == Sound(b"\1\2")


@given(st.binary(min_size=960, max_size=960))
def test_samples_are_not_taken_for_a_file(data: bytes) -> None:
    assert at(State.SPEAKING).binary(data, 0.0) == Sound(data)
