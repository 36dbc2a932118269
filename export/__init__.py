"""Make engines: from checkpoints or training to ONNX graphs and manifests. Serving needs nothing of this package."""
