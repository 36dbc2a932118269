"""Record a session's performance while it runs, without ever delaying the session.

The event loop passes everything to a thread, which writes it into a spool folder beside the target; at the end the
folder is converted to the file. A full or slow disk ends the recording, with one log line, but not the session.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from av.error import FFmpegError

from engines.errors import first_line
from engines.files import create_private
from engines.manifest import Manifest
from streamer.audio.format import Samples
from streamer.core.errors import ConfigError, MediaError
from streamer.core.files import check_output
from streamer.core.options import FaceOptions
from streamer.inference.messages import Performance, RunBegan, RunEased, RunWentOn
from streamer.recording.performance import About
from streamer.recording.performance_file import write_performance
from streamer.recording.spool import Spool, read_spool

SUFFIX = ".npz"
MOST_WAITING = 2_000  # audio blocks and messages queued for the disk: 25 s, 5 MB

Note = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class _Sound:
    start: int
    samples: Samples


_Item = Performance | _Sound


def check_target(path: Path, suffixes: tuple[str, ...] = (SUFFIX,)) -> None:
    """Check that a recording can be written to `path`. Raises ConfigError or MediaError."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(f"{path}: expected a name that ends in {' or '.join(suffixes)}")
    check_output(path)
    if path.exists():
        raise ConfigError(f"{path}: is there already; remove it, or choose another name")
    try:  # detect an unwritable folder at startup, not during a session
        folder = _spool_of(path)
        folder.mkdir()
        folder.rmdir()
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror})") from None


def _spool_of(path: Path) -> Path:
    """Return the spool folder of a recording."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


class Recorder:
    """One recording. `target` returns its file name; it is called when there is first something to record.

    note: receives one line per fault and per recording, from another thread.
    """

    def __init__(self, target: Callable[[], Path], about: About, note: Note) -> None:
        self._target = target
        self._about = about
        self._note = note
        self._waiting: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()  # None ends the recording
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._open = threading.Event()  # set while the recording accepts items
        self._began = False

    def on_performance(self, message: Performance) -> None:
        """Record a message of the worker about the session's coefficients."""
        self._put(message)

    def hear(self, start: int, samples: Samples) -> None:
        """Record audio from playout, int16 [n, 2], from position `start` on; ignore blocks that start before 0."""
        if start >= 0:
            self._put(_Sound(start, samples))

    def finish(self) -> None:
        """End the recording; the thread then writes the file, see `wait`. Safe to call twice."""
        self._open.clear()
        self._waiting.put(None)

    def wait(self) -> None:
        """Block until the file is written. Call after `finish`."""
        if self._began:
            self._thread.join()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self.wait()

    def _put(self, item: _Item) -> None:
        if not self._began:
            self._began = True
            self._open.set()
            self._thread.start()
        if not self._open.is_set():
            return
        if self._waiting.qsize() >= MOST_WAITING:
            self._open.clear()
            self._note("the disk does not keep up: the recording ends here, the session goes on")
            return
        self._waiting.put(item)

    def _run(self) -> None:
        target = self._target()
        folder = _spool_of(target)
        try:
            spool = Spool(folder, self._about)
        except (OSError, FFmpegError) as error:
            self._fail(f"{target}: nothing is recorded ({first_line(error)})")
            return
        try:
            while (item := self._waiting.get()) is not None:
                _write(spool, item)
        except (OSError, FFmpegError) as error:
            self._fail(f"{target}: the recording ends here ({first_line(error)}), the session goes on")
        with contextlib.suppress(OSError, FFmpegError):  # keep whatever can be read
            spool.close()
        self._note(_assemble(folder, target, spool.seconds))

    def _fail(self, text: str) -> None:
        """Report a fault, and discard further items until the end."""
        self._open.clear()
        self._note(text)
        while self._waiting.get() is not None:
            pass


class Recordings:
    """The recordings of a server: for the path FILE.npz, its sessions get FILE-1.npz, FILE-2.npz and so on."""

    def __init__(self, path: Path, manifest: Manifest, note: Note) -> None:
        """Raises ConfigError or MediaError if recordings cannot be written there."""
        check_target(path)
        self._path = path
        self._manifest = manifest
        self._note = note
        self._names = numbered(path)
        self._lock = threading.Lock()
        self._recorders = weakref.WeakSet[Recorder]()  # those still referenced by a session or their thread

    def recorder(self, avatar: str, lookahead_ms: int, face: FaceOptions) -> Recorder:
        """Return the recorder for a new session; its file is created only when there is something to record."""
        made = Recorder(self._next, About.of(self._manifest, avatar, lookahead_ms, face), self._note)
        self._recorders.add(made)
        return made

    def close(self) -> None:
        """Finish all recordings; block until their files are written."""
        recorders = list(self._recorders)
        for recorder in recorders:
            recorder.finish()
        for recorder in recorders:
            recorder.wait()

    def _next(self) -> Path:
        with self._lock:
            return next(path for path in self._names if not path.exists())


def numbered(path: Path) -> Iterator[Path]:
    """Yield NAME-1, NAME-2, ... for a path NAME."""
    return (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(1))


def _write(spool: Spool, item: _Item) -> None:
    match item:
        case _Sound():
            spool.hear(item.start, item.samples)
        case RunBegan():
            spool.begin(item.rest)
        case RunWentOn():
            spool.add(item.frame, item.values)
        case RunEased():
            spool.ease(item.cut, item.shut)


def _assemble(folder: Path, target: Path, seconds: float) -> str:
    """Convert the spool folder, with `seconds` of audio, to the file and remove the folder; return a log line."""
    partial = folder / target.name
    try:
        create_private(partial)
        write_performance(partial, read_spool(folder))
        path = _place(partial, target)
    except MediaError:
        shutil.rmtree(folder, ignore_errors=True)
        return f"{target}: nothing was recorded"
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        kept = f"what was recorded is in {folder}, which `avatar render --coefficients` takes as well"
        return f"{target}: cannot be written ({first_line(error)}); {kept}"
    shutil.rmtree(folder, ignore_errors=True)
    return f"recorded {path}: {seconds:.0f} s, {path.stat().st_size / 1e6:.1f} MB"


def _place(partial: Path, target: Path) -> Path:
    """Give a file its name, or the next free number if the name is taken; never overwrite; return the path."""
    for path in itertools.chain([target], numbered(target)):
        try:
            os.link(partial, path)  # unlike a rename, fails if the target exists
        except FileExistsError:
            continue
        except OSError:  # a file system without links
            if path.exists():
                continue
            partial.replace(path)
        return path
    raise AssertionError("numbers do not end")
