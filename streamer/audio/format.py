"""Format of live audio: 48 kHz stereo in blocks of 20 ms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.core.rates import exact_div

RATE = 48_000  # Hz, the output rate of WebRTC's Opus decoder
CHANNELS = 2
MS = exact_div(RATE, 1000)  # samples per millisecond
AUDIO_PTIME_MS = 20  # of the packets we send
AUDIO_BLOCK = AUDIO_PTIME_MS * MS  # samples

Samples = NDArray[np.int16]
