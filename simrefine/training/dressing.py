"""What a training dresses its renders with: part masks, label points and photographs in; the dresser, and the parser
that was trained for it, out. Without masks and points, or where it is asked for, whole pictures' colours."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from simrefine.config import Config, parse_classes
from simrefine.data.chroma import in_pixels, match_softness
from simrefine.data.dressing import Dresser, Parse, PartLooks, PictureStyles, read_looks
from simrefine.data.faces import Faces
from simrefine.data.folders import Record
from simrefine.data.heads import Heads
from simrefine.data.images import GRAY_LEVELS, ImageError, shrink, to_signed
from simrefine.data.masks import MaskFolder, decode_mask
from simrefine.data.parts import OF_POINTS, label, parts_of_mask, parts_of_points, resize_soft
from simrefine.data.scenes import read_scenes
from simrefine.data.styles import read_all_styles, restyle_alone
from simrefine.errors import UserError
from simrefine.methods.method import PARSER
from simrefine.methods.state import assign
from simrefine.models.parser import SIZE, build_parser, parser_of
from simrefine.threads import in_batches
from simrefine.training.inputs import spread
from simrefine.training.montage import part_sheet
from simrefine.training.pace import Pace
from simrefine.training.parser import PartLabels, agreement, fit_parser

MAX_PHOTOGRAPHS = 4096  # whose colours are used and kept with the refiner
MAX_FACES = 4096  # renders that the parser learns from, spread over the pile
PARSED_AT_ONCE = 256  # renders
LABEL_SIZE = 2 * SIZE  # px of the part labels that are kept, finer than the parser works
HELD_OUT = 0.05  # share of the renders, the last ones, that the parser is tested on
COMPARED = 100  # faces of each pile whose colours are compared
SHOWN = 12  # photographs whose parts are shown
NEEDED_BY_SCENES = ("background", "hair", "clothes")
MAX_CHANGE = 50.0  # gray levels; where styles of whole pictures change renders by more, they do harm
TRIED = 64  # renders on which that is tried


class KnownParts(NamedTuple):
    """What is known of the parts of some renders."""

    places: np.ndarray  # int [m], which of the pile
    labels: np.ndarray  # uint8 [m, side, side], see data/parts.py
    parts: frozenset[str]  # those that the labels tell apart


class Dressing(NamedTuple):
    """What a training dresses its renders with, and how it came to it."""

    dresser: Dresser
    parser: keras.Model | None = None
    agreement: float | None = None  # of the parser's labels with those of held-out renders, in [0, 1]
    sheet: np.ndarray | None = None  # uint8 [h, w, 3]: photographs above their parts


def prepare_dressing(
    config: Config,
    synthetic: Faces,
    real: Faces,
    dtype: str,
    say: Callable[[str], None],
    arrays: Mapping[str, np.ndarray] | None = None,
    pace: Pace | None = None,
) -> Dressing:
    """Trains the parser where `style.by` has a use for one, and reads the photographs.

    Args:
        synthetic, real: the faces to learn from.
        say: called with a line on what is done.
        arrays: of the checkpoint that is resumed; it has the parser's weights.
        pace: is told of each step of the parser.

    Raises:
        UserError: parts are asked for and none are known; a mask cannot be read.
    """
    styled = config.style.by != "picture" and config.style.candidates
    chosen = spread(len(synthetic), MAX_FACES)
    known = read_parts(config, synthetic, chosen, LABEL_SIZE, say) if styled else None
    if known is None:
        if config.style.by == "parts":
            raise UserError(
                "style.by = parts, and there are neither part masks nor 68 label points, or style.candidates = 0",
                "name a folder of masks with parts.masks, or set style.by = picture",
            )
        return Dressing(_picture_styles(config, synthetic, real, say))
    photographs = real.pile[spread(len(real), MAX_PHOTOGRAPHS)]
    faces = PartLabels(shrink(synthetic.pile[known.places], SIZE), known.labels)
    held_out = max(1, int(HELD_OUT * len(faces.images)))
    parser = build_parser(config.data.channels, dtype, config.training.seed)
    if arrays:
        names = sorted(name for name in arrays if name.startswith(PARSER))
        assign(parser.variables, [arrays[name] for name in names], Path("the checkpoint"))
    else:
        _train(parser, PartLabels(*(values[:-held_out] for values in faces)), photographs, config, say, pace or Pace())
    parse = parser_of(parser)
    shown = photographs[spread(len(photographs), SHOWN)]
    return Dressing(
        _part_looks(config, synthetic, photographs, parse, known.parts.issuperset(NEEDED_BY_SCENES), say),
        parser,
        agreement(parse(faces.images[-held_out:]), faces.labels[-held_out:]),
        part_sheet(shown, parse(shown)),
    )


def _part_looks(
    config: Config, synthetic: Faces, photographs: np.ndarray, parse: Parse, told: bool, say: Callable[[str], None]
) -> PartLooks:
    """What photographs give to the renders; rooms and heads only where it is `told` where hair and clothes are."""
    found = read_looks(photographs, parse)
    scenes = told and config.parts.scene
    rooms = read_scenes(found.images, found.soft) if scenes else None
    heads = Heads(found.images, found.soft) if scenes and config.parts.head else None
    say(f"photographs {len(found.images)} of {len(photographs)} have a natural complexion and dress the renders")
    if config.parts.scene and not told:
        say("            renders keep their own rooms: no mask says where hair and clothes are")
    labels = _labels_of_all(parse, synthetic, _masks(config))
    looks = PartLooks(found.bank, config.parts.candidates, parse, rooms, labels, found.prints, heads)
    looks.softens_features = config.parts.soften
    if config.parts.soften:
        looks.softness = _read_softness(looks, synthetic, photographs)
    if looks.softness:
        deviation = in_pixels(looks.softness, config.data.size)
        say(f"            colours of renders are blurred by {deviation:.1f} px, to be as soft as theirs")
    return looks


def _read_softness(looks: PartLooks, synthetic: Faces, photographs: np.ndarray) -> float:
    """See `chroma.match_softness`; of some faces of each pile."""
    renders = to_signed(synthetic.pile[spread(len(synthetic), COMPARED)])
    others = to_signed(photographs[spread(len(photographs), COMPARED)])
    return match_softness(looks.dress_alone(renders, seed=0).pictures, others)


def _labels_of_all(parse: Parse, faces: Faces, masks: MaskFolder | None) -> np.ndarray:
    """The soft labels of a whole pile, uint8 [n, s, s, parts], which need not fit into memory as pictures: those of its
    masks, and where there is none, or nothing is said, the parser's. Points say too little of hair and clothes."""
    found = _find_masks(masks, faces) if masks else {}
    side = min(faces.pile.size, SIZE)

    def labels(places: np.ndarray) -> np.ndarray:
        known = [_read_mask(found[place], masks.classes, LABEL_SIZE) if place in found else None for place in places]
        labelled = label(faces.pile[places], known, parse)
        return np.concatenate([resize_soft(maps[None], side, side) for maps in labelled])

    return in_batches(labels, np.arange(len(faces)), PARSED_AT_ONCE)


def _masks(config: Config) -> MaskFolder | None:
    return MaskFolder(Path(config.parts.masks), parse_classes(config.parts.classes)) if config.parts.masks else None


def _train(parser: keras.Model, faces: PartLabels, photographs: np.ndarray, config: Config, say, pace: Pace) -> None:
    say(f"training the parser: {config.parts.steps} steps on {len(faces.images)} renders")
    told = set()

    def progress(share: float) -> None:
        pace.tick()
        if rest := pace.rest(round((1 - share) * config.parts.steps)):
            say(f"            {rest} with the parser")
        tenth = int(10 * share)
        if tenth not in told and 0 < tenth < 10:
            told.add(tenth)
            say(f"            {10 * tenth} %")

    behind = shrink(photographs, SIZE)
    seed, steps = config.training.seed, config.parts.steps
    fit_parser(parser, faces, behind, read_all_styles(behind), seed, steps, progress=progress)


def read_parts(
    config: Config, synthetic: Faces, chosen: np.ndarray, side: int, say: Callable[[str], None]
) -> KnownParts | None:
    """The parts of some renders, from their masks or else from their label points; None without either.

    Args:
        config: `parts.masks` is the folder of the masks, `data.size` that of the points.
        chosen: which renders.
        side: of the labels, px.

    Raises:
        UserError: no render has a mask in the folder that is named, or a mask cannot be read.
    """
    if masks := _masks(config):
        found = _find_masks(masks, synthetic)
        known = {place: _read_mask(found[place], masks.classes, side) for place in chosen if place in found}
        if not known:
            raise UserError(
                f"no picture of {synthetic.folder} has a mask of its name in {masks.folder}",
                "name the folder of the masks with parts.masks, or set it to ''",
            )
        say(f"parts       {masks.folder}: masks of {len(known)} pictures")
        return KnownParts(np.array([*known]), np.stack([*known.values()]), frozenset(masks.classes.values()))
    if synthetic.points is not None and synthetic.points.shape[1] == 68:
        points = synthetic.points * side / config.data.size
        say(f"parts       from the label points: {', '.join(OF_POINTS)}")
        labels = np.stack([parts_of_points(points[place], side) for place in chosen])
        return KnownParts(chosen, labels, OF_POINTS)
    return None


def _find_masks(masks: MaskFolder, faces: Faces) -> dict[int, Record]:
    """The masks of a pile's pictures, by their places."""
    relatives = [record.relative for record in faces.pile.records]
    found = masks.find(relatives)
    return {place: found[relative] for place, relative in enumerate(relatives) if relative in found}


def _read_mask(mask: Record, classes: Mapping[int, str], side: int) -> np.ndarray:
    """The part labels of a mask, uint8 [side, side]."""
    try:
        return parts_of_mask(decode_mask(mask.read()), classes, side)
    except ImageError as error:
        raise UserError(f"the mask {mask.place} cannot be used: {error}", "mend it, or take it away") from error


def _picture_styles(config: Config, synthetic: Faces, real: Faces, say) -> PictureStyles:
    """The styles of whole pictures, or none where they would do harm: where the two piles have little in common, as
    gray photographs of stretched contrast and soft renders have, a picture is driven into black and white."""
    # One photograph at a time: all together, in the precision that this takes, they would fill the memory.
    styles = read_all_styles(real.pile[[place]][0] for place in spread(len(real), MAX_PHOTOGRAPHS))
    candidates = config.style.candidates
    if candidates:
        tried = to_signed(synthetic.pile[spread(len(synthetic), TRIED)])
        change = np.abs(restyle_alone(tried, styles, candidates, 0) - tried).mean() * GRAY_LEVELS
        if change > MAX_CHANGE:
            say(
                f"styles      step back: the photographs' colours would change renders by {change:.0f} gray levels in "
                "the mean, which no refiner could mend"
            )
            candidates = 0
    return PictureStyles(styles, candidates)
