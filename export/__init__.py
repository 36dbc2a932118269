"""Make engines: from checkpoints or training to ONNX graphs and manifests. Serving does not need this package."""
