"""`avatar camera` and `avatar mic` with a face computed on this machine: devices, engines and session."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from engines.manifest import Manifest
from streamer.avatar.badge import badged
from streamer.avatar.catalogue import default_name, find_avatar
from streamer.avatar.frame_size import frame_size, most_pixels
from streamer.avatar.frame_size import note as frame_size_note
from streamer.avatar.gallery import Gallery, Portrait
from streamer.core.aio import SWITCH_INTERVAL_S, Clock, MonotonicClock, until_first
from streamer.core.console import note, say, show
from streamer.core.errors import DeviceError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.core.options import DEFAULT_THREADS, PLAIN_FACE, FaceOptions, RecordOptions, any_seed
from streamer.core.rates import FPS
from streamer.core.system.signals import stop_event
from streamer.desktop.local_session import LocalSession
from streamer.desktop.recorded_video import RecordedVideo
from streamer.desktop.sources import FileSource, NoMicrophone
from streamer.desktop.speech_server import LocalSpeech
from streamer.devices.port_audio import port_audio
from streamer.devices.sound import Loudspeaker, Microphone
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.recording.performance import About
from streamer.recording.recorder import Recorder, check_target
from streamer.session.ends import PictureSink, SoundSink, SoundSource
from streamer.session.numbers import NumberNames
from streamer.session.options import SessionOptions
from streamer.stages import face_options
from streamer.stages.lookahead import live_lookahead_ms


@dataclass(frozen=True)
class FaceChoice:
    """The avatar and the options that its face is computed with."""

    family: Path
    avatar: str | None = None
    lookahead_ms: int | None = None
    face: FaceOptions = PLAIN_FACE
    threads: int = DEFAULT_THREADS
    numbers: NumberNames | None = None  # names of the numbers sent instead of pictures


@dataclass(frozen=True)
class SoundChoice:
    """Sound source and sound device, by number or name. None: the system's microphone, and no sound device.

    track: audio track of the file, from 1; None: the first track with sound in it.
    speech_port: localhost port that accepts pushed speech instead of a microphone.
    """

    file: Path | None = None
    track: int | None = None
    microphone: str | None = None
    sound_device: str | None = None
    speech_port: int | None = None


def check(face: FaceChoice) -> Manifest:
    """Check the options before any device is opened; return the family's manifest. Raises AvatarError."""
    manifest = Manifest.load(face.family)
    live_lookahead_ms(manifest, face.lookahead_ms)
    face_options.check(manifest, face.face)
    if face.avatar is not None:
        find_avatar(manifest, face.avatar)
    return manifest


def picture_size(manifest: Manifest, face: FaceChoice) -> tuple[int, int]:
    """Return the width and height of the session's pictures. Raises BundleError or ConfigError."""
    height, width = chosen(manifest, face)[1].still.shape[:2]
    return width, height


def open_source(sound: SoundChoice) -> SoundSource:
    """Open the file, the microphone, or silence for pushed speech. Raises MediaError or DeviceError."""
    if sound.speech_port is not None:
        return NoMicrophone()
    if sound.file is not None:
        return FileSource(sound.file, MonotonicClock(), sound.track)
    return Microphone(port_audio(), sound.microphone)


def open_speaker(sound: SoundChoice, devices: contextlib.ExitStack) -> Loudspeaker | None:
    """Open the device for the delayed sound; return None if none is requested. Raises DeviceError."""
    if sound.sound_device is None:
        return None
    return devices.enter_context(Loudspeaker(port_audio(), sound.sound_device))


def open_speech(sound: SoundChoice, devices: contextlib.ExitStack) -> LocalSpeech | None:
    """Open the port for pushed speech; return None if none is requested. Raises ConfigError."""
    return None if sound.speech_port is None else devices.enter_context(LocalSpeech(sound.speech_port))


def open_recorder(
    manifest: Manifest, face: FaceChoice, record: RecordOptions, devices: contextlib.ExitStack
) -> Recorder | None:
    """Open the session's recorder; return None if no recording is requested. Raises ConfigError or MediaError."""
    if (target := record.performance) is None:
        return None
    check_target(target)
    name, dial = face.avatar or default_name(manifest), live_lookahead_ms(manifest, face.lookahead_ms)
    return devices.enter_context(Recorder(lambda: target, About.of(manifest, name, dial, face.face), note))


def open_video(
    record: RecordOptions, fit: Fit, background: str | None, devices: contextlib.ExitStack
) -> RecordedVideo | None:
    """Open the session's video file; return None if no video is requested. Raises ConfigError or MediaError."""
    return None if record.video is None else devices.enter_context(RecordedVideo(record.video, fit, background, note))


def chosen(manifest: Manifest, face: FaceChoice) -> tuple[Portrait, SessionOptions]:
    """Return the portrait and the options of a session with it. Raises BundleError or ConfigError."""
    name = face.avatar or default_name(manifest)
    portrait = Gallery.load(manifest, [name], name).find(None)
    if portrait.shows_whole(face.face):
        still = portrait.whole_still()
    else:
        still = portrait.shown(face.face.background, frame_size(manifest, portrait.photo.shape[0], face.face))
    if face.face.badge:
        still = badged(still)
    dial = live_lookahead_ms(manifest, face.lookahead_ms)
    if face.numbers is not None:
        return portrait, SessionOptions(name, face.numbers.nothing, dial, any_seed(), face.face, pictures=False)
    return portrait, SessionOptions(name, still, dial, any_seed(), face.face)


async def converse(
    manifest: Manifest,
    face: FaceChoice,
    source: SoundSource,
    pictures: PictureSink,
    sound: SoundSink | None,
    watch: Callable[[LocalSession], None] = lambda session: None,
    stop: asyncio.Event | None = None,
    speech: LocalSpeech | None = None,
    recorder: Recorder | None = None,
) -> None:
    """Load the engines and talk until the source ends or the program is stopped. `watch` is called with the session.

    stop: event that ends the conversation; None: SIGINT and SIGTERM end it.

    Raises:
        AvatarError: the engines cannot be started, or the file cannot be decoded.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    portrait, options = chosen(manifest, face)
    photo = portrait.photo.shape[0]
    side = frame_size(manifest, photo, face.face)
    if face.numbers is None and (remark := frame_size_note(photo, face.face.size, side)):
        note(remark)
    settings = WorkerSettings(face.family, options.avatar, face.threads)
    worker = InferenceWorker(settings, most_pixels(manifest))
    stop = stop or stop_event()
    clock = MonotonicClock()

    async def talk() -> None:
        """Run the session until the source ends; show the portrait while the engines load."""
        say(f"avatar: loading the engines of family {manifest.family} ...")
        async with _shown(pictures, options.still, clock):
            await worker.start()
        session = LocalSession(options, worker, clock, pictures, sound, note, recorder)
        watch(session)
        after = f"{session.delay_ms} ms after it"
        say(f"avatar: {portrait.title} speaks with the sound of {source.name}, {after}; Ctrl-C ends")
        if speech is not None:
            say(f"avatar: speech is taken at {speech.address}")
        try:
            async with speech.served(session) if speech else contextlib.nullcontext():
                await session.run(source)
        finally:
            shown, late = session.stats.shown, session.stats.repeated
            show("")
            say(f"avatar: {shown} pictures, {late} of them the one before, again")

    try:
        await until_first(talk(), stop.wait())
    finally:
        await worker.stop()


@contextlib.asynccontextmanager
async def _shown(pictures: PictureSink, still: ByteArray, clock: Clock) -> AsyncIterator[None]:
    """Show the portrait at the frame rate while the context is open: a camera without pictures is black."""

    async def show() -> None:
        start = clock.now()
        for count in itertools.count():
            await clock.sleep_until(start + count / FPS)
            with contextlib.suppress(DeviceError):  # the session reports it
                pictures.show(-1, still)

    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
