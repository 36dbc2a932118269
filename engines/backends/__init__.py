"""Backends that run graphs: OpenVINO and ONNX Runtime on a CPU, TensorRT and ONNX Runtime on an NVIDIA GPU."""

import sys

# OpenVINO sends usage data to Google Analytics through this package, from a child process, and stores an identifier in
# ~/intel. If the package cannot be imported, it sends nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
