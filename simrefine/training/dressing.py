"""What a training dresses its renders with: part masks, label points and photographs in; the dresser, and the parser
that was trained for it, out. Without masks and points, or where it is asked for, whole pictures' colours."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from simrefine.config import Config, parse_classes
from simrefine.data.dressing import Dresser, PartLooks, PictureStyles, read_looks
from simrefine.data.faces import Faces
from simrefine.data.images import ImageError, shrink, to_signed
from simrefine.data.masks import read_mask
from simrefine.data.parts import parts_of_mask, parts_of_points
from simrefine.data.styles import read_all_styles, restyle_alone
from simrefine.errors import UserError
from simrefine.methods.method import PARSER
from simrefine.methods.state import assign
from simrefine.models.parser import SIZE, build_parser, parser_of
from simrefine.training.inputs import spread
from simrefine.training.montage import part_sheet
from simrefine.training.parser import PartLabels, agreement, fit_parser

MAX_PHOTOGRAPHS = 4096  # whose colours are used and kept with the refiner
MAX_FACES = 4096  # renders that the parser learns from, spread over the pile
LABEL_SIZE = 2 * SIZE  # px of the part labels that are kept, finer than the parser works
HELD_OUT = 0.05  # share of the renders, the last ones, that the parser is tested on
SHOWN = 12  # photographs whose parts are shown
NEEDED_BY_SCENES = ("background", "hair", "clothes")
MAX_CHANGE = 50.0  # gray levels; where styles of whole pictures change renders by more, they do harm
TRIED = 64  # renders on which that is tried


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
) -> Dressing:
    """Trains the parser where `style.by` has a use for one, and reads the photographs.

    Args:
        synthetic, real: the faces to learn from.
        say: called with a line on what is done.
        arrays: of the checkpoint that is resumed; it has the parser's weights.

    Raises:
        UserError: parts are asked for and none are known; a mask cannot be read.
    """
    photographs = real.pile[spread(len(real), MAX_PHOTOGRAPHS)]
    labels, kinds = _read_part_labels(config, synthetic, say) if _wants_parts(config) else (None, ())
    if labels is None:
        if config.style.by == "parts":
            raise UserError(
                "style.by = parts, and there are neither part masks nor 68 label points",
                "name a folder of masks with parts.masks, or set style.by = picture",
            )
        return Dressing(_picture_styles(config, synthetic, photographs, say))
    chosen, labels = labels
    faces = PartLabels(shrink(synthetic.pile[chosen], SIZE), labels)
    parser = build_parser(config.data.channels, dtype, config.training.seed)
    if arrays:
        names = sorted(name for name in arrays if name.startswith(PARSER))
        assign(parser.variables, [arrays[name] for name in names], Path("the checkpoint"))
    else:
        _train(parser, faces, photographs, config, say)
    parse = parser_of(parser)
    scenes = config.parts.scene and kinds.issuperset(NEEDED_BY_SCENES)
    bank, rooms = read_looks(photographs, parse, scenes)
    say(f"photographs {len(bank.shares)} of {len(photographs)} have a natural complexion and dress the renders")
    if config.parts.scene and not scenes:
        say("            renders keep their own rooms: no mask says where hair and clothes are")
    held_out = faces.images[-_held_out(len(chosen)) :]
    shown = photographs[spread(len(photographs), SHOWN)]
    return Dressing(
        PartLooks(bank, config.parts.candidates, parse, rooms, parse(synthetic.images)),
        parser,
        agreement(parse(held_out), labels[-len(held_out) :]),
        part_sheet(shown, parse(shown)),
    )


def _wants_parts(config: Config) -> bool:
    return config.style.by != "picture" and config.style.candidates > 0


def _held_out(count: int) -> int:
    return max(1, int(HELD_OUT * count))


def _train(parser: keras.Model, faces: PartLabels, photographs: np.ndarray, config: Config, say) -> None:
    """On all but the faces that are held out."""
    learnt = len(faces.images) - _held_out(len(faces.images))
    say(f"training the parser: {config.parts.steps} steps on {learnt} renders")
    told = set()

    def progress(share: float) -> None:
        tenth = int(10 * share)
        if tenth not in told and 0 < tenth < 10:
            told.add(tenth)
            say(f"            {10 * tenth} %")

    behind = shrink(photographs, SIZE)
    learning = PartLabels(faces.images[:learnt], faces.labels[:learnt])
    fit_parser(
        parser, learning, behind, read_all_styles(behind), config.training.seed, config.parts.steps, progress=progress
    )


def _read_part_labels(config: Config, synthetic: Faces, say) -> tuple[tuple | None, set[str]]:
    """Which renders have part labels and those, uint8 [m, LABEL_SIZE, LABEL_SIZE], or None; and the parts they know."""
    chosen = spread(len(synthetic), MAX_FACES)
    if config.parts.masks:
        table = parse_classes(config.parts.classes)
        found = [(place, _mask_of(synthetic, place, Path(config.parts.masks))) for place in chosen]
        found = [(place, parts_of_mask(_read(path), table, LABEL_SIZE)) for place, path in found if path.exists()]
        if not found:
            raise UserError(
                f"no picture of {synthetic.folder} has a mask of its name in {config.parts.masks}",
                "name the folder of the masks with parts.masks, or set it to ''",
            )
        say(f"parts       {config.parts.masks}: masks of {len(found)} pictures")
        places, labels = zip(*found, strict=True)
        return (np.array(places), np.stack(labels)), set(table.values())
    if synthetic.points is not None and synthetic.points.shape[1] == 68:
        scale = LABEL_SIZE / config.data.size
        labels = np.stack([parts_of_points(synthetic.points[place] * scale, LABEL_SIZE) for place in chosen])
        say("parts       from the label points: skin, brows, eyes, lips and mouth")
        return (chosen, labels), {"background", "skin", "brows", "eyes", "lips", "mouth"}
    return None, set()


def _read(path: Path) -> np.ndarray:
    try:
        return read_mask(path)
    except ImageError as error:
        raise UserError(f"the mask {path} cannot be used: {error}", "mend it, or take it away") from error


def _mask_of(faces: Faces, place: int, folder: Path) -> Path:
    return folder / Path(faces.names[place]).with_suffix(".png")


def _picture_styles(config: Config, synthetic: Faces, photographs: np.ndarray, say) -> PictureStyles:
    """The styles of whole pictures, or none where they would do harm: where the two piles have little in common, as
    gray photographs of stretched contrast and soft renders have, a picture is driven into black and white."""
    # One photograph at a time: all together, in the precision that this takes, they would fill the memory.
    styles, candidates = read_all_styles(photographs), config.style.candidates
    if candidates:
        tried = to_signed(synthetic.pile[spread(len(synthetic), TRIED)])
        change = np.abs(restyle_alone(tried, styles, candidates, 0) - tried).mean() * 127.5
        if change > MAX_CHANGE:
            say(
                f"styles      step back: the photographs' colours would change renders by {change:.0f} gray levels in "
                "the mean, which no refiner could mend"
            )
            candidates = 0
    return PictureStyles(styles, candidates)
