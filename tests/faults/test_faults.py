"""The promises of docs/reliability.md are tried: a few kills, damaged files and crowds, the same at each run."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "experiments" / "reliability.py"


def test_no_kill_no_damaged_file_and_no_crowd_breaks_a_promise():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert " 0 cases" not in done.stdout and "kills of train" in done.stdout and "damaged models" in done.stdout
