"""`avatar mic`: opens the devices, serves the page and runs the session."""

from __future__ import annotations

import asyncio
import contextlib

from engines.manifest import Manifest
from streamer.avatar.background import TRANSPARENT
from streamer.core.aio import MonotonicClock
from streamer.core.console import say, show
from streamer.core.letterbox import Fit
from streamer.core.options import NOTHING, RecordOptions
from streamer.core.system.signals import stop_event
from streamer.desktop.ends import Ends
from streamer.desktop.local_face import (
    FaceChoice,
    SoundChoice,
    check,
    converse,
    open_recorder,
    open_source,
    open_speaker,
    open_speech,
    open_video,
    picture_size,
)
from streamer.desktop.local_session import LocalSession
from streamer.desktop.preview import Preview
from streamer.desktop.recorded_video import beside
from streamer.desktop.speech_server import LocalSpeech
from streamer.devices.mute_and_meter import HalfDuplex, Hearing
from streamer.devices.sound import Microphone
from streamer.devices.terminal import Keys, columns, meter
from streamer.recording.recorder import Recorder
from streamer.session.ends import SoundSink

METER_S = 0.1  # between updates of the meter and the keys


def mic(face: FaceChoice, sound: SoundChoice, port: int, headphones: bool, record: RecordOptions = NOTHING) -> None:
    """Run a conversation whose face shows on a local page, until the file ends, `q` or Ctrl-C.

    headphones: the played sound cannot reach the microphone.

    Raises:
        AvatarError: as `camera`; the port is taken.
    """
    manifest = check(face)
    source = open_source(sound)
    with contextlib.ExitStack() as devices:
        size = picture_size(manifest, face)
        recorder = open_recorder(manifest, face, record, devices)
        video = open_video(record, Fit(*size), face.face.background, devices)
        speech = open_speech(sound, devices)
        speaker: SoundSink | None = open_speaker(sound, devices)
        gate = None
        if speaker is not None and isinstance(source, Microphone) and not headphones:
            speaker = gate = HalfDuplex(speaker, MonotonicClock())
        preview = Preview(face.face.background == TRANSPARENT)
        ends = beside(Ends(preview, speaker, lambda delay_ms: None), video)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_mic(manifest, face, Hearing(source, gate), preview, ends, port, speech, recorder))


async def _mic(
    manifest: Manifest,
    face: FaceChoice,
    hearing: Hearing,
    preview: Preview,
    ends: Ends,
    port: int,
    speech: LocalSpeech | None,
    recorder: Recorder | None,
) -> None:
    stop, watching = stop_event(), set[asyncio.Task[None]]()

    def watch(session: LocalSession) -> None:
        ends.begin(session.delay_ms)
        watching.add(asyncio.create_task(_watch(hearing, session, stop)))

    async with preview.served(port) as page:
        say(f"avatar: the face is at {page}")
        try:
            await converse(manifest, face, hearing, ends.pictures, ends.sound, watch, stop, speech, recorder)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)


async def _watch(hearing: Hearing, session: LocalSession, stop: asyncio.Event) -> None:
    """Draw the meter and handle key presses, every METER_S."""
    with Keys() as keys:
        try:
            while True:
                for key in keys.pressed().lower():
                    hearing.muted ^= key == "m"
                    if key == "q":
                        stop.set()
                if keys.in_front:
                    show(meter(hearing, session.stats, columns()))
                await asyncio.sleep(METER_S)
        finally:  # the meter may have been drawn again while the engines were stopping
            show("")
