"""Rates, hops, windows and look-aheads, each written once and the others derived exactly.

The figures of the audio features are those of SadTalker (arXiv 2211.12194) and its reference implementation.
"""

from __future__ import annotations


def exact_div(numerator: int, denominator: int) -> int:
    """Divide where a remainder would be a mistake in this file."""
    quotient, remainder = divmod(numerator, denominator)
    if remainder:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return quotient


SAMPLE_RATE = 16_000  # Hz, mono, of everything behind audio_in
FPS = 25  # video frames per second
SAMPLES_PER_FRAME = exact_div(SAMPLE_RATE, FPS)  # frame i covers samples [640 i, 640 (i + 1))
FRAME_MS = exact_div(1000, FPS)
STARVED_FRAMES = FPS // 2  # a face that stood for so long is better off with a picture that comes late than with none
LATE_MS = 2 * FRAME_MS  # a picture may come so much after its sound; ITU-R BT.1359-1 calls 90 ms acceptable

MEL_BANDS = 80
MEL_HOP = 200  # samples
MEL_RATE = exact_div(SAMPLE_RATE, MEL_HOP)  # mel frames per second
N_FFT = 800  # samples; also the window's length
HALF_FFT = exact_div(N_FFT, 2)  # a centred STFT looks this far ahead of its mel frame
WINDOW_MEL_FRAMES = 16  # mel frames the expression network sees of one video frame
WINDOW_VIDEO_FRAMES_EARLY = 2  # the window starts this many video frames before its own


def window_start(frame: int) -> int:
    """First mel frame of video frame `frame`'s window, before clamping into the clip.

    Truncates toward zero also below it, as the networks were trained: frames 0, 1, 2 start at -6, -3, 0.
    """
    return int(MEL_RATE * (frame - WINDOW_VIDEO_FRAMES_EARLY) / FPS)


def _window_reach() -> int:
    """Samples a frame's window reaches past the frame's start, the worst frame counted.

    Window starts are rounded, so the reach varies from frame to frame. It is longest in the first frames, where the
    rounding is upward, and repeats every FPS frames after them.
    """
    ends = (
        (window_start(i) + WINDOW_MEL_FRAMES - 1) * MEL_HOP + HALF_FFT - i * SAMPLES_PER_FRAME for i in range(2 * FPS)
    )
    return max(ends)


WINDOW_REACH = _window_reach()  # samples: what a window really waits for (137.5 ms)
# Samples, as manifests state it (145 ms): whole hops of the window past the frame's start, and half an STFT window.
EXPRESSION_LOOKAHEAD = WINDOW_MEL_FRAMES * MEL_HOP - WINDOW_VIDEO_FRAMES_EARLY * SAMPLES_PER_FRAME + HALF_FFT

# By default a conversation waits for this much of the motion stage's look-ahead: three frames. A longer average moves
# a little more smoothly; answers that come 0.4 s later cost a conversation more.
LIVE_CONTEXT_MS = 120


def ms_to_samples(milliseconds: int) -> int:
    """Samples at SAMPLE_RATE in a whole number of milliseconds."""
    return exact_div(milliseconds * SAMPLE_RATE, 1000)
