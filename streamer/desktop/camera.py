"""`avatar camera`: opens the devices, runs the session, closes the devices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine

from streamer.avatar.background import TRANSPARENT, refuse_transparent
from streamer.core.console import note
from streamer.core.options import NOTHING, RecordOptions
from streamer.desktop import remote_face
from streamer.desktop.ends import CameraChoice, Ends, open_ends
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
)
from streamer.desktop.local_session import LocalSession
from streamer.desktop.recorded_video import beside, refuse_same
from streamer.desktop.remote_face import Hold, ServerChoice
from streamer.session.ends import SoundSource


def camera(
    face: FaceChoice | ServerChoice, sound: SoundChoice, chosen: CameraChoice, record: RecordOptions = NOTHING
) -> None:
    """Speak through a virtual camera, or into an output, until the file ends or Ctrl-C.

    Raises:
        AvatarError: a device, a package, the file, the output, the family, the server or the avatar cannot be used.
    """
    if chosen.output is None or not chosen.output.alpha:
        refuse_transparent(face.face.background, chosen.output.name if chosen.output else "a virtual camera")
    if record.video is not None and chosen.output is not None:
        refuse_same(record.video, chosen.output)
    with contextlib.ExitStack() as devices:
        hold = prepared(face, sound, record, devices)
        source = open_source(sound)
        video = open_video(record, chosen.fit, face.face.background, devices)
        transparent = face.face.background == TRANSPARENT
        ends = devices.enter_context(open_ends(chosen, open_speaker(sound, devices), transparent, note))
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(hold(source, beside(ends, video)))


def prepared(
    face: FaceChoice | ServerChoice, sound: SoundChoice, record: RecordOptions, devices: contextlib.ExitStack
) -> Hold:
    """Check everything that can be checked before a device is opened; return the function that runs the conversation.

    Raises AvatarError.
    """
    if isinstance(face, ServerChoice):
        return remote_face.prepared(face, note)
    manifest = check(face)
    recorder, speech = open_recorder(manifest, face, record, devices), open_speech(sound, devices)

    def hold(source: SoundSource, ends: Ends) -> Coroutine[None, None, None]:
        def begin(session: LocalSession) -> None:
            ends.begin(session.delay_ms)

        return converse(manifest, face, source, ends.pictures, ends.sound, begin, speech=speech, recorder=recorder)

    return hold
