"""The losses of SimGAN (arXiv 1612.07828), a few lines each beside their equation.

Pictures are float32 [n, h, w, c] in [-1, 1]; logits are [n, h', w', 2], one pair a local patch. Every loss is a
*mean*, so its size, and with it the meaning of lambda, does not depend on the number of pixels, channels or faces.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import keras
from keras import ops

from simrefine.models.kinks import magnitude

REAL, REFINED = 0, 1  # places on the logits' last axis, and the paper's labels: D = P(refined)
# Terms for faces that are dressed part by part, and where they hold. They are squares: beside terms that hold features,
# a magnitude of their weight would have its kink at no change at all, where the refiner would never leave it.
OF_PARTS = {"band": "head", "tint": "colours", "room": "room"}


def margin(logits):
    """How far the patch speaks for "refined": the log odds under softmax. [n, h', w', 2] -> [n, h', w']."""
    return logits[..., REFINED] - logits[..., REAL]


class Patches(NamedTuple):
    """What a realism loss makes of the margins [n, h', w'] of one patch size; all of that shape. At a margin of 0 both
    penalties are equal and the probability is 0.5."""

    as_real: Any  # the penalty where the label is "real"
    as_refined: Any  # the penalty where the label is "refined"
    probability: Any  # P(refined), in [0, 1]


def cross_entropy(margins) -> Patches:
    """Softmax cross-entropy, -log P(label) (eq. 1 and 2)."""
    return Patches(ops.softplus(margins), ops.softplus(-margins), ops.sigmoid(margins))


def least_squares(margins) -> Patches:
    """Squared distance to the label, margins of -1 and +1 standing for 0 and 1 (Mao et al. 2017, arXiv 1611.04076)."""
    real, refined = ops.square((margins + 1.0) / 2.0), ops.square((margins - 1.0) / 2.0)
    return Patches(real, refined, ops.clip((margins + 1.0) / 2.0, 0.0, 1.0))


def realism_loss(name: str) -> Callable:
    """The function above of that name in `catalogue.REALISM`: margins to Patches."""
    return globals()[name]


def patch_loss(realism: Callable, logit_maps: list, says_refined: bool):
    """Mean of the penalty for that label over patches and faces, then over the patch sizes: a scalar."""
    patches = [realism(margin(logits)) for logits in logit_maps]
    penalties = [patch.as_refined if says_refined else patch.as_real for patch in patches]
    return sum(ops.mean(penalty) for penalty in penalties) / len(logit_maps)


def patch_accuracy(logit_maps: list, is_refined: bool):
    """Share of patches that are told rightly, in [0, 1], averaged over the patch sizes; 0.5 = guessing."""
    sign = 1.0 if is_refined else -1.0
    shares = [ops.mean(ops.cast(sign * margin(logits) > 0, "float32")) for logits in logit_maps]
    return sum(shares) / len(shares)


def l1(refined, synthetic):
    """The per-channel L1 (eq. 4, psi = identity); its mean is ||x - R(x)||_1 / n. Pictures to a penalty a pixel and
    channel, [n, h, w, c], as the other terms."""
    return magnitude(refined - synthetic)


def l2(refined, synthetic):
    """The square of the change: hard on large changes and lenient on small ones."""
    return ops.square(refined - synthetic)


def channel_mean(refined, synthetic):
    """psi = mean of the colour channels, the paper's choice for colour: hue is free, brightness held. [n, h, w, 1]."""
    return magnitude(ops.mean(refined - synthetic, axis=-1, keepdims=True))


def gradient(refined, synthetic):
    """psi = image derivatives along both axes, averaged; beyond its last row and column a picture stays as it is."""
    change = refined - synthetic
    rows = ops.pad(magnitude(change[:, 1:] - change[:, :-1]), ((0, 0), (0, 1), (0, 0), (0, 0)))
    columns = ops.pad(magnitude(change[:, :, 1:] - change[:, :, :-1]), ((0, 0), (0, 0), (0, 1), (0, 0)))
    return (rows + columns) / 2.0


def high_pass(refined, synthetic):
    """psi = x - box blur of x over 9/64 of the side: holds edges and features, leaves slow colour and light free."""
    change = refined - synthetic  # the filter is linear, so it may act on the difference
    return magnitude(change - _mean_within(ops.ones_like(change[..., :1]), change, 9 / 64))


def band(head, refined, synthetic):
    """What changes within the head, narrower than the fall of light: blotches, scratches, streaks. The square of the
    change less its average over 25/64 of the side, both over the head alone. A square lets fine grain pass, whose
    changes are small, where a scratch is dear. `head` [n, h, w, 1] in [0, 1], how much is held; to [n, h, w, c]."""
    change = refined - synthetic
    return ops.square(change - _mean_within(head, change, 25 / 64)) * head


def tint(colours, refined, synthetic):
    """What would change a complexion, or a tint of anything else: the squares of any change of colour, as that of its
    channels less their mean, and of the slow change of light, its mean over 25/64 of the side. Fine light and shade
    stay free. `colours` [n, h, w, 1] in [0, 1], where colours are held; to [n, h, w, c]."""
    change = refined - synthetic
    light = ops.mean(change, axis=-1, keepdims=True)
    slow = _box_mean(light, _odd(refined.shape[1] * 25 / 64))
    return ops.square((change - light) * colours) + ops.square(slow)


def room(where, refined, synthetic):
    """The square of the change where the pixels are a photograph's own, which can become no more real. `where`
    [n, h, w, 1] in [0, 1]; to [n, h, w, c]."""
    return ops.square(refined - synthetic) * where


def _mean_within(area, x, share: float):
    """The mean of x [n, h, w, c] over a box of `share` of the width around each pixel, of what is within `area`
    [n, h, w, 1] alone."""
    reach = _odd(x.shape[2] * share)
    return _box_mean(x * area, reach) / ops.maximum(_box_mean(area, reach), 1e-3)


def _box_mean(x, reach: int):
    """The mean over reach x reach pixels around each, those outside of the picture 0: two matrix products, as an
    average pool of this width is slow on a CPU."""
    n, height, width, channels = x.shape
    along = ops.matmul(_box(width, reach), x)
    flat = ops.reshape(along, (n, height, width * channels))
    return ops.reshape(ops.matmul(_box(height, reach), flat), (n, height, width, channels))


def _box(side: int, reach: int):
    places = ops.arange(side)
    near = ops.abs(places[:, None] - places[None]) <= reach // 2
    return ops.cast(near, "float32") / reach


def _odd(width: float) -> int:
    return 2 * int(width / 2) + 1


def feature_distance(extractor: keras.Model, refined, synthetic):
    """psi = feature maps of `extractor` (see `build_feature_extractor`): [n, h', w', c']."""
    return magnitude(extractor(refined, training=False) - extractor(synthetic, training=False))


def self_regularisation(
    lambdas: Mapping[str, float], refined, synthetic, hold, extractor: keras.Model | None = None, areas: Mapping = {}
):
    """Sum over the terms of lambda x the mean of hold x penalty (eq. 4, weighted): a scalar.

    Args:
        lambdas: by the name of the term, a function above; "features" is `feature_distance`. Those of 0 are left out.
        refined, synthetic: [n, h, w, c] in [-1, 1].
        hold: the weight of each pixel's penalty, but for OF_PARTS: [n, h, w, 1] or [n, 1, 1, 1].
            Where a term's penalties are coarser than the picture, it is averaged to their places.
        extractor: of the feature maps, where their lambda is not 0.
        areas: how much of each pixel belongs to an area, [n, h, w, 1], by its name in OF_PARTS; terms whose area is
            not known are left out.
    """
    total = ops.zeros(())
    for name, weight in lambdas.items():
        if not weight or (name in OF_PARTS and OF_PARTS[name] not in areas):
            continue
        if name in OF_PARTS:
            penalty = globals()[name](areas[OF_PARTS[name]], refined, synthetic)
        else:
            term = partial(feature_distance, extractor) if name == "features" else globals()[name]
            penalty = term(refined, synthetic)
            penalty = _at_scale(hold, penalty.shape[1:3]) * penalty
        total = total + weight * ops.mean(penalty)
    return total


def _at_scale(hold, shape: tuple[int, int]):
    """Weights [n, h, w, 1] averaged to [n, *shape, 1]; those that are alike everywhere, [n, 1, 1, 1], as they are."""
    if tuple(hold.shape[1:3]) in ((1, 1), tuple(shape)):
        return hold
    return ops.image.resize(hold, shape, interpolation="bilinear", antialias=True)


def build_feature_extractor(application: str, layer: str, weights: str, channels: int) -> keras.Model:
    """Pictures [n, h, w, channels] in [-1, 1] to the feature maps [n, h', w', c'] of a network of keras.applications.

    Args:
        application: a name in `keras.applications`, such as "VGG16".
        layer: the layer whose output is compared; empty = the last.
        weights: "imagenet", which Keras downloads on first use, or a local weights file of that network.

    Raises:
        ValueError: no such application or layer.
        Exception: whatever Keras raises when it cannot read or download the weights.
    """
    build = getattr(keras.applications, application, None)
    if not callable(build):
        names = [n for n in dir(keras.applications) if n[0].isupper()]
        raise ValueError(f"keras.applications has no {application!r}, only {', '.join(names)}")
    network = build(include_top=False, weights=weights)
    names = [layer.name for layer in network.layers]
    if layer and layer not in names:
        raise ValueError(f"{application} has no layer {layer!r}, only {', '.join(names)}")
    output = network.get_layer(layer).output if layer else network.output
    picture = keras.Input((None, None, channels), name="picture")
    colour = ops.repeat(picture, 3, axis=-1) if channels == 1 else picture
    prepared = _preprocessing(build)((colour + 1.0) * 127.5)
    return keras.Model(picture, keras.Model(network.input, output)(prepared), name="features")


def _preprocessing(build: Callable) -> Callable:
    """The preprocess_input that belongs to an application: Keras keeps it in the same public submodule."""
    for name in dir(keras.applications):
        module = getattr(keras.applications, name)
        if getattr(module, build.__name__, None) is build and hasattr(module, "preprocess_input"):
            return module.preprocess_input
    raise ValueError(f"keras.applications has no preprocessing for {build.__name__}")
