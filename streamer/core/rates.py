"""Rates, hops, windows and look-aheads: base values are defined once, all others are derived exactly.

The values for audio features are those of SadTalker (arXiv 2211.12194) and its reference implementation.
"""

from __future__ import annotations


def exact_div(numerator: int, denominator: int) -> int:
    """Divide exactly. Raises ValueError: a remainder, which would be a mistake in this file."""
    quotient, remainder = divmod(numerator, denominator)
    if remainder:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return quotient


SAMPLE_RATE = 16_000  # Hz, mono, for everything after audio_in
FPS = 25  # video frames per second
SAMPLES_PER_FRAME = exact_div(SAMPLE_RATE, FPS)  # frame i covers samples [640 i, 640 (i + 1))
FRAME_MS = exact_div(1000, FPS)
STARVED_FRAMES = FPS // 2  # after a freeze of this length, a late picture is better than none
LATE_MS = 2 * FRAME_MS  # largest delay of a picture to its sound; ITU-R BT.1359-1 calls 90 ms acceptable

MEL_BANDS = 80
MEL_HOP = 200  # samples
MEL_RATE = exact_div(SAMPLE_RATE, MEL_HOP)  # mel frames per second
N_FFT = 800  # samples; also the window's length
HALF_FFT = exact_div(N_FFT, 2)  # a centred STFT looks this far ahead of its mel frame
WINDOW_MEL_FRAMES = 16  # mel frames that the expression network gets per video frame
WINDOW_VIDEO_FRAMES_EARLY = 2  # the window starts this many video frames before its video frame


def window_start(frame: int) -> int:
    """Return the first mel frame of the window of video frame `frame`, before clamping to the clip.

    Negative values are truncated toward zero, too, as in training: frames 0, 1, 2 start at -6, -3, 0.
    """
    return int(MEL_RATE * (frame - WINDOW_VIDEO_FRAMES_EARLY) / FPS)


def _window_reach() -> int:
    """Return how many samples a window extends past the start of its frame, in the worst case.

    Window starts are rounded, so the value varies from frame to frame. It is largest in the first frames, where
    rounding is upward, and after them repeats every FPS frames.
    """
    ends = (
        (window_start(i) + WINDOW_MEL_FRAMES - 1) * MEL_HOP + HALF_FFT - i * SAMPLES_PER_FRAME for i in range(2 * FPS)
    )
    return max(ends)


WINDOW_REACH = _window_reach()  # samples that a window actually waits for (137.5 ms)
# Samples, as in manifests (145 ms): the window's hops past the frame's start, plus half an STFT window.
EXPRESSION_LOOKAHEAD = WINDOW_MEL_FRAMES * MEL_HOP - WINDOW_VIDEO_FRAMES_EARLY * SAMPLES_PER_FRAME + HALF_FFT

# Default for live conversations: three frames of the motion stage's look-ahead. A longer average makes the motion a
# little smoother, but answers would come 0.4 s later, which costs a conversation more.
LIVE_CONTEXT_MS = 120


def ms_to_samples(milliseconds: int) -> int:
    """Convert milliseconds to samples at SAMPLE_RATE. Raises ValueError: not a whole number of samples."""
    return exact_div(milliseconds * SAMPLE_RATE, 1000)
