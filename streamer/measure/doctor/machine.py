"""Checks of the machine: versions, processor, engines and their speed, disk, voice, sound devices and cameras."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from engines.manifest import Manifest
from engines.runtime import Engines, backend_for
from streamer import __version__
from streamer.avatar.tuned_engines import open_engines
from streamer.core.options import PipelineOptions
from streamer.core.rates import FPS
from streamer.devices.port_audio import port_audio
from streamer.devices.virtual_camera import install_hint
from streamer.measure.doctor.finding import Finding, good, warning
from streamer.pipeline import Avatar, Pipeline
from streamer.voice.choice import open_voice

LIBRARIES = ("aiortc", "aioice", "aiohttp", "av", "numpy", "openvino", "onnxruntime")
LEAST_FREE = 1 << 30  # bytes: a family of engines, avatars and an hour of recordings
SPEECH_S = 2.0
SAMPLE_RATE = 16_000
CPU_INFO = Path("/proc/cpuinfo")
FAST, SLOW = ("avx512f", "avx2", "asimd"), 4  # names of vector units in CPU_INFO; cores


def versions() -> Finding:
    """Report the versions of the program, Python and the main libraries."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return good("versions", f"avatar {__version__}, Python {platform.python_version()}, {', '.join(found)}")


def processor() -> Finding:
    """Check the number of cores and the widest vector unit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    known = CPU_INFO.read_text().split() if CPU_INFO.is_file() else []
    units = [unit for unit in FAST if unit in known]
    text = f"{platform.machine()}, {cores} cores" + (f", {units[0]}" if units else "")
    if cores < 2:
        return warning("processor", f"{text}; a live conversation wants two cores")
    if known and not units:
        return warning("processor", f"{text}; without AVX2 the face will move less than it could (docs/speed.md)")
    return good("processor", text)


def engines(family: Path) -> Finding:
    """Check the family's files, and report the engines that run them. Raises AvatarError."""
    manifest = Manifest.load(family)
    names = dict.fromkeys(backend_for(stage).description for stage in manifest.stages.values())
    return good(
        "engines", f"family {manifest.family} {manifest.version}, all files as they were made; {', '.join(names)}"
    )


def speed(family: Path, avatar: str | None, threads: int) -> Finding:
    """Measure the time per picture, and how many conversations that allows. Raises AvatarError."""
    with open_engines(Manifest.load(family), threads) as opened:
        frame_s = _frame_s(opened, avatar)
    needed = f"a conversation needs one every {1000 / FPS:.0f} ms"
    text = f"a picture takes {1000 * frame_s:.0f} ms on {threads} threads, {needed}"
    if frame_s > 1 / FPS:
        return warning("speed", f"{text}: the face will move less than it could; --threads, or --size 256, may help")
    return good("speed", f"{text}: enough for {int(1 / (FPS * frame_s))}")


def _frame_s(opened: Engines, avatar: str | None) -> float:
    pipeline = Pipeline(opened, Avatar.load(opened, avatar), PipelineOptions())
    sound = np.random.default_rng(1).normal(0, 0.1, int(SPEECH_S * SAMPLE_RATE)).astype(np.float32)
    pipeline.push(sound[: SAMPLE_RATE // 2])  # the first pictures take longer
    begin = time.perf_counter()
    frames = len(pipeline.push(sound[SAMPLE_RATE // 2 :]))
    return (time.perf_counter() - begin) / max(1, frames)


def disk(home: Path) -> Finding:
    """Check the free space for avatars, and that other users cannot read them."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    text = f"{home}: {free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK):
        return warning("disk", f"{text}, and cannot be written; choose another folder with AVATAR_HOME")
    if free < LEAST_FREE:
        return warning("disk", f"{text}; recordings and avatars want at least {LEAST_FREE / 1e9:.0f} GB")
    faces = home / "avatars"
    if sys.platform != "win32" and faces.exists() and faces.stat().st_mode & 0o007:
        return warning("disk", f"{text}; other users may look into {faces}: chmod 700 it")
    return good("disk", text)


def voice(choice: str) -> Finding:
    """Check that the voice for text is available. Raises AvatarError."""
    if open_voice(choice) is None:
        return warning("voice", "eSpeak NG is not installed, so texts are not spoken (Debian: apt install espeak-ng)")
    return good("voice", choice)


def sound() -> Finding:
    """Check for microphones and loudspeakers, for `avatar mic` and `avatar camera`. Raises AvatarError."""
    devices = port_audio().devices()
    if not devices:
        return warning("sound", "no microphone or loudspeaker is found; the page uses those of the visitor's machine")
    return good("sound", f"{len(devices)} devices; `avatar mic --list-devices` names them")


def camera() -> Finding:
    """Check for a virtual camera, for `avatar camera`."""
    if importlib.util.find_spec("pyvirtualcam") is None:
        return warning("camera", f"pyvirtualcam is not installed: `{sys.executable} -m pip install pyvirtualcam`")
    if sys.platform == "linux" and not list(Path("/dev").glob("video*")):
        return warning("camera", f"there is no /dev/video: {install_hint(sys.platform)}")
    return good("camera", "the package is there; `avatar camera` takes the first virtual camera that it finds")
