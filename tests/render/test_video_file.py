"""Videos with a background of choice, as other programs read them: with transparency where the kind of file has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from streamer.audio.sound_file import Sound, read_sound
from streamer.cli.main import main
from streamer.core.errors import ConfigError
from streamer.core.frames import ByteArray
from streamer.output.colour import BT709
from streamer.render.video_file import FORMATS, VideoWriter, check
from tests.fakes import faces
from tests.fakes.sound import speech_like, write_wav
from tests.families import tiny_family, tiny_vae_family

COUNT = 6


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "a.wav", speech_like(COUNT / 25))


def decoded(path: Path, decoder: str | None = None) -> ByteArray:
    """The last frame, RGBA. FFmpeg's own VP9 decoder, which is the usual one, leaves out the alpha."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context: Any = stream.codec_context if decoder is None else av.CodecContext.create(decoder, "r")
        frames = [frame for packet in container.demux(stream) for frame in context.decode(packet)]
    assert len(frames) == COUNT
    return np.asarray(frames[-1].to_ndarray(format="rgba"), np.uint8)


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_pictures_and_sound_come_back(tmp_path: Path, sound: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    picture = np.full((48, 64, 3), (200, 60, 30), np.uint8)
    with VideoWriter(out, (64, 48), Sound(sound)) as writer:
        for _ in range(COUNT):
            writer.write(picture)
    assert np.abs(decoded(out)[..., :3].astype(int) - picture).max() < 12
    assert abs(sum(map(len, read_sound(out))) - COUNT * 640) < 2000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", out.name]


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_colours_are_marked_and_converted_as_marked(tmp_path: Path, sound: Path, suffix: str) -> None:
    """A player that follows the marks (BT.709, studio range) shows the picture's own colours."""
    out, colour = tmp_path / f"out{suffix}", (40, 180, 60)  # green: BT.601 and 709 differ most
    with VideoWriter(out, (64, 48), Sound(sound)) as writer:
        for _ in range(COUNT):
            writer.write(np.full((48, 64, 3), colour, np.uint8))
    with av.open(str(out)) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (Colorspace.ITU709, ColorRange.MPEG)
    assert (int(frame.color_primaries), int(frame.color_trc)) == (BT709, BT709)
    shown = frame.reformat(format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.MPEG)
    assert np.abs(shown.to_ndarray()[24, 32].astype(int) - colour).max() <= 4


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "decoder"), [(".webm", "libvpx-vp9"), (".mov", None)])
def test_a_transparent_avatar_stays_so(tmp_path: Path, sound: Path, suffix: str, decoder: str | None) -> None:
    out = tmp_path / f"out{suffix}"
    command = ["render", "--audio", str(sound), "--avatar", "kofi", "--still", "--size", "256"]
    assert main([*command, "--background", "transparent", "--out", str(out)]) == 0
    frame = decoded(out, decoder)
    assert frame.shape == (256, 256, 4)
    assert frame[:150, [0, 255], 3].max() < 8
    assert frame[90:200, 90:165, 3].min() > 247
    face = faces.portrait("kofi")[70:90, 90:165].astype(int)
    assert np.abs(frame[70:90, 90:165, :3] - face).mean() < 12


@pytest.mark.slow
@pytest.mark.parametrize(("background", "corner"), [("#00b140", (0, 0xB1, 0x40)), ("blur", None)])
def test_a_background_in_an_mp4(
    tmp_path: Path, sound: Path, background: str, corner: tuple[int, int, int] | None
) -> None:
    out = tmp_path / "out.mp4"
    command = ["render", "--audio", str(sound), "--size", "256", "--background", background]
    assert main([*command, "--out", str(out)]) == 0
    wall = decoded(out)[5:100, :20, :3].astype(int)
    expected = corner or faces.portrait("mina")[5:100, :20].reshape(-1, 3).mean(0)
    assert np.abs(wall.reshape(-1, 3).mean(0) - expected).max() < 6
    assert wall.std((0, 1)).max() < (2 if corner else 8)


def test_a_whole_photo_has_no_other_background(tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    family = tiny_vae_family.build(tmp_path / "vae", mode="full")
    avatar = family / "avatars" / tiny_vae_family.NAME
    with np.load(avatar / "arrays.npz") as arrays:
        content = dict(arrays)
    np.savez(avatar / "arrays.npz", allow_pickle=False, **content, paste_box=np.array([4, 4, 36, 36], np.float32))
    faces.save(avatar / "whole.png", np.zeros((64, 64, 3), np.uint8))
    tiny_family.edit(family, lambda data: data.update(files=[]))
    out = tmp_path / "out.mp4"
    command = ["render", "--engines", str(family), "--audio", str(sound), "--out", str(out), "--background", "blur"]
    assert main(command) == 2
    assert capsys.readouterr().err == (
        "avatar: a background is for pictures of the head; ada shows the whole photo, of which no outline is known\n"
    )
    assert not out.exists()


def test_transparency_a_container_cannot_carry_is_refused() -> None:
    check(Path("a.webm"), "transparent")
    check(Path("a.MP4"), "blur")
    with pytest.raises(ConfigError, match=r"an MP4 file carries no transparency; .* \.webm .*--background '#00b140'"):
        check(Path("a.mp4"), "transparent")


@pytest.mark.parametrize("name", ["10:30 take.mp4", "http:b.webm", "C:a.mov", "%03d.mp4", "ö ☃.mp4"])
def test_any_name_is_a_file_s_name(tmp_path: Path, sound: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoWriter(Path(name), (64, 48), Sound(sound)) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.wav", name])
