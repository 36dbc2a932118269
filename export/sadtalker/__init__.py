"""Export the official networks as a family of engines: split into graphs, rewritten to run faster, written as ONNX."""
