"""What labelled faces are worth: the same small network is trained on each set, from the same seeds and in the same
order, and tested on labelled photographs. In go faces with points or classes; out come errors in percent and the share
of the gap between renders and photographs that a refined set closes.

Errors are also given after label adaptation, see adaptation.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from simrefine.data.faces import Faces
from simrefine.data.points import interocular
from simrefine.errors import UserError
from simrefine.evaluation.adaptation import FEWEST_ADAPTATION, fit_adaptation, hold_out
from simrefine.evaluation.baselines import match_colours
from simrefine.measures.landmarks import nme
from simrefine.training.landmarks import (
    BATCH_SIZE,
    STEPS,
    LabelledSet,
    Predictor,
    check_labelled,
    train_classifier,
    train_landmarks,
)

FEWEST_TEST = 10


class Sets(NamedTuple):
    """What `measure_usefulness` is given: sets to train on, by name, one to test on, and one for label adaptation."""

    train: dict[str, LabelledSet]
    test: LabelledSet
    adaptation: LabelledSet | None


def build_sets(faces: Mapping[str, Faces]) -> Sets:
    """The sets to compare: raw and refined faces, what needs no training, and photographs where they are labelled. All
    get the same strong augmentation of light, colour and sharpness in training, so no row is worth what that alone is.

    Args:
        faces: "raw" and "test", both labelled; "refined" and, where there is one, "unrefined" (what the refiner's
            network is given), in the order of raw, whose labels count for them, and of both perhaps further draws, see
            `draw`, which make a set together; and "real", of which some make the set for label adaptation where it has
            points.

    Raises:
        UserError: too few photographs to take some of them for label adaptation.
    """
    raw, real = faces["raw"].images, faces["real"].images
    coded = _class_codes(faces)

    def labelled(images: np.ndarray, like: str) -> LabelledSet:
        labels = coded[like] if coded else faces[like].points
        labels = np.concatenate([labels] * (len(images) // len(labels)))  # several draws come one after another
        return LabelledSet(images, classes=labels) if coded else LabelledSet(images, labels)

    train = {
        "raw": labelled(raw, "raw"),
        "colours only": labelled(match_colours(raw, real, seed=0), "raw"),
        **{name: labelled(faces[name].images, "raw") for name in ("unrefined", "refined") if name in faces},
    }
    for name in ("unrefined", "refined"):
        looks = [faces[role].images for role in faces if role == name or role.startswith(draw(name))]
        if len(looks) > 1:
            train[f"{name}, {len(looks)} draws"] = labelled(np.concatenate(looks), "raw")
    adaptation = None
    if faces["real"].labelled:
        train["real"] = labelled(real, "real")
        if not coded:
            train["real"], adaptation = hold_out(train["real"])
    return Sets(train, labelled(faces["test"].images, "test"), adaptation)


def draw(role: str, seed: int | str = "") -> str:
    """What the faces of another draw are called, beside those of `role` themselves, which are the first."""
    return f"{role}, seed {seed}"


def measure_usefulness(
    sets: Mapping[str, LabelledSet],
    test: LabelledSet,
    adaptation: LabelledSet | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = STEPS,
    precision: str = "auto",
    progress: Callable[[str, float], None] | None = None,
) -> dict:
    """Trains on each set and tests on photographs.

    Args:
        sets: what to train on, by name; the gap is taken between those named "raw" and "real", where both are given.
        test: labelled photographs of people that are in no other set.
        adaptation: labelled photographs that label adaptation is fitted on (see `hold_out`); it is left out where
            this is None, and for class labels.
        seeds: one training each.
        steps: of BATCH_SIZE pictures, a training.
        precision: see `resolve_precision`.
        progress: called with what is being trained and the share of all the work that is done, in [0, 1].

    Returns:
        What JSON can hold. "unit" says what the errors are; `sets[name]` has "images" and, for each of "error" and
        "adapted" (None without adaptation), {"per_seed", "mean", "std", "gap_closed"}; std is None for one seed, and
        gap_closed where there is no gap to close.

    Raises:
        UserError: a set is too small, or the sets differ in the size of their pictures or in what is labelled.
    """
    kind = _check(sets, test, adaptation)
    errors = _measure_errors(sets, test, adaptation, kind, seeds, steps, precision, progress)
    summary = {
        "labels": kind,
        "unit": _unit(kind, test),
        "seeds": list(seeds),
        "steps": steps,
        "batch_size": BATCH_SIZE,
        "test_images": len(test),
        "adaptation_images": len(adaptation) if adaptation is not None and kind == "points" else 0,
        "sets": {
            name: {"images": len(sets[name])} | {key: _summarise(values) for key, values in measured.items()}
            for name, measured in errors.items()
        },
    }
    if "raw" in sets and "real" in sets:
        _add_gap_closed(summary["sets"])
    return summary


def each_training(
    sets: Mapping[str, Any], seeds: Sequence[int], progress: Callable[[str, float], None] | None
) -> Iterator[tuple[str, int, Callable[[float], None] | None]]:
    """The name of a set, a seed and what to report the share of that training to, for all of them."""
    done, total = 0, len(seeds) * len(sets)
    for seed in seeds:  # outermost, so that an interrupted reader has seen every set
        for name in sets:

            def report(share: float, what: str = f"{name}, seed {seed}", done: int = done) -> None:
                progress(what, (done + share) / total)

            yield name, seed, report if progress else None
            done += 1


def gap_closed(raw: float, refined: float, real: float) -> float:
    """(raw - refined) / (raw - real) of three errors: 0 = no better than renders, 1 = as good as photographs.

    NaN where photographs are no better than renders: there is no gap.
    """
    return (raw - refined) / (raw - real) if raw > real else float("nan")


def _class_codes(faces: Mapping[str, Faces]) -> dict[str, np.ndarray]:
    """Class names as whole numbers that mean the same in every folder; empty where the labels are points."""
    classes = {name: folder.classes for name, folder in faces.items() if folder.points is None and folder.classes}
    codes = {word: code for code, word in enumerate(sorted(set().union(*classes.values())))}
    return {name: np.array([codes[word] for word in words]) for name, words in classes.items()}


def _measure_errors(sets, test, adaptation, kind, seeds, steps, precision, progress) -> dict[str, dict[str, list]]:
    """One training for each set and seed: {set: {"error": [a seed], "adapted": [a seed, or none]}}."""
    if kind == "points":
        train, measure = train_landmarks, partial(_landmark_errors, test, adaptation)
    else:
        count = 1 + max(int(labelled.classes.max()) for labelled in (*sets.values(), test))
        train, measure = partial(train_classifier, count=count), partial(_class_errors, test)
    errors = {name: {"error": [], "adapted": []} for name in sets}
    for name, seed, report in each_training(sets, seeds, progress):
        predictor = train(sets[name], seed=seed, steps=steps, precision=precision, progress=report)
        for key, value in measure(predictor).items():
            errors[name][key].append(value)
    return errors


def _landmark_errors(test: LabelledSet, adaptation: LabelledSet | None, predictor: Predictor) -> dict[str, float]:
    def mean_nme(points: np.ndarray) -> float:
        scores = nme(points, test.points, side)
        return float(scores[_measurable(test)].mean())

    side, predicted = test.images.shape[2], predictor(test.images)
    errors = {"error": mean_nme(predicted)}
    if adaptation is not None:
        adapt = fit_adaptation(predictor(adaptation.images), adaptation.points)
        errors["adapted"] = mean_nme(adapt(predicted))
    return errors


def _measurable(test: LabelledSet) -> np.ndarray:
    """Which faces have enough annotated to be given an NME: bool [n]."""
    return np.isfinite(nme(test.points, test.points, side=1.0))


def _class_errors(test: LabelledSet, predictor: Predictor) -> dict[str, float]:
    return {"error": float(100.0 * (predictor(test.images) != test.classes).mean())}


def _add_gap_closed(sets: dict[str, dict]) -> None:
    """Puts the share of the gap between "raw" and "real" beside each mean, None where there is no gap."""
    for key in ("error", "adapted"):
        scores = [summary[key] for summary in sets.values() if summary[key]]
        if scores:
            raw, real = (sets[name][key]["mean"] for name in ("raw", "real"))
        for score in scores:
            closed = gap_closed(raw, score["mean"], real)
            score["gap_closed"] = None if np.isnan(closed) else float(closed)


def _unit(kind: str, test: LabelledSet) -> str:
    if kind == "classes":
        return "share of pictures classified wrongly, %"
    eyes = interocular(test.points) is not None
    return "NME, % of the inter-ocular distance" if eyes else "NME, % of the picture's width"


def _summarise(per_seed: list[float]) -> dict | None:
    if not per_seed:
        return None
    std = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else None
    return {"per_seed": per_seed, "mean": float(np.mean(per_seed)), "std": std, "gap_closed": None}


def _check(sets: Mapping[str, LabelledSet], test: LabelledSet, adaptation: LabelledSet | None) -> str:
    """ "points" or "classes", whichever `test` has.

    Raises:
        UserError: see `measure_usefulness`.
    """
    kind = "points" if test.points is not None else "classes"
    everything = {**sets, "test": test}
    if adaptation is not None and kind == "points":
        everything["adaptation"] = adaptation
    fewest = {"test": FEWEST_TEST, "adaptation": FEWEST_ADAPTATION}
    for name, labelled in everything.items():
        labels, wanted = getattr(labelled, kind), getattr(test, kind)
        check_labelled(len(labelled), fewest.get(name, BATCH_SIZE), f"the {name} set")
        if labels is None or labels.shape[1:] != wanted.shape[1:]:
            raise UserError(
                f"the {name} set and the test set are labelled differently: "
                f"{_describe(labelled)} against {_describe(test)}",
                "give both the same landmarks, or both classes",
            )
        if labelled.images.shape[1:] != test.images.shape[1:]:
            raise UserError(
                f"the pictures of the {name} set are {list(labelled.images.shape[1:])}, those of the test set "
                f"{list(test.images.shape[1:])} (height, width, channels)",
                "bring them to one size",
            )
    if kind == "points" and not _measurable(test).any():
        raise UserError("no face of the test set has its eyes annotated, or no points at all", "check its labels")
    return kind


def _describe(labelled: LabelledSet) -> str:
    return "classes" if labelled.points is None else f"{labelled.points.shape[1]} points"
