"""What a person does about their microphone: its level, mute, and no feedback through the loudspeaker."""

from __future__ import annotations

import asyncio
import os
import pty
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from streamer.audio.format import AUDIO_BLOCK
from streamer.devices.mute_and_meter import LOUD_DB, ROOM_S, HalfDuplex, Hearing, level_db
from streamer.devices.terminal import Keys, columns, meter
from streamer.session.ends import Block
from streamer.session.playout import PlayoutStats
from tests.fakes.clock import FakeClock
from tests.fakes.local import Ear, Script, steps

LOUD = steps([0.5])[:AUDIO_BLOCK]
QUIET = np.zeros((AUDIO_BLOCK, 2), np.int16)


async def _pass(clock: FakeClock, blocks: asyncio.Task[None], seconds: float) -> None:
    await clock.advance(seconds)
    if blocks.done():
        blocks.result()


async def test_muted_blocks_are_not_heard_and_what_follows_keeps_its_count() -> None:
    clock = FakeClock()
    hearing = Hearing(Script(clock, [steps([0.5] * 100)]))
    heard: list[Block] = []

    async def listen() -> None:
        async for block in hearing.blocks():
            heard.append(block)

    task = asyncio.create_task(listen())
    await _pass(clock, task, 0.5)
    hearing.muted = True
    await _pass(clock, task, 0.5)
    assert hearing.level_db == pytest.approx(-6.0, abs=0.1)  # it is shown what would be heard
    hearing.muted = False
    await _pass(clock, task, 1.0)
    numbers = [block.pts // AUDIO_BLOCK for block in heard]
    assert numbers == [*range(25), *range(50, 100)]
    task.cancel()


async def test_the_microphone_is_held_while_the_loudspeaker_sounds_and_the_room_after_it() -> None:
    clock = FakeClock()
    ear = Ear(clock, lead_s=0.1)
    speaker = HalfDuplex(ear, clock)
    assert (speaker.lead_s, speaker.sounding) == (0.1, False)
    hearing = Hearing(Script(clock, [steps([0.5] * 100)]), speaker)
    heard: list[float] = []

    async def listen() -> None:
        async for _ in hearing.blocks():
            heard.append(clock.now())

    task = asyncio.create_task(listen())
    speaker.play(0, QUIET)
    await _pass(clock, task, 0.5)
    speaker.play(1, LOUD)
    loud_at = clock.now()
    assert hearing.held
    await _pass(clock, task, 1.0)
    assert not hearing.held
    silent = [moment for moment in heard if loud_at < moment < loud_at + 0.1 + 0.02 + ROOM_S - 1e-6]
    assert silent == []
    assert len(heard) == pytest.approx(75 - 16, abs=1)
    assert [block for _, block, _ in ear.heard] == [0, 1]  # everything is passed on
    task.cancel()


def test_levels_are_in_decibels_of_full_scale() -> None:
    square = np.full((AUDIO_BLOCK, 2), -32768, np.int16)
    assert level_db(square) == pytest.approx(0.0)
    assert level_db(np.full((AUDIO_BLOCK, 2), 3277, np.int16)) == pytest.approx(-20.0, abs=0.01)
    assert level_db(QUIET) < LOUD_DB


def test_the_meter_tells_level_mute_and_late_pictures() -> None:
    hearing = Hearing(Script(FakeClock(), []))
    hearing.level_db = -30.0
    assert meter(hearing, PlayoutStats(shown=10)).startswith("[############            ]  -30 dB         m mutes")
    hearing.muted, hearing.level_db = True, -90.0
    line = meter(hearing, PlayoutStats(shown=10, repeated=2))
    assert line.startswith("[                        ]  -60 dB  muted")
    assert line.endswith("2 of 10 pictures late")
    assert meter(hearing, PlayoutStats(shown=10), 40) == line[:40]


def test_the_meter_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that went on in the next one would scroll the terminal away, ten times a second."""
    import fcntl
    import termios

    person, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        for found in (120, 48, 0):  # 0: not known
            fcntl.ioctl(person, termios.TIOCSWINSZ, struct.pack("HHHH", 24, found, 0, 0))
            assert columns() == (found or 80) - 1
    os.close(person)


def awaited(keys: Keys) -> str:
    """The keys that are pressed next."""
    deadline = time.monotonic() + 30
    while (pressed := keys.pressed()) == "" and time.monotonic() < deadline:
        time.sleep(0.01)
    return pressed


def test_keys_are_read_at_once_and_the_terminal_is_left_as_it_was() -> None:
    import termios

    person, terminal = pty.openpty()
    with os.fdopen(terminal) as stream:
        before = termios.tcgetattr(stream)
        with Keys(stream) as keys:
            assert keys.pressed() == ""
            os.write(person, b"mq")
            assert awaited(keys) == "mq"
        assert termios.tcgetattr(stream) == before
    os.close(person)


BACKGROUND = """
import fcntl, os, signal, sys, termios
from streamer.devices.terminal import Keys

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = os.fork()
if not child:
    os.setpgid(0, 0)  # what a shell does for `&`
    with Keys() as keys:
        print(f"{keys.pressed()!r}, in front: {keys.in_front}")
    sys.stdout.flush()
    os._exit(0)
_, status = os.waitpid(child, os.WUNTRACED)
if os.WIFSTOPPED(status):
    print("stopped by", signal.Signals(os.WSTOPSIG(status)).name)
    os.kill(child, signal.SIGKILL)
"""


@pytest.mark.process
def test_in_the_background_the_keys_are_left_to_others() -> None:
    """The system stops a program there that sets the terminal or reads from it."""
    person, terminal = pty.openpty()
    os.write(person, b"q\n")
    command = [sys.executable, "-c", BACKGROUND]
    told = subprocess.run(command, stdin=terminal, capture_output=True, text=True, start_new_session=True, timeout=60)
    os.close(person)
    os.close(terminal)
    assert told.stdout == "'', in front: False\n", told


def test_a_program_that_is_fetched_back_has_its_keys_again() -> None:
    import termios

    person, terminal = pty.openpty()
    with os.fdopen(terminal) as stream:
        before = termios.tcgetattr(stream)
        with Keys(stream) as keys:
            assert keys.pressed() == ""
            termios.tcsetattr(stream, termios.TCSANOW, before)  # a shell's way, after Ctrl-Z and fg
            assert keys.pressed() == ""
            os.write(person, b"m")
            assert awaited(keys) == "m"
        assert termios.tcgetattr(stream) == before
    os.close(person)


def test_without_a_terminal_there_are_no_keys() -> None:
    with Path(os.devnull).open() as stream, Keys(stream) as keys:
        assert keys.pressed() == ""
