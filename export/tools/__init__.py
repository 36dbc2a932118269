"""Tools of every export: ONNX files, TensorRT builds, downloads."""
