"""A recording while it grows: nothing is written over, and neither a full disk nor a killed program loses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from engines.manifest import Manifest
from streamer.audio.format import AUDIO_BLOCK, Samples
from streamer.audio.sound_file import read_stereo
from streamer.core.errors import AvatarError, MediaError
from streamer.core.options import PLAIN_FACE
from streamer.inference.messages import RunBegan, RunEased, RunWentOn
from streamer.recording.performance import About, Performance
from streamer.recording.performance_file import open_performance
from streamer.recording.recorder import MOST_WAITING, Recorder, Recordings, check_target
from streamer.recording.spool import Spool
from streamer.stages.mouth_easing import Shut
from tests import ROOT
from tests.waiting import until

ABOUT = About(("open", "wide"), ("yaw",), 25, "tiny", "dot", 185, (None, 4.5, None))
ROW_BYTES = 8 + 1 + 4 + 3 * 4
REST = np.array([0.1, 0.2], np.float32)


def rows(first: int, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Coefficients that tell their frame."""
    return np.repeat(np.arange(first, first + count, dtype=np.float32)[:, None], 3, axis=1)


def block(number: int) -> Samples:
    """Sound that tells its block."""
    return np.full((AUDIO_BLOCK, 2), number + 1, np.int16)


def record(recorder: Recorder, frames: int = 50) -> None:
    """Frames with their sound, one after the other."""
    recorder.on_performance(RunBegan(1, 0, REST))
    for frame in range(frames):
        recorder.on_performance(RunWentOn(1, frame, rows(frame, 1)))
        for number in (2 * frame, 2 * frame + 1):
            recorder.hear(number * AUDIO_BLOCK, block(number))


def until_written(folder: Path, frames: int) -> Path:
    """Wait until the only recording in a folder has so many; where it grows."""
    until(lambda: any(spool.stat().st_size >= frames * ROW_BYTES for spool in folder.glob(".*.partial/rows")))
    (found,) = folder.iterdir()
    return found


def read(path: Path) -> tuple[Performance, Samples]:
    with open_performance(path) as found:
        assert found.sound is not None
        return found, np.concatenate(list(read_stereo(found.sound)))


def lying_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Recorded:
    """A recorder of a file, and what it noted."""

    def __init__(self, target: Path) -> None:
        self.notes: list[str] = []
        self.recorder = Recorder(lambda: target, ABOUT, self.notes.append)


def test_gaps_are_silent_and_repeated_sound_changes_nothing(tmp_path: Path) -> None:
    made = Recorded(tmp_path / "r.npz")
    with made.recorder as recorder:
        recorder.hear(-AUDIO_BLOCK, block(-1))
        recorder.on_performance(RunBegan(1, 0, REST))
        recorder.on_performance(RunWentOn(1, 0, rows(0, 10)))
        recorder.hear(0, block(0))
        recorder.hear(5 * AUDIO_BLOCK, block(5))
        recorder.hear(5 * AUDIO_BLOCK - 100, np.full((AUDIO_BLOCK, 2), 99, np.int16))
        recorder.hear(6 * AUDIO_BLOCK, block(6))
        recorder.on_performance(RunWentOn(1, 8, rows(100, 4)))
        recorder.on_performance(RunBegan(1, 30, REST))
        recorder.on_performance(RunWentOn(1, 30, rows(30, 5)))
    found, sound = read(tmp_path / "r.npz")
    assert found.about == ABOUT
    np.testing.assert_array_equal(found.index, [*range(12), *range(30, 35)])
    np.testing.assert_array_equal(found.expression[:, 0], [*range(10), 102, 103, *range(30, 35)])
    assert list(found.starts) == [0, 12]
    np.testing.assert_array_equal(found.rest, REST)
    silence = np.zeros((4 * AUDIO_BLOCK, 2), np.int16)
    np.testing.assert_array_equal(sound, np.concatenate([block(0), silence, block(5), block(6)]))


def test_a_cut_reaches_back_to_frames_not_shown_yet(tmp_path: Path) -> None:
    """Frames that were told of already, from the cut on; not those before, and nothing of the next run."""
    made, shut, again = Recorded(tmp_path / "r.npz"), Shut(20, 30), Shut(33, 40)
    with made.recorder as recorder:
        recorder.on_performance(RunBegan(1, 0, REST))
        recorder.on_performance(RunWentOn(1, 0, rows(0, 24)))
        recorder.on_performance(RunEased(1, 20, shut))
        recorder.on_performance(RunWentOn(1, 24, rows(24, 11)))
        recorder.on_performance(RunEased(1, 33, again))
        recorder.on_performance(RunWentOn(1, 35, rows(35, 10)))
        recorder.on_performance(RunBegan(1, 45, REST))
        recorder.on_performance(RunWentOn(1, 45, rows(45, 5)))
        recorder.hear(0, block(0))
    expected = [1.0] * 20 + [shut.freedom(i) for i in range(20, 33)] + [again.freedom(i) for i in range(33, 45)]
    found, _ = read(tmp_path / "r.npz")
    np.testing.assert_array_equal(found.freedom, np.array([*expected, *[1.0] * 5], np.float32))
    assert 0 < found.freedom[32] < 1
    assert found.freedom[33] == np.float32(again.freedom(33))
    np.testing.assert_array_equal(found.expression[:, 0], np.arange(50))


@pytest.mark.process
def test_the_folder_that_a_killed_program_leaves_is_played_as_it_is(tmp_path: Path) -> None:
    """Up to the last whole record; the sound, too."""
    code = f"""
import os, signal, sys
from pathlib import Path
from tests.recording.test_recorder import ABOUT, Recorder, record, until_written
folder = Path({str(tmp_path)!r})
recorder = Recorder(lambda: folder / "r.npz", ABOUT, print)
record(recorder, 500)
until_written(folder, 500)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".r.npz.")
    with (left / "rows").open("ab") as file:
        file.write(b"broken off")
    found, sound = read(left)
    assert len(found.index) >= 499
    np.testing.assert_array_equal(found.expression[:, 0], np.arange(len(found.index)))
    assert found.about == ABOUT
    whole = np.concatenate([block(number) for number in range(1000)])
    assert len(sound) >= 0.97 * len(whole)
    np.testing.assert_array_equal(sound, whole[: len(sound)])


@pytest.mark.process
def test_a_disk_that_is_full_ends_the_recording_and_not_the_session(tmp_path: Path) -> None:
    """As far as a process can have a full disk of its own: no file may grow beyond 20 kB."""
    code = f"""
import resource
from pathlib import Path
from tests.recording.test_recorder import ABOUT, Recorder, record
from tests.waiting import until
notes = []
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
recorder = Recorder(lambda: Path({str(tmp_path / "r.npz")!r}), ABOUT, notes.append)
record(recorder, 600)
until(lambda: notes)
record(recorder, 10)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with recorder:
    pass
print(*notes, sep="\\n")
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, stdout=subprocess.PIPE, text=True)
    assert ended.returncode == 0
    full, recorded = ended.stdout.splitlines()
    assert full == f"{tmp_path / 'r.npz'}: the recording ends here (File too large), the session goes on"
    assert recorded.startswith(f"recorded {tmp_path / 'r.npz'}")
    assert lying_in(tmp_path) == ["r.npz"]
    found, sound = read(tmp_path / "r.npz")
    assert 20 < len(found.index) < 600
    np.testing.assert_array_equal(found.expression[:, 0], np.arange(len(found.index)))
    whole = np.concatenate([block(number) for number in range(2 * 600)])
    np.testing.assert_array_equal(sound, whole[: len(sound)])
    assert len(sound) > AUDIO_BLOCK * 20


def test_a_folder_that_is_lost_is_reported_once(tmp_path: Path) -> None:
    made = Recorded(tmp_path / "nowhere" / "r.npz")
    with made.recorder as recorder:
        record(recorder)
    assert made.notes == [f"{tmp_path / 'nowhere' / 'r.npz'}: nothing is recorded (No such file or directory)"]


def test_a_file_that_cannot_be_made_keeps_the_recording(tmp_path: Path) -> None:
    made = Recorded(tmp_path / "r.npz")
    with made.recorder as recorder:
        record(recorder)
        spool = until_written(tmp_path, 50)
        (spool / "r.npz").mkdir()
    assert f"cannot be written (Is a directory); what was recorded is in {spool}" in made.notes[0]
    (spool / "r.npz").rmdir()
    assert len(read(spool)[0].index) == 50


def test_a_disk_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    """What waits is bounded; what came before is kept."""
    held = threading.Event()

    def target() -> Path:
        held.wait(30)
        return tmp_path / "r.npz"

    notes: list[str] = []
    with Recorder(target, ABOUT, notes.append) as recorder:
        record(recorder, MOST_WAITING)
        assert notes == ["the disk does not keep up: the recording ends here, the session goes on"]
        held.set()
    found, _ = read(tmp_path / "r.npz")
    assert abs(len(found.index) - MOST_WAITING // 3) <= 2


def test_a_session_that_says_nothing_leaves_nothing(tmp_path: Path) -> None:
    made = Recorded(tmp_path / "r.npz")
    with made.recorder:
        pass
    assert made.notes == []
    made = Recorded(tmp_path / "r.npz")
    with made.recorder as recorder:
        recorder.hear(0, block(0))
    assert made.notes == [f"{tmp_path / 'r.npz'}: nothing was recorded"]
    assert lying_in(tmp_path) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """Also what came to lie there while the session went on."""
    target = tmp_path / "r.npz"
    made = Recorded(target)
    with made.recorder as recorder:
        record(recorder)
        target.write_text("mine")
    assert target.read_text() == "mine"
    assert made.notes[0].startswith(f"recorded {tmp_path / 'r-1.npz'}: 2 s")
    assert lying_in(tmp_path) == ["r-1.npz", "r.npz"]


def test_sessions_of_a_server_get_files_of_their_own(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "talk-2.npz").write_text("mine")
    notes: list[str] = []
    recordings = Recordings(tmp_path / "talk.npz", Manifest.load(tiny_folder), notes.append)
    silent, *talking = [recordings.recorder("dot", 185, PLAIN_FACE) for _ in range(3)]
    for count, recorder in enumerate(talking):
        recorder.on_performance(RunBegan(1, 0, np.zeros(4, np.float32)))
        recorder.on_performance(RunWentOn(1, 0, np.zeros((10 + count, 10), np.float32)))
        recorder.hear(0, block(0))
    silent.finish()
    recordings.close()
    assert lying_in(tmp_path) == ["talk-1.npz", "talk-2.npz", "talk-3.npz"]
    lengths = [len(read(tmp_path / name)[0].index) for name in ("talk-1.npz", "talk-3.npz")]
    assert sorted(lengths) == [10, 11]
    assert len(notes) == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("r.mp4", r"expected a name that ends in \.npz"),
        ("nowhere/r.npz", "there is no folder"),
        ("there.npz", "is there already; remove it, or choose another name"),
    ],
)
def test_an_impossible_target_is_refused_beforehand(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "there.npz").write_text("mine")
    with pytest.raises(AvatarError, match=says):
        check_target(tmp_path / name)


@pytest.mark.parametrize(
    ("file", "data", "says"),
    [
        ("about.json", b"{", "not what a recording leaves"),
        ("about.json", b'{"fps": 25}', "not what a recording leaves"),
        ("about.json", b"[1]", "not what a recording leaves"),
        ("rows", b"", "nothing was recorded"),
        ("rest", b"12", "a recording that cannot be read"),
        ("rest", b"", r"rest is \[0\], \[2\] expected"),
        ("rows", b"\xff" * 1000, "expected|no numbers"),
    ],
)
def test_a_damaged_folder_is_refused(file: str, data: bytes, says: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "left", ABOUT)
    spool.begin(REST)
    spool.add(0, rows(0, 10))
    spool.hear(0, block(0))
    spool.close()
    assert len(read(tmp_path / "left")[0].index) == 10
    (tmp_path / "left" / file).write_bytes(data)
    with pytest.raises(MediaError, match=says) as refusal:
        read(tmp_path / "left")
    assert "\n" not in str(refusal.value)
    assert os.fspath(tmp_path / "left") in str(refusal.value)
