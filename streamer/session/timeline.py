"""The microphone on the session's clock: one gapless stream of samples whatever the network does.

Packets carry the sender's sample count; the session has its own clock. The first packet ties the two together (the
*anchor*): its last sample is "now". From then on a packet goes where its sample count says, so that

- a lost packet becomes a gap of equal length, concealed by the sound before it, mirrored and faded;
- silence takes the place of a sender that says nothing (muted, DTX, no packets at all) once it is `MARGIN_MS` late;
- a packet later than that loses the part that has already been played.

The anchor moves when the two clocks drift apart or the path changes, so the delay shrinks again after it has grown.
No I/O: the caller passes the time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.audio.format import CHANNELS, MS, RATE, Samples

# How long a sample is waited for, against the packet the anchor was taken from. The first sample of a 20 ms packet is
# 20 ms old when it is sent, so a packet may be 40 ms late and is still heard in full.
MARGIN_MS = 60
FADE = 20 * MS  # samples of concealment after the last known sound
RAMP = 3 * MS  # samples in which a jump of the waveform is spread out
WATCH_S = 2.0  # the anchor moves when all packets of this long agree
EARLY_SLACK = 10 * MS  # all packets are this early: the delay can shrink
LATE_SLACK = 20 * MS  # all packets are this late: the sender's clock is slow
LATE_RUN = 3  # packets in a row that came too late to be heard: take a new anchor at once
JUMP = RATE  # samples; a packet this far from its place belongs to a new stream


@dataclass
class TimelineStats:
    """Counts since the start; samples at `RATE`."""

    silence: int = 0  # samples made up because none came
    late: int = 0  # packets that came, in whole or in part, too late
    shifts: int = 0  # times the anchor moved


class MicrophoneTimeline:
    """Packets in at any time, gapless sound out. Times are seconds of the session's clock, positions samples of it."""

    def __init__(self) -> None:
        self.edge = 0  # position of the first sample not yet settled
        self.stats = TimelineStats()
        self._offset: int | None = None  # position minus the sender's sample count
        self._recent: deque[tuple[float, int]] = deque()  # (time, samples early) of the last WATCH_S
        self._watched_since = 0.0
        self._anchor_before: int | None = None  # the offset taken last
        self._late_run = 0
        self._broken = False  # the next sound does not continue the last
        self._tail: Samples = np.zeros((FADE, CHANNELS), np.int16)
        self._ready: list[Samples] = []

    def push(self, pts: int, samples: Samples, now: float) -> None:
        """Take a decoded packet: int16 [n, 2]; `pts` is the sender's count of its first sample and never goes back."""
        position = self._place(pts, len(samples), now)
        behind = self.edge - position
        if behind > 0:
            self.stats.late += 1
            self._broken = True
            if behind >= len(samples):
                self._late_run += 1
                if self._late_run >= LATE_RUN:
                    self._offset = None
                return
            samples = samples[behind:]
        self._late_run = 0
        if behind < 0:
            self._conceal(-behind)
        self._append(samples)

    def position_of(self, pts: int) -> int | None:
        """Where the sender's sample `pts` has its place, while nothing moves it; None before the first packet."""
        return None if self._anchor_before is None else self._anchor_before + pts

    def close(self, now: float) -> None:
        """Settle everything that is more than MARGIN_MS ago."""
        missing = round(now * RATE) - MARGIN_MS * MS - self.edge
        if missing > 0:
            self._conceal(missing)

    def put(self, samples: Samples) -> None:
        """Settle sound that did not come from the microphone, int16 [n, 2], at `edge`.

        The microphone is tied to the clock anew when it is heard again.
        """
        self._offset = None
        self._append(samples)
        self._tail = np.zeros_like(self._tail)  # a gap after it is silence, not an echo of it

    def pop(self) -> Samples:
        """All sound settled since the last call: int16 [n, 2], the last sample just before `edge`."""
        ready, self._ready = self._ready, []
        return np.concatenate(ready) if ready else np.zeros((0, CHANNELS), np.int16)

    def skip_to(self, position: int) -> None:
        """Drop pending sound and continue at `position`: after the machine slept, the sound in between is stale."""
        self._ready.clear()
        self.edge = max(self.edge, position)
        self._offset = None
        self._broken = True

    def _place(self, pts: int, length: int, now: float) -> int:
        """Position of a packet's first sample, after moving the anchor where that is due."""
        here = round(now * RATE)
        if self._offset is None or abs(early := pts + self._offset + length - here) > JUMP:
            self._anchor(here - length - pts, now)
            return here - length
        self._recent.append((now, early))
        while self._recent[0][0] < now - WATCH_S:
            self._recent.popleft()
        if now - self._watched_since >= WATCH_S:
            least = min(early for _, early in self._recent)
            most = max(early for _, early in self._recent)
            if least > EARLY_SLACK:
                self._anchor(self._offset - least, now)
            elif most < -LATE_SLACK:
                self._anchor(self._offset - most, now)
        return pts + self._offset

    def _anchor(self, offset: int, now: float) -> None:
        self.stats.shifts += self._anchor_before not in (None, offset)  # a new anchor at the old place moves nothing
        self._anchor_before = offset
        self._offset = offset
        self._recent.clear()
        self._watched_since = now
        self._late_run = 0

    def _conceal(self, length: int) -> None:
        """Fill `length` samples: the last sound mirrored in time and faded out, then silence."""
        block: Samples = np.zeros((length, CHANNELS), np.int16)
        if self._broken:
            fade = _fall(RAMP)[:length]
            block[: len(fade)] = (self._tail[-1] * fade).astype(np.int16)
        else:
            fade = _fall(FADE)[:length]
            block[: len(fade)] = (self._tail[::-1][: len(fade)] * fade).astype(np.int16)
        self.stats.silence += length
        self._settle(block)
        self._broken = True

    def _append(self, samples: Samples) -> None:
        if self._broken:
            ramp = _fall(RAMP)[: len(samples)]
            joined = samples[: len(ramp)] + (self._tail[-1].astype(np.float32) - samples[0]) * ramp
            samples = np.concatenate([np.clip(joined, -32768, 32767).astype(np.int16), samples[len(ramp) :]])
            self._broken = False
        self._settle(samples)

    def _settle(self, samples: Samples) -> None:
        self._ready.append(samples)
        self._tail = np.concatenate([self._tail, samples[-FADE:]])[-FADE:]
        self.edge += len(samples)


def _fall(length: int) -> NDArray[np.float32]:
    """[length, 1] from 1 to 0."""
    return np.linspace(1.0, 0.0, length, dtype=np.float32)[:, None]
