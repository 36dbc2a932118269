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
    """A session's options, and how its peer takes part in it."""

    ice_servers: tuple[RTCIceServer, ...] = ()
    shown: bool = True  # False: the peer sees nothing of it, others watch
    microphone: bool = True  # False: it was opened for pushed speech, and the peer only receives
    partner: MakePartner | None = None  # makes who hears the microphone, which is not played then
    numbers: NumberNames | None = None  # what they are, of a session whose face is not drawn
    read_look: Callable[[Shown], Shown] = lambda wanted: wanted  # see `looks`
    able: tuple[str, ...] = ()  # what the face can be asked for on a data channel
    record: Callable[[], Recorder] | None = None  # makes the recorder of a session that is recorded
