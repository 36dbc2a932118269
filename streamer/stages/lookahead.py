"""The look-ahead dial: how long a frame waits for later sound, and what that buys."""

from __future__ import annotations

from dataclasses import dataclass

from engines.manifest import Manifest
from streamer.core.errors import ConfigError
from streamer.core.rates import LIVE_CONTEXT_MS, SAMPLE_RATE, SAMPLES_PER_FRAME, ms_to_samples
from streamer.stages.mel_windows import WindowShape


def live_lookahead_ms(manifest: Manifest, asked: int | None) -> int:
    """The dial's place in a live session: where asked, else all of the expression's and LIVE_CONTEXT_MS of context.

    Raises:
        ConfigError: outside 0 .. the family's full look-ahead.
    """
    context = manifest.stage("motion").lookahead_ms
    default = manifest.lookahead_ms - max(0, context - LIVE_CONTEXT_MS)
    return Lookahead.of(manifest, default if asked is None else asked).samples * 1000 // SAMPLE_RATE


@dataclass(frozen=True)
class Lookahead:
    """How long a frame waits for later sound, and what that buys.

    Frame i is made when the sound up to `samples` past its start is there, or earlier if it needs less. A look-ahead
    below the full one takes away future in whole frames: first the motion stage's context, whose missing frames repeat
    the last known coefficients; then, below the reach of its window, the expression: it lags `expression_lag` frames.

    samples: the dial.
    future: frames of true future in the motion stage's context.
    expression_lag: frames the expression is behind the sound.
    loudness_lag: the same of the sound level that head motion follows.
    """

    samples: int
    future: int
    expression_lag: int
    loudness_lag: int

    @classmethod
    def of(cls, manifest: Manifest, lookahead_ms: int | None = None) -> Lookahead:
        """The dial at `lookahead_ms`; None is all that the family can use.

        Raises:
            ConfigError: outside 0 .. the family's full look-ahead.
        """
        full = manifest.lookahead_ms
        chosen = full if lookahead_ms is None else lookahead_ms
        if not 0 <= chosen <= full:
            raise ConfigError(f"look-ahead of {chosen} ms; {manifest.family} takes 0 to {full} ms")
        samples = ms_to_samples(chosen)
        most, reach = manifest.stage("motion").context[1], WindowShape.of(manifest.stage("expression")).reach
        return cls(
            samples=samples,
            future=max(0, min(most, (samples - reach) // SAMPLES_PER_FRAME)),
            expression_lag=_frames_missing(reach - samples),
            loudness_lag=_frames_missing(SAMPLES_PER_FRAME - samples),
        )


def _frames_missing(samples: int) -> int:
    return max(0, -(-samples // SAMPLES_PER_FRAME))
