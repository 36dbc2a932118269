"""Microphone sound on the session's clock: one gapless stream of samples under any network conditions.

Packets carry the sender's sample count; the session has its own clock. The first packet ties the two together (the
*anchor*): its last sample is "now". From then on a packet's sample count determines its position, so that

- a lost packet becomes a gap of equal length, concealed with the preceding sound, mirrored and faded;
- silence replaces a sender that sends nothing (muted, DTX, no packets at all) once it is `MARGIN_MS` late;
- a packet later than that loses the part that has already been played.

The anchor moves when the clocks drift apart or the network path changes, so a delay that grew shrinks again.
No I/O: the caller passes the time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.audio.format import CHANNELS, MS, RATE, Samples

# How long to wait for a sample, relative to the packet that set the anchor. The first sample of a 20 ms packet is 20 ms
# old when it is sent, so a packet up to 40 ms late is still played in full.
MARGIN_MS = 60
FADE = 20 * MS  # samples of concealment after the last received sound
RAMP = 3 * MS  # samples over which a jump in the waveform is smoothed
WATCH_S = 2.0  # window: the anchor moves when all its packets agree
EARLY_SLACK = 10 * MS  # if all packets are this early, the delay can shrink
LATE_SLACK = 20 * MS  # if all packets are this late, the sender's clock is slow
LATE_RUN = 3  # consecutive packets too late to be played: set a new anchor at once
JUMP = RATE  # samples; a packet farther than this from its expected position belongs to a new stream


@dataclass
class TimelineStats:
    """Counts since the start; samples at `RATE`."""

    silence: int = 0  # samples inserted because none arrived
    late: int = 0  # packets that arrived too late, in whole or in part
    shifts: int = 0  # times the anchor moved


class MicrophoneTimeline:
    """Packets in at any time, gapless sound out. Times are seconds and positions samples of the session's clock."""

    def __init__(self) -> None:
        self.edge = 0  # position of the first sample not yet settled
        self.stats = TimelineStats()
        self._offset: int | None = None  # position minus the sender's sample count
        self._recent: deque[tuple[float, int]] = deque()  # (time, samples early) of the last WATCH_S
        self._watched_since = 0.0
        self._anchor_before: int | None = None  # the last offset used
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
        """Return the position of the sender's sample `pts` by the current anchor; None before the first packet."""
        return None if self._anchor_before is None else self._anchor_before + pts

    def close(self, now: float) -> None:
        """Settle all sound older than MARGIN_MS, with silence where none arrived."""
        missing = round(now * RATE) - MARGIN_MS * MS - self.edge
        if missing > 0:
            self._conceal(missing)

    def put(self, samples: Samples) -> None:
        """Settle sound that is not from the microphone, int16 [n, 2], at `edge`.

        The next microphone packet sets a new anchor.
        """
        self._offset = None
        self._append(samples)
        self._tail = np.zeros_like(self._tail)  # conceal a following gap with silence, not with this sound

    def pop(self) -> Samples:
        """Return all sound settled since the last call: int16 [n, 2], ending at `edge`."""
        ready, self._ready = self._ready, []
        return np.concatenate(ready) if ready else np.zeros((0, CHANNELS), np.int16)

    def skip_to(self, position: int) -> None:
        """Drop pending sound and continue at `position`; used after the machine slept, when pending sound is stale."""
        self._ready.clear()
        self.edge = max(self.edge, position)
        self._offset = None
        self._broken = True

    def _place(self, pts: int, length: int, now: float) -> int:
        """Return the position of a packet's first sample, after moving the anchor if needed."""
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
        self.stats.shifts += self._anchor_before not in (None, offset)  # the same offset again is not a shift
        self._anchor_before = offset
        self._offset = offset
        self._recent.clear()
        self._watched_since = now
        self._late_run = 0

    def _conceal(self, length: int) -> None:
        """Fill `length` samples: the last sound, time-reversed and faded out, then silence."""
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
    """Return a ramp from 1 to 0, [length, 1]."""
    return np.linspace(1.0, 0.0, length, dtype=np.float32)[:, None]
