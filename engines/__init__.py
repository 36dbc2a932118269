"""Inference engines: manifests, the `Engine` protocol and its backends. Knows nothing about streaming."""
