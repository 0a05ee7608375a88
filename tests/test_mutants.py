"""The tests catch defects planted on purpose; all of them: `make mutants`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import MUTANTS, misfits

ROOT = Path(__file__).parents[1]


def test_every_mutant_still_fits_the_code_and_its_tests_are_there():
    assert not misfits(ROOT), "the code has moved on: mend the mutant"
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


@pytest.mark.skipif("CI" not in os.environ, reason="takes a minute; set CI, or run `make mutants` for all of them")
def test_five_planted_defects_are_caught():
    command = [sys.executable, str(ROOT / "tests" / "mutants.py"), "--sample", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("5 of 5 caught\n"), done.stdout + done.stderr
