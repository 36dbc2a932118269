"""The family that ships: its faces rest like their portraits, move where they should, and leave the rest alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engines
from engines.runtime import Engines, Way, find_cpu_backend
from streamer.avatar.bundle import PREPARING, Avatar, open_rasterizer
from streamer.core.frames import ByteArray, CoefficientWindow, FloatArray, Paint
from streamer.core.options import FaceOptions
from streamer.core.rates import SAMPLE_RATE, SAMPLES_PER_FRAME
from streamer.pipeline import CoefficientStream, FaceRenderer
from streamer.stages.motion import MotionStage
from tests.fakes import faces

pytestmark = pytest.mark.slow

STARTER = Path(engines.__file__).parent / "starter"
LIPS, RIGHT_LIDS, LEFT_LIDS = (13, 14), (159, 145), (386, 374)  # keypoints: upper and lower
AVATARS = ("mina", "kofi")


@pytest.fixture(scope="module", params=AVATARS)
def avatar(request: pytest.FixtureRequest, starter: Engines) -> Avatar:
    return Avatar.load(starter, request.param)


def window(starter: Engines, pose: dict[str, float] | None = None, **units: float) -> CoefficientWindow:
    """A held face: the given units and pose, all else at rest."""
    layout = starter.manifest.coefficients
    values = np.zeros((len(layout), 3), np.float32)
    for name, value in units.items():
        values[layout.expression.index(name)] = value
    for name, value in (pose or {}).items():
        values[len(layout.expression) + layout.pose.index(name)] = value
    return CoefficientWindow(0, values)


def picture(starter: Engines, avatar: Avatar, held: CoefficientWindow) -> ByteArray:
    return FaceRenderer(starter, avatar, FaceOptions(size=256)).render([held])[0].rgb


def portrait(avatar: Avatar) -> ByteArray:
    return faces.portrait(avatar.name)


def patch(image: ByteArray, avatar: Avatar, points: tuple[int, int], reach: int = 14) -> FloatArray:
    """The square about the middle of two keypoints of the portrait."""
    x, y = ((avatar.constants["source_keypoints"][0, list(points), :2].mean(0) + 1) * 128).round().astype(int)
    return image[y - reach : y + reach, x - reach : x + reach].astype(np.float32)


def change(a: ByteArray | FloatArray, b: ByteArray | FloatArray) -> float:
    return float(np.abs(a.astype(np.float32) - b).mean())


def test_no_coefficients_give_the_portraits_own_keypoints(starter: Engines, avatar: Avatar) -> None:
    motion = starter["motion"]
    inputs = avatar.constants_of(motion.spec) | {"coefficients": window(starter).values[None]}
    keypoints = motion.infer(inputs)["keypoints"]
    np.testing.assert_allclose(keypoints[0, :, :2], avatar.constants["source_keypoints"][0, :, :2], atol=1e-5)


def test_at_rest_the_face_is_the_portrait(starter: Engines, avatar: Avatar) -> None:
    assert change(picture(starter, avatar, window(starter)), portrait(avatar)) < 3.0


def test_speaking_moves_the_mouth_and_neither_hair_nor_background(starter: Engines, avatar: Avatar) -> None:
    rest = picture(starter, avatar, window(starter))
    spoken = picture(starter, avatar, window(starter, jawOpen=0.5, mouthUpperUpLeft=0.3, mouthUpperUpRight=0.3))
    assert np.abs(patch(spoken, avatar, LIPS) - patch(rest, avatar, LIPS)).mean() > 15
    assert change(spoken[:40], rest[:40]) < 1.0
    assert change(spoken[:, :24], rest[:, :24]) < 1.0


def test_an_open_mouth_is_dark_inside_and_shows_teeth(starter: Engines, avatar: Avatar) -> None:
    lower = {"mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3}
    upper = {"mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4}
    held = window(starter, None, jawOpen=0.6, **upper, **lower)
    keypoints = MotionStage(starter["motion"], avatar).infer([held])[0]
    rasterizer = open_rasterizer(starter["render"].spec)
    assert rasterizer is not None
    opening, upper_teeth = (rasterizer.draw(keypoints.points)[channel] for channel in (1, 4))
    brightness = picture(starter, avatar, held).mean(2)
    cavity, teeth = brightness[(opening > 0.9) & (upper_teeth < 0.1)], brightness[upper_teeth > 0.8]
    assert min(cavity.size, teeth.size) > 30
    assert np.percentile(cavity, 10) < 90
    assert np.median(teeth) > 1.5 * np.percentile(cavity, 10)


def test_a_blink_closes_the_lids(starter: Engines, avatar: Avatar) -> None:
    rest = picture(starter, avatar, window(starter))
    shut = picture(starter, avatar, window(starter, eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    for lids in (RIGHT_LIDS, LEFT_LIDS):
        before, after = (patch(face, avatar, lids, 6)[:7].mean(2) for face in (rest, shut))  # over the lashes
        assert after.std() < 0.5 * before.std()  # iris and white give way to plain skin


def test_the_head_turns_and_the_background_stays(starter: Engines, avatar: Avatar) -> None:
    rest = picture(starter, avatar, window(starter))
    turned = picture(starter, avatar, window(starter, {"yaw": 5.0}))
    assert change(turned[60:200, 80:180], rest[60:200, 80:180]) > 2.0
    corners = [np.s_[:50, :20], np.s_[:50, -20:]]
    assert all(change(turned[corner], rest[corner]) < 1.5 for corner in corners)


def test_a_mouth_painted_in_integers_is_the_same_to_the_eye(starter: Engines, avatar: Avatar) -> None:
    held = window(starter, jawOpen=0.4, mouthUpperUpLeft=0.3, mouthUpperUpRight=0.3, mouthSmileLeft=0.3)
    ways = {"paint_decode.onnx": Way(find_cpu_backend().name, "int8", 1)}
    with Engines.open(starter.manifest, without=PREPARING, threads=1, ways=ways) as quantised:
        found = picture(quantised, Avatar.load(quantised, avatar.name), held).astype(np.float64)
    error = np.mean((found - picture(starter, avatar, held)) ** 2)
    assert 0 < error < 255**2 / 10**4.5  # 45 dB


def vowel(seconds: float, level: float = 0.2) -> FloatArray:
    """A hummed /a/: harmonics of 120 Hz under two formants."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = np.arange(1, 40) * 120.0
    formants = np.array([[730.0], [1090.0]])
    strength = np.exp(-0.5 * ((harmonics - formants) / 120) ** 2).sum(0) + 0.02
    sound = (strength[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time)).sum(0)
    return np.asarray(level * sound / np.abs(sound).max(), np.float32)


def jaw(starter: Engines, sound: FloatArray) -> FloatArray:
    """jawOpen of every frame."""
    stream = CoefficientStream(starter, Avatar.load(starter))
    windows = stream.push(sound) + stream.flush()
    return np.array([held.values[starter.manifest.coefficients.expression.index("jawOpen"), 1] for held in windows])


def test_a_vowel_opens_the_mouth_and_silence_keeps_it_shut(starter: Engines) -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    opened = jaw(starter, np.concatenate([silence, vowel(1.0), silence]))
    frame = SAMPLE_RATE // SAMPLES_PER_FRAME
    assert opened[: frame - 5].max() < 0.08
    assert np.median(opened[frame + 5 : 2 * frame - 5]) > 0.15
    assert opened[2 * frame + 12 :].max() < 0.08


def test_noise_keeps_the_mouth_shut(starter: Engines) -> None:
    noise = (np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE) * 0.003).astype(np.float32)
    assert np.percentile(jaw(starter, noise), 90) < 0.1


def test_mouth_and_eyes_are_kept_where_nothing_of_them_moves(starter: Engines, avatar: Avatar) -> None:
    """A face at rest that breathes is as if painted; a mouth that opens is painted, or stays when it is to be kept."""
    renderer = FaceRenderer(starter, avatar, FaceOptions(size=256))
    rest, breath = window(starter), window(starter, pose={"ty": 0.0005})
    renderer.render([rest])
    kept, painted = (renderer.render([breath], paint)[0] for paint in (Paint.WHERE_MOVED, Paint.ANEW))
    assert (kept.painted, painted.painted) == (False, True)
    assert change(kept.rgb, painted.rgb) < 0.1
    open_mouth = window(starter, jawOpen=0.6)
    stale, fresh = (renderer.render([open_mouth], paint)[0] for paint in (Paint.KEPT, Paint.WHERE_MOVED))
    assert (stale.painted, fresh.painted) == (False, True)
    assert change(patch(stale.rgb, avatar, LIPS), patch(fresh.rgb, avatar, LIPS)) > 2


def test_eyes_that_only_the_head_carries_along_are_not_painted_and_lie_where_they_should(
    starter: Engines, avatar: Avatar
) -> None:
    """The head leans over and shifts by five pixels; then the eyes alone look aside, and are painted."""
    renderer = FaceRenderer(starter, avatar, FaceOptions(size=512))
    turned = {"roll": 2.0, "tx": 0.02}
    renderer.render([window(starter)])
    kept, painted = (renderer.render([window(starter, turned)], paint)[0] for paint in (Paint.WHERE_MOVED, Paint.ANEW))
    assert (kept.painted, painted.painted) == (False, True)
    assert change(kept.rgb, painted.rgb) < 0.2
    aside = window(starter, turned, eyeLookInLeft=0.8, eyeLookOutRight=0.8)
    kept, painted = (renderer.render([aside], paint)[0] for paint in (Paint.WHERE_MOVED, Paint.ANEW))
    assert kept.painted
    np.testing.assert_allclose(kept.rgb, painted.rgb, atol=3)  # but for the mouth, which was painted for this


def test_the_photo_moves_with_the_head_while_nothing_is_painted(starter: Engines, avatar: Avatar) -> None:
    """Also by less than it takes to refine the flow anew."""
    renderer = FaceRenderer(starter, avatar, FaceOptions(size=512))
    before = renderer.render([window(starter)])[0]
    for shift in (0.002, 0.02):
        lifted = window(starter, {"ty": -shift})
        kept, painted = (renderer.render([lifted], paint)[0] for paint in (Paint.KEPT, Paint.ANEW))
        assert (kept.painted, painted.painted) == (False, True)
        assert change(kept.rgb, painted.rgb) < 0.35 * change(before.rgb, painted.rgb)
        before = painted


def test_the_first_picture_of_a_renderer_is_painted_whatever_is_asked(starter: Engines, avatar: Avatar) -> None:
    renderer = FaceRenderer(starter, avatar, FaceOptions(size=256))
    assert renderer.render([window(starter)], Paint.KEPT)[0].painted
    assert renderer.showing(FaceOptions(size=384)).render([window(starter)], Paint.KEPT)[0].painted
