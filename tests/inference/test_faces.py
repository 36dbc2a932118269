"""Avatars are made ready by the inference process, also after what makes them was released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from streamer.core.options import PipelineOptions
from streamer.core.rates import SAMPLE_RATE
from streamer.inference.messages import Load, WorkerSettings
from streamer.inference.process import load


def test_an_avatar_that_comes_later_is_loaded_and_can_be_drawn(tiny_folder: Path) -> None:
    _, ready, faces = load(WorkerSettings(tiny_folder, None, threads=1))
    try:
        with pytest.raises(EngineError, match="not active"):
            faces.engines["appearance"].bind({})
        faces.unload(ready.default_avatar)
        assert faces.load(Load(ready.default_avatar)).failure is None
        windows = faces.open_stream(ready.default_avatar, PipelineOptions()).push(np.zeros(SAMPLE_RATE, np.float32))
        assert faces.renderers[ready.default_avatar].render(windows[:1])[0].rgb.any()
        assert "nobody" in str(faces.load(Load("nobody")).failure)
    finally:
        faces.engines.close()
