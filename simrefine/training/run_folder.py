"""The folder of a run: who may write there, what it says about its surroundings, and where it goes on from."""

import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import simrefine
from simrefine import backend
from simrefine.config import CHANGEABLE_ON_RESUME, Config
from simrefine.errors import UserError
from simrefine.files import reporting_disk_faults
from simrefine.training.checkpoint import Checkpoint, newest_checkpoint

RUNS = Path("runs")  # where a run without a name goes, numbered
CHECKOUT = Path(simrefine.__file__).parents[1]


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
    differing = config.differences(Config.load(run / "config.toml", environment={}, recorded=True))
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


def read_metrics(file: Path) -> list[dict]:
    """The lines of a metrics.jsonl, without those that a kill or a power cut left torn."""
    lines = []
    for line in file.read_bytes().splitlines():
        with suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and "step" in entry:
                lines.append(entry)
    return lines


def describe_environment(dtype: str) -> dict[str, str | None]:
    """Versions, device, precision and commit, for environment.json."""
    packages = ("simrefine", backend.name, "keras", "numpy", "opencv-python-headless", "tensorboard")
    return {name: version(name) for name in packages} | {
        "backend": backend.name,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": backend.describe_device(),
        "precision": dtype,
        "git_commit": git_commit(),
    }


def git_commit(checkout: Path = CHECKOUT) -> str | None:
    """The commit of simrefine's own checkout; None where it was installed without one.

    The files of .git are read instead of asking git, which would run programs that a .git/config names.
    """
    if not (checkout / "pyproject.toml").is_file():  # .git, if any, is of the folder that simrefine is installed in
        return None
    try:
        folder = checkout / ".git"
        if folder.is_file():  # of a linked worktree: it names its own folder, and that names the common one
            folder = checkout / folder.read_text().removeprefix("gitdir:").strip()
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        common = folder / (folder / "commondir").read_text().strip() if (folder / "commondir").exists() else folder
        name = head.removeprefix("ref:").strip()
        if (common / name).is_file():
            return (common / name).read_text().strip()
        packed = (line.split() for line in (common / "packed-refs").read_text().splitlines())
        return next((words[0] for words in packed if words[1:] == [name]), None)
    except (OSError, UnicodeDecodeError):
        return None
