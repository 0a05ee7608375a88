"""Faces that training never sees, and what the refiner does to them: the numbers by which the best refiner is kept.

In go a few faces of both piles; out come distance to the photographs, colour gap and displacement, for TensorBoard
and for the rule below. A full evaluation, with a verdict, is `simrefine evaluate`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from simrefine.config import Config, EvaluationOptions
from simrefine.data.faces import Faces
from simrefine.data.images import to_signed, to_uint8
from simrefine.errors import UserError
from simrefine.files import standing_folder
from simrefine.measures.drift import measure_drift, summarise_drift
from simrefine.measures.realism import kernel_distance, statistics, statistics_gap
from simrefine.methods.method import Method
from simrefine.models.lite_features import lite_features
from simrefine.randomness import generator
from simrefine.threads import in_batches
from simrefine.training.monitor import Monitor
from simrefine.training.published import read_refiner, write_published

BATCH = 32  # faces refined at a time
SCORE = "held_out/kid"  # the number that the best refiner has least of


def split_off(faces: Faces, config: Config, purpose: str) -> tuple[Faces, np.ndarray]:
    """The faces without `evaluation.faces` random ones, and those: uint8 [evaluation.faces, h, w, c].

    Raises:
        UserError: less than a batch would be left to train on.
    """
    count, needed = config.evaluation.faces, config.training.batch_size
    if len(faces) < count + needed:
        raise UserError(
            f"evaluation.faces = {count} would leave less than a batch ({needed}) of {len(faces)} {purpose} pictures",
            "lower it, or set evaluation.every = 0",
        )
    order = generator(config.training.seed, 0, f"held-out {purpose}").permutation(len(faces))
    return faces.take(np.sort(order[count:])), faces.pile[np.sort(order[:count])]


class HeldOut:
    """The looks at the held-out faces of one run, and the best refiner so far, which is kept in `run`/best.

    Args:
        synthetic, real: uint8 [n, h, w, c].
        resumed: an earlier process of this run may have kept a best one.
    """

    def __init__(self, config: Config, run: Path, synthetic: np.ndarray, real: np.ndarray, *, resumed: bool):
        self._options, self._synthetic, self._real = config.evaluation, synthetic, real
        self.folder = run / "best"
        kept = resumed and standing_folder(self.folder).exists()
        self.best = read_refiner(self.folder).evaluation if kept else None

    def look_at_unrefined(self, method: Method, monitor: Monitor) -> None:
        """Shows, as step 0, what the faces score that a network is given; a new network need not be the identity."""
        monitor.held_out(0, measure_held_out(method.dress, method.dress, self._synthetic, self._real))

    def look(self, method: Method, step: int, monitor: Monitor) -> None:
        """Measures and shows what the refiner does after `step` steps, and keeps it if it is the best."""
        measured = measure_held_out(method.dress, method.refine, self._synthetic, self._real)
        monitor.held_out(step, measured)
        if is_better(measured, self.best, self._options):
            self.best = measured
            write_published(self.folder, method.publish(), step, measured)


def measure_held_out(
    dress: Callable[[np.ndarray], np.ndarray],
    refine: Callable[[np.ndarray], np.ndarray],
    synthetic: np.ndarray,
    real: np.ndarray,
) -> dict[str, float]:
    """What `refine`, float32 [n, h, w, c] in [-1, 1] to the same, does to held-out faces, uint8 [n, h, w, c] each.

    Displacement is that from faces as `dress` gives them to the network, also float32: dressing moves nothing, but
    the flow between two rooms is no flow of the face.

    Returns:
        held_out/kid: KID to the real faces, as `evaluate` measures it; held_out/colour_gap, gray levels;
        held_out/displacement and _p95: median and 95th percentile of the displacement at a grid, percent of the side.
    """
    dressed, refined = (
        in_batches(lambda faces, do=do: to_uint8(do(to_signed(faces))), synthetic, BATCH) for do in (dress, refine)
    )
    drift = summarise_drift(measure_drift(dressed, refined, None, [""] * len(refined)))
    return {
        SCORE: kernel_distance(lite_features(refined), lite_features(real))[0],
        "held_out/colour_gap": statistics_gap(statistics(refined), statistics(real))["colour_gap"],
        "held_out/displacement": drift["percent_median"],
        "held_out/displacement_p95": drift["percent_p95"],
    }


def is_better(numbers: dict[str, float], best: dict[str, float] | None, options: EvaluationOptions) -> bool:
    """The rule: the least distance to the photographs among the checkpoints whose median displacement is in bounds."""
    in_bounds = numbers["held_out/displacement"] <= options.max_displacement
    return in_bounds and (best is None or numbers[SCORE] < best[SCORE])
