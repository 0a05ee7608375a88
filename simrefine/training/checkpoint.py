"""Checkpoints that are complete or absent: arrays by name in, `checkpoints/step-N/` (state.json, state.safetensors)
out, and back."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simrefine.arrays import read_arrays, write_arrays
from simrefine.errors import UserError

FORMAT = 2  # raised when an older simrefine could not resume from a newer checkpoint
NAMES = {"about_name": "state", "arrays_name": "state"}
CHECKPOINT_NAME = re.compile(r"step-(\d{7,})$")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back: its folder, its step and its arrays by name."""

    path: Path
    step: int
    arrays: dict[str, np.ndarray]


def save_checkpoint(folder: Path, step: int, arrays: Mapping[str, np.ndarray], keep: int) -> Path:
    """Publishes `folder`/step-N and deletes all but the `keep` newest.

    Raises:
        UserError: the disk is full or cannot be written; the older checkpoints are untouched.
    """
    target = folder / f"step-{step:07d}"
    write_arrays(target, {"format": FORMAT, "step": step}, arrays, **NAMES)
    for old in _by_age(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in `path`.

    Raises:
        UserError: it is damaged, or of another format.
    """
    about, arrays = read_arrays(path, **NAMES, formats=range(FORMAT, FORMAT + 1))
    return Checkpoint(path, int(about["step"]), arrays)


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and a sentence on each newer one that is not."""
    damaged = []
    for path in reversed(_by_age(folder)):
        try:
            return read_checkpoint(path), damaged
        except UserError as error:
            damaged.append(str(error))
    return None, damaged


def _by_age(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    found = [path for path in folder.glob("step-*") if CHECKPOINT_NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(CHECKPOINT_NAME.fullmatch(path.name).group(1)))
