"""What a server sends, on this machine's clock: its sound without gaps, and its pictures with the sound they left with.

The server sends a picture at the same instant as the sound that belongs to it, and counts both from that instant on in
their timestamps. The sound is tied to this machine's clock as a microphone's is (`timeline`: late, lost, clocks that
drift); the pictures follow the sound, by how much longer they are under way at least (`arrivals`). No I/O, no clock.
"""

from __future__ import annotations

import numpy as np

from streamer.audio.format import RATE, Samples
from streamer.core.frames import AvatarFrame, ByteArray
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.session.playout import Playout
from streamer.session.schedule import FrameSchedule
from streamer.session.timeline import MicrophoneTimeline
from streamer.webrtc.transit import Arrivals

BEHIND_S = 1.0  # when so much time passed unseen (the machine slept), the sound in between is not made up for
STRETCH = 1 << 44  # samples between the counts of two calls
# s, for each picture: the schedule follows the server's so slowly that nobody sees it, and catches up with half a
# picture in 20.
LARGEST_MOVE = 0.001


class Reception:
    """Fills `playout`, and moves the pictures' `schedule` to the rhythm in which the server sends them.

    Times are seconds of the session's clock.
    """

    def __init__(self, playout: Playout, schedule: FrameSchedule, patience_s: float = 0.0) -> None:
        """`patience_s`: how much longer a packet is waited for than a microphone's."""
        self._patience_s = patience_s
        self._playout = playout
        self._schedule = schedule
        self._timeline = MicrophoneTimeline()
        self._count_from = 0
        self._heard = False  # anything of this call
        self._sound: Arrivals | None = None
        self._pictures: Arrivals | None = None

    def begin(self, sound: Arrivals, pictures: Arrivals) -> None:
        """A new call: timestamps have nothing to do with those before. The arrivals are those of its two streams."""
        self._count_from += STRETCH
        self._heard = False
        self._sound, self._pictures = sound, pictures

    def hear(self, pts: int, samples: Samples, now: float) -> None:
        """Take a decoded packet: int16 [n, 2], `pts` in samples."""
        self._catch_up(now)
        self._heard = True
        self._timeline.push(self._count_from + pts, samples, now)
        self._forward()

    def see(self, pts: float, rgb: ByteArray) -> None:
        """Take a decoded picture, `pts` in seconds. Without any sound there is nothing to show it with."""
        first = self._timeline.position_of(self._count_from) if self._heard else None
        if first is None or self._sound is None or self._pictures is None:
            return
        sound, picture = self._sound.transit_s, self._pictures.transit_s
        if sound is None or picture is None:
            return
        moment = first / RATE + pts + picture - sound + self._playout.delay_ms / 1000
        tick = self._schedule.nearest(moment)
        self._schedule.move(float(np.clip(moment - self._schedule.due(tick), -LARGEST_MOVE, LARGEST_MOVE)))
        frame = self._schedule.frame_of(tick)
        self._playout.push_frame(AvatarFrame(frame, rgb, frame * SAMPLES_PER_FRAME))

    def tick(self, now: float) -> None:
        """Let time pass: a server that says nothing is silent."""
        self._catch_up(now)
        self._timeline.close(now - self._patience_s)
        self._forward()

    def _catch_up(self, now: float) -> None:
        if now - self._timeline.edge / RATE > BEHIND_S:
            self._timeline.skip_to(round(now * RATE))

    def _forward(self) -> None:
        end = self._timeline.edge
        samples = self._timeline.pop()
        if len(samples):
            self._playout.push_audio(end - len(samples), samples)
