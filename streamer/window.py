"""Sliding mel windows: push sound, pop the window of each video frame as soon as its last sample is there.

Chunked input gives the same windows as the whole clip, and later sound never changes an earlier window.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streamer.config import (
    HALF_FFT,
    MEL_BANDS,
    MEL_HOP,
    SAMPLES_PER_FRAME,
    WINDOW_MEL_FRAMES,
    window_start,
)
from streamer.frames import FloatArray
from streamer.mel import mel_frames, mel_spectrogram, pre_emphasis


def clip_windows(samples: FloatArray) -> FloatArray:
    """Windows of a whole clip, float32 [n] -> [frames, 1, MEL_BANDS, WINDOW_MEL_FRAMES].

    The clip is padded with zeros to whole video frames; windows are clamped into it at both ends.
    """
    frames = -(-samples.size // SAMPLES_PER_FRAME)
    padded = np.concatenate([samples, np.zeros(frames * SAMPLES_PER_FRAME - samples.size, np.float32)])
    return _gather(mel_spectrogram(padded) if frames else _no_mel(), 0, range(frames))


@dataclass
class _State:
    samples: int = 0  # received so far
    previous: float = 0.0  # the last one, for pre-emphasis
    pending: FloatArray = field(default_factory=lambda: np.zeros(HALF_FFT, np.float32))  # starts with the padding
    mel: FloatArray = field(default_factory=lambda: _no_mel())  # frames that windows to come can still need
    mel_start: int = 0  # index of mel[0]
    next_frame: int = 0  # video frame whose window comes next


class MelWindows:
    """The streaming form of `clip_windows`. Holds under 0.3 s of sound and mel frames between calls."""

    def __init__(self) -> None:
        self._state = _State()

    @property
    def next_frame(self) -> int:
        """Index of the video frame whose window comes next."""
        return self._state.next_frame

    def push(self, samples: FloatArray) -> FloatArray:
        """Take float32 [n], any n; return the windows now complete, [k, 1, MEL_BANDS, WINDOW_MEL_FRAMES]."""
        self._append(samples)
        state = self._state
        mel_end = state.mel_start + len(state.mel)
        stop = state.next_frame
        while window_start(stop) + WINDOW_MEL_FRAMES <= mel_end:
            stop += 1
        return self._pop(stop)

    def flush(self) -> FloatArray:
        """The sound has ended: windows of all remaining frames, clamped to the end. `reset` before pushing again."""
        frames = -(-self._state.samples // SAMPLES_PER_FRAME)
        missing = frames * SAMPLES_PER_FRAME - self._state.samples
        self._append(np.zeros(missing, np.float32))
        # The STFT's own padding comes behind the pre-emphasis, so it is plain silence.
        self._transform(np.zeros(HALF_FFT, np.float32))
        return self._pop(frames)

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self._state = _State()

    def _append(self, samples: FloatArray) -> None:
        if samples.size:
            self._transform(pre_emphasis(samples, self._state.previous))
            self._state.previous = float(samples[-1])
            self._state.samples += samples.size

    def _transform(self, emphasised: FloatArray) -> None:
        state = self._state
        state.pending = np.concatenate([state.pending, emphasised])
        new = mel_frames(state.pending)
        state.pending = state.pending[len(new) * MEL_HOP :].copy()
        state.mel = np.concatenate([state.mel, new])

    def _pop(self, stop: int) -> FloatArray:
        state = self._state
        windows = _gather(state.mel, state.mel_start, range(state.next_frame, stop))
        state.next_frame = max(stop, state.next_frame)
        # Everything before the next window can go.
        done = min(max(window_start(state.next_frame) - state.mel_start, 0), len(state.mel))
        state.mel, state.mel_start = state.mel[done:].copy(), state.mel_start + done
        return windows


def _no_mel() -> FloatArray:
    return np.zeros((0, MEL_BANDS), np.float32)


def _gather(mel: FloatArray, mel_start: int, frames: range) -> FloatArray:
    """Windows of `frames` from mel frames [n, MEL_BANDS], the first of which is number `mel_start`."""
    if not len(frames):
        return np.zeros((0, 1, MEL_BANDS, WINDOW_MEL_FRAMES), np.float32)
    starts = np.array([window_start(i) for i in frames])
    indices = np.clip(starts[:, None] + np.arange(WINDOW_MEL_FRAMES) - mel_start, 0, len(mel) - 1)
    return np.ascontiguousarray(mel[indices].transpose(0, 2, 1)[:, None])
