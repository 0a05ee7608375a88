"""A run of two steps, the smallest generator there is."""

import pytest
from click.testing import CliRunner
from tiny_people import SMALL, write_people

import simrefine
from simrefine.cli import main


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run of two steps, by the command line."""
    home = tmp_path_factory.mktemp("run")
    renders, photographs = write_people(home / "renders"), write_people(home / "photographs")
    options = SMALL | {"generator.photographs": True, "monitor.faces": 2, "monitor.checkpoint_every": 1}
    sets = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    command = ["generate", "train", "--synthetic", str(renders), "--real", str(photographs), "--run", str(home / "run")]
    command += ["--steps", "2", "--size", "16", "--batch-size", "8", "--precision", "float32", *sets]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "simrefine generate sample" in done.output
    return home / "run"


@pytest.fixture(scope="session")
def generator(run):
    return simrefine.load_generator(run)


@pytest.fixture
def renders(run):
    return run.parent / "renders"
