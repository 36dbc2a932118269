"""The bench finds the latency that is there, and none where there is nothing."""

import numpy as np
import pytest

from streamer.audio.format import RATE
from streamer.measure.caller import Heard, Seen
from streamer.measure.onsets import (
    LEAD_S,
    LOUD,
    PERIOD_S,
    SEARCH_S,
    VOICED_S,
    beginnings,
    heard_after,
    seen_after,
    vowels,
)


def sound_back(delay: float, seconds: float) -> list[Heard]:
    """What a perfect server sends back: packets of 20 ms, `delay` after they were spoken."""
    packets = np.abs(vowels(seconds)).reshape(-1, 20, RATE // 1000).max(axis=2) / 32768
    return [Heard(number * 0.02 + delay, level.astype(np.float32)) for number, level in enumerate(packets)]


def pictures_back(delay: float, seconds: float, opening: float = 40.0, noise: float = 0.5) -> list[Seen]:
    """Pictures whose mouth is `opening` grey levels brighter during the vowels, `delay` later."""
    rng = np.random.default_rng(3)
    pictures = []
    for number in range(round(seconds * 25)):
        moment = number / 25
        spoken = moment - delay
        inside = spoken >= LEAD_S and (spoken - LEAD_S) % PERIOD_S < VOICED_S
        mouth = rng.normal(100 + opening * inside, noise, (8, 8)).astype(np.float32)
        pictures.append(Seen(moment, (32, 32), mouth))
    return pictures


def test_the_signal_begins_sharply_and_pauses() -> None:
    level = np.abs(vowels(6.0)) / 32768
    for moment in beginnings(0.0, 6.0):
        at = round(moment * RATE)
        assert level[at - RATE // 2 : at].max() == 0
        assert level[at : at + RATE // 50].max() > LOUD


def test_beginnings_leave_time_to_be_found() -> None:
    found = beginnings(10.0, 8.5)
    assert found[0] == 10.0 + LEAD_S
    assert found[-1] + SEARCH_S <= 18.5
    assert len(found) == 4


@pytest.mark.parametrize("delay", [0.24, 0.38, 0.6])
def test_latencies_are_found_to_a_packet_and_a_picture(delay: float) -> None:
    sound, pictures = sound_back(delay, 8.0), pictures_back(delay, 8.0)
    for moment in beginnings(0.0, 8.0):
        heard, seen = heard_after(moment, sound), seen_after(moment, pictures)
        assert heard is not None
        assert seen is not None
        assert heard == pytest.approx(delay, abs=0.011)
        assert seen == pytest.approx(delay + 0.02, abs=0.0205)


def test_nothing_is_found_where_nothing_comes_back() -> None:
    moment = beginnings(0.0, 8.0)[0]
    silent = [Heard(packet.moment, packet.level * 0) for packet in sound_back(0.3, 8.0)]
    assert heard_after(moment, silent) is None
    assert heard_after(moment, []) is None
    assert seen_after(moment, pictures_back(0.3, 8.0, opening=0.0)) is None
    assert seen_after(moment, []) is None
