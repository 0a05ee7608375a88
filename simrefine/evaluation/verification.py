"""What labelled faces are worth for recognising people: the same small network is trained on the people of each set,
from the same seeds, and compares pairs of photographs of others. In go pictures with people; out come the AUC over
pairs, the share of true accepts at 1 % false accepts, and the share of the gap between renders and photographs that a
set closes.

Frames of one clip are near-duplicates: a network that compares pixels, and knows nothing of people, sees that two of
them show one person. So where the labels name the clips, two frames of one clip are no pair of the same person; of a
person with one clip only, all pairs are pairs with others.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from simrefine import backend
from simrefine.data.faces import Faces
from simrefine.data.images import to_signed
from simrefine.errors import UserError
from simrefine.evaluation.two_sample import auc_of
from simrefine.evaluation.usefulness import each_training, gap_closed
from simrefine.models.embedding import add_people, build_embedding, person_loss
from simrefine.randomness import generator
from simrefine.threads import in_batches
from simrefine.training.fit import fit
from simrefine.training.landmarks import augment_people, check_labelled

STEPS, BATCH_SIZE = 1000, 32
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-3  # of AdamW, the first falling to 0 along a cosine
FEWEST_PEOPLE = 2  # to tell apart, of a set
FEWEST_TEST = 10  # pictures
FALSE_ACCEPTS = 0.01
MEASURES = ("auc", "tar")  # both are better when larger


@dataclass(frozen=True)
class People:
    """Pictures of people.

    Args:
        images: uint8 [n, h, w, c].
        people: [n], one key a picture for who it shows.
        clips: [n], one key a picture for the clip it is a frame of; None where that is not known.
    """

    images: np.ndarray
    people: Sequence[Hashable]
    clips: Sequence[Hashable] | None = None

    def __len__(self) -> int:
        return len(self.images)


def why_no_verification(faces: Mapping[str, Faces]) -> str | None:
    """What the labels of "raw" and "test" lack, as a sentence; None where people can be verified."""
    for name in ("raw", "test"):
        if faces[name].groups is None:
            return f"the labels of the {name} faces do not say of each picture who it shows"
    same, other = _pairs(faces["test"].groups, faces["test"].clips)
    if not same.any():
        return "the test set shows nobody in two pictures that are not of one clip"
    return None if other.any() else "the test set shows one person only"


def build_people(faces: Mapping[str, Faces]) -> dict[str, People]:
    """The sets to learn people from, by name: "raw", "unrefined" where given, "refined", and "real" where its labels
    say who is who.

    Args:
        faces: "raw", whose people count for "unrefined" and "refined" too, in the order of raw; "real" and "test". Who
            is in the test set is taken out of "real".
    """
    roles = [role for role in ("raw", "unrefined", "refined") if role in faces]
    sets = {role: People(faces[role].images, faces["raw"].groups) for role in roles}
    real, tested = faces["real"], set(faces["test"].groups)
    if real.groups is not None:
        others = [place for place, person in enumerate(real.groups) if person not in tested]
        people = [real.groups[place] for place in others]
        if len(others) >= BATCH_SIZE and len(set(people)) >= FEWEST_PEOPLE:
            sets["real"] = People(real.images[others], people)
    return sets


def measure_verification(
    sets: Mapping[str, People],
    test: People,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = STEPS,
    precision: str = "auto",
    progress: Callable[[str, float], None] | None = None,
) -> dict:
    """Trains on each set and verifies pairs of photographs.

    Args:
        sets: what to train on, by name; the gap is taken between those named "raw" and "real", where both are given.
        test: photographs of people that are in no other set.
        seeds: one training each.
        steps: of BATCH_SIZE pictures, a training.
        precision: see `backend.resolve_precision`.
        progress: called with what is being trained and the share of all the work that is done, in [0, 1].

    Returns:
        What JSON can hold. "test" has "pairs": how many show one person, and how many two. `sets[name]` has "images",
        "people" and, for "auc" (the share of all combinations of a pair
        of one person and a pair of two that the cosine orders rightly) and "tar" (the share of pairs of one person
        above the threshold that FALSE_ACCEPTS of the pairs of two pass), {"per_seed", "mean", "std", "gap_closed"};
        std is None for one seed, gap_closed where there is no gap to close.

    Raises:
        UserError: a set is too small, has too few people, or its pictures are of another size than those of the test.
    """
    _check(sets, test)
    same, other = _pairs(test.people, test.clips)
    scores = {name: {measure: [] for measure in MEASURES} for name in sets}
    for name, seed, report in each_training(sets, seeds, progress):
        vectors = train_embedding(sets[name], seed, steps, precision, report)(test.images)
        for measure, score in zip(MEASURES, compare_pairs(vectors, test), strict=True):
            scores[name][measure].append(score)
    return {
        "seeds": list(seeds),
        "steps": steps,
        "batch_size": BATCH_SIZE,
        "false_accepts": FALSE_ACCEPTS,
        "test": {"images": len(test), "people": len(set(test.people)), "pairs": [int(same.sum()), int(other.sum())]},
        "sets": _summarise(sets, scores),
    }


def train_embedding(
    labelled: People,
    seed: int,
    steps: int = STEPS,
    precision: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """Learns the people of a set; batches and augmentation are functions of (seed, step).

    Returns:
        uint8 pictures [n, h, w, c] to unit vectors [n, DIMENSIONS], the sum of a picture's and its mirror image's.

    Raises:
        UserError: fewer than BATCH_SIZE pictures.
    """
    check_labelled(len(labelled), BATCH_SIZE, "training")
    backend.use_device()
    codes = {person: code for code, person in enumerate(dict.fromkeys(labelled.people))}
    people = np.array([codes[person] for person in labelled.people], np.int32)
    embedding = build_embedding(labelled.images.shape[1:], backend.resolve_precision(precision), seed)
    network = add_people(embedding, len(codes), seed)

    def batch(step: int) -> tuple:
        chosen = generator(seed, step, "people batch").integers(len(people), size=BATCH_SIZE)
        return to_signed(augment_people(labelled.images[chosen], generator(seed, step, "people"))), people[chosen]

    def loss(pictures, targets):
        return person_loss(network(pictures, training=True), targets)

    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    fit(network, loss, batch, steps, keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY), progress)
    infer = backend.compile_inference(lambda pictures: embedding(pictures, training=False))

    def embed(images: np.ndarray) -> np.ndarray:
        both = (images, images[:, :, ::-1])
        vectors = sum(in_batches(lambda part: infer(to_signed(part)), each, BATCH_SIZE) for each in both)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return embed


def compare_pairs(vectors: np.ndarray, test: People) -> tuple[float, float]:
    """The MEASURES of a network by its unit vectors [n, d] of the faces of `test`."""
    same, other = _pairs(test.people, test.clips)
    cosines = vectors @ vectors.T
    return auc_of(cosines[same], cosines[other]), true_accepts(cosines[same], cosines[other])


def true_accepts(same: np.ndarray, other: np.ndarray, false_accepts: float = FALSE_ACCEPTS) -> float:
    """The share of scores of `same` that lie above the threshold which `false_accepts` of those of `other` pass."""
    return float((same > np.quantile(other, 1 - false_accepts)).mean())


def _pairs(people: Sequence[Hashable], clips: Sequence[Hashable] | None) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs [n, n], each once, show one person and not one clip, and which show two people."""
    alike = np.equal.outer(*2 * (np.unique(np.array(people, object).astype(str), return_inverse=True)[1],))
    once = np.triu(np.ones_like(alike), 1)
    if clips is None:
        return alike & once, ~alike & once
    one_clip = np.equal.outer(*2 * (np.unique(np.array(clips, object).astype(str), return_inverse=True)[1],))
    return alike & once & ~one_clip, ~alike & once


def _summarise(sets: Mapping[str, People], scores: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict]:
    def summary(name: str, measure: str) -> dict:
        values, closed = scores[name][measure], None
        if "raw" in scores and "real" in scores:  # shares that are missed are errors
            share = gap_closed(*(1 - np.mean(scores[row][measure]) for row in ("raw", name, "real")))
            closed = None if np.isnan(share) else float(share)
        std = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return {"per_seed": values, "mean": float(np.mean(values)), "std": std, "gap_closed": closed}

    return {
        name: {"images": len(labelled), "people": len(set(labelled.people))}
        | {measure: summary(name, measure) for measure in MEASURES}
        for name, labelled in sets.items()
    }


def _check(sets: Mapping[str, People], test: People) -> None:
    """Raises a UserError, see `measure_verification`."""
    for name, labelled in {**sets, "test": test}.items():
        check_labelled(len(labelled), FEWEST_TEST if name == "test" else BATCH_SIZE, f"the {name} set")
        if len(set(labelled.people)) < FEWEST_PEOPLE:
            raise UserError(f"the {name} set shows one person only", "add pictures of others")
        if labelled.images.shape[1:] != test.images.shape[1:]:
            raise UserError(
                f"the pictures of the {name} set are {list(labelled.images.shape[1:])}, those of the test set "
                f"{list(test.images.shape[1:])} (height, width, channels)",
                "bring them to one size",
            )
    if not _pairs(test.people, test.clips)[0].any():
        raise UserError("the test set shows nobody in two pictures that are not of one clip", "add pictures of others")
