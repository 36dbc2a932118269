"""What other programs take of the processors is told from what this one takes."""

from __future__ import annotations

import time

from streamer.core.system.bystanders import LEAST_S, Bystanders


def _work(seconds: float) -> None:
    """Use as much of a processor's time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_others_are_what_is_busy_without_this_program() -> None:
    beside = Bystanders(lambda: 3.0)
    _work(2 * LEAST_S)
    assert 2.0 <= beside.cores() <= 3.0  # this one had a processor, or less of one


def test_what_is_read_a_moment_too_late_is_not_less_than_nothing() -> None:
    beside = Bystanders(lambda: 0.0)
    _work(2 * LEAST_S)
    assert beside.cores() == 0.0


def test_a_moment_says_nothing() -> None:
    assert Bystanders(lambda: 64.0).cores() == 0.0
