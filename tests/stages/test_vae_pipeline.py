"""The pipeline of a family with a face model: the reference's numbers offline, a head that never jumps live."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar.bundle import Avatar
from streamer.core.errors import BundleError
from streamer.core.frames import CoefficientWindow, FloatArray, Script
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import SAMPLES_PER_FRAME, ms_to_samples
from streamer.pipeline import CoefficientStream, FaceRenderer
from streamer.stages.mel_windows import clip_windows
from streamer.stages.motion import MotionStage
from streamer.stages.vae_pose import MOST_BEND
from tests.fakes.sound import chunks, speech_like
from tests.families import tiny_family, tiny_vae_family
from tests.families.tiny_vae_family import BLOCK, EXPRESSION, NOISE, PAST, REST, STYLES, WIDTH

pytestmark = pytest.mark.slow

DIALS = [None, 400, 265, 145, 120, 40, 0]
CLIP = speech_like(4.21)
ANOTHER = np.float32(0.8) * speech_like(2.0, seed=5)
FRAMES = -(-len(CLIP) // SAMPLES_PER_FRAME)
RNG = np.random.default_rng(0)
SCRIPT = Script(
    blink=RNG.uniform(size=200).astype(np.float32), noise=RNG.standard_normal((6, NOISE)).astype(np.float32)
)
OFFLINE = PipelineOptions(face=FaceOptions(pose_mode="offline", pose_style=2))
MODES = ["live", "offline"]


def options(dial: int | None, mode: str) -> PipelineOptions:
    return PipelineOptions(dial, face=FaceOptions(pose_mode=mode))


def run(
    engines: Engines,
    avatar: Avatar,
    pieces: list[FloatArray],
    options: PipelineOptions | None = None,
    script: Script | None = None,
) -> list[CoefficientWindow]:
    stream = CoefficientStream(engines, avatar, options, script)
    return [*(window for piece in pieces for window in stream.push(piece)), *stream.flush()]


def values(windows: list[CoefficientWindow]) -> FloatArray:
    return np.stack([window.values for window in windows])


def coefficients(windows: list[CoefficientWindow]) -> tuple[FloatArray, FloatArray]:
    """Expression and pose of every frame."""
    now = values(windows)[:, :, PAST]
    return now[:, :EXPRESSION], now[:, EXPRESSION:]


def block(engines: Engines, avatar: Avatar, mel: FloatArray, number: int) -> FloatArray:
    assert SCRIPT.noise is not None
    style = np.eye(STYLES, dtype=np.float32)[2:3]
    inputs = {"mel": mel, "noise": SCRIPT.noise[number : number + 1], "style": style}
    residual: FloatArray = engines["pose"].infer({**inputs, "reference_pose": avatar.constants["reference_pose"]})[
        "residual"
    ]
    return residual


def reference_pose(engines: Engines, avatar: Avatar, mel: FloatArray) -> FloatArray:
    """The whole track at once, as the reference implementation makes it."""
    rest, mel = avatar.constants["reference_pose"], mel[1:]
    whole, tail = divmod(len(mel), BLOCK)
    blocks = [block(engines, avatar, mel[i * BLOCK : (i + 1) * BLOCK], i) for i in range(whole)]
    if tail:
        last = mel[-BLOCK:]
        last = np.concatenate([np.repeat(last[:1], BLOCK - len(last), axis=0), last])
        blocks.append(block(engines, avatar, last, whole)[-tail:])
    raw = np.concatenate([np.zeros((1, 6), np.float32), *blocks]) + rest
    frames = np.arange(len(raw))
    starts = np.clip(frames - 6, 0, len(raw) - 13)
    smooth = np.empty_like(raw)
    for frame, start in zip(frames, starts, strict=True):
        window = np.arange(start, start + 13)
        smooth[frame] = [np.polyval(np.polyfit(window - frame, column[window], 2), 0) for column in raw.T]
    return smooth


@pytest.mark.parametrize("frames", [15, 33, 34, 65, 100])
@pytest.mark.parametrize("size", [639, 640, 50_000])
def test_offline_gives_the_reference_s_numbers(vae: Engines, ada: Avatar, frames: int, size: int) -> None:
    """Clips shorter than a block, of a block, one more, two blocks, and three with a tail."""
    clip = CLIP[: frames * SAMPLES_PER_FRAME]
    mel = clip_windows(clip)
    assert SCRIPT.blink is not None
    blink = SCRIPT.blink[:frames, None]
    reference = ada.constants["reference_expression"]
    expected = vae["expression"].infer({"mel": mel, "blink": blink, "reference_expression": reference})["expression"]
    windows = run(vae, ada, chunks(clip, size), OFFLINE, SCRIPT)
    expression, pose = coefficients(windows)
    np.testing.assert_allclose(expression, expected, atol=1e-5)
    np.testing.assert_allclose(pose, reference_pose(vae, ada, mel), atol=1e-5)
    # The motion stage sees 13 frames to both sides, the ends repeated.
    track = np.concatenate([expression, pose], axis=1).T
    indices = np.clip(np.arange(-13, 14) + np.arange(frames)[:, None], 0, frames - 1)
    np.testing.assert_allclose(values(windows), track[:, indices].transpose(1, 0, 2), atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dial", DIALS)
@pytest.mark.parametrize("size", [641, 4000])
def test_chunked_equals_whole(vae: Engines, ada: Avatar, dial: int | None, mode: str, size: int) -> None:
    clip = CLIP[: 63 * SAMPLES_PER_FRAME - 100]  # two blocks but for a frame, of which a part is missing
    whole = run(vae, ada, [clip], options(dial, mode))
    cut = run(vae, ada, chunks(clip, size), options(dial, mode))
    assert [w.index for w in cut] == [w.index for w in whole] == list(range(63))
    np.testing.assert_allclose(values(cut), values(whole), atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 60_000), dial=st.sampled_from(DIALS), mode=st.sampled_from(MODES))
def test_later_sound_never_changes_an_earlier_frame(
    vae: Engines, ada: Avatar, cut: int, dial: int | None, mode: str
) -> None:
    early = CoefficientStream(vae, ada, options(dial, mode)).push(CLIP[:cut])
    other = np.concatenate([CLIP[:cut], ANOTHER])
    late = CoefficientStream(vae, ada, options(dial, mode)).push(other)
    if early:
        np.testing.assert_allclose(values(late[: len(early)]), values(early), atol=1e-5)


@pytest.mark.parametrize("dial", DIALS)
def test_live_a_frame_comes_no_later_than_the_dial_says(vae: Engines, ada: Avatar, dial: int | None) -> None:
    """The head's motion adds no waiting to it."""
    stream, ready = CoefficientStream(vae, ada, options(dial, "live")), 0
    lookahead = max(1, ms_to_samples(665 if dial is None else dial))
    for end in range(80, 40_000, 80):
        ready += len(stream.push(CLIP[end - 80 : end]))
        assert ready >= (end - lookahead) // SAMPLES_PER_FRAME + 1


def test_live_motion_never_jumps_and_starts_from_the_portrait(vae: Engines, ada: Avatar) -> None:
    """Second difference, whatever the network gives: this one's blocks do not fit together at all."""
    rest = ada.constants["reference_pose"][0]
    loud = np.tile(CLIP, 4) * np.where(np.arange(4 * len(CLIP)) // 8000 % 2, 5.0, 0.0).astype(np.float32)
    _, pose = coefficients(run(vae, ada, [loud], options(265, "live")))
    path = np.concatenate([rest[None], rest[None], pose])
    assert np.abs(np.diff(path, 2, axis=0)).max() <= MOST_BEND + 1e-5
    assert np.abs(pose - rest).max() < 0.5
    assert np.ptp(pose, axis=0).min() > 0.02


def test_live_motion_answers_to_the_sound_a_block_later(vae: Engines, ada: Avatar) -> None:
    silence = np.zeros_like(CLIP)
    heard = np.concatenate([silence[: 60 * SAMPLES_PER_FRAME], CLIP])
    _, quiet = coefficients(run(vae, ada, [np.concatenate([silence, silence])], options(265, "live")))
    _, moved = coefficients(run(vae, ada, [heard], options(265, "live")))
    apart = np.abs(quiet[: len(moved)] - moved).max(axis=1)
    assert apart[:58].max() < 1e-5
    assert apart[58 + BLOCK :].max() > 0.01


@pytest.mark.parametrize("mode", MODES)
def test_still_holds_the_portrait_s_pose(vae: Engines, ada: Avatar, mode: str) -> None:
    face = FaceOptions(still=True, pose_mode=mode)
    expression, pose = coefficients(run(vae, ada, chunks(CLIP, 999), PipelineOptions(0, face=face)))
    np.testing.assert_array_equal(pose, np.repeat(ada.constants["reference_pose"], FRAMES, axis=0))
    assert np.ptp(expression, axis=0).min() > 0.1


def test_expression_scale_multiplies_the_expression_alone(vae: Engines, ada: Avatar) -> None:
    plain = coefficients(run(vae, ada, [CLIP]))
    scaled = coefficients(run(vae, ada, [CLIP], PipelineOptions(face=FaceOptions(expression_scale=1.5))))
    np.testing.assert_allclose(scaled[0], 1.5 * plain[0], rtol=1e-5)
    np.testing.assert_array_equal(scaled[1], plain[1])


@pytest.mark.parametrize("mode", MODES)
def test_style_and_seed_choose_the_head_s_motion(vae: Engines, ada: Avatar, mode: str) -> None:
    def pose(style: int | None, seed: int) -> FloatArray:
        face = FaceOptions(pose_style=style, pose_mode=mode)
        return coefficients(run(vae, ada, [CLIP], PipelineOptions(seed=seed, face=face)))[1]

    np.testing.assert_array_equal(pose(None, 1), pose(0, 1))
    assert np.abs(pose(3, 1) - pose(0, 1)).max() > 0.02
    assert np.abs(pose(0, 2) - pose(0, 1)).max() > 0.02


def test_blinks_have_the_reference_s_shape_and_gaps(vae: Engines, ada: Avatar) -> None:
    """Seen through the network: two runs that differ in nothing but blinks."""
    minute = np.zeros(60 * 16_000, np.float32)
    never, always = (Script(blink=np.array([ratio], np.float32)) for ratio in (0.0, 1.0))
    face = PipelineOptions(0, seed=4, face=FaceOptions(still=True))
    shut, opened, drawn = (coefficients(run(vae, ada, [minute], face, script))[0] for script in (always, never, None))
    ratio = (drawn - opened)[4:, 0] / (shut - opened)[4:, 0]  # the first four lag: no sound yet
    closed = np.flatnonzero(ratio > 0.9999)
    gaps = np.diff(closed) - 5
    assert len(closed) >= 60 * 25 / 75 - 1
    assert gaps.min() >= 10
    assert gaps.max() <= 70
    assert len(set(gaps.tolist())) > 5
    around = ratio[closed[1] - 3 : closed[1] + 4]
    order = np.argsort(around)
    assert around[order[:2]].max() < 1e-4
    assert (np.diff(around[:4]) > 0).all()


def test_a_given_track_takes_the_place_of_pose_and_reference(vae: Engines, ada: Avatar) -> None:
    """Coefficients read off a video: begun again when they end."""
    pose = RNG.standard_normal((40, 6)).astype(np.float32)
    reference = RNG.standard_normal((30, EXPRESSION)).astype(np.float32)
    script = Script(pose=pose, reference=reference)
    expression, found = coefficients(run(vae, ada, chunks(CLIP, 5000), PipelineOptions(), script))
    np.testing.assert_array_equal(found, pose[np.arange(FRAMES) % 40])
    held = coefficients(run(vae, ada, [CLIP], PipelineOptions(), Script(blink=np.zeros(1, np.float32))))[0]
    expected = held - ada.constants["reference_expression"] + reference[np.arange(FRAMES) % 30]
    np.testing.assert_allclose(expression, expected, atol=1e-5)


def test_reset_starts_anew(vae: Engines, ada: Avatar) -> None:
    for mode in MODES:
        stream = CoefficientStream(vae, ada, options(None, mode))
        first = values(stream.push(CLIP) + stream.flush())
        stream.reset()
        stream.push(CLIP[999:40_000])
        stream.reset()
        np.testing.assert_array_equal(values(stream.push(CLIP) + stream.flush()), first)


def test_free_view_reaches_the_motion_stage(vae: Engines, ada: Avatar) -> None:
    """The tiny network adds yaw, pitch and roll, where they are on, to x, y and z."""
    face = FaceOptions(yaw=-20.0, roll=5.0, still=True)
    plain = run(vae, ada, [CLIP], PipelineOptions(face=FaceOptions(still=True)))
    held = run(vae, ada, [CLIP], PipelineOptions(face=face))
    motion = MotionStage(vae["motion"], ada)
    moved = np.stack([keypoints.points for keypoints in motion.infer(held)])
    still = np.stack([keypoints.points for keypoints in motion.infer(plain)])
    np.testing.assert_allclose(moved - still, np.broadcast_to([-20.0, 0.0, 5.0], moved.shape), atol=1e-4)


def test_a_whole_scene_s_motion_stage_knows_where_the_face_lies(tmp_path: Path) -> None:
    """The portrait's last coefficients go along with every window."""
    folder = tiny_vae_family.build(tmp_path / "family", mode="full")
    with Engines.open(Manifest.load(folder), threads=1) as engines:
        avatar = Avatar.load(engines)
        windows = run(engines, avatar, [CLIP[:20_000]])
        found = np.stack([keypoints.points for keypoints in MotionStage(engines["motion_full"], avatar).infer(windows)])
        assert len(FaceRenderer(engines, avatar).render(windows)) == len(windows)
        batch = values(windows)
        where = tiny_vae_family.arrays()["reference"][0, -REST:]
        full = np.concatenate([batch, np.broadcast_to(where[:, None], (len(batch), REST, WIDTH))], axis=1)
        none = np.zeros((len(batch), 3), np.float32)
        inputs = {"coefficients": full, "view": none, "view_on": none}
        constants = {"canonical_keypoints": avatar.constants["canonical_keypoints"]}
        expected = engines["motion_full"].infer(inputs | constants)["keypoints"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("columns", "message"),
    [(3, r"reference is \[1, 3\], expected \[1, 12\] or more"), (12, "takes 15 coefficients, there are 12 to 12")],
)
def test_a_reference_that_is_too_short_is_refused(tmp_path: Path, columns: int, message: str) -> None:
    """Fewer values than the coefficients, or than the motion stage of a whole scene takes."""
    folder = tiny_vae_family.build(tmp_path / "family", mode="full")
    path = folder / "avatars" / tiny_vae_family.NAME / "arrays.npz"
    arrays = tiny_vae_family.arrays()
    np.savez(path, allow_pickle=False, **(arrays | {"reference": arrays["reference"][:, :columns]}))
    tiny_family.edit(folder, lambda data: data.update(files=[]))
    with (
        Engines.open(Manifest.load(folder), threads=1) as engines,
        pytest.raises(
            BundleError, match=r"reference is \[1, 3\], expected \[1, 12\]|takes 15 coefficients, there are 12"
        ),
    ):
        Avatar.load(engines)


def test_no_sound_no_frames_and_little_sound_few(vae: Engines, ada: Avatar) -> None:
    for mode in MODES:
        for samples in (0, 1, 640, 641, 3000):
            frames = run(vae, ada, [CLIP[:samples]], options(None, mode))
            assert len(frames) == -(-samples // SAMPLES_PER_FRAME)


def test_frames_of_a_whole_clip(vae: Engines, ada: Avatar) -> None:
    windows = run(vae, ada, [CLIP], options(None, "offline"))
    pictures = FaceRenderer(vae, ada).render(windows)
    assert [frame.index for frame in pictures] == list(range(FRAMES))
    changes = [np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in pairwise(pictures)]
    assert max(changes) > 0.5
