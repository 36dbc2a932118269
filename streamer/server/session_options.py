"""What makes one session of a server differ from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiortc import RTCIceServer

from streamer.core.frames import ByteArray
from streamer.core.options import PLAIN_FACE, FaceOptions
from streamer.recording.recorder import Recorder


@dataclass(frozen=True, eq=False)
class SessionOptions:
    """What makes one session differ from another. `still` (uint8 [H, W, 3 or 4]) shows
    until the first picture is made.
    """

    avatar: str
    still: ByteArray
    lookahead_ms: int  # what the pipeline will really use
    seed: int = 0
    face: FaceOptions = PLAIN_FACE
    ice_servers: tuple[RTCIceServer, ...] = ()
    shown: bool = True  # False: the peer sees nothing of it, others watch
    microphone: bool = True  # False: it was opened for pushed speech, and the peer only receives
    record: Callable[[], Recorder] | None = None  # makes the recorder of a session that is recorded
