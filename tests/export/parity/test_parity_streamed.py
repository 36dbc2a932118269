"""Streaming gives what the whole chain on a whole clip gives, with the official networks' shapes (narrow ones here)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from export.parity.clip import context_windows, move, pose_track, smoothed
from export.parity.compare import Array
from export.parity.stages import TorchStages
from export.parity.streamed import stream_clip
from export.sadtalker.networks.loading import load, stand_in
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.stages.mel_windows import clip_windows
from tests.fakes.sound import speech_like
from tests.families.narrow import WIDTH

RNG = np.random.default_rng(3)
CANONICAL = RNG.standard_normal((1, 15, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def stages() -> TorchStages:
    return TorchStages(lambda name: load(name, stand_in(name, 0, WIDTH), "stand-in weights", WIDTH))


def clip(frames: int, columns: int) -> dict[str, Array]:
    """Inputs as a golden file has them; some samples more than whole frames, which the reference does not use."""
    sound = speech_like((frames * SAMPLES_PER_FRAME + 80) / 16_000)
    return {
        "pcm": np.round(sound * 20_000).astype(np.int16),
        "ref": RNG.standard_normal((1, columns)).astype(np.float32),
        "blink": RNG.uniform(size=(frames, 1)).astype(np.float32),
        "z": RNG.standard_normal((4, 1, 64)).astype(np.float32),
        "pose_style": np.array(45),
        "coeff_scale": np.array(0.1, np.float32),
    }


@pytest.mark.parametrize(("frames", "columns"), [(2, 70), (8, 73), (33, 70), (70, 73)])
def test_streaming_gives_the_whole_clip_s_numbers(stages: TorchStages, frames: int, columns: int) -> None:
    given = clip(frames, columns)
    streamed = stream_clip(given, stages, CANONICAL)
    whole = given["pcm"][: frames * SAMPLES_PER_FRAME].astype(np.float32) / np.float32(32768)
    windows, reference = clip_windows(whole), given["ref"]
    heard = {"mel": windows, "blink": given["blink"], "reference_expression": reference[:, :64]}
    expression = stages.run("expression", heard)["expression"]
    raw = pose_track(windows, reference[:, 64:70], given["z"], 45, stages)
    smooth = smoothed(raw)
    moved = np.concatenate([expression, smooth], axis=1) * np.float32(0.1)
    moved = np.concatenate([moved, np.repeat(reference[:, 70:], frames, axis=0)], axis=1)
    points = move(context_windows(moved), CANONICAL, stages)["keypoints"]
    expected = {
        "windows": windows[:, 0],
        "exp": expression,
        "pose_raw": raw,
        "pose_smooth": smooth,
        "kp_driving": points,
    }
    assert streamed.keys() == expected.keys()
    for name, wanted in expected.items():
        np.testing.assert_allclose(streamed[name], wanted, atol=1e-5 * max(1.0, np.ptp(wanted)), err_msg=name)
