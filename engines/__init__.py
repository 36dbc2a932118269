"""Inference engines: manifests, the `Engine` protocol and its backends. Knows nothing about streaming."""

from pathlib import Path

SHIPPED_FAMILY = Path(__file__).parent / "starter"  # the family folder that comes with the package
