"""Both piles before they are learnt from: a table of what was found, warnings where that looks like a mistake, and
data.png, faces of both as the networks will see them.

In go the Faces that a training has read; out come lines of text and one picture. Nothing here stops a training.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simrefine.config import ANNOTATIONS, MASKS, Config
from simrefine.data.faces import Faces, label_faces
from simrefine.data.images import ImageError, Picture, decode_picture, encode_picture, to_channels
from simrefine.data.label_fit import points_fit
from simrefine.data.points import LEFT_EYE, MOUTH, RIGHT_EYE
from simrefine.errors import UserError
from simrefine.files import write_file
from simrefine.training.inputs import spread
from simrefine.training.montage import sheet

SHEET = "data.png"
SHOWN = 12  # faces of each pile
SAMPLE = 200  # pictures of a pile that are looked at
FEW_COLOURS = 32  # a picture with no more is a mask, not a face
GRAY_SHARE = 0.9  # of a sample that is gray: the pile is
# Renders have more pixels equal to their neighbour, and fewer colours. On 128 px renders and photographs the medians
# differ by factors of 1.8 and 2.2; where the "photographs" exceed the "renders" so far in both, the piles look swapped.
SWAPPED = 1.3
# How far the mean heights of eyes and mouth may differ, in shares of the side, and the distance of the eyes, as a
# ratio. Piles framed alike differ by 0.015 and 1.04.
FRAMING, EYE_RATIO = 0.05, 1.2
ENLARGED = 1.5  # times; above it most of what is learnt is blur
GUIDES = {"eyes": (0, 255, 0), "mouth": (255, 0, 255)}


@dataclass(frozen=True)
class Look:
    """What a sample of the files of one pile shows, as they are on the disk.

    Args:
        gray: share of the pictures without colour.
        masks: the files with so few colours that they look like masks: posix paths below the folder.
        sampled: the files that were looked at.
        flat: share of pixels equal to their right neighbour, the median over the training pictures.
        colours: how many colours a training picture has, the median.
    """

    gray: float
    masks: list[str]
    sampled: list[str]
    flat: float
    colours: float


@dataclass(frozen=True)
class Framing:
    """Where faces are on average, in shares of the side."""

    eyes: float  # height
    mouth: float  # height
    distance: float  # between the middles of the eyes


def check_data(config: Config, synthetic: Faces, real: Faces, say: Callable[[str], None]) -> np.ndarray:
    """Says what the piles hold and warns where they look swapped, mixed with masks, or framed differently.

    Args:
        config: of the training; `data.size` is a number.
        synthetic, real: the piles, at least one picture each.
        say: called with each line.

    Returns:
        Faces of both as the networks will see them, see `draw_sheet`: uint8 [2 size, columns size, 3].
    """
    piles = {"synthetic": _with_labels(synthetic, config.labels.file), "real": _with_labels(real, "auto")}
    looks = {name: look_at(pile) for name, pile in piles.items()}
    framings = {name: framing(pile.points, pile.pile.size) for name, pile in piles.items()}
    for line in _table(piles, looks):
        say(line)
    for line in _places_of_labels(config, piles["synthetic"]):
        say(line)
    warnings = [*_mask_warnings(piles, looks), *_size_warnings(piles)]
    warnings += swap_warnings(piles, looks) + framing_warnings(*framings.values()) + fit_warnings(piles)
    for warning in warnings:
        say(f"WARNING: {warning}")
    return draw_sheet([synthetic, real], list(framings.values()))


def write_sheet(path: Path, pixels: np.ndarray, say: Callable[[str], None]) -> None:
    """Writes the picture of `check_data`, and says where."""
    write_file(path, encode_picture(Picture(pixels), ".png"))
    say(f"data        look at {path}: above renders, below photographs, lines at the mean height of eyes and mouth")


def look_at(faces: Faces) -> Look:
    """Looks at SAMPLE pictures of a pile, evenly spread."""
    places = spread(len(faces), SAMPLE)
    gray, masks, names = [], [], []
    for place in places:
        record = faces.pile.records[place]
        try:
            pixels = decode_picture(record.read()).pixels
        except ImageError:  # it was readable a moment ago; whoever trains on it reports that
            continue
        names.append(str(record.relative))
        gray.append(bool((pixels == pixels[..., :1]).all()))
        if count_colours(pixels) <= FEW_COLOURS:
            masks.append(names[-1])
    trained = faces.pile[places]
    flat = [(picture[:, 1:] == picture[:, :-1]).all(axis=-1).mean() for picture in trained]
    colours = [count_colours(picture) for picture in trained]
    return Look(float(np.mean(gray or [0])), masks, names, float(np.median(flat)), float(np.median(colours)))


def count_colours(pixels: np.ndarray) -> int:
    """How many colours, or gray levels, a picture has: uint8 [h, w, c]."""
    levels = to_channels(pixels, 3).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return len(np.unique(levels))


def framing(points: np.ndarray | None, size: int) -> Framing | None:
    """Where eyes and mouth are on average: [n, 68 or 5, 2] in px of pictures of `size` px; None where that is not
    known."""
    places = {68: (LEFT_EYE, RIGHT_EYE, MOUTH), 5: ([0], [1], [3, 4])}.get(0 if points is None else points.shape[1])
    if places is None or not np.isfinite(points).all(axis=(1, 2)).any():
        return None
    left, right, mouth = (
        points[np.isfinite(points).all(axis=(1, 2))][:, place].mean(axis=1) / size for place in places
    )
    distance = np.linalg.norm(left - right, axis=-1)
    return Framing(float((left + right)[:, 1].mean() / 2), float(mouth[:, 1].mean()), float(distance.mean()))


def swap_warnings(piles: dict[str, Faces], looks: dict[str, Look]) -> list[str]:
    """A warning where the real pile looks rendered and the synthetic one photographed; else nothing."""
    reasons = []
    synthetic, real = looks["synthetic"], looks["real"]
    if real.flat > SWAPPED * synthetic.flat and synthetic.colours > SWAPPED * real.colours:
        reasons.append(
            f"the real pictures have more flat areas ({real.flat:.0%} of the pixels, synthetic {synthetic.flat:.0%}) "
            f"and fewer colours ({real.colours:.0f}, synthetic {synthetic.colours:.0f})"
        )
    beside = {name: Path(f"{pile.folder}{MASKS}").is_dir() for name, pile in piles.items()}
    if beside["real"] and not beside["synthetic"]:
        reasons.append(f"part masks lie beside the real folder ({piles['real'].folder}{MASKS})")
    return [f"--synthetic and --real look swapped: {'; '.join(reasons)}"] if reasons else []


def framing_warnings(synthetic: Framing | None, real: Framing | None) -> list[str]:
    """A warning where faces are not in the same place in both piles; nothing where it is not known where they are."""
    if synthetic is None or real is None:
        return []
    differing = [
        f"{what} at {ours:.0%} of the height in renders, at {theirs:.0%} in photographs"
        for what, ours, theirs in (("eyes", synthetic.eyes, real.eyes), ("mouth", synthetic.mouth, real.mouth))
        if abs(ours - theirs) > FRAMING
    ]
    ratio = synthetic.distance / real.distance
    if not 1 / EYE_RATIO <= ratio <= EYE_RATIO:
        differing.append(f"faces {ratio:.2f} times as large in renders as in photographs")
    fix = "; cut both alike with `simrefine prepare`"
    return [f"the piles are framed differently: {'; '.join(differing)}{fix}"] if differing else []


def fit_warnings(piles: dict[str, Faces]) -> list[str]:
    """A warning for each pile whose label points sit on no face, see `data.label_fit.points_fit`."""
    return [
        f"the label points of the {name} pictures sit on no face: {pile.folder} holds no pictures that are more alike "
        "when turned by their own points than by those of another; name the label file of these very pictures"
        for name, pile in piles.items()
        if pile.points is not None and points_fit(*_sample(pile)) is False
    ]


def _sample(faces: Faces) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with points, as they are trained on, spread over the pile: uint8 [n, h, w, c] and [n, k, 2]."""
    known = np.flatnonzero(np.isfinite(faces.points).all(axis=(1, 2)))
    places = known[spread(len(known), SAMPLE)]
    return faces.pile[places], faces.points[places]


def draw_sheet(piles: list[Faces], framings: list[Framing | None]) -> np.ndarray:
    """SHOWN faces of each pile, a row a pile, with thin lines at the mean heights of its eyes and mouth where they are
    known: uint8 [piles size, SHOWN size, 3]. A pile of fewer faces leaves black places."""
    size = piles[0].pile.size
    rows = np.zeros((len(piles), SHOWN, size, size, 3), np.uint8)
    for row, faces, mean in zip(rows, piles, framings, strict=True):
        shown = to_channels(faces.pile[spread(len(faces), SHOWN)], 3)
        row[: len(shown)] = shown
        for what, colour in GUIDES.items() if mean else ():
            row[: len(shown), min(max(int(getattr(mean, what) * size), 0), size - 1)] = colour
    return sheet(rows)


def _with_labels(faces: Faces, file: str) -> Faces:
    """`faces` with the points of a label file, for their framing only; without, where it is missing or of no use."""
    file = faces.folder / ANNOTATIONS if file == "auto" else file
    if faces.points is not None or not file or not Path(file).exists():
        return faces
    try:
        return label_faces(faces, file, partly=True)
    except UserError:  # whoever trains or evaluates with them says what is wrong
        return replace(faces, points=None)


def _table(piles: dict[str, Faces], looks: dict[str, Look]) -> Iterator[str]:
    row = "data        {:<10} {:>8} {:>9}  {:<27} {:<12} {}".format
    yield row("", "pictures", "rejected", "sides least, median, most", "colour", "points")
    for name, faces in piles.items():
        sides = faces.pile.source_sizes
        shorter, longer = sides.min(axis=1), sides.max(axis=1)
        share = looks[name].gray
        colour = "gray" if share >= GRAY_SHARE else f"{share:.0%} gray" if share else "colour"
        known = 0 if faces.points is None else int(np.isfinite(faces.points).any(axis=(1, 2)).sum())
        points = f"{faces.points.shape[1]} in {known} pictures" if known else "none"
        spans = f"{shorter.min()}, {np.median(shorter):.0f}, {longer.max()} px"
        yield row(name, len(faces), len(faces.rejects), spans, colour, points)


def _places_of_labels(config: Config, synthetic: Faces) -> Iterator[str]:
    """Where labels were looked for that were not found, and which masks are used; label files that are used have been
    named when they were read."""
    folder = synthetic.folder
    if not config.labels.file:
        deeper = next(iter(sorted(folder.glob(f"*/{ANNOTATIONS}"))), None)
        hint = f"; there is {deeper}: name it with --labels" if deeper else ""
        yield f"labels      none: looked for {folder / ANNOTATIONS}{hint}"
    yield f"masks       {f'found {config.parts.masks}' if config.parts.masks else f'none: looked for {folder}{MASKS}'}"


def _mask_warnings(piles: dict[str, Faces], looks: dict[str, Look]) -> Iterator[str]:
    for name, look in looks.items():
        if look.masks:
            yield (
                f"{len(look.masks)} of {len(look.sampled)} {name} pictures looked at have at most {FEW_COLOURS} "
                f"colours, as masks have, such as {piles[name].folder / look.masks[0]}; {_how_to_exclude(look)}"
            )


def _how_to_exclude(look: Look) -> str:
    """The --exclude that leaves the masks out and no other picture that was looked at."""
    faces = set(look.sampled) - set(look.masks)
    ending = _common_ending(look.masks)
    folders = {Path(name).parent.name for name in look.masks}
    if not faces:
        return "name the folder of the faces instead"
    if "" not in folders and not any(folders & set(Path(name).parts) for name in faces):
        return "leave them out with " + " ".join(f"--exclude '{folder}'" for folder in sorted(folders))
    if ending and "/" not in ending and not any(name.endswith(ending) for name in faces):
        return f"leave them out with --exclude '*{ending}'"
    return "if they are masks, leave them out with --exclude PATTERN"


def _common_ending(names: list[str]) -> str:
    ending = names[0]
    while not all(name.endswith(ending) for name in names):
        ending = ending[1:]
    return ending


def _size_warnings(piles: dict[str, Faces]) -> Iterator[str]:
    for name, faces in piles.items():
        size, side = faces.pile.size, float(np.median(faces.pile.source_sizes.min(axis=1)))
        if size > ENLARGED * side:
            yield f"{name} pictures of {side:.0f} px are enlarged to {size} px, {size / side:.1f} times: lower --size"
