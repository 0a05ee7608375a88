"""A trained refiner as a function: uint8 faces in, uint8 faces out, of any size and number."""

import copy
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from simrefine import backend
from simrefine.addresses import Place, Url
from simrefine.catalogue import REFINERS
from simrefine.config import masks_beside, parse_classes
from simrefine.data.dressing import Known, Look
from simrefine.data.folders import check_folder
from simrefine.data.images import resize, to_signed, to_uint8
from simrefine.data.masks import MaskFolder
from simrefine.data.windows import Window, put_together, resize_from, resize_into, windows_of
from simrefine.errors import UserError
from simrefine.memory import LEAST, working_bytes
from simrefine.methods.state import build_from
from simrefine.models.networks import build_refiner, reach
from simrefine.refining.photographs import build_dresser
from simrefine.refining.pictures import MAX_BATCH_PIXELS
from simrefine.refining.tiles import in_tiles
from simrefine.threads import in_batches
from simrefine.training.published import PublishedRefiner, read_refiner

# At which scale a refiner works: that of its training, or each picture's own.
SCALES = TRAINING, OWN = ("training", "own")
MAX_ASPECT = 4  # sides of what can be a face crop; a longer strip stays at its own scale, or it could fill the memory
# Bytes of working memory a pixel: what dressing takes, in float64 and with eight soft labels, and what a network takes
# for each feature channel of its width, of which some eight maps are alive at once.
PIXEL_BYTES, PIXEL_BYTES_OF_WIDTH = 1200, 32


class Refiner:
    """A trained refiner, loaded from a run folder or from the `refiner` folder of one: call it on uint8 [n, h, w,
    channels], get the same shape refined.

    Args:
        path: the folder.
        precision: "float32" gives the same pictures on every CPU, and with other threads to a gray level; "auto" or
            "bfloat16" may differ by a gray level and is several times faster where the hardware has bfloat16.
        style: a photograph, or a folder of them, whose colours faces are given; None = those it was trained with.
        photographs: a folder of photographs in whose rooms faces are put, where the refiner was trained so; None = the
            run's own, while they are there. What comes out then holds parts of those photographs.
        seed: the same face gets other colours with another seed, so that one render becomes many photographs; 0 where
            the refiner was trained without styles.
        scale: "training" refines pictures of another size at the size of the training and adds the change to them, see
            `at_scale`; "own" puts them through the network as they are.
        memory_gib: what the process may take in all, GiB; larger pictures are refined in windows (refining/tiles.py).
            None = half of what the machine or its container has.
        heads: faces are put on photographed heads, where the refiner was trained so and one fits; False leaves them
            their own hair, ears, necks and outlines, so that part masks hold.

    Raises:
        UserError: there is no refiner in it, or it is damaged or of another architecture; `style` or `photographs` hold
            no picture.

    Attributes:
        channels: 1 or 3, what it was trained on.
        size: side of the pictures it was trained on, px.
        step: the training step its weights are from.
        dresser: what gives faces their colours, and where photographs are at hand their room.
        masks: of the parts of the pictures that are refined, see `with_masks`; None = the parser finds the parts.
        wants_photographs: it was trained on faces in photographs' rooms, and has none now.
        fingerprint: SHA-256 of all that decides the result: its weights and options, and where they are not its own or
            the usual ones photographs, style, masks or none, seed, scale, precision, and whether the network is left
            out.
        about: where it is from and how it was loaded, for the manifest of what it refines: model (an absolute path),
            step, style, photographs, masks, heads, seed, scale, precision.
    """

    def __init__(
        self,
        path: Path | str,
        precision: str = "float32",
        *,
        style: Path | str | None = None,
        photographs: Path | str | None = None,
        seed: int = 0,
        scale: str = TRAINING,
        memory_gib: float | None = None,
        heads: bool = True,
    ):
        if scale not in SCALES:
            raise UserError(f"scale {scale!r} is unknown", f"choose {' or '.join(SCALES)}")
        path = Path(path)
        published = read_refiner(path)
        options, data = published.config.refiner, published.config.data
        self.channels, self.size, self.step = data.channels, data.size, published.step
        self._scale, self._dressed_only = scale, False
        backend.use_device()
        dtype, self._stride = backend.resolve_precision(precision), REFINERS[options.name].stride
        self._least = self._stride * (options.kernel // 2 + 1)  # px, whose coarsest maps can be mirrored
        network = restore_network(path, published, dtype)
        self._refine = backend.compile_inference(lambda pictures: network(pictures, training=False))
        sources = (source and Path(source) for source in (style, photographs))
        self.dresser, self._pictures = build_dresser(path, published, dtype, *sources, heads)
        self.wants_photographs = published.config.parts.scene and not self.dresser.has_scenes
        self.masks, self._classes = None, parse_classes(published.config.parts.classes) if published.parser else None
        self.about = {
            "model": os.path.abspath(path),
            "step": self.step,
            "style": style and os.path.abspath(style),
            "photographs": photographs and os.path.abspath(photographs),
            "masks": None,
            "heads": self.dresser.has_heads,
            "scale": scale,
            "precision": dtype,
        }
        self._published = published.fingerprint
        self._styled = bool(published.config.style.candidates)
        self._draw_by(seed)
        self._memory = working_bytes(memory_gib)
        self._pixel_bytes = max(PIXEL_BYTES, PIXEL_BYTES_OF_WIDTH * options.width)
        self._overlap = cache(lambda: -(-reach(options, self.channels) // self._stride) * self._stride)

    def without_network(self) -> "Refiner":
        """One that gives faces their colours and rooms only: what the network is given, to be held against what it
        makes of that. All that was read is shared."""
        other = copy.copy(self)
        other._dressed_only = True
        other.fingerprint = other._identify()
        return other

    def with_seed(self, seed: int) -> "Refiner":
        """One that gives the same faces other colours and rooms. All that was read is shared.

        Raises:
            UserError: it was trained without styles.
        """
        other = copy.copy(self)
        other._draw_by(seed)
        return other

    def with_masks(self, folder: Path | str, ends: Sequence[Place] = ()) -> "Refiner":
        """One for pictures whose parts are known: `refine_folder` gives it their masks, PNGs of the pictures' names and
        of the classes that it was trained with. Where they say nothing, the parser does. All that was read is shared.

        Args:
            folder: of the masks; "" = none; "auto" = the one beside the input, of its name with -masks appended, or
                none where it is not there or the refiner was trained without parts.
            ends: what is to be refined, and the output folder. Masks are not looked for where one is in a store.

        Raises:
            UserError: it was trained without parts, or there is no such folder.
        """
        if folder == "auto":
            beside = len(ends) == 2 and self._classes and not any(isinstance(end, Url) for end in ends)
            folder = masks_beside(ends[0]) if beside else ""
        if not folder:
            return self
        if not self._classes:
            raise UserError(
                f"{self.about['model']} was trained without parts, so masks change nothing", "leave out --masks"
            )
        check_folder(Path(folder), "folder of masks")
        other = copy.copy(self)
        other.masks = MaskFolder(Path(folder), self._classes)
        other.about = self.about | {"masks": os.path.abspath(folder)}
        other.fingerprint = other._identify()
        return other

    def looks(self, draws: int, out: Place) -> list[tuple["Refiner", Place]]:
        """Itself and those of the seeds after its own, `draws` in all, each with the folder where its faces go: one
        render becomes `draws` pictures. Of one alone that is `out`; else `out`/seed-N, as if each were alone.

        Raises:
            UserError: it was trained without styles, so all looks are one.
        """
        if draws == 1:
            return [(self, out)]
        seeds = range(self._seed, self._seed + draws)
        return [(self.with_seed(seed), out / f"seed-{seed}") for seed in seeds]

    def _draw_by(self, seed: int) -> None:
        if seed and not self._styled:
            raise UserError(
                f"{self.about['model']} was trained without styles, so another seed changes nothing",
                "leave out --seed, or train with style.candidates",
            )
        self._seed, self.about = seed, self.about | {"seed": seed}
        self.fingerprint = self._identify()

    def _identify(self) -> str:
        """The fingerprint, from that of what was published."""
        differing = [f"seed {self._seed}".encode()] if self._seed else []
        differing += [self.about["precision"].encode()] * (self.about["precision"] != "float32")
        differing += (
            [b"scenes"] * self.dresser.has_scenes
            + [b"heads"] * self.dresser.has_heads
            + [self._pictures] * bool(self._pictures)
        )
        differing += [b"masks"] * bool(self.masks)
        differing += [b"own scale"] * (self._scale == OWN) + [b"dressed only"] * self._dressed_only
        if not differing:
            return self._published
        return hashlib.sha256(b"".join([self._published.encode(), *differing])).hexdigest()

    def __call__(self, pictures: np.ndarray, known: Known = None) -> np.ndarray:
        """Refines uint8 [n, h, w, channels]; the geometry stays, so labels stay valid. Pictures of another size than
        those of the training are refined as `at_scale` has it, unless the scale is "own".

        A picture's result depends on its pixels and what is known of it alone, not on the pictures beside it.

        Args:
            pictures: the faces.
            known: of each the part labels, uint8 of any size, or None, where they are known (`data.dressing.Known`).

        Raises:
            UserError: the array is of another type or shape.
        """
        pictures = np.asarray(pictures)
        check_pictures(pictures, self.channels)
        return self._in_memory(self._refine_whole, self._refine_in_windows, pictures, known)

    def dress(self, pictures: np.ndarray, known: Known = None) -> np.ndarray:
        """What the network is given: uint8 [n, h, w, channels] to float32 of the same shape in [-1, 1], faces in the
        colours of photographs, and in their rooms where the refiner has some. An exported network needs it too.

        Raises:
            UserError: the array is of another type or shape.
        """
        pictures = np.asarray(pictures)
        check_pictures(pictures, self.channels)
        return self._in_memory(self._dress_whole, self._dress_in_windows, pictures, known)

    def _in_memory(
        self,
        whole: Callable[[np.ndarray, Known], np.ndarray],
        in_windows: Callable[[np.ndarray, Known, int], np.ndarray],
        pictures: np.ndarray,
        known: Known,
    ) -> np.ndarray:
        """Pictures worked on as many at a time as there is memory for, or if that is less than one, in windows of so
        many px."""
        if not pictures.size:
            return whole(pictures, known)
        known = known or [None] * len(pictures)
        sides = pictures.shape[1:3]
        held = 2 * pictures[0].nbytes  # the picture and its result
        pixels = max(LEAST, self._memory - held) // 2 // self._pixel_bytes
        if at_once := pixels // max(np.prod(sides), np.prod(self._worked(*sides))):
            places = np.arange(len(pictures))
            return in_batches(lambda some: whole(pictures[some], [known[one] for one in some]), places, int(at_once))
        if len(pictures) == 1:
            return in_windows(pictures, known, int(pixels))
        one_by_one = zip(pictures, known, strict=True)
        return np.concatenate([in_windows(picture[None], [labels], int(pixels)) for picture, labels in one_by_one])

    def _worked(self, height: int, width: int) -> tuple[int, int]:
        """The sides that the network works at, for pictures of these."""
        return (height, width) if self._scale == OWN else sides_at_scale(self.size, height, width)

    def _refine_whole(self, pictures: np.ndarray, known: Known) -> np.ndarray:
        styled = self._dress_whole(pictures, known)
        if self._dressed_only or not styled.size:
            return to_uint8(styled)
        refine = self._refine_padded
        return to_uint8(at_scale(self.size, refine, styled) if self._scale == TRAINING else refine(styled))

    def _dress_whole(self, pictures: np.ndarray, known: Known) -> np.ndarray:
        if not pictures.size:
            return to_signed(pictures)
        return self.dresser.dress_alone(to_signed(pictures), self._seed, known).pictures

    def _refine_in_windows(self, picture: np.ndarray, known: Known, pixels: int) -> np.ndarray:
        """As `_refine_whole`, of one picture, uint8 [1, h, w, c], some `pixels` px at a time."""
        size = picture.shape[1:3]
        everywhere, sides = windows_of(pixels, *size), self._worked(*size)
        look = self.dresser.look(picture, self._seed, everywhere, known)

        def tiles(dressed: Look) -> Iterator[tuple[Window, np.ndarray]]:
            return in_tiles(self._refine_padded, dressed, sides, pixels, self._overlap(), self._stride)

        if self._dressed_only:
            parts = ((window, look(window)) for window in everywhere)
        elif sides == size:
            parts = tiles(look)
        else:
            scaled = resize_from(((window, look(window)) for window in everywhere), size, sides)
            change = put_together(tiles(lambda window: window.of(scaled)), np.empty_like(scaled)) - scaled
            parts = ((window, look(window) + resize_into(change, *size, window)) for window in everywhere)
        return put_together(((window, to_uint8(part)) for window, part in parts), np.empty_like(picture))

    def _dress_in_windows(self, picture: np.ndarray, known: Known, pixels: int) -> np.ndarray:
        everywhere = windows_of(pixels, *picture.shape[1:3])
        look = self.dresser.look(picture, self._seed, everywhere, known)
        return put_together(((window, look(window)) for window in everywhere), np.empty(picture.shape, np.float32))

    def _refine_padded(self, styled: np.ndarray) -> np.ndarray:
        """float32 [n, h, w, channels] to the same; the network gets sides that are multiples of its stride."""
        height, width = styled.shape[1:3]
        down, right = (max(-side % self._stride, self._least - side) for side in (height, width))
        padded = np.pad(styled, ((0, 0), (0, down), (0, right), (0, 0)), mode="edge")
        return np.asarray(self._refine(padded))[:, :height, :width]


def restore_network(path: Path, published: PublishedRefiner, dtype: str):
    """The network of a refiner that was read from `path`, see `models.networks.build_refiner`, with its weights.

    Raises:
        UserError: the weights are those of another architecture.
    """
    options, channels = published.config.refiner, published.config.data.channels
    return build_from(lambda: build_refiner(options, channels, dtype, seed=0), published.weights, path)


def check_pictures(pictures: np.ndarray, channels: int) -> None:
    """Checks that an array can be refined: uint8 [n, h, w, channels].

    Raises:
        UserError: it cannot; the message says what this array has instead, and what makes it right.
    """
    shape = pictures.shape
    found = f"a refiner takes uint8 [n, h, w, {channels}], got {pictures.dtype} {list(shape)}"
    colour = {1: "gray", 3: "colour"}[channels]
    if pictures.ndim == 4 and shape[-1] == channels:
        fix = None
    elif pictures.ndim == 3 and shape[-1] == channels:
        fix = "this is a single picture: pictures[None] adds the first axis"
    elif pictures.ndim == 4 and shape[1] in (1, 3):
        fix = "the channels stand before the sides: pictures.transpose(0, 2, 3, 1) puts them last"
    elif shape[-1:] == (4,):
        fix = "the fourth channel is transparency, which is not refined: pictures[..., :3] leaves it out"
    elif shape[-1:] in ((1,), (3,)):
        fix = f"the refiner was trained on {colour} pictures: simrefine.data.images.to_channels(pictures, {channels})"
    else:
        fix = f"the axes must be pictures, rows, columns and {channels} for {colour}"
    if fix or pictures.dtype != np.uint8:
        raise UserError(found, "; ".join(filter(None, (_how_to_uint8(pictures), fix))))


def _how_to_uint8(pictures: np.ndarray) -> str | None:
    """What makes gray levels of an array of another type; None where it has them."""
    if pictures.dtype == np.uint8:
        return None
    if pictures.dtype.kind not in "biuf" or not pictures.size:
        return "it must hold gray levels as numpy.uint8"
    low, high = float(pictures.min()), float(pictures.max())
    span = f"its values go from {low:.4g} to {high:.4g}"
    if not np.isfinite([low, high]).all():
        return f"{span}: it holds NaN or infinity"
    if pictures.dtype.kind == "f" and -1 <= low < 0 and high <= 1:
        return f"{span}: if -1 is black and 1 white, simrefine.data.images.to_uint8(pictures)"
    if pictures.dtype.kind == "f" and low >= 0 and high <= 1:
        return f"{span}: if 0 is black and 1 white, numpy.rint(255 * pictures).astype('uint8')"
    if low >= 0 and high <= 255:
        return f"{span}: if those are gray levels, numpy.rint(pictures).astype('uint8')"
    return f"{span}: bring them to gray levels from 0 to 255 as numpy.uint8"


def at_scale(size: int, refine: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """Refines pictures brought to the size of the training, where a face is as large as the network knows it, and adds
    the change, brought to their own size, to the pictures: their sharp detail stays.

    Args:
        size: what the shorter side is brought to, px; the longer one follows.
        refine: float32 [n, h, w, c] to the same.
        pictures: float32 [n, h, w, c]. Where the shorter side is `size` already, the result is `refine(pictures)`.
    """
    height, width = pictures.shape[1:3]
    sides = sides_at_scale(size, height, width)
    if sides == (height, width):
        return refine(pictures)
    scaled = np.stack([resize(picture, *sides) for picture in pictures])
    refined = in_batches(refine, scaled, max(1, MAX_BATCH_PIXELS // (sides[0] * sides[1])))
    return pictures + np.stack([resize(change, height, width) for change in refined - scaled])


def sides_at_scale(size: int, height: int, width: int) -> tuple[int, int]:
    """The sides at which `at_scale` refines pictures, px: their own where the shorter one is `size`, and those of
    strips."""
    shorter, longer = sorted((height, width))
    if longer > MAX_ASPECT * shorter:
        return height, width
    return round(height * size / shorter), round(width * size / shorter)


# The name by which it is had: simrefine.load(path).
load = Refiner
