"""`avatar mic --vmc`: sends the face's units to a VRM program instead of pictures."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from streamer.core.console import say
from streamer.core.errors import ConfigError
from streamer.core.units.arkit import ARKIT
from streamer.desktop.local_face import FaceChoice, SoundChoice, check, converse, open_source, open_speaker, open_speech
from streamer.desktop.vmc_sender import VmcSender
from streamer.session.numbers import NumberNames


def drive(face: FaceChoice, sound: SoundChoice, host: str, port: int) -> None:
    """Run a conversation until the file ends or Ctrl-C.

    Raises:
        ConfigError: the family computes no ARKit units; the address cannot be resolved; python-osc is missing.
        AvatarError: as `mic`.
    """
    manifest = check(face)
    names = NumberNames(tuple(manifest.coefficients.expression), tuple(manifest.coefficients.pose))
    if not ARKIT.issuperset(names.expression):
        raise ConfigError(f"--vmc sends ARKit units, and what family {manifest.family} computes is none")
    source = open_source(sound)
    with contextlib.ExitStack() as devices:
        sender = devices.enter_context(VmcSender(host, port, names))
        speaker, speech = open_speaker(sound, devices), open_speech(sound, devices)
        say(f"avatar: VMC to {host}:{port}")
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(converse(manifest, replace(face, numbers=names), source, sender, speaker, speech=speech))
