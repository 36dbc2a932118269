"""A stop that a callback swallowed is noticed at the next look."""

from __future__ import annotations

import contextlib
import signal

import pytest

from streamer.core.signals import interruptible, terminable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_swallowed_interrupt_comes_back(number: signal.Signals) -> None:
    def job() -> None:
        with terminable() as terminated, interruptible() as check:
            assert not terminated()
            check()  # nothing yet
            with contextlib.suppress(KeyboardInterrupt):  # what a C library does to it
                signal.raise_signal(number)
            check()

    with pytest.raises(KeyboardInterrupt):
        job()


def test_the_handler_before_is_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
