"""Maps a server's media to this machine's clock: gapless sound, and each picture with the sound it was sent with.

The server sends a picture at the same instant as the sound that belongs to it, and the timestamps of both streams count
from the same instant. The sound is mapped to this machine's clock as a microphone's is (`timeline`: late and lost
packets, clock drift). The pictures are aligned to the sound by the difference of the least transit times of the two
streams (`webrtc.transit`). No I/O, no clock.
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

BEHIND_S = 1.0  # after a gap this long (the machine slept), skip ahead instead of filling the gap with silence
STRETCH = 1 << 44  # offset in samples between the counts of two calls
# Seconds per picture: the schedule follows the server's too slowly to be visible, and corrects half a picture within 20
# pictures.
LARGEST_MOVE = 0.001


class Reception:
    """Fills `playout`, and shifts the pictures' `schedule` to match the server's sending times.

    Times are seconds of the session's clock.
    """

    def __init__(self, playout: Playout, schedule: FrameSchedule, patience_s: float = 0.0) -> None:
        """`patience_s`: time to wait for a late packet in addition to that for a microphone's."""
        self._patience_s = patience_s
        self._playout = playout
        self._schedule = schedule
        self._timeline = MicrophoneTimeline()
        self._count_from = 0
        self._heard = False  # whether sound of this call has arrived
        self._sound: Arrivals | None = None
        self._pictures: Arrivals | None = None

    def begin(self, sound: Arrivals, pictures: Arrivals) -> None:
        """Start a new call, whose timestamps are unrelated to earlier ones. Arguments: arrivals of its two streams."""
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
        """Take a decoded picture, `pts` in seconds. It is dropped if no sound of the call has arrived yet."""
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
        """Advance to `now`: silence fills in for sound that the server did not send."""
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
