"""From a family with a face model to a student that is served in its place, and everything that makes it refuse."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
pytest.importorskip("scipy", reason="scipy is not installed; pip install 'avatar-streamer[export]'")

from engines.errors import AvatarError  # noqa: E402
from engines.manifest import Manifest  # noqa: E402
from engines.runtime import Engines  # noqa: E402
from export.distil import __main__ as command  # noqa: E402
from export.distil.motion_space import sample  # noqa: E402
from export.distil.regions import Regions  # noqa: E402
from export.distil.student import Student  # noqa: E402
from export.distil.teach import Options, teach  # noqa: E402
from streamer.core.frames import Keypoints  # noqa: E402
from streamer.pipeline import Avatar, CoefficientStream, Pipeline  # noqa: E402
from streamer.stages.motion import MotionStage  # noqa: E402
from streamer.stages.render import RenderStage  # noqa: E402
from tests.fakes.sound import speech_like, write_wav  # noqa: E402
from tests.families import tiny_vae_family  # noqa: E402

pytestmark = pytest.mark.slow

MOMENT = 1e-4  # minutes: one step


@dataclass
class Taught:
    """A student, and how it was made."""

    options: Options
    folder: Path
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, vae_folder: Path) -> Taught:
    folder = tmp_path_factory.mktemp("distil")
    speech = [write_wav(folder / f"{i}.wav", speech_like(2.5)) for i in range(2)]
    options = Options(vae_folder, "ada", folder / "ada", MOMENT, 6, speech, folder / "work", threads=1, batch=2)
    made = Taught(options, folder / "ada")
    assert teach(options, made.said.append) == made.folder
    return made


def keypoints(engines: Engines, sound: np.ndarray) -> list[Keypoints]:
    avatar = Avatar.load(engines)
    stream = CoefficientStream(engines, avatar)
    return MotionStage(engines["motion"], avatar).infer([*stream.push(sound), *stream.flush()])


def test_a_student_is_a_family_that_moves_as_its_teacher_does(taught: Taught, vae: Engines) -> None:
    manifest = Manifest.load(taught.folder)
    assert (manifest.family, manifest.size, manifest.default_avatar) == ("ada-tiny-vae", tiny_vae_family.SIZE, "ada")
    sound = speech_like(1.0)
    with Engines.open(manifest, threads=1) as engines:
        for mine, theirs in zip(keypoints(engines, sound), keypoints(vae, sound), strict=True):
            np.testing.assert_allclose(mine.points, theirs.points, atol=1e-5)
        pipeline = Pipeline(engines, Avatar.load(engines))
        frames = [*pipeline.push(sound), *pipeline.flush()]
    assert [frame.index for frame in frames] == list(range(25))
    assert {frame.rgb.shape for frame in frames} == {(tiny_vae_family.SIZE, tiny_vae_family.SIZE, 3)}


def test_its_graphs_draw_what_was_trained(taught: Taught) -> None:
    saved = torch.load(taught.folder.parent / "work" / "student.pt", weights_only=True)["average"]
    named = {name: saved[name] for name in ("portrait", "source", "drawing.mean", "drawing.axes")}
    student = Student(*named.values())
    student.load_state_dict(saved)
    driving = student.source + 0.05 * torch.randn(student.source.shape, generator=torch.Generator().manual_seed(1))
    with Engines.open(Manifest.load(taught.folder), threads=1, backend="onnxruntime") as engines:
        avatar = Avatar.load(engines)
        frame = RenderStage(engines, avatar).infer(Keypoints(0, driving[0].numpy())).rgb
        regions = Regions.of(avatar.photo)
    with torch.no_grad():
        painting, _ = student.eval()(driving, [regions.window], regions.extent)
    expected = (painting.picture[0].permute(1, 2, 0).clamp(0, 1) * 255).numpy()
    top, left = (x * student.size // 256 for x in regions.window)
    height, width = expected.shape[:2]
    found = frame[top : top + height, left : left + width]
    np.testing.assert_allclose(found[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1.5)  # its border fades into the rest


def test_the_same_command_again_goes_on(taught: Taught, tmp_path: Path) -> None:
    work = shutil.copytree(taught.folder.parent / "work", tmp_path / "work")
    shards = sorted(work.glob("pictures-*.npz"))
    assert len(shards) > 1
    shards[-1].unlink()  # as after an interruption
    before = shards[0].stat().st_mtime_ns
    said: list[str] = []
    teach(replace(taught.options, work=work, out=tmp_path / "ada", minutes=2 * MOMENT), said.append)
    assert any("going on from step 1," in line for line in said)
    assert not any("of speech" in line for line in said)
    assert shards[0].stat().st_mtime_ns == before
    assert shards[-1].is_file()
    assert (work / "held-back.png").is_file()
    assert any(line.startswith("held-back frames: ") for line in said)


def test_two_thirds_of_the_lessons_turn_the_head_evenly(vae: Engines, ada: Avatar) -> None:
    sounds = [speech_like(2.0), speech_like(1.5)]
    motions = sample(vae, ada, sounds, 60)
    poses = motions.learnt[:, tiny_vae_family.EXPRESSION :]
    assert (np.ptp(poses, axis=2).max(1) == 0).sum() == 40
    stream = CoefficientStream(vae, ada)
    spoken = np.stack([w.values[tiny_vae_family.EXPRESSION :] for w in (*stream.push(sounds[0]), *stream.flush())])
    assert (np.ptp(poses, axis=(0, 2)) >= 0.8 * np.ptp(spoken, axis=(0, 2))).all()
    assert len(motions.held) == 38  # 1.5 s, the last frame a part


def test_an_incomplete_family_is_refused(tmp_path: Path, taught: Taught) -> None:
    folder = tiny_vae_family.build(tmp_path / "vae")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["stages"]["motion"], manifest["stages"]["render"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(AvatarError, match=r"lacks motion, render; a teacher needs .*export it again"):
        teach(replace(taught.options, engines=folder), print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"avatar": "nobody"}, "no avatar 'nobody'; there are ada"),
        ({"engines": Path("nowhere")}, "nowhere: no manifest.json"),
        ({"speech": [Path(__file__)]}, "test_distil.py"),
    ],
)
def test_what_is_not_there_is_named(taught: Taught, tmp_path: Path, change: dict[str, object], message: str) -> None:
    options = replace(taught.options, work=tmp_path / "work", out=tmp_path / "out", **change)  # type: ignore[arg-type]
    with pytest.raises(AvatarError, match=message) as caught:
        teach(options, lambda _: None)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_pictures_of_another_avatar_are_not_mixed_in(taught: Taught, tmp_path: Path) -> None:
    folder = tiny_vae_family.build(tmp_path / "vae")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"version": "2"}))
    with pytest.raises(AvatarError, match="holds pictures of another avatar or family; choose another folder"):
        teach(replace(taught.options, engines=folder), print)


def test_a_folder_that_is_no_family_is_not_replaced(taught: Taught, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(AvatarError, match="mine: is there already and is no family"):
        teach(replace(taught.options, out=tmp_path / "mine"), print)
    assert (tmp_path / "mine" / "letter.txt").is_file()


def test_without_torch_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    monkeypatch.setattr(sys, "argv", ["distil", "--engines", "somewhere", "--avatar", "me"])
    assert command.main() == 2
    assert capsys.readouterr().err == (
        "avatar: torch not installed, and training needs it; pip install 'avatar-streamer[export]'\n"
    )
