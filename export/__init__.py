"""Makes engines: checkpoints and training in, ONNX graphs and manifests out. Nothing here is needed to serve."""
