"""A face's pictures and sound as Pipecat's frames, without endless silence."""

from __future__ import annotations

import numpy as np
from pipecat.frames.frames import OutputImageRawFrame, SpeechOutputAudioRawFrame

from clients.face_media import RATE, SILENT, Block, Picture

HANGOVER_BLOCKS = 30  # 0.6 s: Pipecat's output says that the bot has stopped after 0.35 s of silence


def image(picture: Picture) -> OutputImageRawFrame:
    """A picture as a frame."""
    height, width = picture.rgb.shape[:2]
    return OutputImageRawFrame(picture.rgb.tobytes(), (width, height), "RGB")


class SpokenSound:
    """Blocks as mono frames while there is sound in them, and shortly after.

    An output plays sound by a clock of its own; what that one is slow by would add up for ever if there were no pauses.
    """

    def __init__(self) -> None:
        self._quiet = HANGOVER_BLOCKS  # blocks since there was sound

    def frame(self, block: Block) -> SpeechOutputAudioRawFrame | None:
        """Return the block's frame; None in a pause."""
        self._quiet = 0 if np.abs(block.samples).max(initial=0) > SILENT else self._quiet + 1
        if self._quiet >= HANGOVER_BLOCKS:
            return None
        mono = block.samples.astype(np.int32).sum(axis=1) // block.samples.shape[1]
        return SpeechOutputAudioRawFrame(mono.astype("<i2").tobytes(), RATE, 1)
