"""Options of one session, independent of its output."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.core.frames import ByteArray
from streamer.core.options import PLAIN_FACE, FaceOptions, PipelineOptions


@dataclass(frozen=True, eq=False)
class SessionOptions:
    """The avatar of a session and how it behaves.

    still: uint8 [H, W, 3 or 4], shown while no picture is available. lookahead_ms: the pipeline's actual look-ahead.
    """

    avatar: str
    still: ByteArray
    lookahead_ms: int
    seed: int = 0
    face: FaceOptions = PLAIN_FACE
    pictures: bool = True  # False: coefficients instead, also in `still`; see `core.units.numbers`

    @property
    def lively(self) -> bool:
        """Whether the face also moves beyond speech."""
        return self.face.energy > 0 and not self.face.still

    @property
    def pipeline(self) -> PipelineOptions:
        """The options that go to the inference process."""
        return PipelineOptions(self.lookahead_ms, self.seed, self.face, self.pictures)
