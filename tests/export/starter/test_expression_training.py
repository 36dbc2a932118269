"""What training the expression network rests on. Needs torch and the export side's packages: skipped without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
pytest.importorskip("scipy", reason="scipy is not installed; pip install 'avatar-streamer[export]'")

from export.starter.training.expression_data import (  # noqa: E402
    PAST,
    WindowSet,
    read_shard,
    vary_features,
    write_shard,
)
from export.starter.training.expression_net import (  # noqa: E402
    WINDOW,
    ExpressionNet,
    FieldNet,
    export_expression,
    read_expression,
    renormalise,
)
from export.starter.training.refit_expression import heard, refit  # noqa: E402
from export.starter.voices import augment  # noqa: E402
from export.starter.voices.speech import BREATH, SILENCE, Phone, Utterance  # noqa: E402
from export.starter.voices.takes import Take, trimmed  # noqa: E402
from export.starter.voices.visemes import FIELDS  # noqa: E402
from export.starter.voices.voice_bank import VoiceBank  # noqa: E402
from export.starter.voices.vowels import FORMANTS, say_vowels  # noqa: E402
from streamer.core.rates import window_start  # noqa: E402
from streamer.stages.mel import mel_spectrogram  # noqa: E402
from streamer.stages.mel_levelling import levelled  # noqa: E402
from tests.fakes.sound import speech_like  # noqa: E402


@pytest.mark.parametrize("unheard", [0, 5])
def test_a_stretch_of_speech_gives_what_its_single_windows_give(unheard: int) -> None:
    torch.manual_seed(0)
    net = FieldNet(unheard).eval()
    mel, starts = torch.randn(2, 1, 80, WINDOW + 12), torch.tensor([[0, 3, 6, 12], [0, 4, 7, 10]])
    together = net.forward_runs(mel, starts)
    for row, run in enumerate(starts.tolist()):
        for column, at in enumerate(run):
            alone = net(mel[row : row + 1, ..., at : at + WINDOW])[0]
            torch.testing.assert_close(together[row, column], alone, atol=1e-5, rtol=1e-4)


def test_runs_of_frames_lie_where_serving_has_their_windows(tmp_path: Path) -> None:
    """Two takes in a shard: a frame's window is the same span of mel frames as `window_start` says, plus the past."""
    takes = [take_of(speech_like(seconds, seed=9), "m") for seconds in (1.2, 0.8)]
    path = tmp_path / "0000.npz"
    write_shard(path, takes)
    windows = WindowSet([path])
    single, aims = windows.windows(torch.tensor([25, 30 + 7]))
    for row, (take, frame) in enumerate([(takes[0], 25), (takes[1], 7)]):
        first = window_start(frame) - PAST
        expected = levelled(take.mel.astype(np.float32))[
            np.clip(np.arange(first, first + WINDOW), 0, len(take.mel) - 1)
        ]
        np.testing.assert_allclose(single[row, 0].T, expected, atol=0.003)
        np.testing.assert_allclose(aims[row], take.fields()[frame], atol=1e-6)
    stretch, starts, _ = windows.stretch(torch.arange(37, 45)[None])
    for column in range(8):
        at = int(starts[0, column])
        torch.testing.assert_close(stretch[:, ..., at : at + WINDOW], windows.windows(torch.tensor([37 + column]))[0])


def test_windows_of_what_is_not_heard_do_not_change_what_is_made() -> None:
    """A student's windows lie 5 mel frames earlier here; of their first frames, which its teacher has not, it takes
    none."""
    torch.manual_seed(0)
    net, mel = FieldNet(5).eval(), torch.randn(3, 1, 80, WINDOW)
    other = mel.clone()
    other[..., :5] += 1
    assert torch.equal(net(other), net(mel))
    other[..., -1] += 1
    assert not torch.equal(net(other), net(mel))


def last_layer(net: FieldNet) -> Any:
    return net.head[-1]


@pytest.mark.slow
def test_the_last_layer_is_fitted_to_other_targets_as_far_as_the_pull_lets_it() -> None:
    torch.manual_seed(0)
    fields = FieldNet().eval()
    seen = heard(fields, torch.randn(400, 1, 80, WINDOW))
    before = last_layer(fields)(seen[:, :-1]).detach()
    wanted = before + 0.3

    def far(pull: float) -> float:
        net = FieldNet().eval()
        net.load_state_dict(fields.state_dict())
        refit(net, seen, wanted, pull)
        return float((last_layer(net)(seen[:, :-1]).detach() - wanted).abs().mean())

    assert far(1e-6) < far(10.0) < far(1e4)
    assert far(0.1) < 0.01
    assert far(1e9) == pytest.approx(0.3, abs=0.01)  # the old weights


def take_of(sound: np.ndarray[tuple[int], np.dtype[np.float32]], symbol: str) -> Take:
    """A clean take that says one phone between two pauses."""
    end = len(sound) / 16000
    phones = [Phone(SILENCE, 0.0, 0.4), Phone(symbol, 0.4, end - 0.3), Phone(SILENCE, end - 0.3, end)]
    return Take(mel_spectrogram(sound).astype(np.float16), phones, [1.0, 1.0, 1.0], len(sound) // 640)


def test_a_shard_gives_back_its_takes(tmp_path: Path) -> None:
    takes = [take_of(speech_like(seconds), symbol) for seconds, symbol in ((1.0, "ɑ"), (1.2, "f"))]
    write_shard(tmp_path / "0000.npz", takes)
    read = list(read_shard(tmp_path / "0000.npz"))
    assert [(take.phones, take.effort, take.frames) for take in read] == [
        (take.phones, take.effort, take.frames) for take in takes
    ]
    for take, given in zip(read, takes, strict=True):
        np.testing.assert_array_equal(take.mel, given.mel)
    assert read[1].fields()[:, FIELDS.index("tuck")].max() == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.onnx.export
@pytest.mark.parametrize("unheard", [0, 5])
def test_a_network_that_is_read_back_computes_the_same_and_learns_on(unheard: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = ExpressionNet(FieldNet(unheard, dropout=0.0), ["jawOpen", "eyeWideLeft"], torch.ones(len(FIELDS)))
    export_expression(net, tmp_path / "net.onnx")
    mel = torch.randn(64, 1, 80, WINDOW)
    fields = read_expression(tmp_path / "net.onnx", ["jawOpen", "eyeWideLeft"]).fields
    assert fields.unheard == unheard
    before = fields.eval()(mel).detach()
    torch.testing.assert_close(before, net.fields(mel), atol=1e-5, rtol=1e-4)
    renormalise(fields, mel)
    torch.testing.assert_close(fields(mel), before, atol=1e-5, rtol=1e-4)
    learning = fields.train()
    for part in learning.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    torch.testing.assert_close(learning(mel), before, atol=1e-3, rtol=1e-2)  # its norms are those of these windows


def test_varied_features_stay_in_range_and_silence_stays_quiet() -> None:
    torch.manual_seed(0)
    varied = vary_features(torch.full((200, 1, 80, 40), -4.0))
    assert varied.min() >= -4
    assert varied.max() < 0.5  # hiss at most
    assert vary_features(torch.full((200, 1, 80, 40), 3.9)).max() <= 4


def test_trimming_an_utterance_keeps_sound_and_phones_together() -> None:
    sound = np.concatenate([np.zeros(4800), np.ones(3200), np.zeros(8000)]).astype(np.float32)
    spoken = Utterance(sound, (Phone(SILENCE, 0.0, 0.3), Phone("ɑ", 0.3, 0.5), Phone(SILENCE, 0.5, 1.0)), "x")
    short = trimmed(spoken)
    phone = short.phones[1]
    assert short.samples[round(phone.start * 16000) + 1] == 1
    assert short.samples[: round(phone.start * 16000) - 1].max() == 0
    assert len(short.samples) == pytest.approx(0.3 * 16000, abs=2)
    assert short.phones[-1].end == pytest.approx(0.3)


def test_a_bank_gives_back_utterances_of_one_voice(tmp_path: Path) -> None:
    listing = [
        {"voice": voice, "length": 100 + i, "phones": [{"symbol": BREATH, "start": 0.0, "end": 0.5 + i}]}
        for i, voice in enumerate(["a", "a", "b", "b", "b"])
    ]
    samples = np.concatenate([np.full(100 + i, 1000 * i) for i in range(5)]).astype(np.int16)
    np.savez(tmp_path / "0000.npz", samples=samples, listing=np.array(json.dumps(listing)))
    bank, rng, seen = VoiceBank(tmp_path), np.random.default_rng(0), set()
    for _ in range(40):
        lines = bank.lines(rng, 2)
        assert len({line.voice for line in lines}) == 1
        for line in lines:
            number = len(line.samples) - 100
            seen.add(number)
            assert np.allclose(line.samples, 1000 * number / 32767)
            assert line.phones == (Phone(BREATH, 0.0, 0.5 + number),)
    assert seen == {0, 1, 2, 3, 4}


def test_a_breath_is_broad_noise_without_a_voice_that_swells_and_ebbs() -> None:
    air = augment.breath(np.random.default_rng(0), 8000)
    assert np.sqrt((air**2).mean()) == pytest.approx(1, abs=0.01)
    assert max(np.abs(air[:400]).mean(), np.abs(air[-400:]).mean()) < 0.5 * np.abs(air).mean()


@pytest.mark.slow
def test_held_vowels_lie_where_their_phones_say_and_lips_close_for_m_and_b() -> None:
    rng, heard = np.random.default_rng(3), {"closed": 0.0, "open": 0.0}
    for _ in range(6):
        spoken = say_vowels(rng)
        assert spoken.phones[0].symbol == spoken.phones[-1].symbol == SILENCE
        assert spoken.phones[-1].end == pytest.approx(len(spoken.samples) / 16000, abs=0.01)
        for phone in spoken.phones:
            middle = round(8000 * (phone.start + phone.end))
            level = float(np.abs(spoken.samples[middle - 160 : middle + 160]).mean())
            key = "open" if phone.symbol in FORMANTS else "closed"
            heard[key] = max(heard[key], level)
    assert heard["closed"] < 0.5 * heard["open"]
