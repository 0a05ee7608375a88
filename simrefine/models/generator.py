"""The networks of the part-wise face generator: who a face is (I), how it looks (A), and a face made of both (M, G, D).

CVAE-GAN (Bao et al. 2017, arXiv 1703.10155) has the four players, open-set identity (Bao et al. 2018, arXiv 1803.11182)
the vector of a person in place of the class, and SemanticStyleGAN (Shi et al. 2022, arXiv 2112.02236) a local generator
a part, whose depths decide which part is seen where.

Pictures are float32 [n, size, size, c] in [-1, 1], size a power of two. No batch norm, no transposed convolution;
layers compute in `dtype`, the last of each network in float32.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from simrefine.catalogue import PARTS
from simrefine.config import GeneratorOptions
from simrefine.models.networks import Doubling, convolutions
from simrefine.models.pretrained import MAPS, pretrained_maps

COARSE = 32  # px, the side at which parts are drawn, where pictures are twice as large or more
LEAST = 4  # px, the side of the coarsest maps
OCTAVES = 4  # of the Fourier features of a place: the finest wave is a quarter of the side long
DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, -1.0))  # that these waves run in
DOMAINS = ("render", "photograph")
SCALES = len(MAPS)  # of D's decisions
CERTAIN = 4.0  # what is taken from the logarithm of the variance of z


def coarse_side(size: int) -> int:
    """The side at which G draws its parts, px."""
    return min(COARSE, size // 2)


def parts_of(options: GeneratorOptions) -> int:
    """Local generators: one a part, or a single one."""
    return len(PARTS) if options.parts else 1


def player_builders(
    options: GeneratorOptions, size: int, channels: int, dtype: str, seed: int
) -> dict[str, Callable[[], keras.Model]]:
    """What builds each network but D, by its name."""
    return {
        "identity": partial(build_identity, options, size, channels, dtype, seed),
        "attributes": partial(build_attributes, options, size, channels, dtype, seed + 2),
        "mapping": partial(build_mapping, options, seed + 3),
        "generator": partial(build_generator, options, size, channels, dtype, seed + 4),
    }


def build_identity(options: GeneratorOptions, size: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """I: pictures to who they show, float32 unit vectors [n, options.identity].

    It looks through a network that knows photographs: from a few thousand renders alone hardly anything but the
    complexion is learnt of a person (experiments/generator.md).
    """
    picture = keras.Input((size, size, channels), name="picture")
    vector = _dense(_glance(picture, options, dtype, seed), options.identity, seed)
    return keras.Model(picture, keras.layers.UnitNormalization(dtype="float32")(vector), name="identity")


def build_attributes(options: GeneratorOptions, size: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """A: pictures to how they look, mean and logarithm of the variance of z, float32 [n, options.attributes] each.

    Its variance is small at first, or pose would drown in noise before anything is made of it.
    """
    picture = keras.Input((size, size, channels), name="picture")
    both = _dense(_glance(picture, options, dtype, seed), 2 * options.attributes, seed)
    mean, log_variance = ops.split(both, 2, axis=-1)
    return keras.Model(picture, [mean, ops.clip(log_variance - CERTAIN, -8.0, 2.0)], name="attributes")


def build_mapping(options: GeneratorOptions, seed: int) -> keras.Model:
    """M: f [n, options.identity] and z [n, options.attributes] to float32 codes: one that all parts share, [n, base],
    and a shape and a texture for each, [n, parts, code]."""
    seeds = itertools.count(seed * 1000)

    def dense(x, width, activation=None):
        initializer = keras.initializers.GlorotUniform(seed=next(seeds))
        return keras.layers.Dense(width, activation, kernel_initializer=initializer, dtype="float32")(x)

    identity, attributes = keras.Input((options.identity,)), keras.Input((options.attributes,))
    # A unit vector's entries are small beside those of z; brought to the same size, both are heard.
    joined = keras.layers.Concatenate(dtype="float32")([identity * math.sqrt(options.identity), attributes])
    for _ in range(2):
        joined = dense(joined, options.hidden, "leaky_relu")
    base = dense(joined, options.base)
    shape, texture = (
        ops.reshape(dense(joined, parts_of(options) * options.code), (-1, parts_of(options), options.code))
        for _ in range(2)
    )
    return keras.Model([identity, attributes], [base, shape, texture], name="mapping")


def build_generator(options: GeneratorOptions, size: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """G: codes as M makes them and the domain, float32 [n, 2] (see DOMAINS), to a face: a picture
    [n, size, size, channels] in [-1, 1], logits of its parts [n, size, size, parts] and the coarse masks that the local
    generators decided on, [n, coarse, coarse, parts]; float32 all.

    A single decoder has no depths: its coarse masks are those logits, averaged.
    """
    side, doublings = coarse_side(size), int(math.log2(size // coarse_side(size)))
    parts = parts_of(options)
    base = keras.Input((options.base,))
    shape, texture = (keras.Input((parts, options.code)) for _ in range(2))
    domain = keras.Input((len(DOMAINS),))
    conv, seeds = convolutions(dtype, seed), itertools.count(seed * 1000 + 500)
    layout = _dense(base, LEAST * LEAST * 4 * options.width, seed + 1)
    layout = keras.layers.Reshape((LEAST, LEAST, 4 * options.width), dtype=dtype)(layout)
    while layout.shape[1] < side:
        width = max(options.width, layout.shape[-1] // 2)
        layout = conv(Doubling(dtype=dtype)(layout), width, 3, activation="leaky_relu")
    features, depths = LocalGenerators(options, side, seed, dtype=dtype)([layout, shape, texture])
    style = keras.layers.Concatenate(dtype="float32")([base, domain])

    def block(x, width: int):
        """A convolution whose channels the base code and the domain scale and shift (FiLM)."""
        initializer = keras.initializers.GlorotUniform(seed=next(seeds))
        both = keras.layers.Dense(2 * width, kernel_initializer=initializer, dtype="float32")(style)
        scale, offset = ops.split(both[:, None, None, :], 2, axis=-1)
        x = keras.layers.Conv2D(width, 3, padding="same", dtype=dtype, kernel_initializer=_he(next(seeds)))(x)
        return keras.layers.LeakyReLU(0.2, dtype=dtype)(FiLM(dtype=dtype)([x, scale, offset]))

    x = block(block(features, options.features), options.features)
    for _ in range(doublings):  # narrow at full size, where all is four times as dear
        x = Doubling(dtype=dtype)(conv(x, options.features // 3, 3, activation="leaky_relu"))
        x = conv(x, options.features // 3, 3, activation="leaky_relu")
    rgb, logits = ops.split(conv(x, channels + len(PARTS), 3, dtype="float32"), [channels], axis=-1)
    picture = ops.tanh(rgb)
    if options.parts:
        coarse = ops.softmax(depths, axis=-1)
        large = ops.log(coarse + 1e-4)
        for _ in range(doublings):
            large = Doubling(dtype="float32")(large)
        logits = logits + large
    else:
        coarse = keras.layers.AveragePooling2D(size // side, dtype="float32")(ops.softmax(logits, axis=-1))
    return keras.Model([base, shape, texture, domain], [picture, logits, coarse], name="generator")


class Judgement(NamedTuple):
    """What D says of n faces."""

    features: Any  # [n, options.judged], what it has learnt to see
    logits: list  # [n, h', w', 2] each, of patches at three scales: above 0 = a true face of DOMAINS
    maps: list  # [n, h', w', c] each: what a network that knows photographs sees, and D looks through


def judge_faces(discriminator: keras.Model, pictures, masks, training: bool = False) -> Judgement:
    """D of pictures and coarse masks, see `build_face_discriminator`."""
    features, *rest = discriminator([pictures, masks], training=training)
    return Judgement(features, rest[:SCALES], rest[SCALES:])


def build_face_discriminator(options: GeneratorOptions, size: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """D: pictures and soft part masks [n, coarse, coarse, parts], 0 where none are judged; call it through
    `judge_faces`.

    Three scales, as in Projected GANs (Sauer et al. 2021, arXiv 2111.01007). The coarsest sees the whole face: the
    masks, the pretrained map and a tower of its own on the pixels; the features are its.
    """
    picture, masks = (
        keras.Input((size, size, channels)),
        keras.Input((coarse_side(size), coarse_side(size), len(PARTS))),
    )
    conv, width, maps = convolutions(dtype, seed + 1), options.width // 2, pretrained_maps(picture, dtype)
    logits = []
    for seen in maps[:-1]:
        x = conv(conv(seen, 4 * width, 3, activation="leaky_relu"), 4 * width, 3, activation="leaky_relu")
        logits.append(conv(x, len(DOMAINS), 1, dtype="float32"))
    y = masks
    while y.shape[1] > LEAST:
        y, width = conv(y, width, 4, strides=2, activation="leaky_relu"), 2 * width
    x = _trunk(picture, options, dtype, seed)
    x = keras.layers.Concatenate(dtype=dtype)([x, _to_side(maps[-1], LEAST, dtype), y])
    x = keras.layers.Flatten(dtype="float32")(conv(x, 8 * options.width, 1, activation="leaky_relu"))
    features = _dense(x, options.judged, seed + 2)
    whole = _dense(keras.layers.LeakyReLU(0.2, dtype="float32")(features), len(DOMAINS), seed + 3)
    logits.append(keras.layers.Reshape((1, 1, len(DOMAINS)), dtype="float32")(whole))
    return keras.Model([picture, masks], [features, *logits, *maps], name="face_discriminator")


class LocalGenerators(keras.layers.Layer):
    """A small generator a part, all at once: the layout [n, side, side, c] and codes [n, parts, code], [n, parts, code]
    to features [n, side, side, options.features], summed over the parts by their masks, and depths
    [n, side, side, parts], of which the greatest is what is seen.

    Each sees every single place: what the layout, which all share, has there, and where it is, as waves. The codes
    modulate its layers' weights: two by the shape, at whose end the depth is, two by the texture.
    """

    def __init__(self, options: GeneratorOptions, side: int, seed: int, **arguments):
        super().__init__(**arguments)
        self.options, self.side, self.seeds = options, side, itertools.count(seed * 1000 + 700)
        self.parts = parts_of(options)
        self.local = options.local if options.parts else 3 * options.local  # the single one does the work of eight

    def build(self, shapes):
        options, width, parts = self.options, self.local, self.parts
        self.waves = fourier_features(self.side)
        self.first = self._weights(parts, shapes[0][-1] + self.waves.shape[-1], width)
        self.modulations = [self._weights(parts, options.code, 2 * width) for _ in range(4)]
        self.layers = [self._weights(parts, width, width) for _ in range(4)]
        self.to_depth = self._weights(parts, width, 1)
        self.to_features = self._weights(parts, width, options.features)
        self.built = True

    def _weights(self, parts: int, inputs: int, outputs: int) -> tuple:
        """A matrix a part and its bias."""
        rng, limit = np.random.default_rng(next(self.seeds)), math.sqrt(3.0 / inputs)
        values = rng.uniform(-limit, limit, (parts, inputs, outputs)).astype(np.float32)
        kernel = self.add_weight(shape=values.shape, initializer=lambda *_, **__: ops.convert_to_tensor(values))
        return kernel, self.add_weight(shape=(parts, 1, outputs), initializer="zeros")

    def call(self, given):
        layout, shape, texture = given
        parts, places = self.parts, self.side * self.side
        shape, texture = (ops.transpose(code, (1, 0, 2)) for code in (shape, texture))  # [parts, n, code]
        x = self._places(layout)  # [parts, n, places, local]
        for layer, code in enumerate((shape, shape, texture, texture)):
            if layer == 2:
                depths = self._apply(self.to_depth, ops.reshape(x, (parts, -1, self.local)))
            x = self._layer(layer, x, code)
        depths = ops.cast(ops.reshape(depths, (parts, -1, places, 1)), "float32")
        masks = ops.softmax(depths, axis=0)
        kernel, bias = self.to_features
        x = x * ops.cast(masks, x.dtype)
        features = ops.einsum("knpc,kcd->npd", x, ops.cast(kernel, x.dtype))
        features = features + ops.einsum("knpi,kid->npd", ops.cast(masks, x.dtype), ops.cast(bias, x.dtype))
        depths = ops.transpose(depths[..., 0], (1, 2, 0))
        sides = (-1, self.side, self.side)
        return ops.reshape(features, (*sides, self.options.features)), ops.reshape(depths, (*sides, parts))

    def _places(self, layout):
        """What each part makes of the layout and the waves at every place, before its codes are heard."""
        layout = ops.reshape(ops.cast(layout, self.compute_dtype), (1, -1, layout.shape[-1]))
        kernel, bias = (ops.cast(values, self.compute_dtype) for values in self.first)
        seen = ops.matmul(layout, kernel[:, : layout.shape[-1]])
        there = ops.matmul(ops.cast(self.waves, self.compute_dtype), kernel[:, layout.shape[-1] :]) + bias
        seen = ops.reshape(seen, (self.parts, -1, self.side * self.side, self.local))
        return ops.leaky_relu(seen + there[:, None], 0.2)

    def _layer(self, layer: int, x, code):
        """leaky_relu(W (scale x) + shift): the scale is taken into W, a matrix for each face and part."""
        kernel, bias = (ops.cast(values, x.dtype)[:, None] for values in self.layers[layer])
        both = self._apply(self.modulations[layer], ops.cast(code, self.compute_dtype))
        scale, shift = both[..., : self.local, None] + 1.0, both[..., None, self.local :]
        return ops.leaky_relu(ops.matmul(x, scale * kernel) + (shift + bias), 0.2)

    def _apply(self, weights: tuple, x):
        """[parts, n, c] times the matrix of its part."""
        kernel, bias = weights
        return ops.matmul(x, ops.cast(kernel, x.dtype)) + ops.cast(bias, x.dtype)

    def compute_output_shape(self, shapes):
        n, sides = shapes[0][0], (self.side, self.side)
        return (n, *sides, self.options.features), (n, *sides, self.parts)

    def compute_output_spec(self, given):
        features, depths = self.compute_output_shape([values.shape for values in given])
        return keras.KerasTensor(features, self.compute_dtype), keras.KerasTensor(depths, "float32")


def fourier_features(side: int) -> np.ndarray:
    """Where each place of a square is, as waves in DIRECTIONS (Tancik et al. 2020, arXiv 2006.10739): float32
    [side^2, waves], rows first."""
    line = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    grid = np.stack([np.tile(line, side), np.repeat(line, side)], axis=1)
    phases = [math.pi / 2 * 2**octave * grid @ np.array(DIRECTIONS, np.float32).T for octave in range(OCTAVES)]
    return np.concatenate([wave(phase) for phase in phases for wave in (np.sin, np.cos)], axis=1).astype(np.float32)


class FiLM(keras.layers.Layer):
    """x [n, h, w, c] times 1 + scale plus shift, [n, 1, 1, c] each (Perez et al. 2018, arXiv 1709.07871)."""

    def call(self, given):
        x, scale, shift = given
        return x * (1.0 + scale) + shift

    def compute_output_shape(self, shapes):
        return shapes[0]


def _glance(picture, options: GeneratorOptions, dtype: str, seed: int):
    """Pictures to a flat map of LEAST px: what a network that knows photographs sees in them, and their colours."""
    conv, maps = convolutions(dtype, seed), pretrained_maps(picture, dtype)
    side = maps[1].shape[1]
    x = keras.layers.Concatenate(dtype=dtype)([_to_side(seen, side, dtype) for seen in (*maps, picture)])
    x = conv(x, 4 * options.width, 1, activation="leaky_relu")
    while x.shape[1] > LEAST:
        x = conv(x, 4 * options.width, 4, strides=2, activation="leaky_relu")
    return keras.layers.Flatten(dtype="float32")(x)


def _trunk(x, options: GeneratorOptions, dtype: str, seed: int):
    """Convolutions of stride 2 down to LEAST px, of width, 2 width, 4 width and at most 8 width channels."""
    conv = convolutions(dtype, seed)
    for level in range(int(math.log2(x.shape[1] // LEAST))):
        x = conv(x, options.width * min(2**level, 8), 4, strides=2, activation="leaky_relu")
    return x


def _to_side(x, side: int, dtype: str):
    """Maps [n, h, h, c] averaged or doubled to [n, side, side, c]."""
    while x.shape[1] > side:
        x = keras.layers.AveragePooling2D(2, dtype=dtype)(x)
    while x.shape[1] < side:
        x = Doubling(dtype=dtype)(x)
    return x


def _dense(x, width: int, seed: int):
    initializer = keras.initializers.GlorotUniform(seed=seed * 1000 + 900)
    return keras.layers.Dense(width, kernel_initializer=initializer, dtype="float32")(x)


def _he(seed: int) -> keras.initializers.Initializer:
    return keras.initializers.HeUniform(seed=seed)
