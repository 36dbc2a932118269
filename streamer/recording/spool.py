"""A recording in progress: a folder that can be read at any time, even after the program was killed.

- `about.json`: the metadata of the performance, see `performance.About`;
- `rows`: one record per frame, see `_row`; an interruption rewrites the freedom of the last records;
- `rest`: the expression of silence;
- `sound.flac`: the audio that was played.
"""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from engines.files import PRIVATE_FOLDER
from streamer.audio.format import RATE, Samples
from streamer.core.errors import MediaError
from streamer.core.frames import FloatArray
from streamer.core.rates import FPS
from streamer.recording.flac import FlacWriter
from streamer.recording.performance import MOST_FRAMES, About, Performance
from streamer.stages.mouth_easing import Shut

ABOUT, ROWS, REST, SOUND = "about.json", "rows", "rest", "sound.flac"
MOST_ABOUT_BYTES = 1 << 20
KEPT_ROWS = 4 * FPS  # last rows, whose freedom may still change; covers all frames not shown yet


def _row(width: int) -> np.dtype[np.void]:
    return np.dtype([("index", "<i8"), ("starts", "?"), ("freedom", "<f4"), ("values", "<f4", (width,))])


class Spool:
    """Creates and writes the folder. Every method raises OSError or FFmpegError when it cannot write."""

    def __init__(self, folder: Path, about: About) -> None:
        folder.mkdir(mode=PRIVATE_FOLDER)
        self.folder = folder
        self.frames = 0
        (folder / ABOUT).write_text(json.dumps(dataclasses.asdict(about)))
        self._row = _row(len(about.expression_names) + len(about.pose_names))
        self._rows = (folder / ROWS).open("w+b", buffering=0)
        self._flac = FlacWriter(folder / SOUND)
        self._begins = True  # the next row begins a run
        self._next = 0  # the frame after the last row
        self._shut: Shut | None = None
        self._recent: deque[np.void] = deque(maxlen=KEPT_ROWS)  # last rows of the run

    @property
    def seconds(self) -> float:
        """Duration of the audio written."""
        return self._flac.samples / RATE

    def begin(self, rest: FloatArray) -> None:
        """Start a new run with the next row."""
        (self.folder / REST).write_bytes(rest.astype("<f4").tobytes())
        self._begins, self._shut = True, None
        self._recent.clear()

    def add(self, frame: int, values: FloatArray) -> None:
        """Append rows, float32 [n, E + P], for frames from `frame` on; frames already written are not changed."""
        rows = np.zeros(len(values), self._row)
        rows["index"] = np.arange(frame, frame + len(values))
        rows["values"] = values
        rows = rows[rows["index"] >= self._next]
        if not len(rows) or rows["index"][-1] >= MOST_FRAMES:
            return
        rows["starts"][0] = self._begins or rows["index"][0] > self._next
        rows["freedom"] = [self._freedom(int(index)) for index in rows["index"]]
        self._rows.write(rows.tobytes())
        self._begins = False
        self._next = int(rows["index"][-1]) + 1
        self.frames += len(rows)
        self._recent.extend(rows)

    def ease(self, cut: int, shut: Shut) -> None:
        """Ease the mouth shut from frame `cut` on, in rows already written and in later ones."""
        self._shut = shut
        changed = [row for row in self._recent if row["index"] >= cut]
        if not changed:
            return
        for row in changed:
            row["freedom"] = self._freedom(int(row["index"]))
        self._rows.seek((self.frames - len(changed)) * self._row.itemsize)
        self._rows.write(b"".join(row.tobytes() for row in changed))

    def hear(self, start: int, samples: Samples) -> None:
        """Append audio, int16 [n, 2], from position `start` on; fill a gap with silence, keep audio already written."""
        written = self._flac.samples
        if start + len(samples) <= written or start > MOST_FRAMES * RATE // FPS:
            return
        self._flac.silence(start - written)
        self._flac.write(samples[max(0, written - start) :])

    def close(self) -> None:
        """Finish and close the files."""
        try:
            self._flac.close()
        finally:
            self._rows.close()

    def _freedom(self, frame: int) -> float:
        return 1.0 if self._shut is None else self._shut.freedom(frame)


def read_spool(folder: Path) -> Performance:
    """Read a spool folder; its arrays stay on disk. An incomplete last record is ignored.

    Raises:
        MediaError: it is not a spool folder, or nothing was recorded.
    """
    about = _read_about(folder / ABOUT)
    split = len(about.expression_names)
    row = _row(split + len(about.pose_names))
    try:
        count = min((folder / ROWS).stat().st_size // row.itemsize, MOST_FRAMES)
        if not count:
            raise MediaError(f"{folder}: nothing was recorded")
        rows = np.memmap(folder / ROWS, row, "r", shape=(count,))
        rest = np.frombuffer((folder / REST).read_bytes()[: 4 * split], "<f4")
    except (OSError, ValueError) as error:
        raise MediaError(f"{folder}: a recording that cannot be read ({error})") from None
    sound = folder / SOUND
    return Performance(
        about,
        expression=rows["values"][:, :split],
        pose=rows["values"][:, split:],
        index=np.array(rows["index"]),
        starts=np.flatnonzero(rows["starts"]),
        freedom=rows["freedom"],
        rest=rest,
        sound=sound if sound.is_file() and sound.stat().st_size else None,
    )


def _read_about(path: Path) -> About:
    if not path.is_file():
        raise MediaError(f"{path.parent}: a folder; expected the file of a performance")
    try:
        with path.open("rb") as file:
            found: dict[str, Any] = json.loads(file.read(MOST_ABOUT_BYTES))
        names = {name: tuple(map(str, found.pop(name))) for name in ("expression_names", "pose_names")}
        yaw, pitch, roll = (None if angle is None else float(angle) for angle in found.pop("view"))
        dial = found.pop("lookahead_ms")
        return About(
            **names,
            fps=int(found["fps"]),
            family=str(found["family"]),
            avatar=str(found["avatar"]),
            lookahead_ms=None if dial is None else int(dial),
            view=(yaw, pitch, roll),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise MediaError(f"{path}: not what a recording leaves ({error})") from None
