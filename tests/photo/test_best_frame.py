"""A clip in place of a photo: its best picture is taken, and what has none is told in a line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.avatar.bundle_files import read_arrays
from streamer.avatar.manner import Manner
from streamer.cli.main import main
from streamer.core.errors import PhotoError
from streamer.photo.best_frame import STEP, choose, is_clip, read_clip
from streamer.vision.landmarks import Landmarker
from tests.fakes import faces
from tests.fakes.video import write_video


def looking(yaw: float = 0.0, mouth: float = 0.0, eyes: float = 0.3) -> np.ndarray:
    """Landmarks [478, 3] of a face of which only what is judged is known."""
    points = np.zeros((478, 3), np.float32)
    points[454] = 2 * np.array([np.cos(np.radians(yaw)), 0, np.sin(np.radians(yaw))])
    points[10] = (0, -2, 0)
    points[291], points[133], points[263], points[362] = (1, 0, 0), (1, 0, 0), (2, 0, 0), (1, 0, 0)
    points[14], points[145], points[374] = (0, mouth, 0), (0, eyes, 0), (0, eyes, 0)
    return points


@pytest.mark.parametrize(
    ("worse", "sharp"),
    [({"yaw": 15.0}, 1.0), ({"mouth": 0.2}, 1.0), ({"eyes": 0.1}, 1.0), ({}, 0.3)],
)
def test_a_front_with_open_eyes_and_a_shut_mouth_is_chosen(worse: dict[str, float], sharp: float) -> None:
    frames = np.stack([looking(**worse), looking(), looking(**worse), looking(**worse)])
    assert choose(frames, np.array([sharp, 1.0, sharp, sharp])) == 1
    frames[1] = np.nan
    assert choose(frames, np.array([sharp, 0.0, sharp, sharp])) == 0


@pytest.mark.slow
def test_the_sharp_picture_of_a_clip_is_found_and_made_an_avatar(
    landmarker: Landmarker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVATAR_HOME", str(tmp_path))
    sharp = faces.portrait("mina", 512)
    soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 5), np.uint8)
    clip = write_video(tmp_path / "Me Talking.mp4", [*[soft] * STEP, *[sharp] * STEP, *[soft] * STEP])
    assert is_clip(clip)
    seen = read_clip(clip, landmarker)
    assert seen.seconds == pytest.approx(STEP / 25)
    assert np.abs(seen.picture.astype(float) - sharp).mean() < 4
    assert main(["prepare", str(clip)]) == 0
    assert "took the picture at 0.1 s of the clip" in capsys.readouterr().out
    assert (tmp_path / "avatars" / "me-talking" / "avatar.json").is_file()


@pytest.mark.parametrize(("pictures", "words"), [(0, "not a video"), (5, "no human face")])
def test_a_clip_that_gives_no_portrait_is_told_in_a_line(
    pictures: int, words: str, landmarker: Landmarker, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    if pictures:
        write_video(clip, [np.full((128, 128, 3), 90, np.uint8)] * pictures)
    else:
        clip.write_bytes(b"no video at all")
    with pytest.raises(PhotoError, match=words):
        read_clip(clip, landmarker)


@pytest.mark.slow
def test_the_person_s_manner_goes_into_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVATAR_HOME", str(tmp_path))
    still = faces.portrait("mina", 256)
    assert main(["prepare", str(write_video(tmp_path / "calm.mp4", [still] * 125))]) == 0
    assert "moves as in the clip: 0.5 times the usual pitch, 0.5 times the usual yaw" in capsys.readouterr().out
    arrays = read_arrays(tmp_path / "avatars" / "calm" / "arrays.npz")
    assert Manner.of(arrays).yaw == 0.5
    assert Manner.of(arrays).blinks < 1
    assert main(["prepare", str(write_video(tmp_path / "brief.mp4", [still] * 25))]) == 0
    assert "moves as" not in capsys.readouterr().out
    assert "manner" not in read_arrays(tmp_path / "avatars" / "brief" / "arrays.npz")
