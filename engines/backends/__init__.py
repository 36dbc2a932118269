"""The backends an engine runs on: OpenVINO, ONNX Runtime, TensorRT."""
