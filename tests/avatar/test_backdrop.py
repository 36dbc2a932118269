"""Another background behind the pictures: what is exactly the colour, what stays the person, and who refuses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar import matte
from streamer.avatar.backdrop import Backdrop
from streamer.avatar.bundle import Avatar
from streamer.avatar.bundle_files import MATTE as MATTE_FILE
from streamer.avatar.catalogue import find_avatar
from streamer.avatar.gallery import Gallery
from streamer.cli.main import main
from streamer.core.errors import BundleError
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rungs import Rung
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.pipeline import Pipeline
from tests.fakes.sound import speech_like
from tests.families import tiny_family

MATTE: FloatArray = np.asarray(tiny_family.matte() / 255, np.float32)
GREEN = (0, 0xB1, 0x40)
NOBODY, PERSON = cv2.dilate(MATTE, np.ones((5, 5))) == 0, cv2.erode(MATTE, np.ones((5, 5))) == 1  # away from the edge


def backdrop(background: str) -> Backdrop:
    """For a white person before black."""
    return Backdrop(np.repeat(tiny_family.matte()[..., None], 3, 2), MATTE, background)


def test_a_colour_is_exact_outside_the_person_who_is_whole() -> None:
    rng = np.random.default_rng(1)
    picture = np.where(PERSON[..., None], rng.integers(0, 256, (32, 32, 3)), 0).astype(np.uint8)
    green = backdrop("#00b140").put(picture)
    assert (green[NOBODY] == GREEN).all()
    assert np.array_equal(green[PERSON], picture[PERSON])


def test_an_edge_has_nothing_of_the_old_background() -> None:
    """Half a pixel of white before black becomes half a pixel of white before green, not of grey."""
    portrait = np.repeat(tiny_family.matte()[..., None], 3, 2)
    edge = backdrop("#00b140").put(portrait)[16, 8].astype(int)
    assert np.abs(edge - (np.array(GREEN) + 255) / 2).max() < 25  # with the old black in it, it would be 64
    rgba = backdrop("transparent").put(portrait)[16, 8].astype(int)
    assert abs(rgba[3] - 128) < 40
    assert (rgba[:3] > 200).all()  # with the old black in it, it would be 128


def test_pictures_of_every_session_are_on_its_background(tiny: Engines, dot: Avatar) -> None:
    def last(background: str | None) -> ByteArray:
        pipeline = Pipeline(tiny, dot, PipelineOptions(face=FaceOptions(background=background)))
        return (pipeline.push(speech_like(0.6)) + pipeline.flush())[-1].rgb

    plain, green, clear = last(None), last("#00b140"), last("transparent")
    assert (green[:, 0] == GREEN).all()
    assert np.array_equal(green[:, 16], plain[:, 16])
    assert clear.shape == (32, 32, 4)
    assert (clear[:, 0, 3] == 0).all()
    assert np.array_equal(clear[:, 16, :3], plain[:, 16])
    assert (clear[:, 16, 3] == 255).all()


def test_a_blurred_background_has_nothing_of_the_person_in_it(tmp_path: Path) -> None:
    family = tiny_family.build(tmp_path / "tiny")
    folder = family / "avatars" / tiny_family.NAME
    portrait = np.zeros((tiny_family.SIZE, tiny_family.SIZE, 3), np.uint8)
    portrait[MATTE > 0] = 255
    portrait[::2, :, 1][MATTE[::2] == 0] = 80  # stripes behind
    cv2.imwrite(str(folder / "portrait.png"), portrait)
    tiny_family.edit(family, lambda fields: fields.update(files=[]))
    still = Gallery.load(Manifest.load(family), ["dot"], "dot").find(None).on("blur")
    behind, person = still[NOBODY].astype(int), still[PERSON]
    assert (person == 255).all()
    assert behind[:, [0, 2]].max() <= 6
    assert np.ptp(behind[:, 1]) < 25
    assert abs(behind[:, 1].mean() - 40) < 6


@pytest.mark.parametrize("background", ["#00b140", "blur", "transparent"])
def test_the_still_is_on_the_background_that_the_pictures_are_on(tiny_folder: Path, background: str) -> None:
    portrait = Gallery.load(Manifest.load(tiny_folder), ["dot"], "dot").find("dot")
    still = portrait.on(background)
    assert np.array_equal(still[PERSON, :3], portrait.still[PERSON])
    assert still.shape[2] == (4 if background == "transparent" else 3)
    if background == "#00b140":
        assert (still[NOBODY] == GREEN).all()
    assert portrait.on(None) is portrait.still


class _Listener:
    def __init__(self) -> None:
        self.first: asyncio.Future[ByteArray] = asyncio.get_running_loop().create_future()

    def on_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        if not self.first.done():
            self.first.set_result(rgb)

    def on_rung(self, rung: Rung) -> None:
        pass

    def on_worker_failure(self, reason: str) -> None:
        self.first.set_exception(AssertionError(reason))


@pytest.mark.process
async def test_sessions_of_one_worker_have_backgrounds_of_their_own(tiny_folder: Path) -> None:
    from streamer.core.aio import MonotonicClock
    from streamer.core.frames import AudioChunk

    worker = InferenceWorker(WorkerSettings(tiny_folder, None, 1), tiny_family.SIZE**2)
    await worker.start()
    try:
        seen = {}
        for background in (None, "#00b140", "transparent"):
            listener = _Listener()
            session = worker.open("dot", PipelineOptions(face=FaceOptions(background=background)), listener)
            session.begin(0, 0, MonotonicClock().now() + 30)
            session.push(0, AudioChunk(0, speech_like(1.0)))
            seen[background] = await asyncio.wait_for(listener.first, 30)
            session.close()
    finally:
        await worker.stop()
    assert seen[None].shape[2] == seen["#00b140"].shape[2] == 3
    assert (seen["#00b140"][:, 0] == GREEN).all()
    assert (seen["transparent"][:, 0, 3] == 0).all()
    assert (seen["transparent"][:, 16, 3] == 255).all()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"", "not a picture"),
        (cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes(), "9x9 pixels, expected 32"),
    ],
)
def test_a_damaged_matte_is_reported(tmp_path: Path, damage: bytes, message: str) -> None:
    family = tiny_family.build(tmp_path / "tiny")
    tiny_family.edit(family, lambda fields: fields.update(files=[]))
    info = find_avatar(Manifest.load(family), "dot")
    (info.folder / MATTE_FILE).write_bytes(damage)
    with pytest.raises(BundleError, match=message):
        Gallery.load(Manifest.load(family), ["dot"], "dot").find(None).on("blur")


@pytest.mark.slow
def test_a_bundle_without_a_matte_gets_one(tmp_path: Path) -> None:
    folder = tiny_family.build(tmp_path / "tiny") / "avatars" / "dot"
    (folder / MATTE_FILE).unlink()
    portrait = np.full((32, 32, 3), 90, np.uint8)
    made = matte.load_matte(folder, portrait)
    assert made.shape == (32, 32)
    assert made.min() >= 0
    assert made.max() <= 1
    assert np.abs(matte.load_matte(folder, portrait) - made).max() <= 0.5 / 255
    assert sorted(path.name for path in folder.iterdir()) == ["arrays.npz", "avatar.json", "matte.png", "portrait.png"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["camera", "--background", "transparent"], "avatar: a virtual camera carries no transparency; the page /obs"),
        (
            ["mic", "--background", "greenish"],
            "avatar: argument --background: greenish found, a colour such as #00b140",
        ),
    ],
)
def test_refusals_are_one_line(capsys: pytest.CaptureFixture[str], command: list[str], message: str) -> None:
    try:
        status = main(command)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1
