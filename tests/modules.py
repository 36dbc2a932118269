"""Which modules a piece of code loads, in an interpreter that has loaded nothing else."""

from __future__ import annotations

import subprocess
import sys


def loaded_modules(code: str) -> set[str]:
    """Names of all modules that are loaded after `code` ran, also if it ended by SystemExit."""
    program = f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit:\n    pass\nprint('\\nLOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].removeprefix("LOADED ").split())
