"""The link to the inference process, whose far end is a thread of this process: order, limits, pictures and its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from streamer.core.frames import AudioChunk
from streamer.core.limits import WorkerLimits
from streamer.inference.frame_ring import FrameRing
from streamer.inference.link import Incoming, Picture, WorkerLink
from streamer.inference.messages import Begin, FrameReady, Pulse, Ready, Sound, Stop, WorkerSettings
from tests.waiting import eventually, until

SETTINGS = WorkerSettings(Path("family"), None, 1)
RGB = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
LIMITS = WorkerLimits(queued_messages=4, stop_s=5.0)


class Far:
    """The process' end of the pipe, served by a thread that runs `serve`."""

    pid = 4711

    def __init__(self, pipe: Connection, ring: FrameRing, serve: Callable[[Connection, FrameRing], None]) -> None:
        own = Connection(os.dup(pipe.fileno()))  # the link closes its copy after the start
        self._thread = threading.Thread(target=self._run, args=(own, ring, serve), daemon=True)

    def _run(self, own: Connection, ring: FrameRing, serve: Callable[[Connection, FrameRing], None]) -> None:
        with own:
            serve(own, ring)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def kill(self) -> None:
        raise AssertionError("it ends when it is asked to")


class Near:
    """The link, and what it said."""

    def __init__(self, serve: Callable[[Connection, FrameRing], None]) -> None:
        self.came: list[Incoming] = []
        self.ends = 0
        self.link = WorkerLink(
            SETTINGS, RGB.nbytes, LIMITS, self.came.append, self._end, lambda pipe, ring, _: Far(pipe, ring, serve)
        )

    def _end(self) -> None:
        self.ends += 1


def sound(position: int) -> Sound:
    return Sound(1, 0, AudioChunk(position, np.zeros(640, np.float32)))


async def test_messages_arrive_in_order_and_the_end_comes_last_and_once() -> None:
    heard: list[object] = []

    def serve(pipe: Connection, ring: FrameRing) -> None:
        pipe.send(Ready("dot", ("dot",)))
        while not isinstance(message := pipe.recv(), Stop):
            heard.append(message)
        pipe.send(Pulse(rendered=3))

    near = Near(serve)
    near.link.start()
    assert near.link.send(Begin(1, 0, 0, 0.0))
    assert near.link.send(sound(0))
    await eventually(lambda: len(heard) == 2)
    near.link.stop()
    await eventually(lambda: near.ends)
    assert [type(message) for message in heard] == [Begin, Sound]
    assert near.came == [Ready("dot", ("dot",)), Pulse(rendered=3)]
    assert near.ends == 1


async def test_a_picture_is_copied_out_of_the_ring_and_one_that_was_overwritten_is_none() -> None:
    def serve(pipe: Connection, ring: FrameRing) -> None:
        ring.write(0, RGB)
        for serial in range(1, LIMITS.ring_slots + 1):
            ring.write(serial, 255 - RGB)
        pipe.send(FrameReady(1, 0, 7, LIMITS.ring_slots))
        pipe.send(FrameReady(1, 0, 6, 0))
        pipe.recv()

    near = Near(serve)
    near.link.start()
    await eventually(lambda: len(near.came) == 2)
    near.link.stop()
    last, first = near.came
    assert isinstance(last, Picture)
    assert isinstance(first, Picture)
    np.testing.assert_array_equal(last.rgb, 255 - RGB)
    assert (first.index, first.rgb) == (6, None)


async def test_a_process_that_reads_nothing_costs_sound_first_and_then_all() -> None:
    """Without the message that begins a generation, a face would stand still for good."""
    go_on = threading.Event()

    def serve(pipe: Connection, ring: FrameRing) -> None:
        go_on.wait(30)
        while not isinstance(pipe.recv(), Stop):
            pass

    near = Near(serve)
    big = Sound(1, 0, AudioChunk(0, np.zeros(1 << 20, np.float32)))  # more than a pipe holds: the writer blocks
    near.link.start()
    assert near.link.send(big)
    until(lambda: near.link._outbox.empty())
    taken = [near.link.send(sound(640 * i)) for i in range(10)]
    assert taken == [True] * 4 + [False] * 6
    begins = [near.link.send(Begin(1, 1, 25, 0.0)) for _ in range(10)]
    assert begins == [True] * 4 + [False] * 6
    go_on.set()
    await eventually(lambda: near.link._outbox.empty())
    near.link.stop()
    await eventually(lambda: near.ends)


@pytest.mark.parametrize("last", [b"", b"\x00\x00\x00\x04half", b"\x00\x00\x00\x03abc"])
async def test_a_process_that_dies_in_the_middle_of_a_message_is_an_end(last: bytes) -> None:
    def serve(pipe: Connection, ring: FrameRing) -> None:
        os.write(pipe.fileno(), last)

    near = Near(serve)
    near.link.start()
    await eventually(lambda: near.ends)
    near.link.stop()
    assert near.came == []
    assert near.ends == 1
