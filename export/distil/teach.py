"""All steps: open the teacher, plan and render its lessons, train the student, write it as a family, compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from engines.errors import AvatarError
from export.distil import BUILT, WORK
from export.distil.comparison import compare
from export.distil.family import family_name, write_family
from export.distil.motion_space import Motions, sample, synthetic_speech
from export.distil.regions import Regions
from export.distil.student import Student, code_of
from export.distil.teacher import Lessons, Pictures, Teacher, open_teacher
from export.distil.training import Course, Trainer, warm_start
from export.starter.training.generator import Generator
from export.starter.training.weights import load_weights
from streamer.audio.sound_file import read_sound
from streamer.core.frames import FloatArray
from streamer.core.pictures import to_bytes
from streamer.pipeline import Avatar, Engines

RELEASED = Path(__file__).parents[1] / "starter" / "data" / "generator.npz"
CHECKPOINT, SHEET = "student.pt", "held-back.png"
SPEECH_S = 150.0  # length of the speech by eSpeak
SEED = 5

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """See the command's help."""

    engines: Path
    avatar: str
    out: Path | None = None
    minutes: float = 60.0
    pictures: int = 1200
    speech: list[Path] | None = None
    work: Path | None = None
    from_scratch: bool = False
    threads: int = 2
    batch: int = 8


def teach(options: Options, say: Say) -> Path:
    """Teach a student, and return its family's folder.

    Raises:
        AvatarError: the family is missing or incomplete, the avatar or speech is missing, or the work folder belongs to
            another avatar or family.
        OSError: reading or writing failed.
    """
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    with open_teacher(options.engines, options.threads) as engines:
        avatar = Avatar.load(engines, options.avatar)
        name = family_name(avatar, engines.manifest)
        work, out = options.work or WORK / name, options.out or BUILT / name
        if out.exists() and not (out / "manifest.json").is_file():
            raise AvatarError(f"{out}: is there already and is no family; choose another folder with --out")
        teacher = Teacher(engines, avatar, work)
        lessons = teacher.plan(lambda: _motions(engines, avatar, options, say))
        teacher.render(lessons, say)
        taught = Pictures(work, len(lessons.keypoints))
        portrait = to_bytes(avatar.constants["portrait"][0].transpose(1, 2, 0))
        regions = Regions.of(portrait)
        course = _course(avatar, lessons, options.from_scratch)
        checkpoint = work / CHECKPOINT
        if checkpoint.is_file():
            course.load(checkpoint)
            say(f"going on from step {course.step}, {course.trained_s / 60:.1f} min")
        Trainer(course, lessons, taught, regions, options.batch, SEED).run(options.minutes, checkpoint, say)
        write_family(course.average, regions, engines, avatar, out)
    say(str(compare(out, lessons, taught, regions, work / SHEET)))
    say(f"teacher above, student below: {work / SHEET}")
    return out


def _motions(engines: Engines, avatar: Avatar, options: Options, say: Say) -> Motions:
    if options.speech:
        say(f"reading {len(options.speech)} sound files")
        sounds = [_read(path) for path in options.speech]
    else:
        sounds = synthetic_speech(SPEECH_S, SEED)
    say(f"moving to {sum(sound.size for sound in sounds) / 16_000:.0f} s of speech")
    return sample(engines, avatar, sounds, options.pictures, SEED)


def _read(path: Path) -> FloatArray:
    found = np.concatenate([np.zeros(0, np.float32), *read_sound(path)])
    if found.size < 2 * 16_000:
        raise AvatarError(f"{path}: {found.size / 16_000:.1f} s of sound, expected 2 s or more")
    return found


def _course(avatar: Avatar, lessons: Lessons, from_scratch: bool) -> Course:
    portrait, source = (torch.from_numpy(avatar.constants[name]) for name in ("portrait", "source_keypoints"))
    torch.manual_seed(SEED)
    student = Student(portrait, source, *code_of(lessons.learnt))
    if not from_scratch:
        released = Generator()
        load_weights(RELEASED, released)
        warm_start(student, released)
    return Course.begin(student)
