"""Sound in, frames out: the same frames however the sound is cut, none changed by later sound, at every look-ahead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.manifest import Manifest
from streamer.core.errors import ManifestError
from streamer.core.frames import AvatarFrame, CoefficientWindow, FloatArray
from streamer.core.rates import SAMPLES_PER_FRAME, ms_to_samples
from streamer.pipeline import Avatar, CoefficientStream, Engines, FaceRenderer, Pipeline, PipelineOptions
from tests.fakes.sound import chunks, speech_like
from tests.families import tiny_family

CLIP = speech_like(4.21)
ANOTHER = np.float32(0.8) * speech_like(1.0, seed=5)
DIALS = [None, 185, 160, 145, 120, 80, 40, 17, 0]


def windows_of(
    engines: Engines, avatar: Avatar, pieces: list[FloatArray], options: PipelineOptions
) -> list[CoefficientWindow]:
    stream = CoefficientStream(engines, avatar, options)
    return [*(window for piece in pieces for window in stream.push(piece)), *stream.flush()]


def values(windows: list[CoefficientWindow]) -> FloatArray:
    return np.stack([window.values for window in windows])


@pytest.mark.parametrize("milliseconds", DIALS)
def test_chunked_equals_whole(tiny: Engines, dot: Avatar, milliseconds: int | None) -> None:
    options = PipelineOptions(milliseconds)
    for clip, sizes in ((CLIP[:40_000], (320, 641, 4000)), (CLIP[:8000], (16,))):
        whole = windows_of(tiny, dot, [clip], options)
        assert [w.index for w in whole] == list(range(-(-len(clip) // SAMPLES_PER_FRAME)))
        for size in sizes:
            cut = windows_of(tiny, dot, chunks(clip, size), options)
            assert [w.index for w in cut] == [w.index for w in whole], size
            np.testing.assert_allclose(values(cut), values(whole), atol=1e-5, err_msg=f"in pieces of {size}")


@pytest.mark.parametrize("milliseconds", DIALS)
def test_a_frame_comes_no_later_than_the_dial_says(tiny: Engines, dot: Avatar, milliseconds: int | None) -> None:
    """When the sound up to the frame's start plus the look-ahead is there, so is the frame."""
    stream, ready = CoefficientStream(tiny, dot, PipelineOptions(milliseconds)), 0
    lookahead = max(1, ms_to_samples(185 if milliseconds is None else milliseconds))
    for end in range(80, 16_000, 80):
        ready += len(stream.push(CLIP[end - 80 : end]))
        assert ready >= (end - lookahead) // SAMPLES_PER_FRAME + 1


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 30_000), dial=st.sampled_from(DIALS))
def test_later_sound_never_changes_an_earlier_frame(tiny: Engines, dot: Avatar, cut: int, dial: int | None) -> None:
    early = CoefficientStream(tiny, dot, PipelineOptions(dial)).push(CLIP[:cut])
    other = np.concatenate([CLIP[:cut], ANOTHER])
    late = CoefficientStream(tiny, dot, PipelineOptions(dial)).push(other)
    if early:
        np.testing.assert_allclose(values(late[: len(early)]), values(early), atol=1e-5)


def test_less_lookahead_delays_the_mouth_by_whole_frames(tiny: Engines, dot: Avatar) -> None:
    """Idle life apart, which is made of the same seed, the expression is the same, `lag` frames later."""
    full = values(windows_of(tiny, dot, [CLIP], PipelineOptions(None)))[:, :4, 1]
    none = values(windows_of(tiny, dot, [CLIP], PipelineOptions(0)))[:, :4, 1]
    mouth = tiny_family.UNITS.index("open")
    shifts = [float(np.abs(full[: 90 - lag, mouth] - none[lag:90, mouth]).mean()) for lag in range(8)]
    assert int(np.argmin(shifts)) == 4


def test_the_seed_chooses_the_idle_motion_and_nothing_else_does(tiny: Engines, dot: Avatar) -> None:
    first, again = (values(windows_of(tiny, dot, [CLIP], PipelineOptions(seed=1))) for _ in range(2))
    other = values(windows_of(tiny, dot, [CLIP], PipelineOptions(seed=2)))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first[:, 4:] - other[:, 4:]).max() > 0.1


def test_expressions_stay_within_their_range(tiny: Engines, dot: Avatar) -> None:
    loud = values(windows_of(tiny, dot, [np.clip(100 * CLIP, -1, 1)], PipelineOptions()))[:, :4]
    assert loud.min() >= 0.0
    assert loud.max() <= 1.0


def frames_of(pipeline: Pipeline, clip: FloatArray) -> list[AvatarFrame]:
    return pipeline.push(clip) + pipeline.flush()


def test_frames_follow_the_sound(tiny: Engines, dot: Avatar) -> None:
    frames = frames_of(Pipeline(tiny, dot), CLIP)
    assert [frame.position for frame in frames] == list(range(0, len(CLIP), SAMPLES_PER_FRAME))
    assert all(frame.rgb.shape == (32, 32, 3) and frame.rgb.dtype == np.uint8 for frame in frames)
    still = frames_of(Pipeline(tiny, dot), np.zeros_like(CLIP))
    moved = [np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in zip(frames, still, strict=True)]
    assert max(moved) > 1.0


def test_the_halves_make_what_the_whole_makes(tiny: Engines, dot: Avatar) -> None:
    """A server runs the halves apart; gathered in another order, the pictures are the same."""
    whole = frames_of(Pipeline(tiny, dot), CLIP)
    windows = windows_of(tiny, dot, chunks(CLIP, 777), PipelineOptions())
    renderer = FaceRenderer(tiny, dot)
    apart = {frame.index: frame.rgb for window in windows[::-1] for frame in renderer.render([window])}
    for frame in whole:
        np.testing.assert_allclose(apart[frame.index].astype(int), frame.rgb, atol=1)


def test_reset_starts_anew(tiny: Engines, dot: Avatar) -> None:
    pipeline = Pipeline(tiny, dot, PipelineOptions(seed=3))
    first = frames_of(pipeline, CLIP)
    pipeline.reset()
    pipeline.push(CLIP[1234:9999])
    pipeline.reset()
    for before, after in zip(first, frames_of(pipeline, CLIP), strict=True):
        np.testing.assert_array_equal(before.rgb, after.rgb)


def test_no_sound_no_frames(tiny: Engines, dot: Avatar) -> None:
    assert frames_of(Pipeline(tiny, dot), np.zeros(0, np.float32)) == []
    assert len(frames_of(Pipeline(tiny, dot), np.zeros(1, np.float32))) == 1


@pytest.mark.parametrize(
    ("process", "pose", "message"),
    [
        ("waltz", tiny_family.POSE, "pose process waltz, this version has idle-and-speech, pose-vae"),
        ("idle-and-speech", ("yaw", "pitch"), "pose is yaw, pitch, expected pitch, yaw, roll, tx, ty, tz"),
    ],
)
def test_a_family_whose_pose_is_made_otherwise_is_refused(
    dot: Avatar, tmp_path: Path, process: str, pose: tuple[str, ...], message: str
) -> None:
    folder = tiny_family.build(tmp_path)
    tiny_family.edit(folder, lambda data: data["stages"]["pose"].update(process=process))
    tiny_family.edit(folder, lambda data: data["coefficients"].update(pose=list(pose)))
    engines = Engines.open(Manifest.load(folder), threads=1)
    with pytest.raises(ManifestError, match=message):
        CoefficientStream(engines, dot)
