"""Inference engines: manifests, the `Engine` protocol and its backends. Knows nothing about streaming."""

import os
from pathlib import Path

SHIPPED_FAMILY = Path(__file__).parent / "starter"  # the family folder that comes with the package
FAMILY_VARIABLE = "AVATAR_FAMILY"


def default_family() -> Path:
    """Return the default family folder: AVATAR_FAMILY, else the shipped one."""
    return Path(os.environ.get(FAMILY_VARIABLE) or SHIPPED_FAMILY)
