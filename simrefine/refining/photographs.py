"""What faces are dressed with when a folder is refined: the refiner's own colours, a user's style, or photographs in
whose rooms and on whose heads they are put. In go a published refiner and paths; out comes a dresser
(data/dressing.py)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from simrefine.config import Config
from simrefine.data.batches import Pile
from simrefine.data.dressing import (
    Dresser,
    Parse,
    PartLooks,
    PictureStyles,
    bank_of,
    known_again,
    looks_of,
    read_dresser,
    read_looks,
)
from simrefine.data.folders import Record, list_folder
from simrefine.data.heads import HeadsOnDemand
from simrefine.data.images import ImageError, read_picture, to_channels, to_signed
from simrefine.data.scenes import ScenesOnDemand, read_scenes
from simrefine.data.styles import read_styles
from simrefine.errors import UserError
from simrefine.methods.state import build_from
from simrefine.models.parser import build_parser, parser_of
from simrefine.training.dressing import MAX_PHOTOGRAPHS
from simrefine.training.inputs import spread
from simrefine.training.published import PublishedRefiner

MAX_PARSED = 2048  # photographs in whose rooms faces are put, where they are not those of the training
MEMORY_GIB = 4.0  # of photographs
STYLE_SIZE = 64  # px at which the colours of a folder of photographs are read: enough for a mean and a covariance


def build_dresser(
    path: Path, published: PublishedRefiner, dtype: str, style: Path | None, photographs: Path | None, heads: bool
) -> tuple[Dresser, bytes]:
    """The dresser of a refiner, and the SHA-256 of the pictures that it is from: of their pixels, for what the parser
    makes of them is rounded otherwise by another number of threads. b"" where it is the refiner's own.

    Args:
        path: where the refiner is from.
        published: what was found there.
        dtype: the Keras dtype policy of the parser.
        style: a photograph, or a folder of them, for their colours alone.
        photographs: a folder of photographs for colours and rooms; None = the run's own, where it was trained so and
            they are still there.
        heads: whether faces are put on photographed heads, where the refiner was trained so.

    Raises:
        UserError: the refiner was not trained for that; a path holds no usable picture.
    """
    config, parse = published.config, published_parser(path, published, dtype)
    if style is not None and not config.style.candidates:
        raise UserError(f"{path} was trained without styles", "leave out --style, or train with style.candidates")
    if photographs is not None and not config.parts.scene:
        raise UserError(f"{path} was not trained on faces in photographs' rooms", "leave out --photos, or name --style")
    if photographs is None and style is None and config.parts.scene:
        photographs = own_photographs(path)
    if parse and photographs:
        return _put_in(read_photographs(photographs, config), published, parse, heads and config.parts.head)
    if parse and style:
        pile = read_photographs(style, config)
        images = _all(pile)[spread(len(pile), MAX_PARSED)]
        return looks_of(read_looks(images, parse).bank, config, parse, published.looks), hashlib.sha256(images).digest()
    if style is not None:
        styles = read_style(style, config.data.channels)
        return PictureStyles(styles, config.style.candidates), hashlib.sha256(styles).digest()
    return read_dresser(published.looks, config, parse), b""


def _put_in(pile: Pile, published: PublishedRefiner, parse: Parse, heads: bool) -> tuple[PartLooks, bytes]:
    """As `build_dresser`, by photographs in whose rooms and on whose heads faces are put. Those of the training are
    known again: their bank is there. People are found, and larger pictures read, when they are needed."""
    images = _all(pile)
    kept = known_again(images, published.looks)
    if kept is None:
        pile = pile.take(spread(len(pile), MAX_PARSED))
        images = _all(pile)
        found = read_looks(images, parse)
        bank, own, kept, labels = found.bank, found.images, found.prints[:, 2] > 0, found.soft.__getitem__
    else:
        bank, own = bank_of(published.looks), images[kept]

        def labels(places: np.ndarray) -> np.ndarray:
            return parse(own[places])

    pile = pile.take(np.flatnonzero(kept))
    rooms = ScenesOnDemand(lambda places: read_scenes(own[places], labels(places)))
    seats = HeadsOnDemand(lambda places, side: pile.at(side)[places], labels, pile.size) if heads else None
    return looks_of(bank, published.config, parse, published.looks, rooms, seats), hashlib.sha256(images).digest()


def _all(pile: Pile) -> np.ndarray:
    """Uint8 [n, size, size, c]."""
    return np.ascontiguousarray(pile[np.arange(len(pile))])


def published_parser(path: Path, published: PublishedRefiner, dtype: str) -> Parse | None:
    """The parser that was published with a refiner, where there is one, as a function."""
    if not published.parser:
        return None
    channels = published.config.data.channels
    return parser_of(build_from(lambda: build_parser(channels, dtype, seed=0), published.parser, path))


def own_photographs(path: Path) -> Path | None:
    """The folder of photographs that the run at `path`, or around it, was trained on, while it is there."""
    for file in (path / "config.toml", path.parent / "config.toml"):
        if file.exists():
            folder = Path(Config.load(file, environment={}, recorded=True).data.real)
            return folder if folder.is_dir() else None
    return None


def read_photographs(path: Path, config: Config) -> Pile:
    """At most MAX_PHOTOGRAPHS of a folder, or a single picture, at the size of the training.

    Raises:
        UserError: it is missing, or holds no usable picture.
    """
    size, channels = config.data.size, config.data.channels
    if not path.is_dir():
        _read_one(path, channels)  # which says what is wrong with it
        return Pile([Record(path, PurePosixPath(path.name))], size, channels, MEMORY_GIB)
    records = list_folder(path, config.data.exclude, what="folder of photographs", shards=True).pictures
    return _read_all(path, [records[place] for place in spread(len(records), MAX_PHOTOGRAPHS)], size, channels)


def read_style(path: Path, channels: int) -> np.ndarray:
    """The colours of a photograph, or of all in a folder: [m, 1 + channels, channels].

    Raises:
        UserError: it is missing, or holds no usable picture.
    """
    if path.is_dir():
        records = list_folder(path, what="style folder", shards=True).pictures
        return read_styles(to_signed(_all(_read_all(path, records, STYLE_SIZE, channels))))
    return read_styles(to_signed(_read_one(path, channels)[None]))


def _read_all(path: Path, records: Sequence[Record], size: int, channels: int) -> Pile:
    pile = Pile(records, size, channels, MEMORY_GIB)
    if not len(pile):
        raise UserError(f"the style folder {path} holds no usable picture", "name a photograph or a folder of them")
    return pile


def _read_one(path: Path, channels: int) -> np.ndarray:
    try:
        return to_channels(read_picture(path).pixels, channels)
    except ImageError as error:
        raise UserError(f"the style picture {path} cannot be used: {error}", "name a photograph or a folder") from error
