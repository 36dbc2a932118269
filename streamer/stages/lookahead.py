"""Look-ahead: how long a frame waits for later audio, and the future frames and lags that result."""

from __future__ import annotations

from dataclasses import dataclass

from engines.manifest import Manifest
from streamer.core.errors import ConfigError
from streamer.core.rates import LIVE_CONTEXT_MS, SAMPLE_RATE, SAMPLES_PER_FRAME, ms_to_samples
from streamer.stages.mel_windows import WindowShape


def live_lookahead_ms(manifest: Manifest, asked: int | None) -> int:
    """Return a live session's look-ahead: as asked, else the expression's plus LIVE_CONTEXT_MS of motion context.

    Raises:
        ConfigError: the value is outside 0 .. the family's full look-ahead.
    """
    context = manifest.stage("motion").lookahead_ms
    default = manifest.lookahead_ms - max(0, context - LIVE_CONTEXT_MS)
    return Lookahead.of(manifest, default if asked is None else asked).samples * 1000 // SAMPLE_RATE


@dataclass(frozen=True)
class Lookahead:
    """How long a frame waits for later audio, and the future frames and lags that result.

    Frame i is computed when the audio up to `samples` past its start has arrived, or earlier if it needs less. A
    look-ahead below the full one removes future in whole frames. The motion stage's context shrinks first: its missing
    frames repeat the last known coefficients. Below the reach of the mel window, the expression then lags by
    `expression_lag` frames.

    samples: the look-ahead.
    future: frames of real future in the motion stage's context.
    expression_lag: frames by which the expression lags the audio.
    loudness_lag: frames by which the sound level for head motion lags.
    """

    samples: int
    future: int
    expression_lag: int
    loudness_lag: int

    @classmethod
    def of(cls, manifest: Manifest, lookahead_ms: int | None = None) -> Lookahead:
        """Return the look-ahead of `lookahead_ms`; None is the family's full look-ahead.

        Raises:
            ConfigError: the value is outside 0 .. the family's full look-ahead.
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
