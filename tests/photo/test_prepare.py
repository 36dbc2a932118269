"""`avatar prepare`: from a photo to an avatar that speaks, or one clear line and nothing left behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar.bundle_files import WHOLE as WHOLE_FILE
from streamer.avatar.catalogue import find_avatar, list_avatars
from streamer.avatar.gallery import Gallery
from streamer.cli.main import main
from streamer.core.errors import BundleError, ConfigError, PhotoError
from streamer.core.frames import ByteArray, CoefficientWindow
from streamer.core.options import FaceOptions
from streamer.photo.prepare import Prepared, PrepareOptions, name_of, prepare
from streamer.pipeline import Avatar, FaceRenderer
from tests.fakes import faces
from tests.families.tiny_family import write_avatar

MANIFEST = Manifest.load(faces.STARTER)
NAMES = MANIFEST.coefficients.expression


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Kofi in front of more of his wall, as a photo."""
    wider = cv2.copyMakeBorder(faces.portrait("kofi"), 40, 0, 60, 60, cv2.BORDER_REPLICATE)
    return faces.save(tmp_path / "My Photo.png", np.asarray(wider, np.uint8))


def frame(engines: Engines, avatar: Avatar, **units: float) -> ByteArray:
    """A held face."""
    values = np.zeros((len(MANIFEST.coefficients), sum(MANIFEST.stage("motion").context) + 1), np.float32)
    for name, value in units.items():
        for side in (name, f"{name}Left", f"{name}Right"):
            if side in NAMES:
                values[NAMES.index(side)] = value
    return FaceRenderer(engines, avatar).render([CoefficientWindow(0, values)])[0].rgb


def near(engines: Engines, avatar: Avatar, points: tuple[int, int], one: ByteArray, other: ByteArray) -> float:
    """Mean difference of two frames about the middle of two keypoints."""
    x, y = ((avatar.constants["source_keypoints"][0, list(points), :2].mean(0) + 1) * 128).round().astype(int)
    part = (slice(y - 12, y + 12), slice(x - 12, x + 12))
    return float(np.abs(one[part].astype(float) - other[part]).mean())


@pytest.mark.slow
def test_a_prepared_photo_rests_blinks_and_speaks(own_home: Path, photo: Path, starter: Engines) -> None:
    made = prepare(MANIFEST, PrepareOptions(photo, "me"))
    (note,) = made.notes
    assert re.fullmatch(r"the photo has 2\d\d pixels about the head, so its pictures are 256x256; a larger .*", note)
    assert made == Prepared("me", own_home / "avatars" / "me", (note,))
    assert list_avatars(MANIFEST)[-1] == "me"
    info = find_avatar(MANIFEST, "me")
    assert (info.title, info.mode) == ("Me", "crop")
    assert info.description.startswith("Made of a photo on 20")
    avatar = Avatar.load(starter, "me")
    rest = frame(starter, avatar)
    portrait = (avatar.constants["portrait"][0].transpose(1, 2, 0) * 255).round().astype(np.uint8)
    assert np.abs(rest.astype(float) - portrait).mean() < 4.0
    speaking = frame(starter, avatar, jawOpen=0.5, mouthLowerDown=0.4)
    assert near(starter, avatar, (13, 14), rest, speaking) > 10
    assert np.abs(rest[:40].astype(float) - speaking[:40]).mean() < 1.0
    blinking = frame(starter, avatar, eyeBlink=1.0)
    for lids in ((159, 145), (386, 374)):
        assert near(starter, avatar, lids, rest, blinking) > 8
    preview = cv2.imread(str(made.preview))
    assert preview is not None
    assert preview.shape[1] == 2 * preview.shape[0]


@pytest.mark.slow
def test_it_is_read_as_the_rig_has_it(own_home: Path, photo: Path) -> None:
    """The same face as the bundled one's own: mouth and eyes of the same size, within the landmarks' error."""
    folder = prepare(MANIFEST, PrepareOptions(photo, "me")).folder
    with np.load(folder / "arrays.npz") as arrays, np.load(faces.STARTER / "avatars/kofi/arrays.npz") as true:
        mine, his = arrays["source_keypoints"], true["source_keypoints"]
    for a, b in ((61, 291), (33, 133), (362, 263), (0, 17), (10, 152)):
        ratio = np.linalg.norm(mine[a, :2] - mine[b, :2]) / np.linalg.norm(his[a, :2] - his[b, :2])
        scale = np.linalg.norm(mine[33, :2] - mine[263, :2]) / np.linalg.norm(his[33, :2] - his[263, :2])
        assert ratio / scale == pytest.approx(1, abs=0.12)


@pytest.mark.slow
def test_the_whole_photo_can_be_kept(own_home: Path, photo: Path, starter: Engines) -> None:
    made = prepare(MANIFEST, PrepareOptions(photo, "me", mode="full"))
    whole = cv2.imread(str(made.folder / WHOLE_FILE))
    assert whole is not None
    assert whole.shape == (296, 376, 3)
    assert Avatar.load(starter, "me").motion_stage == "motion"


@pytest.mark.slow
def test_a_session_may_show_the_whole_photo(own_home: Path, photo: Path, starter: Engines) -> None:
    prepare(MANIFEST, PrepareOptions(photo, "me"))
    head = FaceRenderer(starter, Avatar.load(starter, "me"), pixels=60_000)
    whole = head.showing(FaceOptions(mode="full"))
    window = CoefficientWindow(0, np.zeros((len(MANIFEST.coefficients), 3), np.float32))
    assert head.render([window])[0].rgb.shape == (head.size, head.size, 3)
    picture = whole.render([window])[0].rgb
    assert picture.shape == (216, 276, 3)  # of 296 x 376, with at most so many pixels
    still = Gallery.load(MANIFEST, ["me"], "me").find("me").whole_still()
    small = cv2.resize(still, (276, 216), interpolation=cv2.INTER_AREA)
    assert np.abs(picture.astype(int) - small).mean() < 3
    with pytest.raises(ConfigError, match="a background is for pictures of the head; me shows the whole photo"):
        head.showing(FaceOptions(mode="full", background="blur"))
    with pytest.raises(ConfigError, match="avatar mina has only its head"):
        FaceRenderer(starter, Avatar.load(starter, "mina"), FaceOptions(mode="full"))


@pytest.mark.slow
def test_an_avatar_is_replaced_only_by_force(own_home: Path, photo: Path) -> None:
    first = prepare(MANIFEST, PrepareOptions(photo)).folder
    assert first.name == "my-photo"
    before = (first / "avatar.json").read_text()
    with pytest.raises(ConfigError, match=r"there is an avatar my-photo in .*; choose another --name, or replace"):
        prepare(MANIFEST, PrepareOptions(photo))
    assert (first / "avatar.json").read_text() == before
    prepare(MANIFEST, PrepareOptions(photo, title="Another", force=True))
    assert json.loads((first / "avatar.json").read_text())["title"] == "Another"
    assert [path.name for path in first.parent.iterdir()] == ["my-photo"]


@pytest.mark.slow
def test_only_its_owner_can_read_it(own_home: Path, photo: Path) -> None:
    (own_home / "avatars").mkdir(mode=0o755)  # as versions before this one left it
    folder = prepare(MANIFEST, PrepareOptions(photo, "me", mode="full")).folder
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.slow
def test_a_photo_that_does_not_work_leaves_nothing_and_spoils_nothing(own_home: Path, photo: Path) -> None:
    prepare(MANIFEST, PrepareOptions(photo, "me"))
    blank = faces.save(photo.with_name("blank.png"), np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(PhotoError, match="no human face found"):
        prepare(MANIFEST, PrepareOptions(blank, "me", force=True))
    assert [path.name for path in (own_home / "avatars").iterdir()] == ["me"]
    assert find_avatar(MANIFEST, "me").title == "Me"


@pytest.mark.parametrize("name", ["Me", "a/b", "..", "", " ", "x" * 41, "mina"])
def test_impossible_names(own_home: Path, photo: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"--name"):
        prepare(MANIFEST, PrepareOptions(photo, name))
    assert not (own_home / "avatars").exists()


@pytest.mark.parametrize("title", ["", "x" * 61, "two\nlines"])
def test_impossible_titles(own_home: Path, photo: Path, title: str) -> None:
    with pytest.raises(ConfigError, match="use one line of 1 to 60"):
        prepare(MANIFEST, PrepareOptions(photo, "me", title))
    assert not (own_home / "avatars").exists()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("IMG_1234.JPG", "img_1234"),
        ("Aunt Mary (2).png", "aunt-mary-2"),
        ("Großvater René.jpg", "grossvater-rene"),
        ("日本.jpg", "me"),
    ],
)
def test_names_are_made_of_the_file_s(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


def test_a_family_that_cannot_make_avatars(own_home: Path, photo: Path, tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="family tiny has no stage `coefficients`"):
        prepare(Manifest.load(tiny_folder), PrepareOptions(photo, "me"))


def test_a_mode_of_another_family(own_home: Path, photo: Path) -> None:
    with pytest.raises(ConfigError, match="mode resize; family starter has crop, full"):
        prepare(MANIFEST, PrepareOptions(photo, "me", mode="resize"))


def test_a_home_that_cannot_be_written(own_home: Path, photo: Path) -> None:
    own_home.mkdir(parents=True, exist_ok=True)
    (own_home / "avatars").write_text("in the way")
    with pytest.raises(BundleError, match="cannot be written"):
        prepare(MANIFEST, PrepareOptions(photo, "me"))


@pytest.mark.slow
def test_the_command_says_where_and_how_to_go_on(
    own_home: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", str(photo), "--name", "me"]) == 0
    said = capsys.readouterr().out
    assert f"made avatar me in {own_home / 'avatars' / 'me'}" in said
    assert "preview.png" in said
    assert "avatar render --avatar me" in said
    assert main(["prepare", str(photo), "--name", "me"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    write_avatar(own_home / "avatars" / "other", family="other")
    assert main(["avatars"]) == 0
    assert "Me: Made of a photo on" in capsys.readouterr().out
