"""What a virtual camera and a sound device receive: how steadily, and whether lips and sound belong together.

    python -m tests.measure.camera_sync [--seconds S] [--json FILE]

Speaks a file through `avatar camera`'s machinery into a camera backend registered with pyvirtualcam, and a sound sink.
Every picture that the backend got is then recognised: what the sink heard is rendered anew, and the picture compared
with the frames about its own. So a picture's offset is known to the millisecond, whatever the program says of itself.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvirtualcam
from numpy.typing import NDArray

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.audio.decimator import Decimator
from streamer.audio.format import AUDIO_PTIME_MS, MS, Samples
from streamer.audio.sound_file import read_sound
from streamer.avatar.bundle import Avatar
from streamer.core.aio import MonotonicClock
from streamer.core.errors import AvatarError
from streamer.core.files import write_json
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.letterbox import Fit
from streamer.core.options import PipelineOptions
from streamer.core.rates import FRAME_MS, SAMPLES_PER_FRAME
from streamer.desktop.local_face import FaceChoice, converse
from streamer.desktop.local_session import LocalSession
from streamer.desktop.sources import FileSource
from streamer.devices.virtual_camera import VirtualCamera
from streamer.pipeline import Pipeline
from streamer.stages.lookahead import live_lookahead_ms
from tests import DATA
from tests.fakes.local import Numbered
from tests.fakes.sound import write_wav

SPEECH = DATA / "speech.ogg"
FIT = Fit(640, 360)
NEAR = range(-8, 5)  # frames about its own, in which a picture is looked for
RECOGNISED = 0.5  # grey levels: mean difference of the right picture, which is as good as none
BACKEND = "measured"


class Backend:
    """A camera of pyvirtualcam's; keeps a small copy of every picture, and when it came."""

    got: list[tuple[float, ByteArray]] = []  # noqa: RUF012 - pyvirtualcam makes the instance

    def __init__(self, **_: Any) -> None:
        pass

    def send(self, frame: ByteArray) -> None:
        Backend.got.append((time.monotonic(), small(frame.reshape(FIT.height, FIT.width, 3))))

    def close(self) -> None:
        pass

    def device(self) -> str:
        return BACKEND

    def native_fourcc(self) -> int | None:
        return None


class Cable:
    """A sound device that plays at once."""

    lead_s = 0.0

    def __init__(self) -> None:
        self.got: dict[int, tuple[float, Samples]] = {}

    def play(self, block: int, samples: Samples) -> None:
        self.got[block] = time.monotonic(), samples.copy()


@dataclass(frozen=True)
class Found:
    """Milliseconds unless the name says otherwise. lip_to_sound: a picture's arrival less that of its sound."""

    pictures: int
    fps: float
    longest_gap: float
    repeated: int
    recognised: int
    lip_to_sound_median: float
    lip_to_sound_p99: float
    lip_to_sound_worst: float
    sound_longest_gap: float
    sound_missing: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.measure.camera_sync", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of speech (default: 60)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(argv)
    try:
        found = measure(options.seconds)
        if options.json is not None:
            write_json(options.json, asdict(found))
    except AvatarError as error:
        print(f"camera: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"{name:22s}{value:10g}" for name, value in asdict(found).items()))
    return 0


def measure(seconds: float) -> Found:
    """Speak for so long; what was received."""
    manifest = Manifest.load(SHIPPED_FAMILY)
    sessions: list[LocalSession] = []
    cable = Cable()
    Backend.got = []
    pyvirtualcam.register_backend(BACKEND, Backend)
    with tempfile.TemporaryDirectory(prefix="avatar-") as folder:
        line = np.concatenate(list(read_sound(SPEECH)))
        speech = write_wav(Path(folder) / "speech.wav", np.resize(line, round(seconds * 16_000)))
        with VirtualCamera(FIT, backend=BACKEND) as camera:
            numbered = Numbered(camera)
            source = FileSource(speech, MonotonicClock())
            asyncio.run(converse(manifest, FaceChoice(SHIPPED_FAMILY), source, numbered, cable, sessions.append))
    (session,) = sessions
    sound = [cable.got[block] for block in sorted(cable.got)]
    offsets = _offsets(manifest, numbered.frames, sound, session.delay_ms)
    moments = np.array([moment for (moment, _), frame in zip(Backend.got, numbered.frames, strict=True) if frame >= 0])
    return Found(
        pictures=len(moments),
        fps=round((len(moments) - 1) / float(moments[-1] - moments[0]), 3),
        longest_gap=round(1000 * float(np.diff(moments).max()), 1),
        repeated=session.stats.repeated,
        recognised=len(offsets),
        lip_to_sound_median=round(float(np.median(offsets)), 1),
        lip_to_sound_p99=round(float(np.percentile(np.abs(offsets), 99)), 1),
        lip_to_sound_worst=round(float(offsets[np.abs(offsets).argmax()]), 1),
        sound_longest_gap=round(1000 * float(np.diff([moment for moment, _ in sound]).max()), 1),
        sound_missing=round(session.stats.underrun / MS, 1),
    )


def _offsets(
    manifest: Manifest, frames: Sequence[int], sound: Sequence[tuple[float, Samples]], delay_ms: int
) -> NDArray[np.float64]:
    """Of every picture that is recognised: ms from its sound's arrival to its own."""
    truth = _truth(manifest, np.concatenate([samples for _, samples in sound])[delay_ms * MS :])
    offsets = []
    for frame, (moment, picture) in zip(frames, Backend.got, strict=True):
        near = [frame + step for step in NEAR if 0 <= frame + step < len(truth)]
        if frame < 0 or not near:
            continue
        errors = [np.abs(truth[place].astype(np.int16) - picture).mean() for place in near]
        if min(errors) < RECOGNISED:
            place = min(zip(errors, (abs(place - frame) for place in near), near, strict=True))[2]  # alike: the nearest
            offsets.append(1000 * (moment - sound[(place * FRAME_MS + delay_ms) // AUDIO_PTIME_MS][0]))
    return np.array(offsets)


def _truth(manifest: Manifest, sound: Samples) -> list[ByteArray]:
    """Small pictures of every frame, of the sound as it was heard."""
    heard: FloatArray = Decimator().push(sound)
    with Engines.open(manifest) as engines:
        options = PipelineOptions(live_lookahead_ms(manifest, None))
        pipeline = Pipeline(engines, Avatar.load(engines), options)
        whole = len(heard) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        return [small(FIT.put(frame.rgb)) for frame in pipeline.push(heard[:whole])]


def small(picture: ByteArray) -> ByteArray:
    """Every fourth pixel."""
    return np.ascontiguousarray(picture[::4, ::4])


if __name__ == "__main__":
    sys.exit(main())
