"""A network that teaches a copy to hear in noise, and sooner. Needs torch and the export side's packages: skipped
without them."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
pytest.importorskip("scipy", reason="scipy is not installed; pip install 'avatar-streamer[export]'")

from export.starter.training.distil_expression import Distillation, distil  # noqa: E402
from export.starter.training.expression_net import WINDOW, FieldNet  # noqa: E402
from export.starter.training.hearings import FRAMES, SECONDS, Hearing, HearingPool, hearing  # noqa: E402
from export.starter.voices.augment import disturb  # noqa: E402
from streamer.core.rates import MEL_RATE  # noqa: E402
from tests.fakes.sound import speech_like  # noqa: E402

UNHEARD = 3


@pytest.fixture(scope="module")
def teacher() -> FieldNet:
    torch.manual_seed(0)
    network = FieldNet()
    network.eval()
    return network


@pytest.fixture(scope="module")
def heard(teacher: FieldNet) -> Hearing:
    sound = speech_like(SECONDS)
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    found: Hearing = hearing(teacher, sound, sound + noise, warm=False)
    return found


def pool_of(*hearings: Hearing, most: int = 3) -> HearingPool:
    pool = HearingPool(most)
    for each in hearings:
        pool.add(each)
    return pool


@pytest.mark.slow
def test_the_copy_comes_to_make_in_noise_what_its_teacher_makes_without(
    teacher: FieldNet, heard: Hearing, tmp_path: Path
) -> None:
    batch = pool_of(heard).batch(np.random.default_rng(9), runs=4, length=6, clean=0, earlier=UNHEARD)

    def wrong(net: FieldNet) -> float:
        with torch.no_grad():
            return float((net.forward_runs(batch.mel, batch.starts) - batch.target).square().mean())

    state = Distillation.of(teacher, UNHEARD)
    before = wrong(state.net)
    distil(state, cycle([heard]), pool_of(heard), steps=4, seed=0, save_to=tmp_path / "c.pt", runs=3)
    assert wrong(state.result(share=0.0)) == pytest.approx(before)
    assert wrong(state.result(share=1.0)) == pytest.approx(wrong(state.average))
    assert wrong(state.average) < wrong(state.result(share=0.5)) < before


def test_a_copy_under_way_goes_on_where_it_was(teacher: FieldNet, heard: Hearing, tmp_path: Path) -> None:
    state, again = Distillation.of(teacher, UNHEARD), Distillation.of(teacher, UNHEARD)
    distil(state, cycle([heard]), pool_of(heard), steps=2, seed=0, save_to=tmp_path / "c.pt", runs=2)
    again.resume(tmp_path / "c.pt")
    assert again.step == 2
    for ours, theirs in zip(state.average.parameters(), again.average.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_the_teacher_makes_belongs_to_the_windows_of_a_batch(teacher: FieldNet, heard: Hearing) -> None:
    batch, sooner = (
        pool_of(heard).batch(np.random.default_rng(1), runs=3, length=5, clean=3, earlier=earlier) for earlier in (0, 1)
    )
    torch.testing.assert_close(teacher.forward_runs(batch.mel, batch.starts), batch.target, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(teacher.forward_runs(sooner.mel, sooner.starts), batch.target, atol=1e-6, rtol=1e-5)


def test_a_copy_s_windows_lie_earlier_by_what_it_does_not_hear(heard: Hearing) -> None:
    now, sooner = (
        pool_of(heard).batch(np.random.default_rng(2), runs=2, length=30, clean=1, earlier=earlier)
        for earlier in (0, UNHEARD)
    )
    assert int(now.starts[0, 25]) == MEL_RATE  # a second
    torch.testing.assert_close(sooner.mel[..., UNHEARD:], now.mel[..., : now.mel.shape[-1] - UNHEARD])
    assert not torch.equal(now.mel[0], now.mel[1])  # one clean, one disturbed


def test_the_oldest_hearing_gives_way(heard: Hearing) -> None:
    pool = pool_of(*[heard] * 4, most=2)
    assert len(pool) == 2
    assert pool.windows(np.random.default_rng(0), 7).shape == (7, 1, 80, WINDOW)
    assert heard.target.shape[0] == FRAMES


def test_disturbing_keeps_the_length_and_stays_in_range() -> None:
    rng, sound = np.random.default_rng(3), speech_like(1.0)
    for _ in range(12):
        other = disturb(rng, sound, babble=sound[::-1])
        assert other.shape == sound.shape
        assert np.abs(other).max() <= 1.0
        assert np.abs(other - sound).max() > 1e-3
