"""Ways to run graphs: OpenVINO and ONNX Runtime on a CPU, TensorRT and ONNX Runtime on an NVIDIA GPU."""

import sys

# OpenVINO reports its use to Google Analytics through this package, from a process it starts, and keeps an identifier
# in ~/intel. Where the package cannot be imported, it reports nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
