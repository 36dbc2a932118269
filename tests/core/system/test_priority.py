"""A process that stands back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from streamer.core.system.priority import LAST, stand_back


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot choose cores")
def test_it_has_one_core_and_comes_last() -> None:
    program = "import os; input(); print(len(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, 0))"
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as process:
        stand_back(process.pid)
        said, _ = process.communicate("\n", timeout=60)
    assert said.split() == ["1", str(LAST)]
