"""Tools shared by all exports: ONNX files, TensorRT builds, downloads."""
