"""Playout: sound and pictures paired on one clock, both a fixed delay behind the microphone.

The browser synchronises by the moment of sending, not by timestamps (measured: video sent 120 ms late with right
timestamps stays 104 ms late). So the picture that belongs to sample p and sample p itself are due at the same moment,

    due(p) = p / rate + delay

where the delay covers what a picture needs: the sound it looks ahead to, the microphone's margin and the rendering.
Late pictures are replaced by the last one, missing sound by silence; neither ever waits. A picture that comes late is
shown if its lips still fit. `hold` makes the delay longer while sound is heard. No I/O, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from streamer.audio.format import AUDIO_BLOCK, AUDIO_PTIME_MS, CHANNELS, MS, RATE, Samples
from streamer.core.frames import AvatarFrame, ByteArray
from streamer.core.rates import FPS, FRAME_MS, LATE_MS, STARVED_FRAMES, exact_div
from streamer.session import time_stretch
from streamer.session.lateness import Lateness
from streamer.session.timeline import MARGIN_MS

RENDER_MARGIN_MS = 60  # from the last sound a picture needs to the picture being in this process
GATHER_MS = 2 * FRAME_MS  # of sound that a worker gets at a time where no picture is drawn: fewer, larger steps
HAND_OVER_MS = 20  # from then to the numbers being in this process
MAX_FRAMES = 2 * FPS  # finished pictures waiting for their moment; the newest is dropped, counted
FADE_MS = 10  # in which sound that is cut off ends
HISTORY_MS = 2_000  # sound kept beyond the delay; older sound is dropped
LATE_FRAMES, MOST_LATE_FRAMES = exact_div(LATE_MS, FRAME_MS), FPS
STRETCHED = 2  # one of so many packets of speech is stretched while the delay changes, so by a quarter at most
PAUSE_PATIENCE_MS = 3_000  # for a pause in the speech, in which a change of the delay is not heard
QUIET = 500  # int16: peaks below are a pause


def session_delay_ms(lookahead_ms: int, pictures: bool = True) -> int:
    """Delay from a sample's arrival to its playout, in whole audio packets: look-ahead and the two margins.

    pictures: whether there is a face to be drawn.
    """
    needed = lookahead_ms + MARGIN_MS + (RENDER_MARGIN_MS if pictures else GATHER_MS + HAND_OVER_MS)
    return -(-needed // AUDIO_PTIME_MS) * AUDIO_PTIME_MS


@dataclass
class PlayoutStats:
    """Counts since the start."""

    shown: int = 0  # pictures handed out
    repeated: int = 0  # of them: the last one again, because the next was late
    late: int = 0  # of them: of an earlier moment
    dropped: int = 0  # pictures that came after their moment, or too many at once
    underrun: int = 0  # samples of silence played because no sound was there


class SoundListener(Protocol):
    """Receives the sound that is played, and that during which the program was held up: `recorder.Recorder`."""

    def hear(self, start: int, samples: Samples) -> None:
        """int16 [n, 2] from position `start` on, without a gap; negative is before the session's sound."""


class Playout:
    """Sound and pictures in as they are ready, out by position. `still`, [H, W, 3 or 4], shows until pictures come.

    delay_ms: as it was at the start; `held_ms` comes on top of it.
    listener: receives all sound that is played, without the gaps of a program that was held up.
    """

    def __init__(self, delay_ms: int, still: ByteArray, listener: SoundListener | None = None) -> None:
        self.delay_ms = delay_ms
        self.stats = PlayoutStats()
        self.lateness = Lateness()  # of the pictures, in steps of a packet of sound
        self._sound: Samples = np.zeros(((delay_ms + HISTORY_MS) * MS, CHANNELS), np.int16)  # a ring
        self._end = 0  # position after the last sample in it
        self._frames: deque[AvatarFrame] = deque()
        self._picture = still
        self._still: ByteArray | None = still
        self._picture_of = -1  # the frame it belongs to
        self._listener = listener
        self._held = self._to_hold = 0  # samples
        self._held_up = 0  # packets since this was asked for
        self.position = 0  # of the next sample to be handed out
        self.next_frame = 0  # the first whose moment has not passed

    @property
    def held_ms(self) -> int:
        """How much longer than `delay_ms` the delay is now, in whole frames."""
        return self._held_frames * FRAME_MS

    @property
    def _held_frames(self) -> int:
        return round(self._held / (FRAME_MS * MS))

    def hold(self, extra_ms: int) -> None:
        """Let pauses be longer or shorter, until the delay is `extra_ms` longer than at the start; where there is no
        pause for PAUSE_PATIENCE_MS, speech is played a little slower, or faster.

        extra_ms: whole frames; up to HISTORY_MS / 2.
        """
        if extra_ms * MS != self._to_hold:
            self._to_hold, self._held_up = extra_ms * MS, 0

    def rest(self) -> None:
        """Show the still until another picture comes; the last picture where there is no still any more."""
        self._picture = self._picture if self._still is None else self._still

    def forget_still(self) -> None:
        """The still is not of this face any more."""
        self._still = None

    def push_audio(self, position: int, samples: Samples) -> None:
        """Take settled sound, int16 [n, 2] from `position` on; a hole before it is silence."""
        self._clear(self._end, position)
        samples = samples[-len(self._sound) :]
        self._end = max(self._end, position)
        first = self._end % len(self._sound)
        before_wrap = len(self._sound) - first
        self._sound[first : first + len(samples)] = samples[:before_wrap]
        self._sound[: max(0, len(samples) - before_wrap)] = samples[before_wrap:]
        self._end += len(samples)

    def push_frame(self, frame: AvatarFrame) -> None:
        """Take a finished picture; they come in order.

        One that is late by more than LATE_FRAMES is dropped, unless the picture has stood for STARVED_FRAMES.
        """
        self.lateness.note((self.position - frame.index * FRAME_MS * MS) // MS)
        starved = self.next_frame - self._picture_of > STARVED_FRAMES
        most = MOST_LATE_FRAMES if starved else LATE_FRAMES
        if frame.index < self.next_frame - most or frame.index <= self._picture_of or len(self._frames) >= MAX_FRAMES:
            self.stats.dropped += 1
        else:
            self._frames.append(frame)

    def pull_audio(self, block: int) -> Samples:
        """Sound of the `block`-th packet after the session's start: int16 [AUDIO_BLOCK, 2]."""
        start = block * AUDIO_BLOCK - self.delay_ms * MS - self._held
        missing = self._to_hold - self._held
        if missing and start >= time_stretch.LONGEST and self._may_stretch(block, start):
            samples = self._stretched(start, missing)
        else:
            samples = self._sound_of(start, AUDIO_BLOCK)
        end = (block + 1) * AUDIO_BLOCK - self.delay_ms * MS - self._held
        skipped, self.position = self.position, max(0, end)
        if self._listener is not None:
            if start > skipped:  # by a program that was held up: the lips have moved to it
                self._listener.hear(skipped, self._sound_of(skipped, start - skipped))
            self._listener.hear(start, samples if end - start == AUDIO_BLOCK else self._sound_of(start, end - start))
        return samples

    def _may_stretch(self, block: int, start: int) -> bool:
        """Whether there is a pause, all that stretching touches, or none has come for long."""
        self._held_up += 1
        touched = np.arange(start - time_stretch.LONGEST, min(start + AUDIO_BLOCK + time_stretch.LONGEST, self._end))
        if np.abs(self._sound[touched % len(self._sound)]).max(initial=0) < QUIET:
            return True
        return self._held_up * AUDIO_PTIME_MS > PAUSE_PATIENCE_MS and block % STRETCHED == 0

    def _stretched(self, start: int, missing: int) -> Samples:
        """A packet in which the delay comes nearer to what it should be by the length of a period."""
        here = self._sound_of(start, AUDIO_BLOCK)
        period = abs(missing)
        if period > time_stretch.LONGEST:
            before = self._sound_of(start - time_stretch.LONGEST, time_stretch.LONGEST)
            period = time_stretch.period_of(before, here, period)
        shift = period if missing > 0 else -period
        self._held += shift
        return time_stretch.joined(here, self._sound_of(start - shift, AUDIO_BLOCK))

    def _sound_of(self, start: int, length: int) -> Samples:
        """int16 [length, 2] from position `start` on; what is not known is silence, and counted."""
        first, oldest = start % len(self._sound), max(0, self._end - len(self._sound))
        if oldest <= start <= self._end - length and first + length <= len(self._sound):
            return self._sound[first : first + length].copy()  # all of it is there, in one piece
        positions = np.arange(start, start + length)
        known = (positions >= max(0, self._end - len(self._sound))) & (positions < self._end)
        self.stats.underrun += int(np.count_nonzero(~known & (positions >= self.position)))
        return np.where(known[:, None], self._sound[positions % len(self._sound)], np.int16(0))

    def pull_frame(self, index: int) -> ByteArray:
        """The picture of frame `index`, or the last one there was; uint8 [H, W, 3 or 4]. Before frame 0: the still.

        index: as it would be due after `delay_ms`.
        """
        index -= self._held_frames
        self.next_frame = max(0, index + 1)
        fresh = False
        while self._frames and self._frames[0].index <= index:
            frame = self._frames.popleft()
            self._picture, self._picture_of = frame.rgb, frame.index
            self.stats.dropped += fresh
            fresh = True
        if index >= 0:
            self.stats.shown += 1
            self.stats.repeated += not fresh
            self.stats.late += fresh and self._picture_of < index
        return self._picture

    @property
    def following(self) -> ByteArray | None:
        """The picture that is due after the one handed out last, where it is there."""
        return self._frames[0].rgb if self._frames else None

    def cut(self) -> int:
        """Drop all that waits, sound and pictures; the sound ends in a fade. Return the position where silence begins.

        Sound taken before still counts as taken and is now silence.
        """
        self._frames.clear()
        silent = max(self.position, min(self.position + FADE_MS * MS, self._end))
        where = np.arange(self.position, silent) % len(self._sound)
        fade = np.linspace(1.0, 0.0, len(where), dtype=np.float32)[:, None]
        self._sound[where] = (self._sound[where] * fade).astype(np.int16)
        self._clear(silent, self._end)
        return silent

    def _clear(self, start: int, end: int) -> None:
        """Silence from `start` to `end`, at most the whole ring."""
        if end > start:
            where = np.arange(max(start, end - len(self._sound)), end) % len(self._sound)
            self._sound[where] = 0


assert RATE == 1000 * MS
