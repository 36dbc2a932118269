"""What training the expression network rests on. Needs torch and the export side's packages: skipped without them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
pytest.importorskip("scipy", reason="scipy is not installed; pip install 'avatar-streamer[export]'")

from export.starter.training.expression_data import PAST, WindowSet, vary_features  # noqa: E402
from export.starter.training.expression_net import WINDOW, FieldNet  # noqa: E402
from export.starter.voices import augment  # noqa: E402
from export.starter.voices.speech import BREATH, SILENCE, Phone, Utterance  # noqa: E402
from export.starter.voices.takes import trimmed  # noqa: E402
from export.starter.voices.visemes import FIELDS  # noqa: E402
from export.starter.voices.voice_bank import VoiceBank  # noqa: E402
from export.starter.voices.vowels import FORMANTS, say_vowels  # noqa: E402
from streamer.core.rates import window_start  # noqa: E402


def test_a_stretch_of_speech_gives_what_its_single_windows_give() -> None:
    torch.manual_seed(0)
    net = FieldNet().eval()
    mel, starts = torch.randn(2, 1, 80, WINDOW + 12), torch.tensor([[0, 3, 6, 12], [0, 4, 7, 10]])
    together = net.forward_runs(mel, starts)
    for row, run in enumerate(starts.tolist()):
        for column, at in enumerate(run):
            alone = net(mel[row : row + 1, ..., at : at + WINDOW])[0]
            torch.testing.assert_close(together[row, column], alone, atol=1e-5, rtol=1e-4)


def test_runs_of_frames_lie_where_serving_has_their_windows(tmp_path: Path) -> None:
    """Two takes in a shard: a frame's window is the same span of mel frames as `window_start` says, plus the past."""
    edge, frames = 32, [30, 20]
    mel_frames = [frame * 16 // 5 + 1 + 2 * edge for frame in frames]
    mel = np.arange(sum(mel_frames))[:, None] * np.ones(80)
    fields = np.arange(sum(frames))[:, None] * np.ones(len(FIELDS))
    path = tmp_path / "0000.npz"
    np.savez(path, mel=mel, fields=fields, frames=frames, mel_frames=mel_frames)
    windows = WindowSet([path])
    single, aims = windows.windows(torch.tensor([25, 30 + 7]))
    expected = [edge + window_start(25) - PAST, mel_frames[0] + edge + window_start(7) - PAST]
    assert single[:, 0, 0, 0].tolist() == expected
    assert aims[:, 0].tolist() == [25, 37]
    stretch, starts, _ = windows.stretch(torch.arange(37, 45)[None])
    for column in range(8):
        at = int(starts[0, column])
        torch.testing.assert_close(stretch[:, ..., at : at + WINDOW], windows.windows(torch.tensor([37 + column]))[0])


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
