"""The pose network, whatever its weights: causal in a block, continuous between blocks; and the process behind it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
pytest.importorskip("scipy", reason="scipy is not installed; pip install 'avatar-streamer[export]'")

from torch import Tensor  # noqa: E402

from export.starter.motion.process import STYLES, motion, styles  # noqa: E402
from export.starter.motion.prosody import Phrase, Prosody  # noqa: E402
from export.starter.training.pose_net import BLOCK, HEARD, LATENT, PAST, POSE, PoseNet  # noqa: E402
from streamer.stages.life.idle_pose import LIMITS  # noqa: E402


def block(net: PoseNet, mel: Tensor, past: Tensor) -> Tensor:
    style = torch.eye(STYLES)[3:4]
    with torch.no_grad():
        made: Tensor = net(mel, torch.linspace(-1, 1, LATENT)[None], style, past)
    return made


@pytest.fixture(scope="module")
def net() -> PoseNet:
    torch.manual_seed(0)
    made = PoseNet()
    made.eval()
    for parameter in made.decoder.parameters():
        parameter.data *= 3  # far from rest
    return made


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 17, BLOCK - 1])
def test_windows_to_come_change_no_earlier_pose(net: PoseNet, at: int) -> None:
    mel, past = torch.randn(HEARD, 1, 80, 32), torch.zeros(PAST, POSE)
    other = mel.clone()
    other[HEARD - BLOCK + at :] = -4
    first, second = block(net, mel, past), block(net, other, past)
    torch.testing.assert_close(first[:at], second[:at])
    assert not torch.allclose(first[at:], second[at:])


def test_a_block_goes_on_from_what_was_shown_in_value_and_speed(net: PoseNet) -> None:
    past = torch.linspace(0, 2.1, PAST)[:, None] * torch.tensor([1.0, -1.0, 1.0, 0, 0, 0])
    made = block(net, torch.randn(HEARD, 1, 80, 32), past)
    track = torch.cat([past, made])[:, :3]
    assert track.diff(dim=0).abs()[:PAST].max() < 0.6  # degrees: it went by 0.3 a frame


def test_the_process_moves_with_the_voice_and_hardly_in_silence() -> None:
    count = 750
    level = np.zeros(count)
    level[250:500] = 0.7 + 0.3 * np.sin(np.arange(250) / 4)
    accents = tuple(np.arange(10.5, 19.5, 0.8))
    said = Prosody(level, level, accents, (Phrase(10.0, 20.0, 10.0, 10.0),))
    for number, style in enumerate(styles()[:5]):
        pose = motion(np.random.default_rng(number), style, said)
        assert pose.shape == (count, POSE)
        assert (np.abs(pose) < LIMITS).all()
        speed = np.abs(np.diff(pose[:, 0]))
        assert speed[260:490].mean() > 2 * speed[:240].mean()
