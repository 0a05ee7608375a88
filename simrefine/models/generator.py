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

import keras
import numpy as np
from keras import ops

from simrefine.catalogue import PARTS
from simrefine.config import GeneratorOptions
from simrefine.models.networks import Doubling, convolutions

COARSE = 32  # px, the side at which parts are drawn, where pictures are twice as large or more
LEAST = 4  # px, the side of the coarsest maps
OCTAVES = 4  # of the Fourier features of a place: the finest wave is a quarter of the side long
DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, -1.0))  # that these waves run in
DOMAINS = ("render", "photograph")


def coarse_side(size: int) -> int:
    """The side at which G draws its parts, px."""
    return min(COARSE, size // 2)


def parts_of(options: GeneratorOptions) -> int:
    """Local generators: one a part, or a single one."""
    return len(PARTS) if options.parts else 1


def player_builders(
    options: GeneratorOptions, people: int, size: int, channels: int, dtype: str, seed: int
) -> dict[str, Callable[[], keras.Model]]:
    """What builds each network but D, by its name."""
    return {
        "identity": partial(build_identity, options, size, channels, dtype, seed),
        "people": partial(build_people, options, people, seed + 1),
        "attributes": partial(build_attributes, options, size, channels, dtype, seed + 2),
        "mapping": partial(build_mapping, options, seed + 3),
        "generator": partial(build_generator, options, size, channels, dtype, seed + 4),
    }


def build_identity(options: GeneratorOptions, size: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """I: pictures to who they show, float32 unit vectors [n, options.identity]."""
    picture = keras.Input((size, size, channels), name="picture")
    vector = _dense(_trunk(picture, options, dtype, seed), options.identity, seed)
    return keras.Model(picture, keras.layers.UnitNormalization(dtype="float32")(vector), name="identity")


def build_people(options: GeneratorOptions, people: int, seed: int) -> keras.Model:
    """C, what I has beyond the vector: float32 unit vectors [n, options.identity] to their cosines with one vector a
    person, [n, people]; those vectors, the label of CVAE-GAN, are its one weight, [options.identity, people]."""
    vector = keras.Input((options.identity,), name="identity")
    cosines = keras.layers.Dense(
        people,
        use_bias=False,
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        kernel_constraint=keras.constraints.UnitNorm(axis=0),
        dtype="float32",
    )
    return keras.Model(vector, cosines(vector), name="people")


def build_attributes(options: GeneratorOptions, size: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """A: pictures to how they look, mean and logarithm of the variance of z, float32 [n, options.attributes] each."""
    picture = keras.Input((size, size, channels), name="picture")
    both = _dense(_trunk(picture, options, dtype, seed), 2 * options.attributes, seed)
    mean, log_variance = ops.split(both, 2, axis=-1)
    return keras.Model(picture, [mean, ops.clip(log_variance, -8.0, 2.0)], name="attributes")


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
    local = LocalGenerators(options, side, seed, dtype=dtype)
    features, depths = local([base, shape, texture])
    style = keras.layers.Concatenate(dtype="float32")([base, domain])
    conv, seeds = convolutions(dtype, seed), itertools.count(seed * 1000 + 500)

    def block(x, width: int):
        """A convolution whose channels the base code and the domain scale and shift (FiLM)."""
        initializer = keras.initializers.GlorotUniform(seed=next(seeds))
        both = keras.layers.Dense(2 * width, kernel_initializer=initializer, dtype="float32")(style)
        scale, offset = ops.split(both[:, None, None, :], 2, axis=-1)
        x = keras.layers.Conv2D(width, 3, padding="same", dtype=dtype, kernel_initializer=_he(next(seeds)))(x)
        return keras.layers.LeakyReLU(0.2, dtype=dtype)(FiLM(dtype=dtype)([x, scale, offset]))

    x = block(block(features, options.features), options.features)
    for _ in range(doublings):
        x = block(Doubling(dtype=dtype)(x), options.features // 2)
    x = block(x, options.features // 2)
    picture = ops.tanh(conv(x, channels, 3, dtype="float32"))
    logits = conv(x, len(PARTS), 3, dtype="float32")
    if options.parts:
        coarse = ops.softmax(depths, axis=-1)
        large = ops.log(coarse + 1e-4)
        for _ in range(doublings):
            large = Doubling(dtype="float32")(large)
        logits = logits + large
    else:
        coarse = keras.layers.AveragePooling2D(size // side, dtype="float32")(ops.softmax(logits, axis=-1))
    return keras.Model([base, shape, texture, domain], [picture, logits, coarse], name="generator")


def build_face_discriminator(options: GeneratorOptions, size: int, channels: int, dtype: str, seed: int) -> keras.Model:
    """D: pictures and soft part masks [n, coarse, coarse, parts], 0 where none are judged, to its features
    [n, options.judged] and a logit a domain, [n, 2], above 0 = a true face of it; float32."""
    side = coarse_side(size)
    picture, masks = keras.Input((size, size, channels)), keras.Input((side, side, len(PARTS)))
    x = _trunk(picture, options, dtype, seed, flat=False)
    conv, y, width = convolutions(dtype, seed + 1), masks, options.width // 2
    for _ in range(int(math.log2(side // LEAST))):
        y = conv(y, width, 4, strides=2, activation="leaky_relu")
        width *= 2
    x = conv(keras.layers.Concatenate(dtype=dtype)([x, y]), x.shape[-1], 1, activation="leaky_relu")
    x = keras.layers.Flatten(dtype="float32")(x)
    features = _dense(x, options.judged, seed + 2)
    logits = _dense(keras.layers.LeakyReLU(0.2, dtype="float32")(features), len(DOMAINS), seed + 3)
    return keras.Model([picture, masks], [features, logits], name="face_discriminator")


class LocalGenerators(keras.layers.Layer):
    """A small generator a part, all at once: codes [n, base], [n, parts, code], [n, parts, code] to features
    [n, side, side, options.features], summed over the parts by their masks, and depths [n, side, side, parts], of which
    the greatest is what is seen.

    Each sees the picture's places as waves, moved by an affine map that the base code gives: so a head that turns or
    comes nearer is a few numbers, and not another function of the place. Then layers on single places, whose weights
    the codes modulate: one by the base code, two by the shape, at whose end the depth is, two by the texture.
    """

    def __init__(self, options: GeneratorOptions, side: int, seed: int, **arguments):
        super().__init__(**arguments)
        self.options, self.side, self.seeds = options, side, itertools.count(seed * 1000 + 700)
        self.parts = parts_of(options)
        self.local = options.local if options.parts else 3 * options.local  # the single one does the work of eight

    def build(self, _):
        options, width, parts = self.options, self.local, self.parts
        waves = 2 * OCTAVES * len(DIRECTIONS)
        self.place = self._weights("place", 1, options.base, parts * 6, zeros=True)
        codes = (options.base, options.code, options.code, options.code, options.code)
        self.modulations = [
            self._weights(f"modulation_{layer}", 1 if layer == 0 else parts, code, self._modulated(layer, waves))
            for layer, code in enumerate(codes)
        ]
        self.layers = [
            self._weights(f"layer_{layer}", parts, waves if layer == 0 else width, width) for layer in range(5)
        ]
        self.to_depth = self._weights("depth", parts, width, 1)
        self.to_features = self._weights("features", parts, width, options.features)
        self.built = True

    def _modulated(self, layer: int, waves: int) -> int:
        """Numbers that a code gives a layer: a scale for each input and a shift for each output; the base code gives
        them to every part."""
        each = (waves if layer == 0 else self.local) + self.local
        return each * (self.parts if layer == 0 else 1)

    def _weights(self, name: str, parts: int, inputs: int, outputs: int, zeros: bool = False) -> tuple:
        """A matrix a part and its bias."""
        rng = np.random.default_rng(next(self.seeds))
        limit = 0.0 if zeros else math.sqrt(3.0 / inputs)
        values = rng.uniform(-limit, limit, (parts, inputs, outputs)).astype(np.float32)
        kernel = self.add_weight(shape=values.shape, initializer=lambda *_, **__: ops.convert_to_tensor(values))
        return kernel, self.add_weight(shape=(parts, 1, outputs), initializer="zeros")

    def call(self, codes):
        base, shape, texture = codes
        parts, places = self.parts, self.side * self.side
        shape, texture = (ops.transpose(code, (1, 0, 2)) for code in (shape, texture))  # [parts, n, code]
        x = self._waves(base)  # [parts, n, places, waves]
        for layer, code in enumerate((base[None], shape, shape, texture, texture)):
            if layer == 3:
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

    def _waves(self, base):
        """Fourier features (Tancik et al. 2020, arXiv 2006.10739) of where each part takes every place to be."""
        moved = ops.cast(self._apply(self.place, ops.cast(base, self.compute_dtype)[None])[0], "float32")
        moved = ops.transpose(ops.reshape(moved, (-1, self.parts, 2, 3)), (1, 0, 2, 3))
        line = (np.arange(self.side, dtype=np.float32) + 0.5) / self.side * 2 - 1
        grid = np.stack([np.tile(line, self.side), np.repeat(line, self.side), np.ones(self.side**2, np.float32)])
        whole = np.concatenate([np.eye(2, dtype=np.float32), np.zeros((2, 1), np.float32)], 1)
        seen = ops.matmul(whole + 0.5 * moved, grid)  # [parts, n, 2, places]
        phase = math.pi / 2 * ops.matmul(np.array(DIRECTIONS, np.float32), seen)
        sine, cosine, waves = ops.sin(phase), ops.cos(phase), []
        for _ in range(OCTAVES):  # by doubling the angle: cheaper than another sine
            waves += [sine, cosine]
            sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
        return ops.cast(ops.transpose(ops.concatenate(waves, axis=2), (0, 1, 3, 2)), self.compute_dtype)

    def _layer(self, layer: int, x, code):
        """leaky_relu(W (scale x) + shift): the scale is taken into W, a matrix for each face and part."""
        kernel, bias = self.layers[layer]
        inputs, width = kernel.shape[1], self.local
        both = self._apply(self.modulations[layer], ops.cast(code, self.compute_dtype))
        if layer == 0:
            both = ops.transpose(ops.reshape(both, (-1, self.parts, inputs + width)), (1, 0, 2))
        scale, shift = both[..., :inputs, None] + 1.0, both[..., None, inputs:]
        x = ops.matmul(x, scale * ops.cast(kernel, x.dtype)[:, None])
        return ops.leaky_relu(x + (shift + ops.cast(bias, x.dtype)[:, None]), 0.2)

    def _apply(self, weights: tuple, x):
        """[parts, n, c] times the matrix of its part."""
        kernel, bias = weights
        return ops.matmul(x, ops.cast(kernel, x.dtype)) + ops.cast(bias, x.dtype)

    def compute_output_shape(self, shapes):
        n, sides = shapes[0][0], (self.side, self.side)
        return (n, *sides, self.options.features), (n, *sides, self.parts)

    def compute_output_spec(self, codes):
        features, depths = self.compute_output_shape([code.shape for code in codes])
        return keras.KerasTensor(features, self.compute_dtype), keras.KerasTensor(depths, "float32")


class FiLM(keras.layers.Layer):
    """x [n, h, w, c] times 1 + scale plus shift, [n, 1, 1, c] each (Perez et al. 2018, arXiv 1709.07871)."""

    def call(self, given):
        x, scale, shift = given
        return x * (1.0 + scale) + shift

    def compute_output_shape(self, shapes):
        return shapes[0]


def _trunk(x, options: GeneratorOptions, dtype: str, seed: int, flat: bool = True):
    """Convolutions of stride 2 down to LEAST px, of width, 2 width, 4 width and at most 8 width channels."""
    conv = convolutions(dtype, seed)
    for level in range(int(math.log2(x.shape[1] // LEAST))):
        x = conv(x, options.width * min(2**level, 8), 4, strides=2, activation="leaky_relu")
    return keras.layers.Flatten(dtype="float32")(x) if flat else x


def _dense(x, width: int, seed: int):
    initializer = keras.initializers.GlorotUniform(seed=seed * 1000 + 900)
    return keras.layers.Dense(width, kernel_initializer=initializer, dtype="float32")(x)


def _he(seed: int) -> keras.initializers.Initializer:
    return keras.initializers.HeUniform(seed=seed)
