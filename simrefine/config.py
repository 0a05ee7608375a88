"""The options of a run: frozen dataclasses, filled once from defaults < TOML file < environment < flags.

In go a file, `SIMREFINE_SECTION_KEY` variables and "section.key" values; out comes one validated Config, which is
printed, saved with the run and read back by `--resume`. Defaults, units and help stand here and nowhere else.
"""

import dataclasses
import difflib
import math
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simrefine.catalogue import (
    BORDERS,
    DISCRIMINATORS,
    LANDMARK_STRIDE,
    METHODS,
    MIRRORED,
    PARTS,
    REALISM,
    REFINERS,
    STYLES,
    ZEROS,
)
from simrefine.errors import UserError
from simrefine.files import check_name
from simrefine.reading import Unreadable, read_regular

MAX_FILE_BYTES = 2**20  # of a config file; simrefine writes about 10,000
ENVIRONMENT_PREFIX = "SIMREFINE_"
LEAST_SIZE = 16  # px
# What data.size = auto may cost: the work of a step goes with the square of the side. Whoever has the time names more.
AUTO_LARGEST = 128  # px
AUTO_MULTIPLE = 8  # px


def option(
    default: Any, help: str, *, choices: Collection = (), low: float | None = None, high: float | None = None
) -> Any:
    """A field with its help text, and what it may be: one of `choices`, or a number in [low, high]."""
    return field(default=default, metadata={"help": help, "choices": choices, "low": low, "high": high})


def _own(fact: str) -> str:
    """What 0 stands for in each refiner, for the help."""
    return ", ".join(f"{name} {getattr(facts, fact)}" for name, facts in REFINERS.items())


@dataclass(frozen=True)
class DataOptions:
    synthetic: str = option("", "folder of rendered faces, read recursively")
    real: str = option("", "folder of unlabelled photographs, read recursively")
    exclude: tuple[str, ...] = option((), "patterns of files and folders to leave out, such as '*-masks'")
    size: int = option(
        0,
        f"side of the square training picture, px; 0 or auto = the renders' own, at most {AUTO_LARGEST}",
        low=0,
        high=1024,
    )
    channels: int = option(3, "3 = colour, 1 = gray", choices=(1, 3))
    flip: bool = option(True, "mirror half of the pictures; a face stays a face")
    memory_gib: float = option(4.0, "decoded pictures kept in memory, GiB a pile; above it they are read again", low=0)


@dataclass(frozen=True)
class MethodOptions:
    name: str = option(
        "simgan",
        "what learns, and how: a refiner by simgan, or by cyclegan without labels; a generator of new faces",
        choices=METHODS,
    )


@dataclass(frozen=True)
class StyleOptions:
    """A render is given the colours of a photograph before it is refined, so one render can become many photographs."""

    by: str = option(
        "auto",
        "parts = each part of a face takes the colours of the same part; picture = one change for all; auto = parts "
        "where there are masks or 68 label points",
        choices=STYLES,
    )
    candidates: int = option(
        4,
        "by picture: photographs drawn at random, of which the one with the nearest colours is taken; 0 = no styles "
        "at all",
        low=0,
        high=1000,
    )


@dataclass(frozen=True)
class PartOptions:
    """The parts of a face. A parser learns them from the renders and then reads both piles; data/looks.py uses them."""

    masks: str = option(
        "auto",
        "folder of part masks, PNGs of class indices named as the renders; 'auto' = the synthetic folder's name with "
        "'-masks' appended; '' = none",
    )
    classes: tuple[str, ...] = option(
        ("background=0", "skin=1+7", "brows=2", "eyes=3", "lips=4", "mouth=5", "hair=6", "clothes=8"),
        "which classes of the masks are which part; a neck is skin, a mouth what is between the lips",
    )
    steps: int = option(700, "steps that the parser is trained for, before all others", low=1)
    candidates: int = option(
        8,
        "photographs of near complexion drawn at random, of which the one whose person the rendered head hides best is "
        "taken",
        low=1,
        high=1000,
    )
    scene: bool = option(
        True, "put rendered heads before the room and the clothes of the photograph; needs masks with hair and clothes"
    )
    head: bool = option(
        True,
        "put rendered faces on photographed heads that fit them, with their hair, ears and neck; where none fits, and "
        "where this is off, heads stay the rendered ones; needs scene",
    )
    soften: bool = option(
        True,
        "make the colours of dressed renders, and their brows, eyes and mouths, as soft as those of photographs",
    )


@dataclass(frozen=True)
class LabelOptions:
    """Where the synthetic faces' labels are: there the self-regularisation holds, elsewhere it lets go."""

    file: str = option("auto", "label file with points; 'auto' = annotations.jsonl in the synthetic folder; '' = none")
    elsewhere: float = option(0.1, "weight of the self-regularisation away from all points", low=0, high=1)
    reach: float = option(0.05, "how far a point holds, standard deviation in shares of the side", low=0.001, high=1)


@dataclass(frozen=True)
class RefinerOptions:
    name: str = option("unet", "network of the refiner", choices=REFINERS)
    width: int = option(0, f"feature channels of the first layer; 0 = {_own('width')}", low=0, high=1024)
    blocks: int = option(0, f"residual blocks; 0 = {_own('blocks')}", low=0, high=64)
    kernel: int = option(3, "side of the convolutions, px", choices=(3, 5, 7))
    borders: str = option(
        MIRRORED,
        "what the convolutions of the refiner and of its discriminator find beyond a picture's border: mirrored, the "
        "picture itself, or zeros, by which they can tell where in the picture they are",
        choices=BORDERS,
    )
    residual: bool = option(
        True, "add the output to the input, so that training starts at the identity; cyclegan: false"
    )
    bound: float = option(1.0, "largest change a residual output can make, in units of [-1, 1]", low=0.01, high=2)


@dataclass(frozen=True)
class DiscriminatorOptions:
    name: str = option(
        "projected",
        "patch discriminator; projected looks through a network that was trained on photographs of all kinds",
        choices=DISCRIMINATORS,
    )


@dataclass(frozen=True)
class AugmentationOptions:
    """What is done at random to every picture the discriminator sees (Zhao et al. 2020, arXiv 2006.10738)."""

    brightness: float = option(0.2, "largest shift of all channels, in units of [-1, 1]; 0 = off", low=0, high=1)
    contrast: float = option(0.3, "largest relative change of contrast; 0 = off", low=0, high=0.9)
    shift: float = option(0.125, "largest shift, as a share of the side; 0 = off", low=0, high=0.5)


@dataclass(frozen=True)
class LossOptions:
    realism: str = option("least_squares", "patch loss of both players", choices=REALISM)


@dataclass(frozen=True)
class RegularisationOptions:
    """One lambda per self-regularisation term, the function of that name in models/losses.py; each multiplies a *mean*
    over pixels and channels; 0 = off."""

    l1: float = option(0.2, "per-channel L1 of the change (SimGAN eq. 4, psi = identity)", low=0)
    l2: float = option(0.0, "mean square of the change", low=0)
    channel_mean: float = option(0.0, "L1 of the mean over the colour channels (the paper's colour choice)", low=0)
    gradient: float = option(0.0, "L1 of the image derivatives", low=0)
    high_pass: float = option(
        1.0, "L1 after taking away a box blur over 9/64 of the side: slow colour stays free", low=0
    )
    band: float = option(
        50.0,
        "square of the change within the head, but of light that falls over 25/64 of the side: of blotches, scratches "
        "and streaks; hair, brows and eyes count 0.3, lips 0; where parts are known",
        low=0,
    )
    tint: float = option(
        300.0,
        "squares of the change of colour, but on lips, and of light over 25/64 of the side: of complexion; "
        "where parts are known",
        low=0,
    )
    room: float = option(50.0, "square of the change of what is a photograph's own; where faces stand in rooms", low=0)
    features: float = option(0.0, "L1 of feature maps of the network under [features]", low=0)


@dataclass(frozen=True)
class FeatureOptions:
    application: str = option("VGG16", "a network of keras.applications")
    layer: str = option("block2_conv2", "the layer whose output is compared; empty = the last")
    weights: str = option("imagenet", "'imagenet' (Keras downloads it) or a local weights file")


@dataclass(frozen=True)
class KeeperOptions:
    """What else may hold the labels in place, beside the self-regularisation; models/keepers.py."""

    cycle: float = option(
        0.0, "weight of the L1 by which an inverse refiner, trained along, misses the render; 0 = off", low=0
    )
    landmarks: float = option(
        0.0,
        "weight of the error, in shares of the side, by which a network trained on renders misses the label points of "
        "refined faces; 0 = off",
        low=0,
    )
    landmark_steps: int = option(600, "steps that the landmark network is trained for, before all others", low=1)


@dataclass(frozen=True)
class CycleGANOptions:
    """CycleGAN (Zhu et al. 2017, arXiv 1703.10593)."""

    cycle: float = option(10.0, "lambda of the L1 of both cycles", low=0)
    identity: float = option(5.0, "weight of the L1 by which pictures of the other pile change", low=0)


@dataclass(frozen=True)
class GeneratorOptions:
    """The part-wise face generator (models/generator.py) and what it learns from."""

    parts: bool = option(True, "a local generator a part, whose depths make the masks; false = a single decoder")
    photographs: bool = option(True, "learn from the photographs too, by the domain switch; false = renders alone")
    face_only: float = option(
        0.5,
        "share of the faces that the identity network is shown with another's hair, clothes and room, lest it learn "
        "those",
        low=0,
        high=1,
    )
    mixing: float = option(0.3, "probability that a part's codes are those of another face", low=0, high=1)
    views: int = option(4, "faces of a person in a batch", low=2, high=64)
    identity_steps: int = option(
        600, "of all steps the first, in which the identity network learns; then it stays as it is", low=0
    )
    reconstruction_steps: int = option(
        2000,
        "of the steps after these, in which faces are reconstructed alone: no discriminator, no samples, one person",
        low=0,
    )
    identity_batch: int = option(128, "faces of a batch of the identity network, `views` of each person", low=4)
    identity: int = option(128, "numbers that say who a face is", low=2, high=4096)
    attributes: int = option(32, "numbers that say how it looks", low=1, high=4096)
    width: int = option(32, "channels of the first layer of I, A and D, which double up to eightfold", low=2, high=512)
    hidden: int = option(256, "width of the two layers between (f, z) and the codes", low=2, high=8192)
    base: int = option(64, "numbers of the code that all parts share", low=2, high=4096)
    code: int = option(32, "numbers of a part's shape code, and of its texture code", low=1, high=4096)
    local: int = option(
        16, "width of a part's local generator; a single decoder is three times as wide", low=2, high=1024
    )
    features: int = option(48, "channels that are rendered, a third of them at full size", low=3, high=1024)
    judged: int = option(256, "features of the discriminator that are matched", low=2, high=8192)


@dataclass(frozen=True)
class GeneratorLossOptions:
    """Weights of the generator's losses; each multiplies a *mean* (methods/generator.py has their equations)."""

    kl: float = option(0.05, "of the divergence of z from a standard normal distribution, nats a dimension", low=0)
    kl_warm_up: int = option(1000, "steps over which that weight rises from 0", low=0)
    reconstruction: float = option(5.0, "of the L1 between a made face and the one whose attributes it has", low=0)
    other: float = option(0.1, "share of it where the identity is another person's", low=0, high=1)
    background: float = option(
        0.3, "weight of the room behind a render, in the reconstruction and the masks", low=0, high=1
    )
    details: float = option(4.0, "and of its brows, eyes, lips and mouth, which are few pixels", low=0)
    likeness: float = option(0.5, "of 1 - cosine between the identity of a made face and the one it was given", low=0)
    features: float = option(
        1.0, "of the squared distance of what D looks through, of a made face, to the same of the attribute face", low=0
    )
    mean_features: float = option(
        1.0, "of the squared distance of sampled faces' mean D-features to the true faces'", low=0
    )
    class_features: float = option(
        1.0, "of the squared distance of a person's sampled faces' mean identity to that of the true ones", low=0
    )
    adversarial: float = option(
        0.2, "of the loss by which made faces fail to pass for true; 0 = the papers' asymmetric losses alone", low=0
    )
    warm_up: int = option(
        500, "steps over which the weights of what is not reconstruction rise from 0, once it is learnt", low=0
    )
    slope: float = option(0.02, "of the squared slope of D at true faces (R1)", low=0)
    masks: float = option(1.0, "of the cross-entropy between drawn and known parts", low=0)
    coarse: float = option(10.0, "of the squared distance between the coarse masks and the pooled fine ones", low=0)


@dataclass(frozen=True)
class HistoryOptions:
    half_batches: int = option(50, "size of the buffer of past refined faces, in half-batches; 0 = off", low=0)


@dataclass(frozen=True)
class OptimizerOptions:
    name: str = option("adam", "optimiser", choices=("adam", "sgd"))
    learning_rate: float = option(2e-4, "learning rate", low=0, high=1)
    beta_1: float = option(0.5, "Adam's decay of the mean gradient; unused by sgd", low=0, high=0.999)


@dataclass(frozen=True)
class TrainingOptions:
    steps: int = option(1200, "adversarial steps: passes of Algorithm 1's outer loop", low=0)
    batch_size: int = option(32, "pictures per update", low=2, high=4096)
    refiner_updates: int = option(1, "K_g: refiner updates a step", low=1, high=100)
    discriminator_updates: int = option(1, "K_d: discriminator updates a step", low=1, high=100)
    pretrain_refiner: int = option(0, "steps before, with the self-regularisation alone (paper: 1000)", low=0)
    pretrain_discriminator: int = option(0, "steps after those, of the discriminator alone (paper: 200)", low=0)
    learning_rate_decay: float = option(
        0.5, "share of all steps, at the end, over which both learning rates fall to zero; 0 = never", low=0, high=1
    )
    ema_decay: float = option(0.999, "decay a step of the averaged refiner, which is the one published", low=0, high=1)
    seed: int = option(0, "all randomness follows from (seed, step, purpose)", low=0, high=2**31)
    precision: str = option(
        "auto", "auto = bfloat16 where the hardware has it, else float32", choices=("auto", "float32", "bfloat16")
    )

    @property
    def all_steps(self) -> int:
        """Both pretrainings and the adversarial steps."""
        return self.pretrain_refiner + self.pretrain_discriminator + self.steps


@dataclass(frozen=True)
class MonitorOptions:
    scalars_every: int = option(20, "steps between scalars; each is the mean over those steps", low=1)
    images_every: int = option(250, "steps between pictures and histograms", low=1)
    checkpoint_every: int = option(500, "steps between checkpoints", low=1)
    keep_checkpoints: int = option(2, "newest checkpoints kept", low=1)
    faces: int = option(8, "faces in the fixed grid", low=1, high=64)


@dataclass(frozen=True)
class EvaluationOptions:
    """Held-out faces: neither in training nor chosen anew on resume."""

    every: int = option(0, "steps between looks at held-out faces, which also keep the best refiner; 0 = off", low=0)
    faces: int = option(200, "faces of each pile that are held out, where every is not 0", low=10)
    max_displacement: float = option(
        0.7, "median displacement above which a refiner cannot be the best, percent of the side", low=0
    )


# What runs did before there was an option for it.
BEFORE = {"refiner.borders": ZEROS, "parts.soften": False, "parts.head": False}
MASKS = "-masks"  # what the name of a folder of part masks has more than that of its pictures
ANNOTATIONS = "annotations.jsonl"  # what `simrefine prepare` writes beside the faces

# What a resumed run may be told anew: nothing that the weights or the order of the pictures depend on, but for
# training.steps. More of them put the fall of the learning rates off, which may have begun.
CHANGEABLE_ON_RESUME = {"training.steps", "data.memory_gib"} | {
    f"monitor.{f.name}" for f in dataclasses.fields(MonitorOptions)
}


@dataclass(frozen=True)
class Config:
    """A complete, validated configuration; make one with `Config.load`. The fields are the sections of the file."""

    method: MethodOptions
    data: DataOptions
    style: StyleOptions
    parts: PartOptions
    labels: LabelOptions
    refiner: RefinerOptions
    discriminator: DiscriminatorOptions
    augmentation: AugmentationOptions
    loss: LossOptions
    self_regularisation: RegularisationOptions
    features: FeatureOptions
    keeper: KeeperOptions
    cyclegan: CycleGANOptions
    generator: GeneratorOptions
    generator_loss: GeneratorLossOptions
    history: HistoryOptions
    refiner_optimizer: OptimizerOptions
    identity_optimizer: OptimizerOptions
    generator_optimizer: OptimizerOptions
    discriminator_optimizer: OptimizerOptions
    training: TrainingOptions
    monitor: MonitorOptions
    evaluation: EvaluationOptions

    @classmethod
    def load(
        cls,
        file: Path | str | None = None,
        values: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] = os.environ,
        *,
        recorded: bool = False,
    ) -> "Config":
        """Reads the four layers, each overriding the one before.

        Args:
            file: a TOML file with the sections and keys of this module, or None.
            values: "section.key" to a value of the right type or to its text (flags and `--set`).
            environment: where `SIMREFINE_SECTION_KEY` is looked up.
            recorded: a run wrote `file`, perhaps of an older version: what its method makes no use of is passed over,
                as its defaults may have been others.

        Raises:
            UserError: an unknown key (the nearest known one is named), a value of the wrong type or out of
                range, options that exclude each other, or a file that cannot be read.
        """
        given = {}
        for source, layer in (
            (f"config file {file}", _read_toml(file) if file else {}),
            ("environment", _read_environment(environment)),
            ("command line", values or {}),
        ):
            method = layer.get("method.name")
            for key, value in layer.items():
                if not (recorded and method in METHODS and _is_unused(key, method)):
                    given[key] = _checked(key, value, source)
        defaults = {key: spec.default for key, spec in _specs().items()}
        name = given.get("method.name", defaults["method.name"])
        before = {key: value for key, value in BEFORE.items() if recorded and not _is_unused(key, name)}
        flat = defaults | before | METHODS[name].defaults | given
        _resolve(flat)
        for key, value in flat.items():
            for name in value if isinstance(value, tuple) else [value]:
                check_name(key, str(name))
        sections = {name: kind(**_section_of(flat, name)) for name, kind in SECTIONS.items()}
        return cls(**sections)

    def sized_for(self, side: float) -> "Config":
        """This configuration with `data.size` as "auto" chooses it for renders of `side` px: the nearest side that the
        networks can take, from LEAST_SIZE to AUTO_LARGEST."""
        if METHODS[self.method.name].makes == "generator":
            return replace(self, data=replace(self.data, size=_power_of_two(min(side, AUTO_LARGEST))))
        keeper = LANDMARK_STRIDE if self.keeper.landmarks else 1
        multiple = math.lcm(AUTO_MULTIPLE, REFINERS[self.refiner.name].stride, keeper)
        size = round(min(max(side, LEAST_SIZE), AUTO_LARGEST) / multiple) * multiple
        return replace(self, data=replace(self.data, size=size))

    def flat(self) -> dict[str, Any]:
        """Every option as "section.key" -> value."""
        return {key: getattr(getattr(self, key.split(".")[0]), key.split(".")[1]) for key in _specs()}

    def to_toml(self) -> str:
        """The configuration as a TOML file that `Config.load` reads back, each key with its help as a comment."""
        lines = []
        for section, kind in SECTIONS.items():
            lines.append(f"[{section}]")
            for spec in dataclasses.fields(kind):
                lines.append(_toml_line(spec, getattr(getattr(self, section), spec.name)))
            lines.append("")
        return "\n".join(lines)

    def to_lines(self) -> list[str]:
        """The options for reading, one line a section."""
        sections = {name: getattr(self, name) for name in SECTIONS}
        return [
            f"[{name}] " + ", ".join(f"{key} = {_toml_value(value)}" for key, value in vars(options).items())
            for name, options in sections.items()
        ]

    def differences(self, other: "Config") -> dict[str, tuple[Any, Any]]:
        """The options in which two configurations differ: "section.key" -> (mine, the other's)."""
        theirs = other.flat()
        return {key: (value, theirs[key]) for key, value in self.flat().items() if value != theirs[key]}


SECTIONS: dict[str, type] = {section.name: section.type for section in dataclasses.fields(Config)}


def help_of(key: str) -> str:
    """The help text of "section.key" with its default, for the command line."""
    spec = _specs()[key]
    shown = "" if spec.default in ("", ()) else f" [default: {spec.default}]"
    return spec.metadata["help"] + shown


def template() -> str:
    """A TOML file to begin with: every option with its default and help, commented out. As it stands it loads as the
    defaults; an option counts once the first '#' of its line is taken away, so that what is left alone still follows
    the method and the refiner that are chosen."""
    lines = ["# Take the first '#' away from a line to change its option."]
    for section, kind in SECTIONS.items():
        lines += ["", f"[{section}]", *(f"# {_toml_line(spec, spec.default)}" for spec in dataclasses.fields(kind))]
    return "\n".join(lines) + "\n"


def describe_options() -> list[tuple[str, str, str, str]]:
    """All options for reading: "section.key", the default as TOML, what it may be, and the help."""
    return [(key, _toml_value(spec.default), _range_of(spec), spec.metadata["help"]) for key, spec in _specs().items()]


def _range_of(spec: dataclasses.Field) -> str:
    choices, low, high = (spec.metadata[name] for name in ("choices", "low", "high"))
    if choices:
        return " | ".join(map(str, choices))
    if low is None and high is None:
        return {bool: "true | false", str: "text"}.get(spec.type, "list of text")
    kind = "whole number" if spec.type is int else "number"
    return f"{kind}, {low} or more" if high is None else f"{kind}, {low} to {high}"


def _toml_line(spec: dataclasses.Field, value: Any) -> str:
    return f"{spec.name} = {_toml_value(value)}  # {spec.metadata['help']}"


def _specs() -> dict[str, dataclasses.Field]:
    return {f"{section}.{spec.name}": spec for section, kind in SECTIONS.items() for spec in dataclasses.fields(kind)}


def _section_of(flat: Mapping[str, Any], section: str) -> dict[str, Any]:
    return {spec.name: flat[f"{section}.{spec.name}"] for spec in dataclasses.fields(SECTIONS[section])}


def _read_toml(file: Path | str) -> dict[str, Any]:
    try:
        tables = tomllib.loads(read_regular(Path(file), MAX_FILE_BYTES).decode("utf-8"))
    except Unreadable as error:
        raise UserError(f"cannot read the config file {file}: {error}") from error
    except RecursionError:
        raise UserError(f"the config file {file} is nested too deep") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the config file {file} is not valid TOML: {error}") from error
    flat = {}
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise UserError(
                f"config file {file}: {section!r} stands outside of any section",
                f"put it under one of [{'], ['.join(SECTIONS)}]",
            )
        flat |= {f"{section}.{key}": value for key, value in table.items()}
    return flat


def _read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = {ENVIRONMENT_PREFIX + key.replace(".", "_").upper(): key for key in _specs()}
    found = {}
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            if name not in names:
                raise UserError(f"environment variable {name} is no option", _nearest(name, names))
            found[names[name]] = value
    return found


def _nearest(name: str, known) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if not close:  # "l1" is nobody's neighbour by letters, but it is the end of self_regularisation.l1
        close = [key for key in known if key.split(".")[-1] == name.split(".")[-1]]
    return f"did you mean {close[0]}" if close else "`simrefine config` lists all options"


def _checked(key: str, value: Any, source: str) -> Any:
    """`value` in the type of the option `key`; text is parsed, as it comes from a flag or a variable."""
    specs = _specs()
    if key not in specs:
        raise UserError(f"{source}: unknown option {key!r}", _nearest(key, specs))
    spec = specs[key]
    if key == "data.size" and value == "auto":
        value = 0
    try:
        value = _parsed(spec.type, value)
    except (ValueError, TypeError, OverflowError) as error:
        name = getattr(spec.type, "__name__", str(spec.type))
        raise UserError(f"{source}: {key} = {value!r} is not of type {name}", spec.metadata["help"]) from error
    choices, low, high = (spec.metadata[name] for name in ("choices", "low", "high"))
    if choices and value not in choices:
        raise UserError(f"{source}: {key} = {value!r} is not one of {', '.join(map(repr, choices))}")
    # `not low <= value` rather than `value < low`: a NaN fails every comparison and must not pass.
    if (low is not None and not low <= value) or (high is not None and not value <= high):
        span = f"at least {low}" if high is None else f"between {low} and {high}"
        raise UserError(f"{source}: {key} = {value!r} must be {span}", spec.metadata["help"])
    return value


def _parsed(kind: Any, value: Any) -> Any:
    if kind is bool:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, bool):
            return value
        raise ValueError(value)
    if kind is int and not isinstance(value, bool):
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(value)
        return int(value)
    if kind is float and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if kind == tuple[str, ...]:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
            return tuple(value)
    raise ValueError(value)


def masks_beside(folder: Path | str) -> str:
    """The folder of part masks that lies beside a folder of pictures; "" where none does."""
    beside = os.path.normpath(folder) + MASKS
    return beside if os.path.isdir(beside) else ""


def _resolve(flat: dict[str, Any]) -> None:
    """Fills in what 0 and relative paths stand for, and refuses options that exclude each other or do nothing."""
    _refuse_idle(flat)
    if flat["labels.file"] == "auto" and flat["data.synthetic"]:
        beside = os.path.join(flat["data.synthetic"], ANNOTATIONS)
        flat["labels.file"] = beside if os.path.exists(beside) else ""
    if flat["parts.masks"] == "auto" and flat["data.synthetic"]:
        flat["parts.masks"] = masks_beside(flat["data.synthetic"])
    try:
        parse_classes(flat["parts.classes"])
    except ValueError as error:
        raise UserError(f"parts.classes: {error}", "write it as 'skin=1+7,hair=6'") from error
    for key in ("data.synthetic", "data.real", "labels.file", "parts.masks"):
        if flat[key] != "auto":  # which it stays where there is no synthetic folder yet
            flat[key] = flat[key] and os.path.abspath(flat[key])  # a resumed run may be started from another folder
    if flat["data.size"] and flat["data.size"] < LEAST_SIZE:
        raise UserError(
            f"data.size = {flat['data.size']!r} must be auto, or between {LEAST_SIZE} and 1024",
            help_of("data.size"),
        )
    if METHODS[flat["method.name"]].makes == "generator":
        _resolve_generator(flat)
    else:
        _resolve_refiner(flat)


def _resolve_generator(flat: dict[str, Any]) -> None:
    size, batch, views = (flat[key] for key in ("data.size", "training.batch_size", "generator.views"))
    if size & (size - 1):
        raise UserError(
            f"data.size = {size} is no power of two, as method.name = generator needs it",
            f"use {_power_of_two(size)}",
        )
    if batch % views or batch < 2 * views:
        raise UserError(
            f"training.batch_size = {batch} does not hold {views} faces (generator.views) of each of at least 2 people",
            f"use {max(2, round(batch / views)) * views}",
        )
    if flat["generator.identity_batch"] < 2 * views:
        raise UserError(
            f"generator.identity_batch = {flat['generator.identity_batch']} does not hold {views} faces "
            "(generator.views) of each of 2 people",
            f"use {2 * views} or more",
        )
    if not flat["generator.parts"]:
        flat["generator.mixing"] = 0.0  # there are no parts to mix


def _power_of_two(side: float) -> int:
    return 2 ** round(math.log2(max(side, LEAST_SIZE)))


def _resolve_refiner(flat: dict[str, Any]) -> None:
    refiner = REFINERS[flat["refiner.name"]]
    flat["refiner.width"] = flat["refiner.width"] or refiner.width
    flat["refiner.blocks"] = flat["refiner.blocks"] or refiner.blocks
    if flat["data.size"] % refiner.stride:
        nearest = max(refiner.stride, round(flat["data.size"] / refiner.stride) * refiner.stride)
        raise UserError(
            f"data.size = {flat['data.size']} is no multiple of {refiner.stride}, as refiner.name = "
            f"{flat['refiner.name']} needs it",
            f"use {nearest}, or another refiner",
        )
    if flat["keeper.landmarks"] and flat["data.size"] % LANDMARK_STRIDE:
        raise UserError(
            f"data.size = {flat['data.size']} is no multiple of {LANDMARK_STRIDE}, as keeper.landmarks needs it",
            f"use {max(1, round(flat['data.size'] / LANDMARK_STRIDE)) * LANDMARK_STRIDE}, or keeper.landmarks = 0",
        )
    if flat["history.half_batches"] and flat["training.batch_size"] % 2:
        raise UserError(
            f"training.batch_size = {flat['training.batch_size']} is odd, but the history takes half of each batch",
            "make it even, or set history.half_batches = 0",
        )


def parse_classes(classes: Collection[str]) -> dict[int, str]:
    """What each class of a user's masks is: ("skin=1+7", ...) to {1: "skin", 7: "skin", ...}.

    Raises:
        ValueError: no such part, no whole number from 0 to 254, or a class that stands for two parts. The text says
            which.
    """
    table: dict[int, str] = {}
    for entry in classes:
        part, _, numbers = (text.strip() for text in entry.partition("="))
        if part not in PARTS:
            raise ValueError(f"{part!r} is no part; choose from {', '.join(PARTS)}")
        for text in numbers.split("+"):
            if not text.strip().isdecimal() or int(text) > 254:
                raise ValueError(f"{text!r} in {entry!r} is no class: a whole number from 0 to 254")
            if table.setdefault(int(text), part) != part:
                raise ValueError(f"class {int(text)} stands for both {table[int(text)]} and {part}")
    return table


def _refuse_idle(flat: dict[str, Any]) -> None:
    """Raises a UserError where an option was set that the method makes no use of."""
    method = flat["method.name"]
    if _is_unused("labels.file", method) and flat["labels.file"] == "auto":
        flat["labels.file"] = ""
    for key, spec in _specs().items():
        if _is_unused(key, method) and flat[key] not in (spec.default, ""):
            raise UserError(
                f"{key} = {flat[key]!r} does nothing where method.name = {method}",
                "leave it out, or name another method",
            )


def _is_unused(key: str, method: str) -> bool:
    unused = METHODS[method].unused
    return key in unused or key.split(".")[0] in unused


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return repr(value)
