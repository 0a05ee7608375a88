"""Faces that training never sees, and what the refiner does to them: the numbers by which the best checkpoint is kept.

In go a few faces of both piles; out come distance to the photographs, colour gap and displacement, for TensorBoard
and for the rule below. A full evaluation, with a verdict, is `simrefine evaluate`.
"""

from collections.abc import Callable

import numpy as np

from simrefine.config import Config, EvaluationOptions
from simrefine.data.batches import Pile
from simrefine.data.images import to_signed, to_uint8
from simrefine.errors import UserError
from simrefine.measures.drift import measure_drift, summarise_drift
from simrefine.measures.realism import sliced_wasserstein, statistics, statistics_gap, wasserstein_mean
from simrefine.randomness import generator

BATCH = 32  # faces refined at a time
SCORE = "held_out/swd"  # the number that the best checkpoint has least of


def hold_out(pile: Pile, config: Config, purpose: str) -> tuple[Pile, np.ndarray]:
    """The pile without `evaluation.faces` random pictures, and those: uint8 [faces, h, w, c].

    Raises:
        UserError: less than a batch would be left to train on.
    """
    count, needed = config.evaluation.faces, config.training.batch_size
    if len(pile) < count + needed:
        raise UserError(
            f"evaluation.faces = {count} would leave less than a batch ({needed}) of {len(pile)} {purpose} pictures",
            "lower it, or set evaluation.every = 0",
        )
    order = generator(config.training.seed, 0, f"held-out {purpose}").permutation(len(pile))
    return pile.take(np.sort(order[count:])), pile[np.sort(order[:count])]


def measure_held_out(
    refine: Callable[[np.ndarray], np.ndarray], synthetic: np.ndarray, real: np.ndarray
) -> dict[str, float]:
    """What `refine`, float32 [n, h, w, c] in [-1, 1] to the same, does to held-out faces, uint8 [n, h, w, c] each.

    Returns:
        held_out/swd: mean sliced Wasserstein distance to the real faces, x 1e3; held_out/colour_gap, gray levels;
        held_out/displacement and _p95: median and 95th percentile of the displacement at a grid, percent of the side.
    """
    batches = [to_signed(synthetic[i : i + BATCH]) for i in range(0, len(synthetic), BATCH)]
    refined = to_uint8(np.concatenate([np.asarray(refine(batch)) for batch in batches]))
    drift = summarise_drift(measure_drift(synthetic, refined, None, [""] * len(refined)))
    return {
        SCORE: wasserstein_mean(sliced_wasserstein(refined, real)),
        "held_out/colour_gap": statistics_gap(statistics(refined), statistics(real))["colour_gap"],
        "held_out/displacement": drift["percent_median"],
        "held_out/displacement_p95": drift["percent_p95"],
    }


def is_better(numbers: dict[str, float], best: dict[str, float] | None, options: EvaluationOptions) -> bool:
    """The rule: the least distance to the photographs among the checkpoints whose median displacement is in bounds."""
    in_bounds = numbers["held_out/displacement"] <= options.max_displacement
    return in_bounds and (best is None or numbers[SCORE] < best[SCORE])
