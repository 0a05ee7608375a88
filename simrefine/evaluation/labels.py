"""Do the labels still hold? Raw and refined pictures and their points in; how far the points moved comes out, where a
network trained on labelled photographs finds them, and what became of the complexions, as JSON keeps it."""

from collections.abc import Mapping, Sequence

import numpy as np

from simrefine.measures.colour import compare_complexions, skin_colours
from simrefine.measures.drift import measure_drift, summarise_drift
from simrefine.measures.landmarks import compare_predictions
from simrefine.training.landmarks import BATCH_SIZE, STEPS, LabelledSet, train_landmarks

FEWEST_PHOTOGRAPHS = 2 * BATCH_SIZE  # with fewer, no network is trained
SKIN_POINTS = 68  # the scheme whose jaw, brows, eyes and mouth say where skin is


def measure_labels(
    raw: np.ndarray,
    refined: np.ndarray,
    points: np.ndarray | None,
    names: Sequence[str],
    photographs: LabelledSet | None = None,
    steps: int = STEPS,
    given: np.ndarray | None = None,
) -> dict:
    """Measures drift at the points; where there are labelled photographs, also how a landmark network that learnt from
    them alone finds the points in raw and in refined faces.

    Only a network that never saw a render is a fair judge: one that learnt from raw faces knows their look, so that
    whatever looks otherwise seems to move.

    Args:
        raw, refined: uint8 [n, h, w, c]; the n-th of both show the same face.
        points: [n, k, 2] px, or None, which measures at a grid.
        names: [n], of the pictures.
        photographs: of the same size; left out where they are fewer than FEWEST_PHOTOGRAPHS or have other points.
        steps: of BATCH_SIZE photographs, of the training.
        given: the same faces as the refiner's network was given them, from which drift is then measured: colours and a
            room move no point, but the flow between two rooms is no flow of the face. None = `raw`.

    Returns:
        See `measures.drift.summarise_drift`; and "network": `measures.landmarks.compare_predictions`, with
        "photographs", the number that it learnt from. None where there was nothing to learn from.
    """
    summary = summarise_drift(measure_drift(raw if given is None else given, refined, points, names)) | {
        "network": None
    }
    if photographs is None or photographs.points is None or points is None:
        return summary
    if len(photographs) >= FEWEST_PHOTOGRAPHS and photographs.points.shape[1:] == points.shape[1:]:
        predict = train_landmarks(photographs, seed=0, steps=steps)
        judged = compare_predictions(predict(raw), predict(refined), points, side=raw.shape[2])
        summary["network"] = judged and judged | {"photographs": len(photographs)}
    return summary


def measure_complexion(
    faces: Mapping[str, np.ndarray], points: np.ndarray | None, real: tuple[np.ndarray, np.ndarray | None]
) -> dict | None:
    """What became of the complexions: a label like any other, for whoever trains on skin.

    Args:
        faces: uint8 [n, h, w, c] by name: "raw", and what became of them.
        points: [n, k, 2] px of all of them, or None.
        real: photographs, uint8 [m, h, w, c], and their points or None.

    Returns:
        See `measures.colour.compare_complexions`; None for gray pictures and where SKIN_POINTS points are not known.
    """

    def colours(images: np.ndarray, places: np.ndarray | None) -> np.ndarray | None:
        known = places is not None and places.shape[1] == SKIN_POINTS and images.shape[-1] == 3
        return skin_colours(images, places) if known else None

    measured = {name: colours(images, points) for name, images in faces.items()}
    raw = measured.pop("raw")
    return None if raw is None else compare_complexions(raw, measured, colours(*real))
