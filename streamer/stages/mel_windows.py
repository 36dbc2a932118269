"""Sliding mel windows: push audio, get each video frame's window as soon as its last sample has arrived.

Chunked input gives the same windows as the whole clip, and later audio never changes an earlier window.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engines.errors import ManifestError
from engines.manifest import StageSpec
from streamer.core.frames import FloatArray
from streamer.core.rates import (
    EXPRESSION_LOOKAHEAD,
    HALF_FFT,
    MEL_BANDS,
    MEL_HOP,
    SAMPLES_PER_FRAME,
    WINDOW_MEL_FRAMES,
    WINDOW_REACH,
    ms_to_samples,
    window_start,
)
from streamer.stages.mel import mel_frames, mel_spectrogram, pre_emphasis
from streamer.stages.mel_levelling import MelLeveller, levelled

LEVELLED = "levelled-mel"  # process of an expression stage


@dataclass(frozen=True)
class WindowShape:
    """Shape of an expression network's mel window for one video frame; the default is SadTalker's.

    width: mel frames.
    ahead: mel frames by which the window ends after SadTalker's; negative if it ends earlier.
    levelled: whether the features are denoised and level-normalised (see `mel_levelling`).
    """

    width: int = WINDOW_MEL_FRAMES
    ahead: int = 0
    levelled: bool = False

    @classmethod
    def of(cls, stage: StageSpec) -> WindowShape:
        """Return the window shape of a manifest's expression stage.

        The width is that of its input; `ahead` is its stated look-ahead less SadTalker's, in whole hops; `levelled`
        follows from its process.

        Raises:
            ManifestError: a process that this version does not have.
        """
        if stage.process not in (None, LEVELLED):
            raise ManifestError(f"{stage.name} process {stage.process}; this version has {LEVELLED}, or none")
        beyond = ms_to_samples(stage.lookahead_ms) - EXPRESSION_LOOKAHEAD
        return cls(int(stage.inputs["mel"].shape[3]), beyond // MEL_HOP, stage.process == LEVELLED)

    @property
    def reach(self) -> int:
        """Samples that the window reaches past its frame's start."""
        return WINDOW_REACH + self.ahead * MEL_HOP

    def stop(self, frame: int) -> int:
        """Return the index of the mel frame after the window of video frame `frame`, before clamping to the clip."""
        return window_start(frame) + WINDOW_MEL_FRAMES + self.ahead


SADTALKER = WindowShape()


def clip_windows(samples: FloatArray, shape: WindowShape = SADTALKER) -> FloatArray:
    """Return the windows of a whole clip, float32 [n] -> [frames, 1, MEL_BANDS, shape.width].

    The clip is padded with zeros to whole video frames; windows are clamped to the clip at both ends.
    """
    frames = -(-samples.size // SAMPLES_PER_FRAME)
    padded = np.concatenate([samples, np.zeros(frames * SAMPLES_PER_FRAME - samples.size, np.float32)])
    mel = mel_spectrogram(padded) if frames else _no_mel()
    return _gather(levelled(mel) if shape.levelled else mel, 0, range(frames), shape)


@dataclass
class _State:
    samples: int = 0  # received so far
    previous: float = 0.0  # the last sample, for pre-emphasis
    pending: FloatArray = field(default_factory=lambda: np.zeros(HALF_FFT, np.float32))  # begins with the padding
    mel: FloatArray = field(default_factory=lambda: _no_mel())  # mel frames that later windows may need
    mel_start: int = 0  # index of mel[0]
    next_frame: int = 0  # video frame of the next window
    leveller: MelLeveller = field(default_factory=MelLeveller)


class MelWindows:
    """Streaming form of `clip_windows`. Holds a window plus 0.1 s of audio and mel frames between calls."""

    def __init__(self, shape: WindowShape = SADTALKER) -> None:
        self._shape = shape
        self._state = _State()

    @property
    def next_frame(self) -> int:
        """Index of the video frame of the next window."""
        return self._state.next_frame

    def push(self, samples: FloatArray) -> FloatArray:
        """Take float32 [n], any n; return the windows now complete, [k, 1, MEL_BANDS, shape.width]."""
        self._append(samples)
        state = self._state
        mel_end = state.mel_start + len(state.mel)
        stop = state.next_frame
        while self._shape.stop(stop) <= mel_end:
            stop += 1
        return self._pop(stop)

    def flush(self) -> FloatArray:
        """Return all remaining frames' windows, clamped to the end of the audio. Call `reset` before pushing again."""
        frames = -(-self._state.samples // SAMPLES_PER_FRAME)
        missing = frames * SAMPLES_PER_FRAME - self._state.samples
        self._append(np.zeros(missing, np.float32))
        # The STFT's padding is added after pre-emphasis, so it is plain zeros.
        self._transform(np.zeros(HALF_FFT, np.float32))
        return self._pop(frames)

    def reset(self) -> None:
        """Clear all state: the next sample is sample 0."""
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
        if self._shape.levelled:
            new = state.leveller.push(new)
        state.mel = np.concatenate([state.mel, new])

    def _pop(self, stop: int) -> FloatArray:
        state = self._state
        windows = _gather(state.mel, state.mel_start, range(state.next_frame, stop), self._shape)
        state.next_frame = max(stop, state.next_frame)
        # Drop everything before the next window.
        first = self._shape.stop(state.next_frame) - self._shape.width
        done = min(max(first - state.mel_start, 0), len(state.mel))
        state.mel, state.mel_start = state.mel[done:].copy(), state.mel_start + done
        return windows


def _no_mel() -> FloatArray:
    return np.zeros((0, MEL_BANDS), np.float32)


def _gather(mel: FloatArray, mel_start: int, frames: range, shape: WindowShape) -> FloatArray:
    """Return the windows of `frames` from mel frames [n, MEL_BANDS], whose first has index `mel_start`."""
    if not len(frames):
        return np.zeros((0, 1, MEL_BANDS, shape.width), np.float32)
    stops = np.array([shape.stop(i) for i in frames])
    indices = np.clip(stops[:, None] - shape.width + np.arange(shape.width) - mel_start, 0, len(mel) - 1)
    return np.ascontiguousarray(mel[indices].transpose(0, 2, 1)[:, None])
