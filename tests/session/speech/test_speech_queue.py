"""Pushed speech is heard complete, in order and once; what was heard of it is told."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.audio.format import MS, RATE, Samples
from streamer.session.speech.speech_format import Opus, Pcm
from streamer.session.speech.speech_protocol import Idle, Played, Started, Told
from streamer.session.speech.speech_queue import PushedSpeech
from tests.fakes.opus_encoder import opus_packets

MONO = Pcm(RATE, 1)


def ramp(length: int) -> bytes:
    return np.arange(1, length + 1, dtype="<i2").tobytes()


def taken(speech: PushedSpeech, length: int, position: int = 0, step: int = 960) -> Samples:
    pieces = [speech.take(min(step, length - done), position + done) for done in range(0, length, step)]
    return np.concatenate(pieces)


@pytest.mark.parametrize("pushed", [1, 700, 5_000])
@pytest.mark.parametrize("step", [960, 333])
def test_however_it_is_pushed_and_taken_it_is_the_same(pushed: int, step: int) -> None:
    speech = PushedSpeech()
    speech.begin(1, MONO)
    pcm = ramp(5_000)
    for start in range(0, len(pcm), 2 * pushed):
        speech.push(pcm[start : start + 2 * pushed])
    speech.end()
    sound = taken(speech, 6_000, step=step)
    assert np.array_equal(sound[:5_000, 0], np.arange(1, 5_001))
    assert np.array_equal(sound[:, 0], sound[:, 1])
    assert not sound[5_000:].any()
    assert not speech.has_the_word


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 1), (22_050, 1), (24_000, 2), (44_100, 2)])
def test_any_rate_comes_out_as_long_and_as_loud_as_it_was(rate: int, channels: int) -> None:
    speech = PushedSpeech()
    speech.begin(1, Pcm(rate, channels))
    tone = (8000 * np.sin(2 * np.pi * 200 * np.arange(rate) / rate)).astype("<i2")
    speech.push(np.repeat(tone[:, None], channels, axis=1).tobytes())
    speech.end()
    sound = taken(speech, RATE + 960)
    expected = 8000 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    assert np.abs(sound[200 : RATE - 200, 0] - expected[200:-200]).max() < 50
    assert not sound[RATE:].any()


@pytest.mark.parametrize(("milliseconds", "channels"), [(20, 1), (20, 2), (60, 1), (10, 2)])
def test_opus_comes_out_as_it_went_in(milliseconds: int, channels: int) -> None:
    tone = (8000 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype(np.int16)
    packets = opus_packets(tone, milliseconds, channels)
    speech = PushedSpeech()
    speech.begin(1, Opus())
    for packet in packets:
        speech.push(packet)
    length = len(packets) * milliseconds * MS
    assert speech.buffered_s == pytest.approx(length / RATE)
    speech.end()
    sound = taken(speech, length + 960).astype(float)
    assert not sound[length:].any()
    assert speech.buffered_s == 0.0
    middle = sound[RATE // 4 : RATE // 2, 0]
    assert 7_500 < middle.max() < 8_500
    spectrum = np.abs(np.fft.rfft(middle))
    assert int(spectrum.argmax()) == 200 // 4  # bins of 4 Hz


def test_a_packet_that_opus_cannot_decode_is_silence_and_the_next_is_heard() -> None:
    tone = (8000 * np.sin(2 * np.pi * 200 * np.arange(RATE // 2) / RATE)).astype(np.int16)
    packets = opus_packets(tone, 20, 1)
    broken = bytes([0b00000_0_11, 0b1_0_000010, 255, 255])  # 2 x 10 ms, of which the first is longer than the packet
    speech = PushedSpeech()
    speech.begin(1, Opus())
    for packet in [broken, *packets]:
        speech.push(packet)
    speech.end()
    sound = speech.take(20 * MS + len(packets) * 20 * MS, 0)
    assert not sound[: 20 * MS].any()
    assert np.abs(sound[200 * MS : 300 * MS]).max() > 7_000


def test_utterances_follow_each_other_without_a_gap() -> None:
    speech = PushedSpeech()
    for number in (1, 2):
        speech.begin(number, MONO)
        speech.push(ramp(100 * number))
        speech.end()
    sound = speech.take(960, 0)[:, 0]
    assert np.array_equal(sound[:300], np.concatenate([np.arange(1, 101), np.arange(1, 201)]))
    assert speech.progress(960) == [
        Started(1),
        Played(1, 100 // MS, True),
        Started(2),
        Played(2, 200 // MS, True),
        Idle(),
    ]


def test_a_slow_client_is_waited_for_in_silence_and_only_its_sound_counts() -> None:
    speech = PushedSpeech()
    speech.begin(1, MONO)
    assert speech.has_the_word
    assert not speech.take(960, 0).any()
    speech.push(ramp(480))
    assert speech.take(960, 960)[:480].all()
    speech.push(ramp(480))
    speech.end()
    assert speech.take(960, 1920)[:480].all()
    assert speech.progress(960) == []
    assert speech.progress(1920 + 240) == [Started(1)]
    assert speech.progress(1920 + 480) == [Played(1, 20, True), Idle()]


def test_progress_is_reported_four_times_a_second() -> None:
    speech = PushedSpeech()
    speech.begin(1, MONO)
    speech.push(bytes(2 * RATE))
    speech.end()
    taken(speech, RATE + 960)
    told: list[Told] = []
    for position in range(0, RATE + 961, 960):
        told += speech.progress(position)
    assert [event.position_ms for event in told if isinstance(event, Played)] == [260, 520, 780, 1000]
    assert told[-1] == Idle()


def test_clear_tells_how_far_each_utterance_came() -> None:
    speech = PushedSpeech()
    for number in (1, 2, 3):
        speech.begin(number, MONO)
        speech.push(ramp(960))
        if number < 3:
            speech.end()
    speech.take(1920, 0)
    speech.clear(960 + 480)
    assert not speech.has_the_word
    assert speech.buffered_s == 0
    assert speech.progress(960 + 480) == [
        Started(1),
        Played(1, 20, True, True),
        Started(2),
        Played(2, 10, True, True),
        Played(3, 0, True, True),
        Idle(),
    ]
    assert speech.progress(5_000) == []
    assert not speech.take(960, 1920).any()


def test_speech_begun_right_after_clear_does_not_delay_its_answer() -> None:
    speech = PushedSpeech()
    speech.begin(1, MONO)
    speech.push(ramp(960))
    speech.take(960, 0)
    speech.clear(480)
    speech.begin(2, MONO)
    speech.push(ramp(960))
    speech.end()
    assert speech.progress(960) == [Started(1), Played(1, 10, True, True), Idle()]
    taken(speech, 1920, 960)
    assert speech.progress(2880) == [Started(2), Played(2, 20, True), Idle()]


def test_queued_speech_is_counted_in_seconds_at_its_rate() -> None:
    speech = PushedSpeech()
    speech.begin(1, Pcm(8_000, 2))
    speech.push(bytes(4 * 8_000))
    assert speech.buffered_s == pytest.approx(1.0)
    taken(speech, RATE // 2)
    assert speech.buffered_s == pytest.approx(0.5, abs=0.03)
