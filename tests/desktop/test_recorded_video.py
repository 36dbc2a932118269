"""A video that is recorded beside what shows it: the session never notices what becomes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from streamer.audio.format import AUDIO_BLOCK, Samples
from streamer.core.errors import DeviceError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.desktop.ends import Ends
from streamer.desktop.recorded_video import RecordedVideo, beside
from tests import ROOT

pytestmark = pytest.mark.process

DELAY_MS = 320


class Device:
    """A screen and a loudspeaker that may be gone."""

    lead_s = 0.05

    def __init__(self) -> None:
        self.gone = False
        self.pictures: list[int] = []
        self.packets: list[int] = []
        self.delays: list[int] = []

    def show(self, frame: int, rgb: ByteArray) -> None:
        if self.gone:
            raise DeviceError("the screen is gone")
        self.pictures.append(frame)

    def play(self, block: int, samples: Samples) -> None:
        if self.gone:
            raise DeviceError("the loudspeaker is gone")
        self.packets.append(block)


def run(ends: Ends, frames: int) -> None:
    """A session of so many pictures, its delay before them: each a little lighter, and heard from frame 15 on."""
    ends.begin(DELAY_MS)
    assert ends.sound is not None
    for block in range(DELAY_MS // 20 + 2 * frames):
        frame = (20 * block - DELAY_MS) // 40
        ends.sound.play(block, np.full((AUDIO_BLOCK, 2), 8000 * (frame >= 15), np.int16))
        if block % 2 == 0:
            ends.pictures.show(frame, np.full((32, 32, 3), grey(frame), np.uint8))


def grey(frame: int) -> int:
    return 100 + 4 * frame


def onset(path: Path) -> float:
    """Seconds until something is heard."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    sound = np.abs(np.concatenate([frame.to_ndarray()[0] for frame in frames]))
    return float(frames[0].time or 0.0) + float(np.argmax(sound > 4000 / 32768)) / 48_000


def test_device_and_file_get_the_same(tmp_path: Path) -> None:
    device, notes = Device(), list[str]()
    with RecordedVideo(tmp_path / "v.mp4", Fit(32, 32), None, notes.append) as video:
        ends = beside(Ends(device, device, device.delays.append), video)
        assert ends.sound is not None
        assert ends.sound.lead_s == device.lead_s
        run(ends, 30)
    assert device.delays == [DELAY_MS]
    assert device.pictures == list(range(-8, 30))
    assert device.packets == list(range(76))
    assert notes == [f"recorded {tmp_path / 'v.mp4'}: 1 s"]
    with av.open(str(tmp_path / "v.mp4")) as container:
        decoded = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    assert decoded == pytest.approx([grey(frame) for frame in range(30)], abs=2.5)
    assert onset(tmp_path / "v.mp4") == pytest.approx(15 / 25, abs=0.01)


def test_without_a_loudspeaker_the_file_has_sound(tmp_path: Path) -> None:
    device = Device()
    with RecordedVideo(tmp_path / "v.mp4", Fit(32, 32), None, print) as video:
        run(beside(Ends(device, None, device.delays.append), video), 30)
    assert device.packets == []
    with av.open(str(tmp_path / "v.mp4")) as container:
        assert len(container.streams.video) == 1
    assert onset(tmp_path / "v.mp4") == pytest.approx(15 / 25, abs=0.01)


def test_a_device_that_is_lost_is_reported_and_the_file_goes_on(tmp_path: Path) -> None:
    device, notes = Device(), list[str]()
    with RecordedVideo(tmp_path / "v.mp4", Fit(32, 32), None, notes.append) as video:
        ends = beside(Ends(device, device, device.delays.append), video)
        run(ends, 25)
        device.gone = True
        assert ends.sound is not None
        with pytest.raises(DeviceError, match="screen"):
            ends.pictures.show(25, np.zeros((32, 32, 3), np.uint8))
        with pytest.raises(DeviceError, match="loudspeaker"):
            ends.sound.play(66, np.zeros((AUDIO_BLOCK, 2), np.int16))
    with av.open(str(tmp_path / "v.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 26


def test_a_disk_that_is_full_is_reported_once(tmp_path: Path) -> None:
    """No file may grow beyond 30 kB; the device gets all of it."""
    code = f"""
import resource, time
from pathlib import Path
import numpy as np
from streamer.desktop.ends import Ends
from streamer.core.letterbox import Fit
from streamer.desktop.recorded_video import RecordedVideo, beside
from tests.desktop.test_recorded_video import Device
def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    notes, device, rng = [], Device(), np.random.default_rng(1)
    with RecordedVideo(Path({str(tmp_path / "v.mkv")!r}), Fit(64, 64), None, notes.append) as video:
        ends = beside(Ends(device, None, device.delays.append), video)
        ends.begin(0)
        frame = 0
        while not notes or frame % 100:
            ends.pictures.show(frame, rng.integers(0, 256, (64, 64, 3), np.uint8))
            frame += 1
            time.sleep(0.002)
    assert device.pictures == list(range(frame))
    print(*notes, sep="\\n")
if __name__ == "__main__":
    main()
"""
    script = tmp_path / "full.py"
    script.write_text(code)
    root = ROOT
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=root, timeout=60, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": "."}
    )
    assert ended.returncode == 0
    (told,) = [line for line in ended.stdout.splitlines() if "too much" not in line]
    assert told.startswith(f"{tmp_path / 'v.mkv'}: cannot be written any further (")
    assert told.endswith("; the session goes on")
