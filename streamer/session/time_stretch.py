"""Stretch or shorten a short piece of sound without changing its pitch.

One period of the voice is repeated or left out, with a short cross-fade: the time-domain method of WSOLA (Verhelst and
Roelands, 1993), which jitter buffers use for the same purpose.
"""

from __future__ import annotations

import numpy as np

from streamer.audio.format import MS, Samples

SHORTEST, LONGEST = 5 * MS // 2, 25 * MS // 2  # period in samples: 400 to 80 Hz
FADE = 5 * MS  # samples of the cross-fade
STEP = 4  # samples between two candidate periods


def period_of(before: Samples, after: Samples, wanted: int) -> int:
    """Return the period, in samples, at which the sound repeats itself best.

    The period is at most LONGEST and leaves at least SHORTEST of `wanted` for a later stretch.
    before: int16 [LONGEST, 2], the sound up to the current moment; after: int16 [FADE + n, 2], the sound from there on.
    """
    sound = np.concatenate([before[-LONGEST:], after[:FADE]]).astype(np.float32).mean(1)
    here = sound[-FADE:]
    periods = np.arange(min(LONGEST, wanted - SHORTEST), SHORTEST - 1, -STEP)  # longest first: silence picks it
    past = np.lib.stride_tricks.sliding_window_view(sound, FADE)[len(sound) - FADE - periods]
    likeness = past @ here / (np.linalg.norm(past, axis=1) + 1)
    return int(periods[np.argmax(likeness)])


def joined(first: Samples, second: Samples) -> Samples:
    """Return `second`, cross-faded at its beginning from the beginning of `first`; int16 [n, 2]."""
    out = second.astype(np.float32)
    share = np.linspace(0.0, 1.0, FADE, dtype=np.float32)[:, None]
    out[:FADE] = first[:FADE] * (1 - share) + out[:FADE] * share
    return np.asarray(np.rint(out), np.int16)
