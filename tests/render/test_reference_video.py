"""Head motion and lids taken from a video: read at our frame rate, repeated without a jump, refused in one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.cli.main import main
from streamer.core.errors import ConfigError, MediaError
from streamer.core.frames import ByteArray
from streamer.render.reference_video import LONGEST_GAP, faces, read_script
from streamer.vision.landmarks import shared_landmarker
from streamer.vision.video_pictures import pictures
from tests.fakes.sound import speech_like, write_wav
from tests.fakes.video import write_video


@pytest.fixture(scope="module")
def portrait() -> ByteArray:
    picture = cv2.imread(str(SHIPPED_FAMILY / "avatars" / "mina" / "portrait.webp"))
    assert picture is not None
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def grey(level: int) -> ByteArray:
    return np.full((32, 32, 3), level, np.uint8)


@pytest.mark.parametrize(("rate", "frames", "expected"), [(25, 10, 10), (50, 20, 10), (10, 5, 11)])
def test_pictures_come_at_our_rate(tmp_path: Path, rate: int, frames: int, expected: int) -> None:
    """Each is the one that the video shows at its moment."""
    video = write_video(tmp_path / "v.mp4", [grey(10 * i) for i in range(frames)], rate)
    found = [int(picture.mean()) for picture in pictures(video)]
    moments = np.arange(expected) / 25
    shown = np.minimum((moments * rate + 1e-6).astype(int), frames - 1)
    np.testing.assert_allclose(found, 10 * shown, atol=4)


@pytest.mark.slow
def test_a_gap_repeats_the_last_face_and_a_long_one_is_reported(tmp_path: Path, portrait: ByteArray) -> None:
    nothing = np.zeros_like(portrait)
    short = write_video(tmp_path / "short.mp4", [portrait, nothing, nothing, portrait])
    points = [landmarks for _, landmarks in faces(short, shared_landmarker())]
    assert len(points) == 4
    np.testing.assert_array_equal(points[2], points[0])
    long = write_video(tmp_path / "long.mp4", [portrait, *[nothing] * (LONGEST_GAP + 2)])
    with pytest.raises(MediaError, match=r"long\.mp4: no face from 0\.0 s on"):
        list(faces(long, shared_landmarker()))
    none = write_video(tmp_path / "none.mp4", [nothing] * 3)
    with pytest.raises(MediaError, match=r"none\.mp4: no face found in it"):
        list(faces(none, shared_landmarker()))


@pytest.mark.slow
def test_tracks_are_read_and_played_there_and_back(narrow_folder: Path, tmp_path: Path, portrait: ByteArray) -> None:
    frames = [np.asarray(np.roll(portrait, 3 * i, axis=1), np.uint8) for i in range(5)]
    video = write_video(tmp_path / "v.mp4", frames)
    script = read_script(Manifest.load(narrow_folder), video, video)
    assert script.pose is not None
    assert script.reference is not None
    assert (script.pose.shape, script.reference.shape) == ((8, 6), (8, 64))
    for track in (script.pose, script.reference):
        np.testing.assert_array_equal(track[[5, 6, 7]], track[[3, 2, 1]])
        assert np.abs(np.diff(track[:5], axis=0)).max() > 0
    only = read_script(Manifest.load(narrow_folder), None, video)
    assert only.pose is None
    np.testing.assert_array_equal(only.reference, script.reference)


def test_a_file_that_is_not_a_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "v.mp4"
    text.write_text("I am a text.")
    sound = write_wav(tmp_path / "s.wav", speech_like(0.5))
    for path, message in ((text, "not a video"), (sound, "holds no pictures"), (tmp_path / "gone", "no such file")):
        with pytest.raises(MediaError, match=f"{path.name}: {message}"):
            list(pictures(path))


def test_a_family_that_reads_no_coefficients_says_so(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "v.mp4", [grey(0)] * 2)
    with pytest.raises(ConfigError, match="family tiny cannot read a face's motion off a video"):
        read_script(Manifest.load(tiny_folder), video, None)
    sound = write_wav(tmp_path / "s.wav", speech_like(0.5))
    command = ["render", "--engines", str(tiny_folder), "--audio", str(sound), "--out", str(tmp_path / "o.mp4")]
    assert main([*command, "--reference-blink", str(video)]) == 2
    assert main([*command, "--reference-pose", str(video), "--still"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[-1] for line in told] == [
        "family tiny cannot read a face's motion off a video",
        "a still head and a reference pose exclude each other",
    ]
