"""Any sound goes in; the video that comes out plays that sound in step with its pictures, or is not there at all."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.audio.sound_file import Sound, probe_sound, read_sound
from streamer.core.errors import MediaError
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.rates import FPS, SAMPLE_RATE
from streamer.render.video_file import VideoWriter
from tests.fakes.sound import speech_like, write_wav

SIZE = (64, 48)


def read_all(path: Path) -> FloatArray:
    return np.concatenate(list(read_sound(path)))


def flat(level: int) -> ByteArray:
    return np.full((SIZE[1], SIZE[0], 3), level, np.uint8)


def write(path: Path, sound: Path, levels: list[int]) -> Path:
    with VideoWriter(path, SIZE, Sound(sound)) as writer:
        for level in levels:
            writer.write(flat(level))
    return path


def brightness(path: Path) -> NDArray[np.float64]:
    with av.open(str(path)) as container:
        return np.array([frame.to_ndarray(format="gray").mean() for frame in container.decode(video=0)])


def test_sound_at_the_pipeline_s_rate_is_read_as_it_is(tmp_path: Path) -> None:
    samples = speech_like(1.5)
    read = read_all(write_wav(tmp_path / "a.wav", samples))
    np.testing.assert_allclose(read, samples, atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_other_rates_are_brought_to_it(tmp_path: Path, rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    path = write_wav(tmp_path / "a.wav", tone.astype(np.float32), rate)
    read = read_all(path)
    assert abs(read.size - SAMPLE_RATE) <= 32
    assert int(np.abs(np.fft.rfft(read[:SAMPLE_RATE])).argmax()) == pytest.approx(440, abs=1)
    assert probe_sound(path).seconds == pytest.approx(1.0, abs=0.01)


def test_the_sound_of_a_video_is_read(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", speech_like(1.0))
    read = read_all(write(tmp_path / "b.mp4", sound, [100] * 25))
    assert abs(read.size - SAMPLE_RATE) < 1500


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF\x24\x00\x00\x00WAVE"])
def test_a_file_without_sound_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.wav"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"text\.wav: .*(not a sound|no sound)") as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.wav: no such file"):
        probe_sound(tmp_path / "gone.wav")


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", speech_like(0.5))
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.wav\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError):
        read_all(playlist)


def test_a_file_that_breaks_off_gives_what_there_is(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", speech_like(2.0))
    path.write_bytes(path.read_bytes()[: 44 + SAMPLE_RATE])
    assert read_all(path).size == pytest.approx(SAMPLE_RATE // 2, abs=64)


def test_a_video_has_every_frame_and_the_whole_sound(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", speech_like(1.23))
    path = write(tmp_path / "out.mp4", sound, [100] * 31)
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, video.format.name) == (*SIZE, "yuv420p")
        assert video.average_rate == FPS
        assert video.frames == 31
        assert audio.duration is not None
        assert audio.time_base is not None
        assert float(audio.duration * audio.time_base) == pytest.approx(1.23, abs=0.03)


def test_the_index_comes_first(tmp_path: Path) -> None:
    """So that a browser can play the file while it loads."""
    data = write(tmp_path / "out.mp4", write_wav(tmp_path / "a.wav", speech_like(1.0)), [100] * 25).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_flash_and_a_click_made_together_stay_together(tmp_path: Path, rate: int) -> None:
    """Within half a frame, through both encoders."""
    flash = 30
    click = np.zeros(2 * rate, np.float32)
    start = flash * rate // FPS
    click[start : start + rate // 50] = 0.8 * np.sin(np.arange(rate // 50))
    sound = write_wav(tmp_path / "a.wav", click, rate)
    path = write(tmp_path / "out.mp4", sound, [250 if i == flash else 20 for i in range(2 * FPS)])
    seen = int(brightness(path).argmax()) / FPS
    heard = int((np.abs(read_all(path)) > 0.3).argmax()) / SAMPLE_RATE
    assert seen == flash / FPS
    assert heard == pytest.approx(seen, abs=0.02)


def test_an_interrupted_video_leaves_nothing_behind(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", speech_like(1.0))
    out = tmp_path / "out.mp4"
    out.write_bytes(b"the one before")

    def interrupted() -> None:
        with VideoWriter(out, SIZE, Sound(sound)) as writer:
            writer.write(flat(100))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.read_bytes() == b"the one before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "out.mp4"]


def test_a_video_that_cannot_be_written(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", speech_like(0.5))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MediaError, match=r"out\.mp4: cannot be written"):
        VideoWriter(tmp_path / "file" / "out.mp4", SIZE, Sound(sound))


def test_the_sound_is_not_overwritten_by_its_own_video(tmp_path: Path) -> None:
    sound = write(tmp_path / "a.mp4", write_wav(tmp_path / "a.wav", speech_like(0.5)), [100] * 12)
    with pytest.raises(MediaError, match="is the sound to be rendered"):
        VideoWriter(sound, SIZE, Sound(sound))
