"""Messages between the server and its inference process; both ends run this code, on one machine."""

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
    """Settings of the inference process. `avatar` None selects the family's default."""

    family: Path
    avatar: str | None
    threads: int


@dataclass(frozen=True)
class Open:
    """Open a session: the worker prepares its stream. `avatar` is a name that the worker has offered.

    performed: the worker also sends the session's coefficients, as `Performance` messages.
    """

    session: int
    avatar: str
    options: PipelineOptions
    performed: bool = False


@dataclass(frozen=True)
class Begin:
    """Start generation `generation` of a session's sound at frame `frame`; drop all work of earlier generations.

    origin: time (monotonic clock) at which frame 0 of the session is shown; it sets the deadline of every frame.
    """

    session: int
    generation: int
    frame: int
    origin: float


@dataclass(frozen=True)
class Sound:
    """Sound of a session; positions count from the session's start, and gaps are filled with silence."""

    session: int
    generation: int
    chunk: AudioChunk


@dataclass(frozen=True)
class Cut:
    """Cut off the sound sent so far (barge-in): the mouth eases shut from frame `cut` on, until frame `resume`.

    The stream continues from its current state, as `generation`, so that the head does not jump. Pictures already made
    from frame `cut` on are rendered again, unless that was done only a moment ago.
    """

    session: int
    generation: int
    cut: int
    resume: int


@dataclass(frozen=True)
class Postpone:
    """Move a session's frame 0 to the time `origin`, and with it the deadlines of all frames."""

    session: int
    origin: float


@dataclass(frozen=True)
class Steer:
    """Make a session's face do something besides speaking."""

    session: int
    wanted: Steered | Shown


@dataclass(frozen=True)
class Close:
    """Close a session; the worker drops it and all its pending work."""

    session: int


@dataclass(frozen=True)
class Load:
    """Load a newly created avatar."""

    avatar: str


@dataclass(frozen=True)
class Announce:
    """Offer a newly created avatar; it is loaded when a session first needs it."""

    avatar: str


@dataclass(frozen=True)
class Unload:
    """Unload a removed avatar; sessions that show it continue."""

    avatar: str


@dataclass(frozen=True)
class Stop:
    """End the worker process."""


ToWorker = Open | Begin | Sound | Cut | Postpone | Steer | Close | Load | Announce | Unload | Stop


@dataclass(frozen=True)
class Ready:
    """Everything is loaded and warm; `avatars` are the names that sessions may open."""

    default_avatar: str
    avatars: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """The worker cannot start; `reason` is a message for the user."""

    reason: str


@dataclass(frozen=True)
class Loaded:
    """An avatar is loaded and may be opened, or `failure` says why not."""

    avatar: str
    failure: str | None = None


@dataclass(frozen=True)
class FrameReady:
    """Picture `index` of a session is in the ring under `serial`, or `numbers` holds coefficients in its place."""

    session: int
    generation: int
    index: int
    serial: int
    numbers: ByteArray | None = None


@dataclass(frozen=True, eq=False)
class RunBegan:
    """A new run of coefficients starts, independent of earlier ones. A cut eases the mouth to `rest`, float32 [E]."""

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
    """From frame `cut` on, pictures of the run have the mouth eased shut as `shut` says; this replaces earlier ones."""

    session: int
    cut: int
    shut: Shut


Performance = RunBegan | RunWentOn | RunEased


@dataclass(frozen=True)
class SessionFailed:
    """The worker had to drop this session."""

    session: int
    reason: str


@dataclass(frozen=True)
class Stepped:
    """All sessions are on this rung of the ladder from now on; also sent when a session is opened."""

    rung: Rung


@dataclass(frozen=True)
class Pulse:
    """A periodic sign of life. Counts and seconds are since the process started."""

    rendered: int = 0
    expired: int = 0  # frames not rendered because they would have been late
    overflowed: int = 0  # frames dropped from the front of a full queue
    stages: dict[str, tuple[int, float]] = field(default_factory=dict)  # name: (times run, seconds in all)
    latencies: dict[str, Histogram] = field(default_factory=dict)  # name: seconds per run
    rung: int = 0  # current position in RUNGS
    steps: dict[str, int] = field(default_factory=dict)  # name of a rung: number of times the ladder went down to it
    busy: float = 0.0  # share of recent time spent working
    frame_s: float = 0.0  # current cost of a frame, all stages together


FromWorker = Ready | Failed | Loaded | FrameReady | Performance | SessionFailed | Stepped | Pulse
