"""What a training gives away, on the disk: `refiner/` or `generator/` with model.json (kind and options) and
weights.safetensors.

Numbers and our own JSON. It is read through the configuration, so that a network from a file meets the same limits as
one from a flag.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.arrays import read_arrays, write_arrays
from simrefine.catalogue import ZEROS
from simrefine.config import Config
from simrefine.data.dressing import BANK, STYLES, check_looks
from simrefine.errors import UserError
from simrefine.files import standing_folder
from simrefine.methods.generator_batches import MEANS
from simrefine.methods.method import PARSER, Published

FORMAT = 6  # 1 and 2 had no kind, 3 no parts, 4 no prints, 5 no views; 1 is of networks that are no longer built
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


@dataclass(frozen=True)
class PublishedGenerator:
    """A generator's folder read back.

    Args:
        config: the sections data and generator are those it was trained with.
        step: the training step it was taken at.
        players: the weights of each network by its name in `models.generator.player_builders`, in the order of its
            variables.
        means: [people, identity], the mean identity of each person's true faces; 0 before they are known.
        names: of the people.
        fingerprint: SHA-256 of all that decides what it makes.
    """

    config: Config
    step: int
    players: dict[str, list[np.ndarray]]
    means: np.ndarray
    names: tuple[str, ...]
    fingerprint: str


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
    folder = _find(path, "refiner")
    about, arrays = read_arrays(folder, **NAMES, formats=range(2, FORMAT + 1), limit=MAX_WEIGHTS_BYTES)
    try:
        if about["format"] == 2:
            about = _from_format_2(about)
        if about["format"] == 3:
            about = about | {"options": about["options"] | {"parts": {"scene": False}}}
        if about["kind"] != "refiner":
            raise UserError(f"{folder} holds no refiner but a {about['kind']}", "name the run folder of a refiner")
        sections = about["options"]
        sections["refiner"] = {"borders": ZEROS} | sections["refiner"]  # which they were when no option named them
        sections["parts"] = {"head": False, "soften": False} | sections.get("parts", {})  # as it was
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


def read_generator(path: Path) -> PublishedGenerator:
    """Reads a run folder's generator, or a generator folder itself.

    Raises:
        UserError: see `read_refiner`.
    """
    folder = _find(path, "generator")
    about, arrays = read_arrays(folder, **NAMES, formats=range(4, FORMAT + 1), limit=MAX_WEIGHTS_BYTES)
    try:
        if about["kind"] != "generator":
            raise UserError(f"{folder} holds no generator but a {about['kind']}", "name the run folder of a generator")
        _check_numbers(arrays)
        options = about["options"]
        values = {
            f"{section}.{key}": options[section][key] for section in ("data", "generator") for key in options[section]
        }
        values |= {"method.name": "generator", "training.batch_size": 2 * values["generator.views"]}
        names, means = tuple(map(str, options["people"]["names"])), arrays.pop(MEANS)
        config = Config.load(values=values, environment={})
        if means.shape != (len(names), config.generator.identity):
            raise ValueError(f"{len(names)} people have means of shape {means.shape}")
        players: dict[str, list[np.ndarray]] = {}
        for name in sorted(arrays):
            players.setdefault(name.partition("/")[0], []).append(arrays[name])
        step = int(about["step"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{folder} is damaged: {error}", "publish it again: resume the run") from error
    decisive = json.dumps([about["sha256"], names, vars(config.generator), vars(config.data)], sort_keys=True)
    return PublishedGenerator(config, step, players, means, names, hashlib.sha256(decisive.encode()).hexdigest())


def _find(path: Path, kind: str) -> Path:
    """The folder of what a run published, which is `path` itself or the one named after its kind in there.

    Raises:
        UserError: there is none.
    """
    itself, inside = standing_folder(path), standing_folder(path / kind)
    if not itself.is_dir():
        raise UserError(f"{path} is {'a file' if path.exists() else 'not there'}", "name the run folder of a training")
    if (itself / "model.json").exists():
        return itself
    if not inside.is_dir():
        raise UserError(
            f"{path} holds no {kind}: neither model.json nor a folder {kind}/",
            "name the run folder of a training that has saved at least once",
        )
    return inside


def is_published(folder: Path, step: int) -> bool:
    """Whether `folder` holds a whole refiner or generator of step `step` or of a later one."""
    for read in (read_refiner, read_generator):
        with suppress(UserError):
            return read(folder).step >= step
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
