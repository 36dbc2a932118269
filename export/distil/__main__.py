"""Teach a small generator one avatar of a heavy family, so that its look runs live on a CPU.

    python -m export.distil --engines engines/built/sadtalker-256 --avatar me [--minutes 60] [--out FOLDER]

The family renders the avatar over motions that its networks compute from speech, and a generator of the starter's size
learns these pictures. An interrupted run continues where it stopped when it is started again.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path

from engines.errors import AvatarError
from export.distil import BUILT, WORK
from export.tools import command

NEEDED = ("torch", "onnx", "scipy")


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], prog="python -m export.distil")
    parser.add_argument("--engines", type=Path, required=True, help="the teacher's folder")
    parser.add_argument("--avatar", required=True, help="an avatar made for that family with `avatar prepare`")
    parser.add_argument("--out", type=Path, help=f"the student's folder (default: {BUILT}/AVATAR-FAMILY)")
    parser.add_argument("--minutes", type=minutes, default=60.0, help="of training, over all runs (default: 60)")
    parser.add_argument("--pictures", type=command.count, default=1200, help="that the teacher renders (default: 1200)")
    parser.add_argument("--speech", type=Path, nargs="+", help="sound files to move to (default: eSpeak NG says lines)")
    parser.add_argument("--work", type=Path, help=f"what is kept between runs (default: {WORK}/AVATAR-FAMILY)")
    parser.add_argument("--from-scratch", action="store_true", help="do not begin with the starter's weights")
    parser.add_argument("--threads", type=command.count, default=2)
    parser.add_argument("--batch", type=command.count, default=8, help="pictures a step (default: 8)")
    args = parser.parse_args()
    start = time.monotonic()

    def say(message: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"[{time.monotonic() - start:4.0f} s] {message}", flush=True)

    def job() -> None:
        """Teach the student. Raises AvatarError, also for a missing package."""
        if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
            raise AvatarError(
                f"{', '.join(missing)} not installed, and training needs it; pip install 'avatar-streamer[export]'"
            )
        from export.distil.teach import Options, teach

        folder = teach(Options(**vars(args)), say)
        say(f"done: {folder}; run it with `avatar serve --engines {folder}`")

    return command.run(job, "interrupted; the same command goes on from here")


def minutes(text: str) -> float:
    """Parse a number of minutes above 0, for argparse."""
    value = float(text)
    if not 0 < value < 1e5:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
