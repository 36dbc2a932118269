"""Options of one session, wherever its pictures go."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.core.frames import ByteArray
from streamer.core.options import PLAIN_FACE, FaceOptions, PipelineOptions


@dataclass(frozen=True, eq=False)
class SessionOptions:
    """Who speaks, and how.

    still: uint8 [H, W, 3 or 4], shown where there is no picture. lookahead_ms: what the pipeline will really use.
    """

    avatar: str
    still: ByteArray
    lookahead_ms: int
    seed: int = 0
    face: FaceOptions = PLAIN_FACE
    pictures: bool = True  # False: coefficients in their place, `still` too; see `core.units.numbers`

    @property
    def lively(self) -> bool:
        """Whether the face does more than speak."""
        return self.face.energy > 0 and not self.face.still

    @property
    def pipeline(self) -> PipelineOptions:
        """The part that the inference process is told."""
        return PipelineOptions(self.lookahead_ms, self.seed, self.face, self.pictures)
