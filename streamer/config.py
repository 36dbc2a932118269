"""Rates, hops, windows and look-aheads, each written once and the others derived exactly; and the options.

The figures of the audio features are those of SadTalker (arXiv 2211.12194) and its reference implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


def exact_div(numerator: int, denominator: int) -> int:
    """Divide where a remainder would be a mistake in this file."""
    quotient, remainder = divmod(numerator, denominator)
    if remainder:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return quotient


SAMPLE_RATE = 16_000  # Hz, mono, of everything behind audio_in
FPS = 25  # video frames per second
SAMPLES_PER_FRAME = exact_div(SAMPLE_RATE, FPS)  # frame i covers samples [640 i, 640 (i + 1))
FRAME_MS = exact_div(1000, FPS)

MEL_BANDS = 80
MEL_HOP = 200  # samples
MEL_RATE = exact_div(SAMPLE_RATE, MEL_HOP)  # mel frames per second
N_FFT = 800  # samples; also the window's length
HALF_FFT = exact_div(N_FFT, 2)  # a centred STFT looks this far ahead of its mel frame
WINDOW_MEL_FRAMES = 16  # mel frames the expression network sees of one video frame
WINDOW_VIDEO_FRAMES_EARLY = 2  # the window starts this many video frames before its own


def window_start(frame: int) -> int:
    """First mel frame of video frame `frame`'s window, before clamping into the clip.

    Truncates toward zero also below it, as the networks were trained: frames 0, 1, 2 start at -6, -3, 0.
    """
    return int(MEL_RATE * (frame - WINDOW_VIDEO_FRAMES_EARLY) / FPS)


def _window_reach() -> int:
    """Samples a frame's window reaches past the frame's start, the worst frame counted.

    Window starts are rounded, so the reach varies from frame to frame. It is longest in the first frames, where the
    rounding is upward, and repeats every FPS frames after them.
    """
    ends = (
        (window_start(i) + WINDOW_MEL_FRAMES - 1) * MEL_HOP + HALF_FFT - i * SAMPLES_PER_FRAME for i in range(2 * FPS)
    )
    return max(ends)


WINDOW_REACH = _window_reach()  # samples: what a window really waits for (137.5 ms)
# Samples, as manifests state it (145 ms): whole hops of the window past the frame's start, and half an STFT window.
EXPRESSION_LOOKAHEAD = WINDOW_MEL_FRAMES * MEL_HOP - WINDOW_VIDEO_FRAMES_EARLY * SAMPLES_PER_FRAME + HALF_FFT


def ms_to_samples(milliseconds: int) -> int:
    """Samples at SAMPLE_RATE in a whole number of milliseconds."""
    return exact_div(milliseconds * SAMPLE_RATE, 1000)


@dataclass(frozen=True)
class FaceOptions:
    """How the face is to behave; what a family can do of it is checked by `face_options.check`.

    still: the head keeps the portrait's pose; lips, lids and brows move.
    pose_style: which of the family's styles of head motion; None is the first.
    expression_scale: how strong the expression is, 1.0 as the network gives it.
    yaw, pitch, roll: degrees that the head is held at instead of what it would do; None leaves it free.
    pose_mode: one of POSE_MODES: "live" never waits for later sound, "offline" is the reference's own way and waits up
        to 1.6 s; None is live.
    background: behind the person: `#rrggbb`, `blur` or `transparent`, which makes pictures RGBA; None is as the
        portrait has it.
    """

    still: bool = False
    pose_style: int | None = None
    expression_scale: float = 1.0
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    pose_mode: str | None = None
    background: str | None = None


POSE_MODES = ("live", "offline")
PLAIN_FACE = FaceOptions()  # as the family makes it


@dataclass(frozen=True)
class PipelineOptions:
    """What one session may choose.

    lookahead_ms: how long a frame may wait for later audio; None is all the family can use. See `lookahead`.
    seed: of the idle motion (head, blinks, gaze); the same seed and audio give the same frames.
    """

    lookahead_ms: int | None = None
    seed: int = 0
    face: FaceOptions = PLAIN_FACE


DEFAULT_THREADS = 2  # of a processor, for the engines


@dataclass(frozen=True)
class RecordOptions:
    """What is recorded of a session. performance: FILE.npz, see `performance`; video: FILE.mp4; None is nothing."""

    performance: Path | None = None
    video: Path | None = None


NOTHING = RecordOptions()


@dataclass(frozen=True)
class ServeOptions:
    """What `avatar serve` was asked for. `family` is a family folder; None means the one shipped with the package.

    `lookahead_ms` and `face` hold for sessions that do not choose their own; None is `lookahead.live_lookahead_ms`.
    """

    host: str = "localhost"
    port: int = 8080
    family: Path | None = None
    avatar: str | None = None
    lookahead_ms: int | None = None
    face: FaceOptions = PLAIN_FACE
    threads: int = DEFAULT_THREADS
    max_sessions: int = 4
    record: RecordOptions = NOTHING
    photos: bool = True  # avatars may be made on the page, by whoever sits at this machine


@dataclass(frozen=True)
class BenchOptions:
    """What `avatar bench` was asked for: for each number of sessions and each loss, `seconds_each` seconds of live
    conversation. `loss`: percent of the microphone's packets that never arrive."""

    sessions: tuple[int, ...] = (1,)
    loss: tuple[float, ...] = (0.0,)
    seconds_each: float = 20.0
    json: Path | None = None
    family: Path | None = None
    avatar: str | None = None
    lookahead_ms: int | None = None
    threads: int = DEFAULT_THREADS
