"""How rendered faces are dressed before they are refined: in a photograph's colours, part by part where parts are
known, and in its room. One of two dressers serves training and `refine` alike.

In go faces; out come the same faces dressed, with the soft labels of their parts where there are any.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, reduce
from typing import NamedTuple, Protocol

import numpy as np

from simrefine.catalogue import PARTS
from simrefine.config import Config
from simrefine.data.batches import Batch
from simrefine.data.chroma import REACH, SOFTEST, in_pixels, soften
from simrefine.data.features import features_reach, soften_features
from simrefine.data.heads import (
    VIEW,
    Heads,
    HeadsOnDemand,
    Seats,
    choose_heads,
    face_alone,
    light_between,
    light_up,
    mirrored,
    seat,
    views,
)
from simrefine.data.images import resize, to_signed, to_uint8
from simrefine.data.looks import (
    Bank,
    Moments,
    choose,
    complexions_apart,
    hold_complexion,
    natural,
    part_statistics,
    read_bank,
    read_moments,
    recolour,
    statistics_of,
)
from simrefine.data.parts import (
    along_edges,
    as_shares,
    edge_size,
    follow_edges,
    label,
    read_edges,
    resize_soft,
    shares_in,
)
from simrefine.data.scenes import (
    OUTLINE,
    Scenes,
    ScenesOnDemand,
    outline,
    persons,
    place,
    place_in,
)
from simrefine.data.styles import draw_styles, move_styles, own_generator, read_styles, restyle, restyle_alone
from simrefine.data.windows import Window, resize_from, resize_into
from simrefine.threads import on_all_cores

STYLES = "styles"  # the name of the array of whole pictures' styles, beside a refiner's weights
BANK = "bank/"  # what the names of a bank's arrays begin with
PRINTS = BANK + "prints"  # the name of the array by which its photographs are known again
SOFTNESS = BANK + "softness"  # the name of the array with the softness of their colours
LARGEST_LOOK = 2.0  # shares, colours in [-1, 1] and their spread: none is larger than 1
VIEWED = 64  # px at which it is seen how a head is turned
LIT = 32  # px at which it is seen how it is lit
AT_ONCE = 128 * 128  # px that a core dresses at once: few enough that what comes in between stays in its cache
FEWEST_NATURAL = 10  # photographs; where fewer have a natural complexion, all are taken

Parse = Callable[[np.ndarray], np.ndarray]  # uint8 faces to uint8 soft labels, see `models.parser.parser_of`
# What is known of the parts of n faces: of each its part labels, uint8 [h, w], or None; see data/parts.py.
Known = Sequence[np.ndarray | None] | None
Look = Callable[[Window], np.ndarray]  # a window of a face, dressed: float32 [1, rows, columns, c] in [-1, 1]


class Dressed(NamedTuple):
    """Faces as the refiner gets them."""

    pictures: np.ndarray  # float32 [n, h, w, c] in [-1, 1]
    parts: np.ndarray | None  # their soft labels, float32 [n, h, w, parts] in [0, 1]; None where none are known


class Dresser(Protocol):
    """What methods and `refine` know of it."""

    has_scenes: bool  # whether faces stand in photographs' rooms
    has_heads: bool  # whether they are put on photographed heads, where one fits

    def dress(self, batch: Batch, rng: np.random.Generator) -> Dressed:
        """A batch of the pile that it was made for."""

    def dress_alone(self, pictures: np.ndarray, seed: int, known: Known = None) -> Dressed:
        """Any faces, float32 [n, h, w, c] in [-1, 1]. Each draws from its own pixels and `seed`: whatever comes with
        it, and in whichever order, it is dressed alike."""

    def look(self, image: np.ndarray, seed: int, everywhere: Sequence[Window], known: Known = None) -> Look:
        """The same of one face, uint8 [1, h, w, c], so large that it is looked at in windows, which cover it once, and
        is dressed window by window."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What is published of it, by name; no pixel of a photograph is among it."""


class PictureStyles:
    """The colours of whole photographs, see data/styles.py.

    Args:
        styles: [m, 1 + c, c].
        candidates: photographs drawn, of which the one with the nearest colours is taken; 0 leaves faces as they are.
    """

    has_scenes = has_heads = False

    def __init__(self, styles: np.ndarray, candidates: int):
        self.styles, self._candidates = styles, candidates

    def dress(self, batch: Batch, rng: np.random.Generator) -> Dressed:
        return Dressed(restyle(batch.pictures, self.styles, self._candidates, rng), None)

    def dress_alone(self, pictures: np.ndarray, seed: int, known: Known = None) -> Dressed:
        return Dressed(restyle_alone(pictures, self.styles, self._candidates, seed), None)

    def look(self, image: np.ndarray, seed: int, everywhere: Sequence[Window], known: Known = None) -> Look:
        if not self._candidates:
            return lambda window: to_signed(window.of(image))
        own = read_styles(image)
        wanted = draw_styles(image, self.styles, self._candidates, own_generator(image[0], seed))
        return lambda window: move_styles(to_signed(window.of(image)), own, wanted)

    def arrays(self) -> dict[str, np.ndarray]:
        return {STYLES: self.styles.astype(np.float32)}


class PartLooks:
    """The colours of each part of a photograph, and its room, see data/looks.py and data/scenes.py.

    Args:
        bank: of m photographs.
        candidates: photographs of near complexion drawn, of which the one whose person the head hides best is taken.
        parse: the parser, for faces of no pile.
        scenes: of these m photographs; None = the renders keep their own.
        parts: uint8 [p, s, s, parts], soft labels of the pile of rendered faces; None where `dress` is not called.
        prints: see `Looks`; None where they are not known.
        heads: of these m photographs, which faces are put on where one fits; None = renders keep their own.

    Attributes:
        softness: of the colours of the photographs, see data/chroma.py; 0 leaves those of renders as they are.
        softens_features: whether brows, eyes and mouths are softened too, see data/features.py.
    """

    def __init__(
        self,
        bank: Bank,
        candidates: int,
        parse: Parse,
        scenes: Scenes | ScenesOnDemand | None = None,
        parts: np.ndarray | None = None,
        prints: np.ndarray | None = None,
        heads: Heads | HeadsOnDemand | None = None,
    ):
        self.bank, self.scenes, self._candidates, self._parse, self._parts = bank, scenes, candidates, parse, parts
        self._prints, self._heads = prints, heads
        self.softness, self.softens_features = 0.0, False
        self.has_scenes, self.has_heads = scenes is not None, heads is not None
        self._views = np.concatenate([bank.views, mirrored(bank.views)]).astype(np.float32) if heads else None

    def dress(self, batch: Batch, rng: np.random.Generator) -> Dressed:
        soft = self._parts[batch.places]
        soft = np.where(batch.mirrored[:, None, None, None], soft[:, :, ::-1], soft)
        draws = rng.random((len(soft), self._candidates))
        return self._dress(batch.pictures, soft, draws)

    def dress_alone(self, pictures: np.ndarray, seed: int, known: Known = None) -> Dressed:
        images = to_uint8(pictures)
        draws = [own_generator(image, seed).random(self._candidates) for image in images]
        return self._dress(pictures, label(images, known or [None] * len(images), self._parse), np.array(draws))

    def look(self, image: np.ndarray, seed: int, everywhere: Sequence[Window], known: Known = None) -> Look:
        size, maps = image.shape[1:3], label(image, known or [None], self._parse)[0][None]

        edges = edge_size(*size)
        shrunk = resize_from(((window, to_signed(window.of(image))) for window in everywhere), size, edges)
        labelled = ((window, shares_in(maps, *size, window)) for window in everywhere)
        lines = read_edges(resize_from(labelled, size, edges), shrunk)

        @lru_cache(maxsize=1)  # each window is asked for its labels more than once in a row
        def soft(window: Window) -> np.ndarray:
            return along_edges(resize_into(lines, *size, window), to_signed(window.of(image)))

        moments = (read_moments(to_signed(window.of(image)), soft(window)) for window in everywhere)
        statistics = statistics_of(reduce(Moments.__add__, moments))
        draws = own_generator(image[0], seed).random((1, self._candidates))
        small = _view(shrunk, maps)
        places = self._find_heads(*small, statistics[1], draws[:, 0])
        if on_head := bool(places >= 0):
            bank, seats = self._seat(*small, statistics, places, size[0])
            scenes = seats.scenes
        else:
            heads = ((window, persons(soft(window), 0)[..., None].astype(np.float32)) for window in everywhere)
            outlined = resize_from(heads, size, (OUTLINE, OUTLINE)).reshape(1, -1)
            chosen = choose(*statistics[:2], outlined, self.bank, draws)
            bank, scenes = self.bank.take(chosen), self.scenes.take(chosen) if self.has_scenes else None

        def recoloured(window: Window) -> np.ndarray:
            faces = recolour(to_signed(window.of(image)), soft(window), statistics, bank)
            return light_up(faces, seats, *size, window) if on_head else faces

        def kept(window: Window) -> np.ndarray:
            return face_alone(soft(window), seats, *size, window) if on_head else soft(window)

        dressed = place_in(*size, recoloured, kept, scenes, everywhere) if scenes else recoloured
        reach = math.ceil(REACH * in_pixels(self.softness, size[0]))
        if self.softens_features:
            reach += features_reach(size[0])

        def softened(window: Window) -> np.ndarray:
            seen = window.grown(reach, *size)
            return window.within(seen).of(self._soften(dressed(seen), kept(seen), size[0]))

        return softened if reach else dressed

    def _dress(self, pictures: np.ndarray, maps: Sequence[np.ndarray], draws: np.ndarray) -> Dressed:
        """Of pictures and their soft labels, uint8 [h', w', parts] each, by what was drawn for each."""
        few = max(1, AT_ONCE // (pictures.shape[1] * pictures.shape[2]))
        parts = [slice(start, start + few) for start in range(0, len(pictures), few)]
        dressed = on_all_cores(lambda part: self._dress_few(pictures[part], maps[part], draws[part]), parts)
        return Dressed(*(np.concatenate(values) for values in zip(*dressed, strict=True)))

    def _dress_few(self, pictures: np.ndarray, maps: Sequence[np.ndarray], draws: np.ndarray) -> Dressed:
        soft = np.concatenate([as_shares(each[None], *pictures.shape[1:3]) for each in maps])
        soft = follow_edges(soft, pictures)
        statistics = part_statistics(pictures, soft)
        small = _view(pictures, maps)
        places = self._find_heads(*small, statistics[1], draws[:, 0])
        dressed, kept = np.empty(pictures.shape, np.float32), soft.copy()
        for some in np.flatnonzero(places < 0), np.flatnonzero(places >= 0):
            if len(some):
                faces = pictures[some], soft[some], tuple(values[some] for values in statistics)
                on_heads = places[some[0]] >= 0
                rest = (*(values[some] for values in small), places[some]) if on_heads else (draws[some],)
                dressed[some], kept[some] = (self._on_heads if on_heads else self._in_rooms)(*faces, *rest)
        return Dressed(self._soften(dressed, kept, pictures.shape[1]), kept)

    def _soften(self, dressed: np.ndarray, kept: np.ndarray, height: int) -> np.ndarray:
        """Faces, or windows of them, of pictures of this height, made as soft as photographs are."""
        if self.softens_features:
            dressed = soften_features(dressed, kept, height)
        return soften(dressed, self.softness, height)

    def _in_rooms(
        self, pictures: np.ndarray, soft: np.ndarray, statistics: tuple[np.ndarray, ...], draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Faces that keep their heads, dressed, and what is seen of their parts."""
        chosen = choose(*statistics[:2], outline(soft, dilation=0), self.bank, draws)
        dressed = recolour(pictures, soft, statistics, self.bank.take(chosen))
        return (place(dressed, soft, self.scenes.take(chosen)) if self.has_scenes else dressed), soft

    def _on_heads(
        self,
        pictures: np.ndarray,
        soft: np.ndarray,
        statistics: tuple[np.ndarray, ...],
        small: np.ndarray,
        labels: np.ndarray,
        places: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same of faces that are put on photographed heads."""
        size, whole = pictures.shape[1:3], Window.whole(*pictures.shape[1:3])
        bank, seats = self._seat(small, labels, statistics, places, size[0])
        kept = face_alone(soft, seats, *size, whole)
        faces = light_up(recolour(pictures, soft, statistics, bank), seats, *size, whole)
        return place(faces, kept, seats.scenes), kept

    def _find_heads(self, small: np.ndarray, labels: np.ndarray, means: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """On which photograph each face is put: places among those of `self._views`, -1 for none.

        Args:
            small, labels: the faces, see `_view`.
            means: of their parts' colours, [n, parts, c].
            draws: [n], uniform in [0, 1).
        """
        if not self.has_heads or small.shape[1] != small.shape[2]:  # photographs are square, and not to be stretched
            return np.full(len(small), -1)
        far = complexions_apart(means, self.bank)
        both = np.concatenate([far, far], axis=1)  # those in a mirror have the same
        return choose_heads(views(small, labels), self._views, both, draws)

    def _seat(
        self, small: np.ndarray, labels: np.ndarray, statistics: tuple[np.ndarray, ...], places: np.ndarray, side: int
    ) -> tuple[Bank, Seats]:
        """The colours of the photographs under faces of some side, px, and what is under these.

        Args:
            small, labels: the faces, see `_view`.
            statistics: of their parts.
            places: see `_find_heads`.
        """
        mirror, chosen = np.divmod(places, len(self.bank.shares))
        bank, shifts = hold_complexion(statistics[1], self.bank.take(chosen))
        seats = seat(self._heads.take(chosen, side), mirror > 0, labels, shifts)
        lit = np.stack([resize(face, LIT, LIT) for face in small])
        parts = as_shares(labels, LIT, LIT)
        return bank, seats._replace(light=light_between(recolour(lit, parts, statistics, bank), parts, seats))

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = {BANK + name: values for name, values in self.bank._asdict().items()}
        arrays |= {SOFTNESS: np.array([self.softness], np.float32)} if self.softness else {}
        return arrays if self._prints is None else arrays | {PRINTS: self._prints}


def _view(pictures: np.ndarray, maps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Faces, float32 [n, h, w, c], with soft labels, uint8 [h', w', parts] each, at the sizes at which it is seen how
    heads are turned."""
    edges = edge_size(*pictures.shape[1:3])
    labels = np.concatenate([resize_soft(each[None], VIEWED, VIEWED) for each in maps])
    return np.stack([resize(picture, *edges) for picture in pictures]), labels


class Looks(NamedTuple):
    """What is known of k photographs, of which the m of natural complexion dress faces."""

    bank: Bank  # of the m
    images: np.ndarray  # uint8 [m, h, w, c]
    soft: np.ndarray  # uint8 [m, s, s, parts], their labels
    prints: np.ndarray  # float32 [k, 3]: what `_prints` gives of each, and 1 where it is in the bank, else 0


def read_looks(images: np.ndarray, parse: Parse) -> Looks:
    """Of photographs, uint8 [k, h, w, c]."""
    soft = parse(images)
    bank = read_bank(images, soft)
    kept = natural(bank)
    if kept.sum() < FEWEST_NATURAL:
        kept[:] = True
    return Looks(bank.take(kept), images[kept], soft[kept], np.column_stack([_prints(images), kept]).astype(np.float32))


def known_again(images: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Bool [k]: which of photographs, uint8 [k, h, w, c], are those of the bank in `arrays`, see `Dresser.arrays`, in
    its order; None where they are not all of those that it was made of, and no others."""
    prints = arrays.get(PRINTS)
    if prints is None or not np.array_equal(prints[:, :2], _prints(images)):
        return None
    return prints[:, 2] > 0


def _prints(images: np.ndarray) -> np.ndarray:
    """48 bits of the SHA-256 of each picture's pixels, as two numbers in [0, 1) that float32 holds without rounding:
    [k, 2]."""
    digests = (hashlib.sha256(np.ascontiguousarray(image)).digest() for image in images)
    halves = [[int.from_bytes(digest[:3], "big"), int.from_bytes(digest[3:6], "big")] for digest in digests]
    return (np.array(halves).reshape(-1, 2) / 2**24).astype(np.float32)


def check_looks(arrays: dict[str, np.ndarray], config: Config, parsed: bool) -> None:
    """Whether `read_dresser` can make a dresser of them.

    Args:
        arrays: see `Dresser.arrays`.
        config: of the refiner that they are from.
        parsed: there is a parser.

    Raises:
        ValueError: an array is missing or of another shape, holds what is no number in its range, or there is no parser
            for a bank.
    """
    channels, parts = config.data.channels, len(PARTS)
    shapes = {
        BANK + "shares": (parts,),
        BANK + "means": (parts, channels),
        BANK + "covariances": (parts, channels, channels),
        BANK + "outlines": (OUTLINE * OUTLINE,),
    }
    if BANK + "views" in arrays:  # older refiners have none
        shapes[BANK + "views"] = (VIEW,)
    if STYLES in arrays:
        shapes = {STYLES: (1 + channels, channels)}
    elif not parsed:
        raise ValueError("there are neither styles nor a parser")
    arrays = dict(arrays)
    softness, prints = (arrays.pop(name, None) for name in (SOFTNESS, PRINTS))  # older refiners have none
    if softness is not None and not (softness.shape == (1,) and 0 <= softness[0] <= SOFTEST):
        raise ValueError(f"the array {SOFTNESS} is not one number from 0 to {SOFTEST}")
    _check_prints(prints, arrays.get(BANK + "shares"))
    photographs = {len(values) for values in arrays.values() if values.ndim}
    if len(photographs) != 1 or photographs == {0} or {n: v.shape[1:] for n, v in arrays.items()} != shapes:
        raise ValueError(f"the looks are not {', '.join(f'{name} [m, {shape}]' for name, shape in shapes.items())}")
    for name, values in arrays.items():
        if values.dtype.kind != "f" or not (np.abs(values) <= LARGEST_LOOK).all():  # so NaN fails
            raise ValueError(f"the array {name} holds what is no number in [-{LARGEST_LOOK}, {LARGEST_LOOK}]")


def _check_prints(prints: np.ndarray | None, shares: np.ndarray | None) -> None:
    if prints is None:
        return
    if prints.dtype.kind != "f" or prints.shape[1:] != (3,) or not ((prints >= 0) & (prints <= 1)).all():
        raise ValueError(f"the array {PRINTS} is not [k, 3] of numbers from 0 to 1")
    if shares is None or len(shares) != (prints[:, 2] > 0).sum():
        raise ValueError(f"the array {PRINTS} is not of the photographs of its bank")


def read_dresser(arrays: dict[str, np.ndarray], config: Config, parse: Parse | None) -> PictureStyles | PartLooks:
    """The way back from `Dresser.arrays`, without scenes.

    Raises:
        KeyError: an array is missing.
    """
    if STYLES in arrays:
        return PictureStyles(arrays[STYLES], config.style.candidates)
    return looks_of(bank_of(arrays), config, parse, arrays)


def looks_of(
    bank: Bank,
    config: Config,
    parse: Parse,
    arrays: Mapping[str, np.ndarray],
    scenes: Scenes | ScenesOnDemand | None = None,
    heads: Heads | HeadsOnDemand | None = None,
) -> PartLooks:
    """A dresser of these photographs, their colours as soft as those that the refiner of `arrays` was trained with."""
    looks = PartLooks(bank, config.parts.candidates, parse, scenes, heads=heads)
    looks.softness, looks.softens_features = float(arrays.get(SOFTNESS, [0.0])[0]), config.parts.soften
    return looks


def bank_of(arrays: Mapping[str, np.ndarray]) -> Bank:
    """The bank among `Dresser.arrays`."""
    views_of_none = {BANK + "views": np.zeros((len(arrays[BANK + "shares"]), 0), np.float16)}
    return Bank(*((views_of_none | dict(arrays))[BANK + name] for name in Bank._fields))
