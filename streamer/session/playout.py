"""Playout: sound and pictures paired on one clock, both a fixed delay behind the microphone.

The browser synchronises by send time, not by timestamps (measured: video sent 120 ms late with correct timestamps
stays 104 ms late). So sample p and its picture are due at the same moment,

    due(p) = p / rate + delay

where the delay covers a picture's look-ahead, the microphone's margin and the rendering. A late picture is replaced by
the previous one and missing sound by silence; playout never waits. A picture that arrives late is still shown if its
lip-sync error is tolerable. `hold` lengthens the delay during playback. No I/O, no clock.
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

RENDER_MARGIN_MS = 60  # from the last sound that a picture needs to its arrival in this process
GATHER_MS = 2 * FRAME_MS  # of sound per hand-over to a worker that draws no pictures: fewer, larger steps
HAND_OVER_MS = 20  # from the hand-over to the arrival of the coefficients in this process
MAX_FRAMES = 2 * FPS  # queued pictures; further ones are dropped and counted
FADE_MS = 10  # fade-out of sound that is cut off
HISTORY_MS = 2_000  # sound kept beyond the delay; older sound is dropped
LATE_FRAMES, MOST_LATE_FRAMES = exact_div(LATE_MS, FRAME_MS), FPS
STRETCHED = 2  # while the delay changes, one packet in this many is stretched, so speech changes by a quarter at most
PAUSE_PATIENCE_MS = 3_000  # time to wait for a speech pause, where a delay change is inaudible
QUIET = 500  # int16; lower peaks count as a pause


def session_delay_ms(lookahead_ms: int, pictures: bool = True) -> int:
    """Return the delay from a sample's arrival to its playout, in ms: look-ahead plus margins, in whole audio packets.

    pictures: whether the worker draws pictures.
    """
    needed = lookahead_ms + MARGIN_MS + (RENDER_MARGIN_MS if pictures else GATHER_MS + HAND_OVER_MS)
    return -(-needed // AUDIO_PTIME_MS) * AUDIO_PTIME_MS


@dataclass
class PlayoutStats:
    """Counts since the start."""

    shown: int = 0  # pictures sent
    repeated: int = 0  # of those shown: the previous one again, because the next was late
    late: int = 0  # of those shown: pictures of an earlier frame than the one due
    dropped: int = 0  # pictures never shown: too late, out of order, or over a full queue
    underrun: int = 0  # samples of silence played because no sound was available


class SoundListener(Protocol):
    """Receiver of all sound that is played or was skipped in a stall: `recorder.Recorder`."""

    def hear(self, start: int, samples: Samples) -> None:
        """Take int16 [n, 2] from position `start` on, without gaps; a negative start precedes the session's sound."""


class Playout:
    """Sound and pictures in when ready, out by position. `still`, [H, W, 3 or 4], shows before the first picture.

    delay_ms: initial delay; `held_ms` is added to it.
    listener: receives all sound gaplessly, including sound skipped in a stall.
    """

    def __init__(self, delay_ms: int, still: ByteArray, listener: SoundListener | None = None) -> None:
        self.delay_ms = delay_ms
        self.stats = PlayoutStats()
        self.lateness = Lateness()  # of pictures, in steps of one sound packet
        self._sound: Samples = np.zeros(((delay_ms + HISTORY_MS) * MS, CHANNELS), np.int16)  # ring buffer
        self._end = 0  # position after the last sample in it
        self._frames: deque[AvatarFrame] = deque()
        self._picture = still
        self._still: ByteArray | None = still
        self._picture_of = -1  # frame index of `_picture`
        self._listener = listener
        self._held = self._to_hold = 0  # delay above `delay_ms` in samples: current and target
        self._held_up = 0  # packets since this was requested
        self.position = 0  # of the next sample to be played
        self.next_frame = 0  # the first frame whose due time has not passed

    @property
    def held_ms(self) -> int:
        """Current delay in excess of `delay_ms`, in ms, in whole frames."""
        return self._held_frames * FRAME_MS

    @property
    def _held_frames(self) -> int:
        return round(self._held / (FRAME_MS * MS))

    def hold(self, extra_ms: int) -> None:
        """Stretch or shorten pauses until the delay is `extra_ms` above the initial one.

        After PAUSE_PATIENCE_MS without a pause, speech is played slightly slower, or faster.
        extra_ms: a whole number of frames, up to HISTORY_MS / 2.
        """
        if extra_ms * MS != self._to_hold:
            self._to_hold, self._held_up = extra_ms * MS, 0

    def rest(self) -> None:
        """Show the still until another picture arrives; after `forget_still`, keep the last picture."""
        self._picture = self._picture if self._still is None else self._still

    def forget_still(self) -> None:
        """Discard the still because the face has changed."""
        self._still = None

    def push_audio(self, position: int, samples: Samples) -> None:
        """Take settled sound, int16 [n, 2] from `position` on; a gap before it is filled with silence."""
        self._clear(self._end, position)
        samples = samples[-len(self._sound) :]
        self._end = max(self._end, position)
        first = self._end % len(self._sound)
        before_wrap = len(self._sound) - first
        self._sound[first : first + len(samples)] = samples[:before_wrap]
        self._sound[: max(0, len(samples) - before_wrap)] = samples[before_wrap:]
        self._end += len(samples)

    def push_frame(self, frame: AvatarFrame) -> None:
        """Take a finished picture; pictures arrive in order.

        A picture more than LATE_FRAMES late is dropped; after STARVED_FRAMES without a new one, up to MOST_LATE_FRAMES
        late is accepted.
        """
        self.lateness.note((self.position - frame.index * FRAME_MS * MS) // MS)
        starved = self.next_frame - self._picture_of > STARVED_FRAMES
        most = MOST_LATE_FRAMES if starved else LATE_FRAMES
        if frame.index < self.next_frame - most or frame.index <= self._picture_of or len(self._frames) >= MAX_FRAMES:
            self.stats.dropped += 1
        else:
            self._frames.append(frame)

    def pull_audio(self, block: int) -> Samples:
        """Return the `block`-th packet after the session's start: int16 [AUDIO_BLOCK, 2]."""
        start = block * AUDIO_BLOCK - self.delay_ms * MS - self._held
        missing = self._to_hold - self._held
        if missing and start >= time_stretch.LONGEST and self._may_stretch(block, start):
            samples = self._stretched(start, missing)
        else:
            samples = self._sound_of(start, AUDIO_BLOCK)
        end = (block + 1) * AUDIO_BLOCK - self.delay_ms * MS - self._held
        skipped, self.position = self.position, max(0, end)
        if self._listener is not None:
            if start > skipped:  # skipped in a stall; the lips have moved to it
                self._listener.hear(skipped, self._sound_of(skipped, start - skipped))
            self._listener.hear(start, samples if end - start == AUDIO_BLOCK else self._sound_of(start, end - start))
        return samples

    def _may_stretch(self, block: int, start: int) -> bool:
        """Return whether all samples involved are a pause, or no pause has come for PAUSE_PATIENCE_MS."""
        self._held_up += 1
        touched = np.arange(start - time_stretch.LONGEST, min(start + AUDIO_BLOCK + time_stretch.LONGEST, self._end))
        if np.abs(self._sound[touched % len(self._sound)]).max(initial=0) < QUIET:
            return True
        return self._held_up * AUDIO_PTIME_MS > PAUSE_PATIENCE_MS and block % STRETCHED == 0

    def _stretched(self, start: int, missing: int) -> Samples:
        """Return a packet that moves the delay towards its target by one voice period, or by a smaller remainder."""
        here = self._sound_of(start, AUDIO_BLOCK)
        period = abs(missing)
        if period > time_stretch.LONGEST:
            before = self._sound_of(start - time_stretch.LONGEST, time_stretch.LONGEST)
            period = time_stretch.period_of(before, here, period)
        shift = period if missing > 0 else -period
        self._held += shift
        return time_stretch.joined(here, self._sound_of(start - shift, AUDIO_BLOCK))

    def _sound_of(self, start: int, length: int) -> Samples:
        """Return int16 [length, 2] from position `start` on; missing samples are silence and counted as underrun."""
        first, oldest = start % len(self._sound), max(0, self._end - len(self._sound))
        if oldest <= start <= self._end - length and first + length <= len(self._sound):
            return self._sound[first : first + length].copy()  # available and contiguous in the ring
        positions = np.arange(start, start + length)
        known = (positions >= max(0, self._end - len(self._sound))) & (positions < self._end)
        self.stats.underrun += int(np.count_nonzero(~known & (positions >= self.position)))
        return np.where(known[:, None], self._sound[positions % len(self._sound)], np.int16(0))

    def pull_frame(self, index: int) -> ByteArray:
        """Return the picture of frame `index` or the last one before it, else the still; uint8 [H, W, 3 or 4].

        index: frame due at a delay of `delay_ms`; `held_ms` is accounted for here.
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
        """The picture due after the last one returned, or None if it has not arrived."""
        return self._frames[0].rgb if self._frames else None

    def cut(self) -> int:
        """Drop all queued sound and pictures; the sound ends in a fade. Return the position where silence begins.

        Positions do not change: dropped sound is replaced by silence.
        """
        self._frames.clear()
        silent = max(self.position, min(self.position + FADE_MS * MS, self._end))
        where = np.arange(self.position, silent) % len(self._sound)
        fade = np.linspace(1.0, 0.0, len(where), dtype=np.float32)[:, None]
        self._sound[where] = (self._sound[where] * fade).astype(np.int16)
        self._clear(silent, self._end)
        return silent

    def _clear(self, start: int, end: int) -> None:
        """Write silence from `start` to `end`, at most the whole ring."""
        if end > start:
            where = np.arange(max(start, end - len(self._sound)), end) % len(self._sound)
            self._sound[where] = 0


assert RATE == 1000 * MS
