"""Can two sets of pictures be told apart? A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv 1610.06545):
uint8 pictures [n, h, w, c] of two sets in, the AUC of networks on people whom they have not seen out.

The networks see what the eye sees: texture and colour, by means over the picture, and where in the face something is,
by a coarse map of places.
"""

import hashlib
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.data.images import to_signed
from simrefine.errors import UserError
from simrefine.measures.realism import check_enough, check_same_shape
from simrefine.models.networks import convolutions
from simrefine.randomness import generator
from simrefine.threads import in_batches
from simrefine.training.fit import fit

MIN_IMAGES = 20  # a set; below, chance decides
FOLDS = 5
MIN_GROUPS = 4  # a set: with so few there are as many folds, two of them to learn from
MOST_IMAGES = 1000  # of a set are looked at, so that the time is bounded

STEPS = 250  # at most, a fold
BATCH = 64  # half of it from either set
RATE, WEIGHT_DECAY, DROPOUT = 2e-3, 1e-2, 0.4
CHECK_EVERY, PATIENCE = 25, 4  # steps; checks in a row without gain, after which a training ends
LEAST_GAIN = 0.002  # nats of the validation loss; less is no gain
JUDGED_AT_ONCE = 128  # pictures

MAX_SHIFT = 1 / 16  # of the side; augmentation, each up to
MAX_CONTRAST, MAX_LEVELS = 0.1, 5.0  # share; gray levels a channel
BOOTSTRAPS = 1000

Score = Callable[[np.ndarray], np.ndarray]  # uint8 pictures [n, h, w, c] to float32 [n], higher for those like set a


@dataclass(frozen=True)
class TwoSample:
    """What a classifier makes of two sets.

    Args:
        auc: the share of pairs (one picture of each set) that it orders rightly: 0.5 = it cannot tell them apart.
        low, high: 95 % interval of `auc`.
        n: the pictures judged, of both sets together.
    """

    auc: float
    low: float
    high: float
    n: int


def two_sample_test(
    a: np.ndarray,
    b: np.ndarray,
    seed: int = 0,
    precision: str = "auto",
    groups_a: Sequence[Hashable] | None = None,
    groups_b: Sequence[Hashable] | None = None,
) -> TwoSample:
    """Whether small networks can tell the sets apart: uint8 [n, h, w, c] and [m, h, w, c].

    Both sets are cut into FOLDS that no group crosses. A network learns from all folds but two, until its loss on the
    first of these stops gaining, and judges the second; each fold is judged once. Pairs are compared within a fold, as
    scores of two networks have no common scale. The interval is a percentile bootstrap over groups, widened for what
    it does not draw, networks that learnt from shared faces (Nadeau and Bengio 2003), and never narrower than so many
    people allow: n of n judged rightly leave 3.7 / n open (the rule of three, Hanley and Lippman-Hand 1983, for
    97.5 %). Simulated for two equal sets it held 0.5 in 98 % of the draws and more, and without widening in 85 to 93 %.

    Args:
        a, b: of more than MOST_IMAGES, so many are drawn at random.
        groups_a, groups_b: one key a picture, of what makes pictures near-duplicates: a person, a clip. A key is never
            in two folds, also where both sets have it: a network would recognise a face that it has learnt from.
            None = every picture by itself, equal ones together.

    Raises:
        UserError: different shapes, or too few pictures or groups.
    """
    check_same_shape(a, b)
    sets, groups = [], []
    for which, (images, keys) in enumerate(((a, groups_a), (b, groups_b))):
        name = f"the {('first', 'second')[which]} set, for the two-sample test"
        check_enough(images, MIN_IMAGES, name)
        chosen = np.sort(generator(seed, which, "two-sample choice").permutation(len(images))[:MOST_IMAGES])
        keys = keys_of(images, keys)
        sets.append(images[chosen])
        groups.append([keys[place] for place in chosen])
        check_groups(groups[-1], name)
    folds = _whole_folds(groups, seed)
    count = 1 + int(folds[0].max())
    backend.use_device()
    dtype = backend.resolve_precision(precision)
    scores = [np.zeros(len(images), np.float32) for images in sets]
    for fold in range(count):
        judged, stop = ([part == place for part in folds] for place in (fold, (fold + 1) % count))
        learn = [~(one | other) for one, other in zip(judged, stop, strict=True)]
        learnt, held = ([images[rows] for images, rows in zip(sets, part, strict=True)] for part in (learn, stop))
        score = _train(*learnt, held, seed + fold, dtype)
        for values, images, rows in zip(scores, sets, judged, strict=True):
            values[rows] = score(images[rows])
    auc, low, high = _auc(scores, folds, groups, generator(seed, 0, "bootstrap"))
    return TwoSample(auc, low, high, sum(map(len, sets)))


def check_groups(groups: Sequence[Hashable], what: str) -> None:
    """Raises a UserError where there are too few different groups to make folds of them."""
    count = len(set(groups))
    if count < MIN_GROUPS:
        raise UserError(
            f"too few different people, clips or pictures in {what}: {count}, at least {MIN_GROUPS} are needed",
            "add pictures of others, or leave this part out",
        )


def folds_by_group(
    groups_a: Sequence[Hashable], groups_b: Sequence[Hashable], count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Folds of two sets that no group crosses: int [n] and [m], in 0 .. count - 1; as even as the groups allow."""
    members: dict[Hashable, np.ndarray] = {}  # key -> its share of a and of b
    for which, groups in enumerate((groups_a, groups_b)):
        for key in groups:
            members.setdefault(key, np.zeros(2))[which] += 1 / len(groups)
    keys = list(members)
    shuffled = [keys[i] for i in generator(seed, 0, "folds").permutation(len(keys))]
    sizes, places = np.zeros((count, 2)), {}  # fold, set
    for key in sorted(shuffled, key=lambda key: -members[key].sum()):  # the small ones last, to even out
        places[key] = int(np.argmin(sizes @ members[key]))  # the fold that has fewest of the sets that this group is in
        sizes[places[key]] += members[key]
    return tuple(np.array([places[key] for key in groups], int) for groups in (groups_a, groups_b))


def _whole_folds(groups: Sequence[Sequence[Hashable]], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """FOLDS folds, or fewer where so many would leave one without a picture of either set.

    Raises:
        UserError: three, the fewest to learn from, stop by and judge, are too many.
    """
    for count in range(FOLDS, 2, -1):
        folds = folds_by_group(*groups, count, seed)
        if all(len(np.unique(part)) == count for part in folds):
            return folds
    raise UserError("too few different people in either set alone, for the two-sample test", "add pictures of others")


def keys_of(images: np.ndarray, groups: Sequence[Hashable] | None) -> list[Hashable]:
    """The groups, or else a key a picture, equal where the pictures are."""
    if groups is not None:
        return list(groups)
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def auc_of(above: np.ndarray, below: np.ndarray) -> float:
    """The share of combinations of a score of `above` [n] and one of `below` [m] that are in this order; ties are half:
    from ranks (Mann and Whitney 1947), so that millions of combinations need no memory."""
    ordered = np.sort(below)
    lower, not_higher = (np.searchsorted(ordered, above, side) for side in ("left", "right"))
    return float((lower + not_higher).mean() / 2 / len(below))


def _auc(scores, folds, groups, rng: np.random.Generator) -> tuple[float, float, float]:
    """AUC over the pairs within a fold, and its interval; each argument has one array for either set."""
    weights = [np.vstack([np.ones(len(keys)), _bootstrap_weights(keys, rng)]) for keys in groups]  # first: as it is
    wins, pairs = np.zeros(1 + BOOTSTRAPS), np.zeros(1 + BOOTSTRAPS)
    for fold in np.unique(folds[0]):
        rows_a, rows_b = (part == fold for part in folds)
        scores_a, scores_b = scores[0][rows_a, None], scores[1][rows_b]
        right = (scores_a > scores_b) + (scores_a == scores_b) / 2
        weights_a, weights_b = weights[0][:, rows_a], weights[1][:, rows_b]
        wins += ((weights_a @ right) * weights_b).sum(axis=1)
        pairs += weights_a.sum(axis=1) * weights_b.sum(axis=1)
    auc, *draws = wins[pairs > 0] / pairs[pairs > 0]  # of very few groups, a draw may hold no pair
    count = len(np.unique(folds[0]))
    widened = math.sqrt(1 + count / (count - 2))  # (1 / J + judged / learnt from) for 1 / J, of variances
    low, high = auc + widened * (np.percentile(draws, [2.5, 97.5]) - auc)
    unseen = -math.log(0.025) / min(len(set(keys)) for keys in groups)
    return float(auc), float(max(0.0, min(low, 1 - unseen))), float(min(1.0, max(high, unseen)))


def _bootstrap_weights(groups: Sequence[Hashable], rng: np.random.Generator) -> np.ndarray:
    """[BOOTSTRAPS, n]: how often each picture was drawn, when whole groups are drawn with replacement."""
    places = {key: place for place, key in enumerate(dict.fromkeys(groups))}
    counts = rng.multinomial(len(places), np.full(len(places), 1 / len(places)), size=BOOTSTRAPS)
    return counts[:, [places[key] for key in groups]]


def _train(a: np.ndarray, b: np.ndarray, held: Sequence[np.ndarray], seed: int, dtype: str) -> Score:
    """A network that learnt from `a` and `b`, as it was when its loss on the two sets of `held` was least."""
    network = build_two_sample_network(a.shape[1:], seed, dtype)
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=WEIGHT_DECAY)
    judge = backend.compile_inference(lambda pictures: network(pictures, training=False))

    def batch(step: int) -> tuple:
        rng = generator(seed, step, "two-sample batch")
        return tuple(to_signed(_draw_batch(images, BATCH // 2, rng)) for images in (a, b))

    def loss(pictures_a, pictures_b):
        margins_a, margins_b = ops.split(network(ops.concatenate([pictures_a, pictures_b]), training=True), 2)
        return ops.mean(ops.softplus(-margins_a)) + ops.mean(ops.softplus(margins_b))

    def score(images: np.ndarray) -> np.ndarray:  # a face and its mirror image, as it has learnt from both
        both = (images, images[:, :, ::-1])
        return sum(in_batches(lambda part: judge(to_signed(part))[:, 0], each, JUDGED_AT_ONCE) for each in both) / 2

    def held_loss() -> float:
        return sum(np.logaddexp(0, sign * score(part)).mean() for sign, part in zip((-1, 1), held, strict=True))

    best = EarlyStop(held_loss)

    def stop(step: int) -> bool:
        return (step + 1) % CHECK_EVERY == 0 and best.check(network)

    fit(network, loss, batch, STEPS, optimizer, stop=stop)
    best.restore(network)
    return score


class EarlyStop:
    """Keeps the weights with the least `loss()`, and says when it has not gained for PATIENCE checks in a row."""

    def __init__(self, loss: Callable[[], float]):
        self._loss, self._least, self._weights, self._checks = loss, math.inf, None, 0

    def check(self, network: keras.Model) -> bool:
        """True when there is no more to gain."""
        loss = float(self._loss())
        self._checks = 0 if loss < self._least - LEAST_GAIN else self._checks + 1
        if loss < self._least:
            self._least, self._weights = loss, network.get_weights()
        return self._checks >= PATIENCE or self._least < LEAST_GAIN

    def restore(self, network: keras.Model) -> None:
        if self._weights is not None:
            network.set_weights(self._weights)


def build_two_sample_network(shape: tuple[int, int, int], seed: int, dtype: str) -> keras.Model:
    """Pictures [n, *shape] in [-1, 1] to float32 log odds [n, 1].

    Convolutions of stride 2, down to maps of 4 to 7 cells a side up to 448 px. Judged are the means of the last two
    maps, which do not know where something is, and the last map itself, which does.
    """
    conv = convolutions(dtype, seed)
    picture = x = keras.Input(shape)
    halvings = min(6, max(2, int(math.log2(min(shape[:2]) / 4))))
    maps = []
    for level in range(halvings):
        x = conv(x, min(96, 24 * 2**level), 3, strides=2, activation="leaky_relu")
        maps.append(x)
    places = keras.layers.Flatten(dtype="float32")(conv(x, 16, 1, activation="leaky_relu"))
    means = [keras.layers.GlobalAveragePooling2D(dtype="float32")(each) for each in maps[-2:]]
    x = keras.layers.Concatenate(dtype="float32")([*means, places])
    x = keras.layers.Dropout(DROPOUT, seed=seed, dtype="float32")(x)
    initializer = keras.initializers.GlorotUniform(seed=seed * 10 + 9)
    return keras.Model(picture, keras.layers.Dense(1, kernel_initializer=initializer, dtype="float32")(x))


def _draw_batch(images: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n random pictures, half of them mirrored, all shifted a little with the edge repeated, and changed in contrast
    and colour by less than the eye would mind."""
    height, width, channels = images.shape[1:]
    chosen = rng.integers(len(images), size=n)
    down, right = (rng.integers(-int(side * MAX_SHIFT), int(side * MAX_SHIFT) + 1, n) for side in (height, width))
    rows = np.clip(np.arange(height) + down[:, None], 0, height - 1)
    columns = np.clip(np.arange(width) + right[:, None], 0, width - 1)
    columns = np.where(rng.random((n, 1)) < 0.5, columns[:, ::-1], columns)
    drawn = images[chosen[:, None, None], rows[:, :, None], columns[:, None, :]].astype(np.float32)
    gains = 1 + rng.uniform(-MAX_CONTRAST, MAX_CONTRAST, (n, 1, 1, 1))
    levels = rng.uniform(-MAX_LEVELS, MAX_LEVELS, (n, 1, 1, channels))
    middle = drawn.mean(axis=(1, 2), keepdims=True)
    return np.clip((drawn - middle) * gains + middle + levels, 0, 255).astype(np.float32)
