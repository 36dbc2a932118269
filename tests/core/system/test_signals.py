"""A stop that a callback swallowed is noticed at the next look."""

from __future__ import annotations

import contextlib
import signal

import pytest

from streamer.core.system.signals import called_from_c, interruptible, terminable


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


def test_a_callback_out_of_c_is_not_interrupted_but_what_comes_after_it_is() -> None:
    done: list[str] = []

    @called_from_c
    def read() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("read")

    def job() -> None:
        with interruptible() as check:
            read()
            check()

    with pytest.raises(KeyboardInterrupt):
        job()
    assert done == ["read"]


def test_the_handler_before_is_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
