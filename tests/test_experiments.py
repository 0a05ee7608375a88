"""The scripts behind the numbers in experiments/: they start, and what they compute is what they say."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SCRIPTS = sorted(file.stem for file in EXPERIMENTS.glob("*.py") if file.stem != "runs")  # which the others import


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """As `python experiments/x.py` has it."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    yield
    for script in EXPERIMENTS.glob("*.py"):
        sys.modules.pop(script.stem, None)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_experiment_starts_and_says_what_it_does(name):
    result = CliRunner().invoke(importlib.import_module(name).main, ["--help"])
    assert result.exit_code == 0, result.output
    assert importlib.import_module(name).__doc__.partition("\n")[0][:40] in " ".join(result.output.split())


def test_a_faint_checkerboard_is_seen_and_noise_is_not():
    fold = importlib.import_module("checkerboard").fold
    noise = np.random.default_rng(0).integers(100, 130, (40, 64, 64, 3)).astype(np.uint8)
    board = (np.indices((64, 64)).sum(axis=0) % 2)[:, :, None].astype(np.uint8)
    clean, marked = (fold(pictures)[0] for pictures in (noise, noise + 2 * board))
    assert clean < 0.3
    assert marked > 0.9  # half of the two gray levels


def test_the_table_of_sets_holds_what_was_measured(capsys):
    def measured(error, faces=None):
        return {key: {"mean": error, "std": None} for key in ("error", "adapted")} | {"faces": faces}

    auc = {"auc": 0.5, "low": 0.4, "high": 0.6, "n": 10}
    skin = {"tinted": 0.02, "distance": {"median": 4.0}, "ita_change": {"median": 5.0}}
    faces = {"kid": 8.3, "swd": 40.0, "auc": auc, "percent_median": 0.5, "percent_p95": 1.0, "complexion": skin}
    sets = {"raw": measured(10.0), "run": measured(7.0, faces), "real": measured(5.0)}
    importlib.import_module("compare").print_table(sets)
    rows = capsys.readouterr().out.splitlines()
    assert (
        "| run | 7.00 | 60 % | 7.00 | 60 % | 8.3 | 40.0 | 0.50 (0.40 .. 0.60) | 0.50 / 1.00 | 2.0 % | 4.0 / 5.0 |"
        in rows
    )
