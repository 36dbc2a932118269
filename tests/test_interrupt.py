"""A stop that a callback swallowed is noticed at the next look."""

from __future__ import annotations

import contextlib
import signal

import pytest

from streamer.interrupt import interruptible


def test_a_swallowed_interrupt_comes_back() -> None:
    def job() -> None:
        with interruptible() as check:
            check()  # nothing yet
            with contextlib.suppress(KeyboardInterrupt):  # what a C library does to it
                signal.raise_signal(signal.SIGINT)
            check()

    with pytest.raises(KeyboardInterrupt):
        job()


def test_the_handler_before_is_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
