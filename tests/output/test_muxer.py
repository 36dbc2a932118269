"""Files hold what was shown and played, moment by moment, and can be played even when they could not be finished."""

from __future__ import annotations

import resource
from pathlib import Path

import av
import numpy as np
import pytest

from streamer.core.errors import MediaError
from streamer.core.letterbox import Fit
from streamer.output.destination import Destination
from streamer.output.muxer import Muxer, MuxerJob
from tests.fakes.muxed import decode, look, packet, picture

FIT = Fit(128, 64)
FRAMES, FLASH = 60, 40
START = 12_340  # ms: moments count from anywhere
KINDS = {".mp4": ("h264", "aac"), ".mkv": ("h264", "aac"), ".ts": ("h264", "aac"), ".flv": ("h264", "aac"),
         ".webm": ("libvpx-vp9", "libopus")}  # fmt: skip


def job(path: Path, transparent: bool = False) -> MuxerJob:
    return MuxerJob(Destination.parse(str(path)), FIT, transparent)


def film(muxer: Muxer, frames: int = FRAMES, sound_first: bool = False) -> None:
    for frame in range(frames):
        moment = START + 40 * frame
        if not sound_first:
            muxer.picture(moment, picture(frame == FLASH))
        muxer.sound(moment, packet(frame == FLASH))
        muxer.sound(moment + 20, packet())
        if sound_first:
            muxer.picture(moment, picture(frame == FLASH))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sound_first", [False, True])
def test_every_kind_of_file_has_every_picture_at_its_moment_with_its_sound(
    tmp_path: Path, kind: str, sound_first: bool
) -> None:
    muxer = Muxer(job(tmp_path / f"film{kind}"))
    film(muxer, sound_first=sound_first)
    muxer.close()
    seen = look(tmp_path / f"film{kind}")
    decoders = {"vp9": "libvpx-vp9", "opus": "libopus"}
    assert tuple(decoders.get(codec, codec) for codec in seen.codecs) == KINDS[kind]
    assert seen.times - seen.times[0] == pytest.approx(np.arange(FRAMES) / 25, abs=0.0011)  # FLV counts milliseconds
    assert seen.times[0] <= 0.022  # a transport stream begins with the sound's first, empty frame
    assert seen.flash - seen.times[0] == pytest.approx(FLASH / 25, abs=0.0011)
    assert seen.click == pytest.approx(seen.flash, abs=0.005)
    assert seen.sound_end - seen.times[0] == pytest.approx(FRAMES / 25, abs=0.05)
    assert (muxer.pictures, muxer.seconds) == (FRAMES, FRAMES / 25)
    assert [path.name for path in tmp_path.iterdir()] == [f"film{kind}"]


def test_missing_pictures_shift_nothing(tmp_path: Path) -> None:
    """Half a second of sound and four pictures did not come; two packets came twice."""
    muxer = Muxer(job(tmp_path / "film.mkv"))
    for frame in range(FRAMES):
        if frame not in (10, 11, 12, 30):
            muxer.picture(START + 40 * frame, picture(frame == FLASH))
        for half in (0, 20):
            if frame not in range(15, 28):
                muxer.sound(START + 40 * frame + half, packet(frame == FLASH and not half))
            if frame == 5:
                muxer.sound(START + 40 * frame + half, packet(click=True))
    muxer.close()
    seen = look(tmp_path / "film.mkv")
    assert list(np.round(25 * seen.times)) == [frame for frame in range(FRAMES) if frame not in (10, 11, 12, 30)]
    assert seen.flash == FLASH / 25
    assert seen.click == pytest.approx(seen.flash, abs=0.005)


def test_sound_before_the_first_picture_is_left_out(tmp_path: Path) -> None:
    muxer = Muxer(job(tmp_path / "film.mkv"))
    for early in range(200, 0, -20):
        muxer.sound(START - early, packet(click=True))
    film(muxer)
    muxer.close()
    seen = look(tmp_path / "film.mkv")
    assert seen.click == pytest.approx(FLASH / 25, abs=0.005)


def test_a_film_without_sound_is_silent(tmp_path: Path) -> None:
    muxer = Muxer(job(tmp_path / "film.mkv"))
    for frame in range(FRAMES):
        muxer.picture(START + 40 * frame, picture(frame == FLASH))
    muxer.close()
    seen = look(tmp_path / "film.mkv")
    assert seen.flash == FLASH / 25
    assert seen.sound_end > FRAMES / 25 - 0.6
    assert np.abs(seen.sound).max() < 1e-4


def test_colours_are_what_they_were_and_say_how(tmp_path: Path) -> None:
    muxer = Muxer(job(tmp_path / "film.mp4"))
    colour = [200, 60, 30]
    for frame in range(5):
        muxer.picture(40 * frame, np.full((32, 64, 3), colour, np.uint8))
    muxer.close()
    with av.open(str(tmp_path / "film.mp4"), "r") as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24", src_colorspace="ITU709")
    np.testing.assert_allclose(rgb[32, 64], colour, atol=4)


def test_a_transparent_film_stays_transparent(tmp_path: Path) -> None:
    muxer = Muxer(job(tmp_path / "film.webm", transparent=True))
    rgba = np.full((64, 64, 4), 200, np.uint8)
    rgba[:, :32, 3], rgba[:, 32:, 3] = 0, 255
    for frame in range(5):
        muxer.picture(40 * frame, rgba)
    muxer.close()
    with av.open(str(tmp_path / "film.webm")) as container:
        stream = container.streams.video[0]
        assert stream.metadata["ALPHA_MODE"] == "1"
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own decoder knows no alpha
        frames = [frame for each in container.demux(stream) for frame in decoder.decode(each)]
    assert len(frames) == 5
    alpha = frames[-1].to_ndarray(format="rgba")[32, :, 3]
    assert alpha.shape == (128,)
    assert (alpha[:60] < 10).all()  # the bars, too
    assert (alpha[68:92] > 245).all()
    assert (alpha[100:] < 10).all()


def test_a_film_without_a_picture_leaves_no_file(tmp_path: Path) -> None:
    muxer = Muxer(job(tmp_path / "film.mp4"))
    muxer.sound(0, packet())
    muxer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".mp4", ".mkv", ".ts"])
def test_a_full_disk_keeps_the_written_part(tmp_path: Path, kind: str) -> None:
    muxer = Muxer(job(tmp_path / f"film{kind}"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, before[1]))  # as a full disk; it lets some seconds in
    try:
        with pytest.raises(MediaError, match="File too large"):
            _noise(muxer)
        with pytest.raises(MediaError):
            muxer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == [f"film{kind}"]
    assert 25 < len(decode(tmp_path / f"film{kind}")) <= muxer.pictures


def _noise(muxer: Muxer) -> None:
    rng = np.random.default_rng(0)
    for frame in range(500):
        muxer.sound(40 * frame, packet())
        muxer.picture(40 * frame, rng.integers(0, 255, (64, 128, 3), np.uint8))


def test_a_folder_that_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    gone = job(folder / "film.mp4")
    folder.rmdir()
    with pytest.raises(MediaError, match="No such file or directory"):
        Muxer(gone)


def test_a_host_that_is_not_known() -> None:
    with pytest.raises(MediaError, match=r"no host nowhere\.invalid is known"):
        Muxer(MuxerJob(Destination.parse("udp://nowhere.invalid:5000"), FIT))
