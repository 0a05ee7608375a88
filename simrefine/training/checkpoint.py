"""Checkpoints that are complete or absent, and the refiner as it is published.

In go arrays by name; on disk stand `checkpoints/step-N/` (state.json, state.safetensors) and `refiner/`
(model.json, weights.safetensors). Only numbers and our own JSON: loading one cannot run code.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from simrefine.config import Config, RefinerOptions
from simrefine.errors import UserError
from simrefine.files import TEMPORARY_PREFIX, publishing_folder, restore_folder

FORMAT = 2  # of both files; raised when an older program could not read a newer one
STYLES = "styles"  # the name of that array beside the weights
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
    _publish(target, "state", {"step": step}, arrays)
    for old in _by_age(folder)[:-keep]:
        shutil.rmtree(old)
    for leftover in folder.glob(TEMPORARY_PREFIX + "*"):  # of a process killed while saving
        shutil.rmtree(leftover)
    return target


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and a sentence on each newer one that is not."""
    damaged = []
    for path in reversed(_by_age(folder)):
        try:
            state, arrays = _read(path, "state")
        except UserError as error:
            damaged.append(str(error))
            continue
        return Checkpoint(path, int(state["step"]), arrays), damaged
    return None, damaged


def publish_refiner(
    folder: Path,
    config: Config,
    step: int,
    weights: list[np.ndarray],
    styles: np.ndarray,
    evaluation: Mapping[str, float] | None = None,
) -> None:
    """Writes the refiner as `refine` loads it, replacing the one before in a single move.

    Args:
        folder: the `refiner` folder of a run.
        config: where the network, its channels and its training size come from.
        step: the training step it was taken at.
        weights: in the order of the network's variables.
        styles: the colours of the photographs it was trained with, see `data.styles.read_styles`.
        evaluation: the numbers by which it was chosen, if it was.
    """
    about = {
        "step": step,
        "weights": "exponential moving average",
        "size": config.data.size,
        "channels": config.data.channels,
        "refiner": asdict(config.refiner),
        "style": asdict(config.style),
        "evaluation": evaluation,
    }
    arrays = {f"{index:03d}": value for index, value in enumerate(weights)} | {STYLES: styles.astype(np.float32)}
    _publish(folder, "model", about, arrays, "weights")


@dataclass(frozen=True)
class PublishedRefiner:
    """A refiner's folder read back: what to build, and the weights to put into it."""

    options: RefinerOptions
    channels: int
    size: int  # px, of the training pictures
    step: int
    weights: list[np.ndarray]
    styles: np.ndarray  # [m, 1 + channels, channels], see `data.styles.read_styles`
    candidates: int  # see config.StyleOptions
    fingerprint: str  # SHA-256 of the weights file
    evaluation: dict[str, float] | None  # the numbers by which it was chosen, if it was


def read_refiner(path: Path) -> PublishedRefiner:
    """Reads a run folder's refiner, or a refiner folder itself.

    Raises:
        UserError: there is none, it is damaged, or it was made by a newer simrefine.
    """
    inside = path / "refiner"
    restore_folder(inside)
    folder = path if (path / "model.json").exists() else inside
    if not path.is_dir():
        raise UserError(f"{path} is {'a file' if path.exists() else 'not there'}", "name the run folder of a training")
    if not folder.is_dir():
        raise UserError(
            f"{path} holds no refiner: neither model.json nor a folder refiner/",
            "name the run folder of a training that has saved at least once",
        )
    about, arrays = _read(folder, "model", "weights")
    try:
        # Through Config, so that a network from a file meets the same limits as one from a flag.
        values = {
            f"{section}.{key}": value for section in ("refiner", "style") for key, value in about[section].items()
        }
        values |= {"data.channels": about["channels"], "data.size": about["size"]}
        step, styles = int(about["step"]), arrays.pop(STYLES)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / 'model.json'} is damaged: {error}", "publish it again: resume the run") from error
    config = Config.load(values=values, environment={})
    return PublishedRefiner(
        options=config.refiner,
        channels=config.data.channels,
        size=config.data.size,
        step=step,
        weights=[arrays[name] for name in sorted(arrays)],
        styles=styles,
        candidates=config.style.candidates,
        fingerprint=about["sha256"],
        evaluation=about.get("evaluation"),
    )


def assign(variables: list, values: list[np.ndarray], source: Path) -> None:
    """Puts arrays into Keras variables after comparing every shape, so that nothing is half loaded.

    Raises:
        UserError: the arrays belong to another architecture.
    """
    wanted, found = [tuple(variable.shape) for variable in variables], [value.shape for value in values]
    if wanted != found:
        pairs = zip_longest(wanted, found)
        index, (mine, theirs) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        raise UserError(
            f"{source} is of another architecture: as array {index} the network has {mine}, the file {theirs}",
            "use the configuration it was trained with (config.toml beside it)",
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _by_age(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    found = [path for path in folder.glob("step-*") if CHECKPOINT_NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(CHECKPOINT_NAME.fullmatch(path.name).group(1)))


def _publish(
    folder: Path, about_name: str, about: dict[str, Any], arrays: Mapping[str, np.ndarray], arrays_name: str = ""
) -> None:
    with publishing_folder(folder) as temporary:
        file = temporary / f"{arrays_name or about_name}.safetensors"
        try:
            save_file({name: np.asarray(value, order="C") for name, value in arrays.items()}, file)
        except SafetensorError as error:  # it wraps the disk's own error into text
            raise UserError(
                f"cannot write {folder}: {error}", "free some space and continue with --resume: older files are kept"
            ) from error
        about = {"format": FORMAT, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()} | about
        (temporary / f"{about_name}.json").write_text(json.dumps(about, indent=2) + "\n")


def _read(folder: Path, about_name: str, arrays_name: str = "") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    about_file = folder / f"{about_name}.json"
    arrays_file = folder / f"{arrays_name or about_name}.safetensors"
    try:
        about = json.loads(about_file.read_bytes())
        if about["format"] != FORMAT:
            raise UserError(f"{about_file} has format {about['format']}, not {FORMAT}", "use a newer simrefine")
        if hashlib.sha256(arrays_file.read_bytes()).hexdigest() != about["sha256"]:
            raise UserError(f"{arrays_file} is damaged: its SHA-256 is not the one in {about_file.name}")
        return about, load_file(arrays_file)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"{folder} is damaged or incomplete: {error}") from error
