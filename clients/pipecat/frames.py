"""Conversion of a face's pictures and sound to Pipecat frames, leaving out long silence."""

from __future__ import annotations

import numpy as np
from pipecat.frames.frames import OutputImageRawFrame, SpeechOutputAudioRawFrame

from clients.face_media import RATE, SILENT, Block, Picture

HANGOVER_BLOCKS = 30  # 0.6 s: Pipecat's output says that the bot has stopped after 0.35 s of silence


def image(picture: Picture) -> OutputImageRawFrame:
    """Return a picture as a frame."""
    height, width = picture.rgb.shape[:2]
    return OutputImageRawFrame(picture.rgb.tobytes(), (width, height), "RGB")


class SpokenSound:
    """Converts blocks to mono frames while they contain sound, and shortly after.

    The output plays sound by a separate clock; if that clock is slow, the lag would grow without end if there were no
    pauses.
    """

    def __init__(self) -> None:
        self._quiet = HANGOVER_BLOCKS  # blocks since the last sound

    def frame(self, block: Block) -> SpeechOutputAudioRawFrame | None:
        """Return the block's frame, or None in a pause."""
        self._quiet = 0 if np.abs(block.samples).max(initial=0) > SILENT else self._quiet + 1
        if self._quiet >= HANGOVER_BLOCKS:
            return None
        mono = block.samples.astype(np.int32).sum(axis=1) // block.samples.shape[1]
        return SpeechOutputAudioRawFrame(mono.astype("<i2").tobytes(), RATE, 1)
