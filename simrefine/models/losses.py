"""The losses of SimGAN (arXiv 1612.07828), each a few lines beside its equation.

Pictures are float32 [n, h, w, c] in [-1, 1]; logits are [n, h', w', 2], one pair a local patch. Every loss is a
*mean*, so its size, and with it the meaning of lambda, does not depend on the number of pixels, channels or faces.
"""

from collections.abc import Callable, Mapping

import keras
from keras import ops

REAL, REFINED = 0, 1  # places on the logits' last axis, and the paper's labels: D = P(refined)
BLUR = 9  # px, of the box blur that high_pass takes away


def margin(logits):
    """How far the patch speaks for "refined": the log odds under softmax. [n, h', w', 2] -> [n, h', w']."""
    return logits[..., REFINED] - logits[..., REAL]


def cross_entropy(margins, says_refined: bool):
    """Softmax cross-entropy of the patches (eq. 1 and 2): -log P(label), a value a patch."""
    return ops.softplus(-margins if says_refined else margins)


def least_squares(margins, says_refined: bool):
    """Squared distance to the label, margins of -1 and +1 standing for 0 and 1 (Mao et al. 2017, arXiv 1611.04076)."""
    return ops.square((margins - (1.0 if says_refined else -1.0)) / 2.0)


def softmax_probability(margins):
    """P(refined) under cross_entropy."""
    return ops.sigmoid(margins)


def clipped_probability(margins):
    """P(refined) under least_squares: the regressed label, clipped to [0, 1]."""
    return ops.clip((margins + 1.0) / 2.0, 0.0, 1.0)


# name -> (penalty of a patch for not saying what it should, its probability of "refined"); a margin of 0 is undecided
REALISM: dict[str, tuple[Callable, Callable]] = {
    "cross_entropy": (cross_entropy, softmax_probability),
    "least_squares": (least_squares, clipped_probability),
}


def patch_loss(penalty: Callable, logit_maps: list, says_refined: bool):
    """Mean over patches and faces, then over the discriminator's patch sizes: a scalar."""
    return sum(ops.mean(penalty(margin(logits), says_refined)) for logits in logit_maps) / len(logit_maps)


def patch_accuracy(logit_maps: list, is_refined: bool):
    """Share of patches that are told rightly, in [0, 1], averaged over the patch sizes; 0.5 = guessing."""
    sign = 1.0 if is_refined else -1.0
    shares = [ops.mean(ops.cast(sign * margin(logits) > 0, "float32")) for logits in logit_maps]
    return sum(shares) / len(shares)


def l1(refined, synthetic):
    """||R(x) - x||_1 / n, the per-channel L1 (eq. 4, psi = identity)."""
    return ops.mean(ops.abs(refined - synthetic))


def l2(refined, synthetic):
    """Mean square of the change."""
    return ops.mean(ops.square(refined - synthetic))


def channel_mean(refined, synthetic):
    """psi = mean of the colour channels, the paper's choice for colour: hue is free, brightness is held."""
    return ops.mean(ops.abs(ops.mean(refined - synthetic, axis=-1)))


def gradient(refined, synthetic):
    """psi = image derivatives along both axes."""
    change = refined - synthetic
    rows = ops.abs(change[:, 1:] - change[:, :-1])
    columns = ops.abs(change[:, :, 1:] - change[:, :, :-1])
    return (ops.mean(rows) + ops.mean(columns)) / 2.0


def high_pass(refined, synthetic):
    """psi = x - 9-pixel box blur of x: holds edges and features, leaves slow colour and light free."""
    change = refined - synthetic  # the filter is linear, so it may act on the difference
    return ops.mean(ops.abs(change - ops.average_pool(change, BLUR, strides=1, padding="same")))


# Every psi that needs nothing but the two pictures; "features" joins them when its network has been loaded.
SELF_REGULARISATION: dict[str, Callable] = {
    "l1": l1,
    "l2": l2,
    "channel_mean": channel_mean,
    "gradient": gradient,
    "high_pass": high_pass,
}


def self_regularisation(terms: Mapping[str, Callable], weights: Mapping[str, float], refined, synthetic):
    """Sum of lambda * term over the terms whose lambda is not 0 (eq. 4): a scalar."""
    chosen = [weight * terms[name](refined, synthetic) for name, weight in weights.items() if weight]
    return sum(chosen, start=ops.zeros(()))


def feature_distance(application: str, layer: str, weights: str) -> Callable:
    """psi = feature maps of a network of keras.applications: a term like those above.

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
    names = [each.name for each in network.layers]
    if layer and layer not in names:
        raise ValueError(f"{application} has no layer {layer!r}, only {', '.join(names)}")
    output = network.get_layer(layer).output if layer else network.output
    extractor = keras.Model(network.input, output)
    extractor.trainable = False
    preprocess = _preprocessing(build)

    def psi(pictures):
        if pictures.shape[-1] == 1:
            pictures = ops.repeat(pictures, 3, axis=-1)
        return extractor(preprocess((pictures + 1.0) * 127.5), training=False)

    def features(refined, synthetic):
        return ops.mean(ops.abs(psi(refined) - psi(synthetic)))

    return features


def _preprocessing(build: Callable) -> Callable:
    """The preprocess_input that belongs to an application: Keras keeps it in the same public submodule."""
    for name in dir(keras.applications):
        module = getattr(keras.applications, name)
        if getattr(module, build.__name__, None) is build and hasattr(module, "preprocess_input"):
            return module.preprocess_input
    raise ValueError(f"keras.applications has no preprocessing for {build.__name__}")
