"""Sound files as they are found: changed on the way, damaged, with pauses left out, of several tracks, through pipes.

None of them ends early without a word.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audio import piped
from streamer.audio.sound_file import Sound
from streamer.core.errors import MediaError
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE
from tests.fakes.sound import encoded, speech_like, write_wav

SPEECH = 1.6 * speech_like(2.0)


class Heard:
    """A file read as the networks hear it and as it is played, and what was said about it."""

    def __init__(self, path: Path, track: int | None = None) -> None:
        self.said: list[str] = []
        sound = Sound(path, track, self.said.append)
        self.track = sound.track
        self.samples: FloatArray = np.concatenate(list(sound.mono()))
        self.seconds = len(self.samples) / SAMPLE_RATE
        assert sum(map(len, sound.stereo())) / 48_000 == pytest.approx(self.seconds, abs=0.005)

    def level(self, start: float, end: float) -> float:
        part = self.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        return float(np.abs(part).max())


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1), (16_000, 2)])
def test_rate_and_channels_may_change_inside(tmp_path: Path, rate: int, channels: int) -> None:
    first = encoded(tmp_path / "a.mp3", "libmp3lame", 2 * speech_like(2.0), rate=16_000)
    other = np.interp(np.arange(2 * rate) / rate, np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE, SPEECH).astype(np.float32)
    sides = other if channels == 1 else np.stack([other, other], axis=1)
    second = encoded(tmp_path / "b.mp3", "libmp3lame", sides, rate=rate)
    heard = Heard(joined(tmp_path / "both.mp3", first, second))
    assert heard.seconds == pytest.approx(4.0, abs=0.2)
    assert heard.level(2.2, 3.9) > 0.1


@pytest.mark.parametrize("suffix", ["m4a", "aac", "mp2", "ts", "flac", "ogg"])
def test_damaged_bytes_cost_only_themselves_and_are_reported(tmp_path: Path, suffix: str) -> None:
    codec = {"mp2": "mp2", "flac": "flac", "ogg": "libopus"}.get(suffix, "aac")
    path = encoded(tmp_path / f"a.{suffix}", codec, np.tile(np.repeat(SPEECH, 3), 2), rate=48_000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 20] = bytes(len(content) // 20)
    path.write_bytes(content)
    heard = Heard(path)
    assert heard.seconds == pytest.approx(4.0, abs=0.3)
    assert heard.level(3.2, 3.6) > 0.1
    assert len(heard.said) == 1
    assert path.name in heard.said[0]
    assert "damaged at" in heard.said[0] or "no sound from" in heard.said[0]


@pytest.mark.parametrize("suffix", ["flac", "mp3", "mka", "aiff", "wav", "ogg"])
def test_a_truncated_file_is_reported(tmp_path: Path, suffix: str) -> None:
    codec = {"flac": "flac", "mp3": "libmp3lame", "mka": "aac", "aiff": "pcm_s16be", "wav": "pcm_s16le"}
    path = encoded(tmp_path / f"a.{suffix}", codec.get(suffix, "libopus"), np.repeat(SPEECH, 3), rate=48_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    heard = Heard(path)
    assert heard.seconds < 1.5
    assert heard.said


@pytest.mark.parametrize("suffix", ["webm", "mka"])
def test_a_pause_that_was_never_sent_is_as_long_as_it_was(tmp_path: Path, suffix: str) -> None:
    codec = {"webm": "libopus", "mka": "aac"}[suffix]
    path = encoded(tmp_path / f"a.{suffix}", codec, np.repeat(SPEECH, 3), rate=48_000, pause=1.5)
    heard = Heard(path)
    assert heard.seconds == pytest.approx(3.5, abs=0.1)
    assert heard.level(1.2, 2.4) < 0.01
    assert heard.level(2.6, 3.4) > 0.1
    assert any("no sound from 1.0" in line for line in heard.said)


@pytest.mark.slow
def test_whole_files_are_read_without_a_word(tmp_path: Path) -> None:
    for suffix, codec in {"mp3": "libmp3lame", "m4a": "aac", "ogg": "libopus", "flac": "flac", "mkv": "aac"}.items():
        heard = Heard(encoded(tmp_path / f"a.{suffix}", codec, np.repeat(SPEECH, 3), rate=48_000))
        assert heard.said == []
        assert heard.seconds == pytest.approx(2.0, abs=0.06)


def test_the_first_track_with_sound_is_used_and_any_can_be_asked_for(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mka", "aac", np.zeros_like(SPEECH), SPEECH, 0.5 * SPEECH)
    heard = Heard(path)
    assert (heard.track, heard.level(0, 2) > 0.1) == (2, True)
    assert ["3 tracks" in line and "track 2" in line for line in heard.said] == [True]
    assert Heard(path, 3).level(0, 2) == pytest.approx(heard.level(0, 2) / 2, rel=0.1)
    assert "silent" in Heard(path, 1).said[0]
    with pytest.raises(MediaError, match=r"track 4 .* holds 3"):
        Sound(path, 4)


def test_opposite_channels_are_heard_in_files_too(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.flac", "flac", np.stack([SPEECH, -SPEECH], axis=1))
    assert Heard(path).level(0.1, 2) > 0.1


def test_a_pipe_is_read_as_a_file(tmp_path: Path) -> None:
    content = write_wav(tmp_path / "a.wav", SPEECH).read_bytes()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading, writing = os.pipe()
    for path, target in ((fifo, str(fifo)), (Path(f"/dev/fd/{reading}"), writing)):

        def write(target: str | int = target) -> None:
            with open(target, "wb") as out:  # noqa: PTH123 - it may be a descriptor
                out.write(content)

        writer = threading.Thread(target=write)
        writer.start()
        heard = Heard(path)
        writer.join(60)
        np.testing.assert_allclose(heard.samples, SPEECH, atol=1e-4)
    os.close(reading)


def test_a_pipe_into_which_nothing_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piped, "STALLED_S", 0.2)
    monkeypatch.setattr(piped, "NOTE_S", 0.1)
    reading, writing = os.pipe()
    said: list[str] = []
    with pytest.raises(MediaError, match="nothing came"):
        Sound(Path(f"/dev/fd/{reading}"), say=said.append)
    assert said == [f"waiting for sound from /dev/fd/{reading}"]
    os.close(reading)
    os.close(writing)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_bytes_end_in_anything_but_sound_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    suffix, codec = data.draw(
        st.sampled_from([("m4a", "aac"), ("webm", "libopus"), ("mp3", "libmp3lame"), ("wav", "pcm_s16le")])
    )
    content = bytearray(encoded(folder / f"a.{suffix}", codec, SPEECH[:8000].repeat(3), rate=48_000).read_bytes())
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=30)
    ):
        content[place] = value
    path = folder / f"b.{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(MediaError):
        sound = Sound(path, say=lambda _: None)
        assert all(np.isfinite(part).all() and np.abs(part).max() <= 1.5 for part in sound.mono())


@pytest.mark.parametrize("codec", ["libopus", "flac"])
def test_recordings_chained_in_one_ogg_may_differ(tmp_path: Path, codec: str) -> None:
    """Voice messages and radio that are joined: each begins a stream of its own (RFC 3533, section 4)."""
    one, other = (speech_like(seconds).repeat(3) for seconds in (1.0, 2.0))
    stereo = np.stack([other, other], axis=1)
    links = [
        encoded(tmp_path / f"{name}.ogg", codec, samples, rate=48_000)
        for name, samples in (("one", one), ("other", stereo))
    ]
    heard = Heard(joined(tmp_path / "chain.ogg", *links, *links))
    assert heard.seconds == pytest.approx(6.0, abs=0.1)
    assert heard.level(1.2, 2.9) > 0.1
    assert heard.level(4.2, 5.9) > 0.1
    assert heard.said == []


def test_damaged_bytes_between_the_pages_of_a_chain_hide_no_recording(tmp_path: Path) -> None:
    one = encoded(tmp_path / "one.ogg", "libopus", speech_like(1.0).repeat(3), rate=48_000)
    chain = tmp_path / "chain.ogg"
    chain.write_bytes(one.read_bytes() + b"\x00OggX" * 40_000 + one.read_bytes())
    assert Heard(chain).seconds == pytest.approx(2.0, abs=0.1)
