"""What a method of learning is to all that comes after it: the loop, the checkpoints, the monitor and `refine` know
this and nothing else. A method says which loss moves which weights; it opens no file and knows no clock.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

from simrefine.config import Config
from simrefine.data.batches import Pile
from simrefine.data.dressing import Dresser
from simrefine.methods.logged import Logged

PARSER = "parser/"  # what the names of the parser's weights begin with, beside a refiner's


class Inputs(NamedTuple):
    """What there is to learn from."""

    synthetic: Pile  # rendered faces
    real: Pile  # photographs
    points: np.ndarray | None  # label points of the synthetic pile, [m, k, 2] in px, NaN = not labelled; None = none
    dresser: Dresser  # what renders are given before they are refined, see data/dressing.py


class Frozen(NamedTuple):
    """Networks that were trained before the first step and never move; None where the configuration needs none."""

    extractor: keras.Model | None = None  # of feature maps, see `models.losses.build_feature_extractor`
    landmarks: keras.Model | None = None  # see `models.landmarks.build_landmark_network`
    parser: keras.Model | None = None  # see `models.parser.build_parser`


class Inspection(NamedTuple):
    """What the networks make of a fixed set of faces, for pictures and histograms."""

    # float32 [n, h, w, c] in [-1, 1] by heading, to be shown side by side: "synthetic", "refined" (by the averaged
    # refiner) and, where there is a way back, "back".
    columns: dict[str, np.ndarray]
    probabilities: list[np.ndarray]  # P(refined) of the refined faces, a map [n, h', w'] in [0, 1] a patch size
    margins: dict[str, np.ndarray]  # tag -> margins of all patches, flat; above 0 = "refined"
    numbers: dict[str, float]  # by name, each declared in `Method.logged`


@dataclass(frozen=True)
class Published:
    """What a method gives away: numbers and what to build with them, no code.

    Args:
        kind: what it is, "refiner" or "generator".
        options: sections of the configuration that say how to build it, ready for JSON.
        arrays: by name; the weights of the network are "000", "001", ... in the order of its variables.
    """

    kind: str
    options: dict[str, dict[str, Any]]
    arrays: dict[str, np.ndarray]


class Method(Protocol):
    """A method of learning: what the loop and the checkpoints know of it. That of a refiner is a `RefinerMethod`."""

    logged: tuple[Logged, ...]  # all numbers that it may log

    def batch(self, step: int) -> NamedTuple:
        """All that step `step` consumes: a function of (seed, step) alone, called from several threads."""

    def step(self, batch: NamedTuple, step: int) -> dict[str, Any]:
        """Moves the weights; the numbers of the step by name, each declared in `logged`: scalars that may still be on
        their way on the device, where to look at one is to wait for it."""

    def state(self) -> dict[str, np.ndarray]:
        """All that a resumed run needs to go on as if it had never stopped: weights, optimisers, averages, histories.
        Randomness needs none, it follows from the step."""

    def restore(self, arrays: Mapping[str, np.ndarray], source: Path) -> None:
        """Takes what `state` gave; nothing is taken where something does not fit.

        Raises:
            UserError: the arrays, which come from `source`, are of another configuration.
        """

    def publish(self) -> Published:
        """The averaged networks."""


class RefinerMethod(Method, Protocol):
    """A method that learns a refiner, made as `METHODS[name](config, inputs, dtype, frozen)`."""

    def dress(self, pictures: np.ndarray) -> np.ndarray:
        """What the published refiner gives its network of float32 [n, h, w, c] in [-1, 1]: faces in the colours and
        rooms of photographs, the same shape and range."""

    def refine(self, pictures: np.ndarray) -> np.ndarray:
        """What the published refiner makes of float32 [n, h, w, c] in [-1, 1], any n: the same shape and range."""

    def inspect(self, synthetic: np.ndarray, real: np.ndarray) -> Inspection:
        """The networks on fixed faces, float32 [n, h, w, c] in [-1, 1]; nothing moves."""


def publish_refiner(config: Config, network: keras.Model, dresser: Dresser, parser: keras.Model | None) -> Published:
    """A refiner as `simrefine refine` builds it: its network, and what it dresses faces with first."""
    arrays = weights_by_name(network) | dresser.arrays()
    if parser:
        arrays |= {PARSER + name: values for name, values in weights_by_name(parser).items()}
    options = {
        "data": {"size": config.data.size, "channels": config.data.channels},
        "refiner": asdict(config.refiner),
        "style": asdict(config.style),
        "parts": {
            "candidates": config.parts.candidates,
            "scene": dresser.has_scenes,
            "head": dresser.has_heads,
            "soften": config.parts.soften,
        },
    }
    return Published("refiner", options, arrays)


def weights_by_name(network: keras.Model) -> dict[str, np.ndarray]:
    """By name, which sorts as the network's variables do."""
    return {f"{index:03d}": np.asarray(variable) for index, variable in enumerate(network.variables)}
