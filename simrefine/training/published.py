"""What a training gives away, on the disk: `refiner/` with model.json (kind and options) and weights.safetensors.

Numbers and our own JSON. It is read through the configuration, so that a network from a file meets the same limits as
one from a flag.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.arrays import read_arrays, write_arrays
from simrefine.config import Config
from simrefine.data.dressing import BANK, STYLES, check_looks
from simrefine.errors import UserError
from simrefine.files import standing_folder
from simrefine.methods.method import PARSER, Published

FORMAT = 4  # 1 and 2 had no kind, 3 no parts; 1 is of networks that are no longer built
MAX_WEIGHTS_BYTES = 2**30  # of weights.safetensors; what training writes has about ten million
NAMES = {"about_name": "model", "arrays_name": "weights"}


@dataclass(frozen=True)
class PublishedRefiner:
    """A refiner's folder read back: what to build, and the weights to put into it.

    Args:
        config: the sections data, refiner and style are those it was trained with.
        step: the training step it was taken at.
        weights: in the order of the network's variables.
        looks: what faces are dressed with, by name; see `data.dressing.read_dresser`.
        parser: the parser's weights in the order of its variables; empty where there is none.
        fingerprint: SHA-256 of the weights file and of the options that decide what the network makes of a picture.
        evaluation: the numbers by which it was chosen, if it was.
    """

    config: Config
    step: int
    weights: list[np.ndarray]
    looks: dict[str, np.ndarray]
    parser: list[np.ndarray]
    fingerprint: str
    evaluation: dict[str, float] | None


def write_published(
    folder: Path, published: Published, step: int, evaluation: Mapping[str, float] | None = None
) -> None:
    """Writes `folder` as `refine` loads it, replacing the one before in a single move.

    Args:
        step: the training step it was taken at.
        evaluation: the numbers by which it was chosen, if it was.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    about = {
        "format": FORMAT,
        "kind": published.kind,
        "step": step,
        "options": published.options,
        "evaluation": evaluation,
    }
    write_arrays(folder, about, published.arrays, **NAMES)


def read_refiner(path: Path) -> PublishedRefiner:
    """Reads a run folder's refiner, or a refiner folder itself.

    Raises:
        UserError: there is none, it is damaged, holds numbers that are none, is larger than MAX_WEIGHTS_BYTES, of
            another kind, or of a format that this simrefine does not read.
    """
    itself, inside = standing_folder(path), standing_folder(path / "refiner")
    folder = itself if (itself / "model.json").exists() else inside
    if not itself.is_dir():
        raise UserError(f"{path} is {'a file' if path.exists() else 'not there'}", "name the run folder of a training")
    if not folder.is_dir():
        raise UserError(
            f"{path} holds no refiner: neither model.json nor a folder refiner/",
            "name the run folder of a training that has saved at least once",
        )
    about, arrays = read_arrays(folder, **NAMES, formats=range(2, FORMAT + 1), limit=MAX_WEIGHTS_BYTES)
    try:
        if about["format"] == 2:
            about = _from_format_2(about)
        if about["format"] == 3:
            about = about | {"options": about["options"] | {"parts": {"scene": False}}}
        if about["kind"] != "refiner":
            raise UserError(f"{folder} holds no refiner but a {about['kind']}", "name the run folder of a refiner")
        sections = about["options"]
        values = {f"{section}.{key}": sections[section][key] for section in sections for key in sections[section]}
        step = int(about["step"])
        looks = {name: arrays.pop(name) for name in [*arrays] if name == STYLES or name.startswith(BANK)}
        parser = [arrays.pop(name) for name in sorted(arrays) if name.startswith(PARSER)]
        config = Config.load(values=values, environment={})
        _check_numbers(arrays | {f"{PARSER}{place}": value for place, value in enumerate(parser)})
        check_looks(looks, config, parsed=bool(parser))
        evaluation = _checked_evaluation(about.get("evaluation"))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{folder} is damaged: {error}", "publish it again: resume the run") from error
    return PublishedRefiner(
        config=config,
        step=step,
        weights=[arrays[name] for name in sorted(arrays)],
        looks=looks,
        parser=parser,
        fingerprint=_fingerprint(about["sha256"], config),
        evaluation=evaluation,
    )


def is_published(folder: Path, step: int) -> bool:
    """Whether `folder` holds a whole refiner of step `step` or of a later one."""
    try:
        return read_refiner(folder).step >= step
    except UserError:
        return False


def _fingerprint(weights: str, config: Config) -> str:
    """One for each refiner that makes something else of a picture.

    Args:
        weights: SHA-256 of the weights file, which also holds the looks.
    """
    data, parts = config.data, config.parts
    decisive = [vars(config.refiner), vars(config.style), parts.candidates, parts.scene, data.size, data.channels]
    return hashlib.sha256(json.dumps([weights, *decisive], sort_keys=True).encode()).hexdigest()


def _check_numbers(arrays: Mapping[str, np.ndarray]) -> None:
    for name, values in arrays.items():
        if values.dtype.kind != "f":  # `read_arrays` refuses what is not finite
            raise ValueError(f"the array {name} holds what is no finite number")


def _checked_evaluation(numbers: Any) -> dict[str, float] | None:
    return None if numbers is None else {name: float(value) for name, value in numbers.items()}


def _from_format_2(about: Mapping[str, Any]) -> dict[str, Any]:
    """Format 2 had the options beside everything else, and only refiners."""
    data = {"size": about["size"], "channels": about["channels"]}
    return dict(about) | {
        "format": 3,
        "kind": "refiner",
        "options": {"data": data, "refiner": about["refiner"], "style": about["style"]},
    }
