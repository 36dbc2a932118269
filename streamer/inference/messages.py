"""What the server and its inference process say to each other. Both ends are ours, on one machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from streamer.core.frames import AudioChunk, ByteArray, FloatArray
from streamer.core.histogram import Histogram
from streamer.core.options import PipelineOptions
from streamer.core.rungs import Rung
from streamer.stages.life.steering import Shown, Steered
from streamer.stages.mouth_easing import Shut


@dataclass(frozen=True)
class WorkerSettings:
    """What the inference process loads. `avatar` None is the family's default."""

    family: Path
    avatar: str | None
    threads: int


@dataclass(frozen=True)
class Open:
    """A session begins: the worker prepares its stream. `avatar` is a name the worker told of.

    performed: the worker also tells of the session's coefficients, as `Performance` messages.
    """

    session: int
    avatar: str
    options: PipelineOptions
    performed: bool = False


@dataclass(frozen=True)
class Begin:
    """Sound of `generation` follows, from frame `frame` on; all work of earlier generations is void.

    origin: moment (monotonic clock) at which frame 0 of the session is shown, which gives each frame its deadline.
    """

    session: int
    generation: int
    frame: int
    origin: float


@dataclass(frozen=True)
class Sound:
    """Sound of a session; positions count from the session's start, a hole is silence."""

    session: int
    generation: int
    chunk: AudioChunk


@dataclass(frozen=True)
class Cut:
    """Sound from before is not heard any more: the mouth eases shut from frame `cut` on, until frame `resume`.

    The stream goes on where it is, as `generation`, so that the head does not jump. Pictures from frame `cut` on that
    were made already are made anew, unless that was done a moment ago.
    """

    session: int
    generation: int
    cut: int
    resume: int


@dataclass(frozen=True)
class Postpone:
    """Frame 0 of a session would now be shown at `origin`: the deadlines of all frames move."""

    session: int
    origin: float


@dataclass(frozen=True)
class Steer:
    """The face of a session is to do something beside speaking."""

    session: int
    wanted: Steered | Shown


@dataclass(frozen=True)
class Close:
    """The session has ended; nothing of it is wanted any more."""

    session: int


@dataclass(frozen=True)
class Load:
    """Load a newly created avatar."""

    avatar: str


@dataclass(frozen=True)
class Announce:
    """An avatar has come to be, which is made when a session wants it."""

    avatar: str


@dataclass(frozen=True)
class Unload:
    """Let go of a removed avatar; sessions that show it go on."""

    avatar: str


@dataclass(frozen=True)
class Stop:
    """The worker ends."""


ToWorker = Open | Begin | Sound | Cut | Postpone | Steer | Close | Load | Announce | Unload | Stop


@dataclass(frozen=True)
class Ready:
    """Everything is loaded and warm; `avatars` are the names that may be opened."""

    default_avatar: str
    avatars: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """The worker cannot start; `reason` is for the person in front of the program."""

    reason: str


@dataclass(frozen=True)
class Loaded:
    """An avatar may be opened, or `failure` says why not."""

    avatar: str
    failure: str | None = None


@dataclass(frozen=True)
class FrameReady:
    """Picture `index` of a session lies in the ring under `serial`; or `numbers` take its place."""

    session: int
    generation: int
    index: int
    serial: int
    numbers: ByteArray | None = None


@dataclass(frozen=True, eq=False)
class RunBegan:
    """Coefficients of a session follow that owe nothing to those before; a mouth eases to `rest`, float32 [E]."""

    session: int
    frame: int
    rest: FloatArray


@dataclass(frozen=True, eq=False)
class RunWentOn:
    """The next coefficients of a session: `values` float32 [n, E + P], from frame `frame` on, without a gap."""

    session: int
    frame: int
    values: FloatArray


@dataclass(frozen=True)
class RunEased:
    """From frame `cut` on, whatever was told before, pictures of the run are made with the mouth shut so."""

    session: int
    cut: int
    shut: Shut


Performance = RunBegan | RunWentOn | RunEased


@dataclass(frozen=True)
class SessionFailed:
    """The worker could not go on with this session."""

    session: int
    reason: str


@dataclass(frozen=True)
class Stepped:
    """All sessions are on this rung of the ladder from now on; also said when one is opened."""

    rung: Rung


@dataclass(frozen=True)
class Pulse:
    """A sign of life. Counts and seconds are since the start."""

    rendered: int = 0
    expired: int = 0  # frames not rendered because their moment had passed
    overflowed: int = 0  # frames that waited while too many others did
    stages: dict[str, tuple[int, float]] = field(default_factory=dict)  # name: (times run, seconds in all)
    latencies: dict[str, Histogram] = field(default_factory=dict)  # name: seconds that a run took
    rung: int = 0  # of ladder.RUNGS, now
    steps: dict[str, int] = field(default_factory=dict)  # name of a rung: times it was gone down to
    busy: float = 0.0  # share of its time that it worked lately
    frame_s: float = 0.0  # that a frame takes, all of it, as things are


FromWorker = Ready | Failed | Loaded | FrameReady | Performance | SessionFailed | Stepped | Pulse
