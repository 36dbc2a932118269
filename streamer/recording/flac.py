"""Write audio while it is played, as FLAC (RFC 9639): lossless, at a third of the size."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from streamer.audio.format import CHANNELS, RATE, Samples


class FlacWriter:
    """Writer of a FLAC file that can be decoded even if the program is killed."""

    def __init__(self, path: Path) -> None:
        """Raises FFmpegError or OSError when the file cannot be created."""
        path.touch()  # fails now; PyAV would fail only at the first packet
        self.samples = 0  # written
        # Write each packet to the file at once, without buffering.
        self._container = av.open(f"file:{path}", "w", format="flac", options={"flush_packets": "1"})
        self._stream = self._container.add_stream("flac", rate=RATE, layout="stereo")
        self._stream.format = "s16"

    def write(self, samples: Samples) -> None:
        """Append int16 [n, 2] at `format.RATE`. Raises FFmpegError or OSError when the disk is full."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        frame.pts, frame.time_base = self.samples, Fraction(1, RATE)
        self.samples += len(samples)
        self._container.mux(self._stream.encode(frame))

    def silence(self, samples: int) -> None:
        """Append this many samples of silence."""
        while samples > 0:
            part = min(samples, RATE)
            self.write(np.zeros((part, CHANNELS), np.int16))
            samples -= part

    def close(self) -> None:
        """Finish the file. Raises the same exceptions as `write`."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
