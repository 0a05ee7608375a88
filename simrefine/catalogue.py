"""What there is to choose from, by name, with the facts that the configuration needs. Nothing of Keras is in here.

A name is at once the value of an option and the name of what it stands for: a function of models/networks.py or
models/losses.py, a class of methods/. So a new network or loss is one function and one entry. (The terms of the
self-regularisation have their entry, a lambda each, in config.RegularisationOptions.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RefinerFacts:
    """What a refiner is built with unless told otherwise.

    Args:
        width: feature channels of the first layer.
        blocks: residual blocks.
        stride: px; the sides of its pictures must be multiples of it.
    """

    width: int
    blocks: int
    stride: int


@dataclass(frozen=True)
class DiscriminatorFacts:
    """The side of the patches that each of its decisions sees, px, one a map of logits; `projected`: of pictures of 128
    px and more, half of them for smaller ones, but for the first."""

    patches: tuple[int, ...]


@dataclass(frozen=True)
class MethodFacts:
    """What a method makes of the options.

    Args:
        unused: sections and options that it has no use for: setting one would do nothing, so it is refused.
        defaults: defaults of its own, by "section.key".
        makes: what it publishes, in a folder of that name: a "refiner" of faces or a "generator" of them.
    """

    unused: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    makes: str = "refiner"


@dataclass(frozen=True)
class ExportFacts:
    """A format in which a refiner's network is exported.

    Args:
        keras_name: what Keras calls it.
        file: what is written into the exported folder.
        packages: what writing it needs beyond TensorFlow; the extra of the format's name installs them.
    """

    keras_name: str
    file: str
    packages: tuple[str, ...] = ()


# What convolutions find beyond a picture's border.
BORDERS = MIRRORED, ZEROS = ("mirrored", "zeros")
REFINERS = {
    "resnet": RefinerFacts(width=64, blocks=4, stride=1),  # the paper's, for eyes
    "unet": RefinerFacts(width=32, blocks=2, stride=8),  # three halvings
}
DISCRIMINATORS = {
    "eyes": DiscriminatorFacts(patches=(23,)),
    "hands": DiscriminatorFacts(patches=(71,)),
    "multiscale": DiscriminatorFacts(patches=(22, 70)),
    "projected": DiscriminatorFacts(patches=(22, 35, 99, 403)),
}
# What a face is made of. Where a part stands in this list is its label in every array.
PARTS = ("background", "skin", "brows", "eyes", "lips", "mouth", "hair", "clothes")
PART_COLOURS = {
    "background": (0, 0, 0),
    "skin": (230, 180, 150),
    "brows": (150, 80, 30),
    "eyes": (0, 0, 255),
    "lips": (255, 0, 0),
    "mouth": (255, 255, 0),
    "hair": (90, 50, 10),
    "clothes": (0, 160, 0),
}
EXPORTS = {
    "onnx": ExportFacts("onnx", "refiner.onnx", packages=("tf2onnx", "onnx")),
    "litert": ExportFacts("litert", "refiner.tflite"),
    "saved_model": ExportFacts("tf_saved_model", "saved_model"),
}
LANDMARK_STRIDE = 16  # px; the sides of the landmark network's pictures must be multiples of it
STYLES = ("auto", "parts", "picture")  # how renders take a photograph's colours
REALISM = ["cross_entropy", "least_squares"]
_OF_GENERATORS = ("generator", "generator_loss", "identity_optimizer", "generator_optimizer")  # sections
METHODS = {
    "simgan": MethodFacts(unused=("cyclegan", *_OF_GENERATORS)),
    "cyclegan": MethodFacts(
        unused=(
            *_OF_GENERATORS,
            *("labels", "self_regularisation", "features", "keeper"),
            *("training.refiner_updates", "training.discriminator_updates"),
            *("training.pretrain_refiner", "training.pretrain_discriminator"),
        ),
        # At the identity any change costs cycle and identity loss at once, more than the discriminator can ask for:
        # refiners that start there stay there (0.01 gray levels after 60 steps).
        defaults={"refiner.residual": False},
    ),
    "generator": MethodFacts(
        unused=(
            *("style", "refiner", "discriminator", "loss", "self_regularisation", "features", "keeper", "cyclegan"),
            *("history", "refiner_optimizer", "evaluation"),
            *("parts.steps", "parts.candidates", "parts.scene", "labels.elsewhere", "labels.reach"),
            *("training.refiner_updates", "training.discriminator_updates"),
            *("training.pretrain_refiner", "training.pretrain_discriminator"),
        ),
        defaults={
            "data.size": 64,
            "training.steps": 4000,
            "identity_optimizer.learning_rate": 1e-3,
            "identity_optimizer.beta_1": 0.9,  # a classifier has no opponent that moves
            "generator_optimizer.learning_rate": 1e-3,
        },
        makes="generator",
    ),
}
