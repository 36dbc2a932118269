"""The file of a performance: an `.npz` for numpy that also contains the audio.

Arrays as in `performance.Performance`. Required: `expression`, `pose`, `expression_names`, `pose_names`, `fps`.
Optional: `index`, `starts`, `freedom`, `rest`, `family`, `avatar`, `lookahead_ms` (-1: all), `view` (NaN: free),
`format`; the defaults are those of a single run without interruptions. The audio is the entry `sound.flac`, 48 kHz
stereo.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.files import replacing
from streamer.core import npz
from streamer.core.errors import MediaError
from streamer.core.frames import FloatArray
from streamer.core.npz import Array
from streamer.core.rates import FPS
from streamer.recording.performance import LARGEST, About, IntArray, Performance
from streamer.recording.spool import read_spool

FORMAT = 1
SOUND = "sound.flac"
REQUIRED = ("expression", "pose", "expression_names", "pose_names", "fps")
OPTIONAL = ("format", "index", "starts", "freedom", "rest", "family", "avatar", "lookahead_ms", "view")
MOST_NAMES = 1000  # coefficients
LONGEST_NAME = 200  # characters
ALL = -1  # stored value of an unlimited look-ahead


@contextlib.contextmanager
def open_performance(path: Path) -> Iterator[Performance]:
    """Read a performance from a file, or from the folder left by a recording whose program was killed.

    While the context lasts, the audio of a file is in a temporary file.

    Raises:
        MediaError: it does not exist, is damaged, of a later format, too large, or not a performance.
    """
    if path.is_dir():
        performance = read_spool(path)
        performance.check(path)
        yield performance
        return
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    with tempfile.TemporaryDirectory(prefix="avatar-") as folder:
        sound = Path(folder) / SOUND
        with npz.opened(path) as archive:
            arrays = npz.read_arrays(archive, REQUIRED + OPTIONAL)
            found = npz.extract(archive, SOUND, sound)
        performance = _performance(_Arrays(path, arrays), sound if found else None)
        performance.check(path)
        yield performance


def save_performance(path: Path, performance: Performance) -> None:
    """Write a performance atomically, replacing an existing file.

    Raises:
        MediaError: the file cannot be written.
    """
    try:
        with replacing(path, private=True) as partial:
            write_performance(partial, performance)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror})") from None


def write_performance(path: Path, performance: Performance) -> None:
    """Write a performance; not atomically. Raises OSError when it cannot be written."""
    about = performance.about
    arrays: dict[str, Array] = {
        "format": np.array(FORMAT),
        "family": np.array(about.family),
        "avatar": np.array(about.avatar),
        "fps": np.array(about.fps),
        "expression_names": np.array(about.expression_names),
        "pose_names": np.array(about.pose_names),
        "lookahead_ms": np.array(ALL if about.lookahead_ms is None else about.lookahead_ms),
        "view": np.array([np.nan if angle is None else angle for angle in about.view], np.float64),
        "index": performance.index,
        "starts": performance.starts,
        "freedom": performance.freedom,
        "rest": performance.rest,
        "expression": performance.expression,
        "pose": performance.pose,
    }
    npz.write(path, arrays, {SOUND: performance.sound} if performance.sound else {})


def _performance(arrays: _Arrays, sound: Path | None) -> Performance:
    if (found := arrays.number("format", FORMAT)) != FORMAT:
        raise MediaError(f"{arrays.origin}: format {found}, this version reads format {FORMAT}")
    if missing := sorted(set(REQUIRED) - arrays.names):
        raise MediaError(f"{arrays.origin}: no performance: it has no {', '.join(missing)}")
    about = About(
        expression_names=arrays.texts("expression_names"),
        pose_names=arrays.texts("pose_names"),
        fps=arrays.number("fps", FPS),
        family=arrays.text("family"),
        avatar=arrays.text("avatar"),
        lookahead_ms=None if (dial := arrays.number("lookahead_ms", ALL)) == ALL else dial,
        view=_view(arrays),
    )
    expression = arrays.floats("expression", 2, lambda: np.zeros((0, 0), np.float32))
    count = len(expression)
    return Performance(
        about,
        expression=expression,
        pose=arrays.floats("pose", 2, lambda: np.zeros((0, 0), np.float32)),
        index=arrays.integers("index", lambda: np.arange(count)),
        starts=arrays.integers("starts", lambda: np.zeros(1, np.int64)),
        freedom=arrays.floats("freedom", 1, lambda: np.ones(count, np.float32)),
        rest=arrays.floats("rest", 1, lambda: np.zeros(len(about.expression_names), np.float32)),
        sound=sound,
    )


def _view(arrays: _Arrays) -> tuple[float | None, float | None, float | None]:
    view = arrays.floats("view", 1, lambda: np.full(3, np.nan, np.float32))
    if view.shape != (3,) or (np.abs(view) > LARGEST).any():
        raise MediaError(f"{arrays.origin}: view is {view[:4].tolist()}, three angles expected")
    yaw, pitch, roll = (None if np.isnan(angle) else float(angle) for angle in view)
    return yaw, pitch, roll


class _Arrays:
    """Arrays of a file with type checks; methods raise MediaError with the file's name."""

    def __init__(self, origin: Path, arrays: Mapping[str, Array]) -> None:
        self.origin = origin
        self._arrays = arrays

    @property
    def names(self) -> set[str]:
        return set(self._arrays)

    def number(self, name: str, default: int) -> int:
        if name not in self._arrays:
            return default
        return int(self._checked(name, "iu", 0, "a whole number"))

    def text(self, name: str) -> str:
        if name not in self._arrays:
            return ""
        return str(self._checked(name, "U", 0, "text"))[:LONGEST_NAME]

    def texts(self, name: str) -> tuple[str, ...]:
        array = self._checked(name, "U", 1, "names")
        if len(array) > MOST_NAMES or array.itemsize > 4 * LONGEST_NAME:
            raise MediaError(f"{self.origin}: {name} are {len(array)}, at most {MOST_NAMES} short ones expected")
        return tuple(map(str, array))

    def floats(self, name: str, dimensions: int, default: Callable[[], FloatArray]) -> FloatArray:
        if name not in self._arrays:
            return default()
        return np.asarray(self._checked(name, "f", dimensions, "numbers"), np.float32)

    def integers(self, name: str, default: Callable[[], NDArray[np.int_]]) -> IntArray:
        if name not in self._arrays:
            return np.asarray(default(), np.int64)
        return np.asarray(self._checked(name, "iu", 1, "whole numbers"), np.int64)

    def _checked(self, name: str, kinds: str, dimensions: int, expected: str) -> Array:
        array = self._arrays[name]
        if array.dtype.kind not in kinds or array.ndim != dimensions:
            raise MediaError(f"{self.origin}: {name} is {array.dtype}{list(array.shape)}, {expected} expected")
        return array
