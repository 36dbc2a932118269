"""`python -m streamer` is `avatar`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line. Loading it takes a moment, in which Ctrl-C is no traceback either."""
    try:
        from streamer.cli import main as cli
    except KeyboardInterrupt:
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
