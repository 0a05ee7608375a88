"""The folder of a run: who may write there, what it says about its surroundings, and where it goes on from."""

import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from simrefine import backend
from simrefine.config import CHANGEABLE_ON_RESUME, Config
from simrefine.errors import UserError
from simrefine.files import reporting_disk_faults
from simrefine.training.checkpoint import Checkpoint, newest_checkpoint

RUNS = Path("runs")  # where a run without a name goes, numbered


def next_run() -> Path:
    """The next free number under runs/."""
    number = 1
    while (RUNS / f"{number:03d}").exists():
        number += 1
    return RUNS / f"{number:03d}"


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keeps two trainings out of one folder; the lock dies with the process, so none is left behind.

    Raises:
        UserError: another training holds it, or the folder cannot be made.
    """
    with reporting_disk_faults(run):
        run.mkdir(parents=True, exist_ok=True)
        file = open(run / ".lock", "w")  # noqa: SIM115 held for the whole run
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # Windows: two runs in one folder stay the user's affair
        except OSError as error:
            raise UserError(f"another training is running in {run}", "wait for it, or name another --run") from error
        yield


def claim(run: Path) -> None:
    """Checks that a new run overwrites nothing; one that never reached its first checkpoint may start over."""
    if any((run / "checkpoints").glob("step-*")):
        raise UserError(f"{run} already holds a run", "continue it with --resume, or name another --run")


def checkpoint_to_resume(run: Path, config: Config, say: Callable[[str], None]) -> Checkpoint:
    """The newest whole checkpoint of a run.

    Raises:
        UserError: there is none, or the run is of another configuration.
    """
    if not (run / "config.toml").exists():
        raise UserError(f"{run} holds no run to resume: config.toml is missing", "name the folder of an earlier --run")
    differing = config.differences(Config.load(run / "config.toml", environment={}))
    fixed = {key: pair for key, pair in differing.items() if key not in CHANGEABLE_ON_RESUME}
    if fixed:
        shown = ", ".join(f"{key} = {now!r} (was {before!r})" for key, (now, before) in fixed.items())
        raise UserError(f"{run} was trained with another configuration: {shown}", "leave these out, or start a new run")
    checkpoint, damaged = newest_checkpoint(run / "checkpoints")
    for message in damaged:
        say(f"WARNING: {message}")
    if not checkpoint:
        raise UserError(f"{run / 'checkpoints'} holds no whole checkpoint", "start over without --resume")
    if damaged:
        say(f"falling back to {checkpoint.path}")
    return checkpoint


def describe_environment(dtype: str) -> dict[str, str | None]:
    """Versions, device, precision and commit, for environment.json."""
    packages = ("simrefine", "tensorflow", "keras", "numpy", "opencv-python-headless", "tensorboard")
    return {name: version(name) for name in packages} | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": backend.describe_device(),
        "precision": dtype,
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    """The commit of the working folder, "-dirty" where files differ from it; None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
