"""Options of a session with one peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiortc import RTCIceServer

from streamer.core.aio import Clock
from streamer.recording.recorder import Recorder
from streamer.session.control import Control
from streamer.session.numbers import NumberNames
from streamer.session.options import SessionOptions
from streamer.session.partner import Partner
from streamer.session.speech.speech_port import SpeechPort
from streamer.stages.life.steering import Shown

MakePartner = Callable[[SpeechPort, Control, Clock], Partner]


@dataclass(frozen=True, eq=False)
class PeerOptions(SessionOptions):
    """A session's options, extended by those of its peer connection."""

    ice_servers: tuple[RTCIceServer, ...] = ()
    shown: bool = True  # False: the peer gets no video
    microphone: bool = True  # False: the session is for pushed speech, and the peer only receives
    partner: MakePartner | None = None  # makes the partner that gets the microphone's sound, which is then not played
    numbers: NumberNames | None = None  # names of the values, for a session without pictures
    read_look: Callable[[Shown], Shown] = lambda wanted: wanted  # see `looks`
    able: tuple[str, ...] = ()  # controls that the face supports, for data channels
    record: Callable[[], Recorder] | None = None  # makes the session's recorder; None: not recorded
