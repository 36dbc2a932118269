"""`python -m streamer` is `avatar`."""

from __future__ import annotations

import sys

from streamer.cli import main

if __name__ == "__main__":
    sys.exit(main())
