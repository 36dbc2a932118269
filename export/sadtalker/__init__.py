"""The official networks as a family of engines: stages cut into graphs, rewritten to cost less, written as ONNX."""
