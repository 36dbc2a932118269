"""The starter family's learnt head motion: causal, without jumps, its own in each style and seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar.bundle import PREPARING
from streamer.avatar.manner import REACH, Manner
from streamer.core.errors import ConfigError, ManifestError
from streamer.core.frames import FloatArray, Heard
from streamer.stages.causal_pose import CausalPose
from streamer.stages.life.idle_pose import LIMITS
from streamer.stages.mel_windows import WindowShape, clip_windows
from tests.fakes.sound import speech_like

FRAMES, BLOCK, STYLES = 72, 32, 46
MOST_SPEED, MOST_BEND = 6.0, 2.5  # degrees a frame and a frame squared: a quick nod has half of it


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    unused = PREPARING | {"appearance", "motion", "render"}
    with Engines.open(Manifest.load(SHIPPED_FAMILY), without=unused) as opened:
        yield opened


@pytest.fixture(scope="module")
def windows() -> FloatArray:
    shape = WindowShape.of(Manifest.load(SHIPPED_FAMILY).stage("expression"))
    sound = np.concatenate([speech_like(2.5), np.zeros(16_000, np.float32), speech_like(2.5, seed=3)])
    return clip_windows(sound, shape)[:FRAMES]


@pytest.fixture(scope="module")
def track(engines: Engines, windows: FloatArray) -> FloatArray:
    """What the first style's first head does."""
    return moved(engines, windows)


def moved(engines: Engines, windows: FloatArray, cuts: int = FRAMES, **options: object) -> FloatArray:
    """The track of one head that hears `cuts` windows at a time."""
    asked = {"style": None, "seed": 0, "lag": 0, **options}
    source = CausalPose(engines["pose"], **asked)  # type: ignore[arg-type]
    parts = [source.push(Heard(windows[i : i + cuts], ())) for i in range(0, len(windows), cuts)]
    return np.stack([pose for part in parts for pose in part])


@pytest.mark.slow
def test_however_sound_is_cut_the_head_moves_the_same(engines: Engines, windows: FloatArray, track: FloatArray) -> None:
    np.testing.assert_array_equal(moved(engines, windows, cuts=7), track)


@pytest.mark.parametrize("at", [5, BLOCK])
def test_later_sound_changes_no_earlier_pose(engines: Engines, windows: FloatArray, track: FloatArray, at: int) -> None:
    other = windows.copy()
    other[at:] = windows[:1]
    changed = moved(engines, other)
    np.testing.assert_array_equal(changed[:at], track[:at])
    assert not np.allclose(changed[at:], track[at:], atol=1e-3)


@pytest.mark.parametrize("style", [0, 17, STYLES - 1])
def test_a_head_never_jumps_nor_leaves_its_limits(engines: Engines, windows: FloatArray, style: int) -> None:
    lively = moved(engines, windows, style=style, seed=style, energy=2.0)
    angles = np.concatenate([np.zeros((1, 3)), lively[:, :3]])
    assert np.abs(np.diff(angles, axis=0)).max() < MOST_SPEED
    assert np.abs(np.diff(angles, n=2, axis=0)).max() < MOST_BEND
    assert (np.abs(lively[:, :3]) < LIMITS[:3] + 0.5).all()


def test_seeds_and_styles_move_differently(engines: Engines, windows: FloatArray, track: FloatArray) -> None:
    assert np.abs(moved(engines, windows, seed=1) - track)[:, :3].max() > 1.0
    assert np.abs(moved(engines, windows, style=20) - track)[:, :3].max() > 0.3


def test_a_person_s_manner_is_their_head_s_reach(engines: Engines, windows: FloatArray, track: FloatArray) -> None:
    mine = moved(engines, windows, manner=Manner(pitch=0.5, yaw=1.7))
    shares = np.abs(mine).max(0)[:3] / np.abs(track).max(0)[:3]
    assert 0.45 < shares[0] < 0.7
    assert 1.2 < shares[1] < 1.75
    assert shares[2] == pytest.approx(1)
    wild = moved(engines, windows, manner=Manner(*[REACH[1]] * 3), energy=2.0)
    np.testing.assert_array_equal(wild[60:], moved(engines, windows, energy=2.0)[60:])  # no more than the liveliest


def test_energy_scales_the_motion_down_to_none(engines: Engines, windows: FloatArray, track: FloatArray) -> None:
    assert np.abs(moved(engines, windows, energy=0.0)).max() == 0.0
    assert 0.2 < moved(engines, windows, energy=0.5)[:, :3].std() / track[:, :3].std() < 0.8


def test_frames_without_a_window_are_at_rest_and_a_reset_begins_anew(engines: Engines, windows: FloatArray) -> None:
    source = CausalPose(engines["pose"], None, 0, 3)
    first = source.push(Heard(windows[:40], ()))
    assert len(first) == 43
    assert np.abs(np.stack(first[:3])).max() == 0.0
    source.reset()
    np.testing.assert_array_equal(source.push(Heard(windows[:40], ())), first)


def test_a_style_that_there_is_not_and_a_network_of_another_kind_are_refused(engines: Engines) -> None:
    with pytest.raises(ConfigError, match=f"pose style {STYLES}; there are 0 to {STYLES - 1}"):
        CausalPose(engines["pose"], STYLES, 0, 0)
    with pytest.raises(ManifestError, match="stage pose takes mel, expected"):
        CausalPose(engines["expression"], None, 0, 0)
