"""The room of a photograph without its person, and rendered persons put before it, in its clothes.

In go photographs and faces with their soft part labels (data/parts.py); out come rooms, and the faces standing in them.
No pixel of a head moves, so labels stay valid.
"""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.images import to_signed
from simrefine.data.parts import as_shares
from simrefine.data.windows import Window, resize_from, resize_into

BACKGROUND, CLOTHES = PARTS.index("background"), PARTS.index("clothes")
PERSON = 0.3  # share of a pixel from which on it shows the photograph's person
DILATION = 5 / 64  # by which the person is taken larger before it is filled, in shares of the side
FADE = 1.5 / 64  # standard deviation of the passage from a photograph to what is made up, in shares of the side
SEAM = 0.5 / 64  # standard deviation of the seam's width, in shares of the side
MIXED = 1 / 96  # how far inside an outline a pixel may still have what is outside in it, in shares of the side
COARSE = 2  # px that this is at the size at which the colour of a head is blurred; more is only slower
SOLID = 0.97  # share of a pixel from which on it shows one thing alone, and has no other colour in it
LENS = 0.5  # px, standard deviation by which an outline is soft in a photograph of any size
LENS_REACH = 3  # px, more than how far that goes
OUTLINE = 16  # px, side of the outlines that are held against each other


class Scenes(NamedTuple):
    """What m photographs give to faces that are put in them. Room and clothes are carried on behind the person apart,
    each from its own: a jacket is not smeared up a wall, nor a wall down a collar."""

    rooms: np.ndarray  # uint8 [m, s, s, c]: the photograph, its person made up from what is behind it
    clothes: np.ndarray  # uint8 [m, s, s, c]: its clothes, carried on over the whole picture
    worn: np.ndarray  # bool [m, s, s, 1]: where these clothes are the photograph's own pixels

    def take(self, places: np.ndarray) -> "Scenes":
        return Scenes(*(values[places] for values in self))


class ScenesOnDemand:
    """The same, each read when a face is first put in it, as finding the people in all photographs may take longer than
    what is to be refined.

    Args:
        read: the scenes of the photographs at some places.
    """

    def __init__(self, read: Callable[[np.ndarray], Scenes]):
        self._read, self._known, self._lock = read, {}, Lock()

    def take(self, places: np.ndarray) -> Scenes:
        with self._lock:  # several threads dress faces
            new = np.array([place for place in dict.fromkeys(places.tolist()) if place not in self._known], int)
            if len(new):
                self._known |= zip(new.tolist(), map(Scenes._make, zip(*self._read(new), strict=True)), strict=True)
            return Scenes(*map(np.stack, zip(*(self._known[place] for place in places.tolist()), strict=True)))


def read_scenes(images: np.ndarray, soft: np.ndarray) -> Scenes:
    """Of photographs, uint8 [m, s, s, c], with their soft labels, uint8 [m, t, t, parts]."""
    scenes = [_read_scene(*pair) for pair in zip(images, soft, strict=True)]  # one by one, as floats take much memory
    return Scenes(*(np.stack(values) for values in zip(*scenes, strict=True)))


def _read_scene(image: np.ndarray, soft: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shares, picture = as_shares(soft[None], *image.shape[:2]), image.astype(np.float32)
    person = persons(shares, DILATION)[0, ..., None]
    behind, garment = (_inside(shares[0, ..., part]) & ~person for part in (BACKGROUND, CLOTHES))
    # No edge where the photograph ends and what is made up begins; the person is taken so large that it stays hidden.
    made_up = cv2.GaussianBlur(person.astype(np.float32), (0, 0), FADE * len(image))[..., None]
    room = made_up * carry_on(picture, behind) + (1 - made_up) * picture
    clothes = np.where(garment, picture, carry_on(picture, garment))
    return *(np.clip(np.round(one), 0, 255).astype(np.uint8) for one in (room, clothes)), garment


def carry_on(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What is known of a picture, float32 [h, w, c], at [h, w, 1], carried on over all of it: the farther from the
    known pixels the smoother, by a pyramid of weighted means (Gortler et al. 1996, "The lumigraph", section 3.4). Where
    nothing is known, the mean of the picture."""
    if not known.any():
        return np.broadcast_to(picture.mean(axis=(0, 1)), picture.shape)
    return _carry_on(picture * known, known.astype(np.float32))


def _carry_on(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of weighted pixels [h, w, c] and their weights [h, w, 1] the weighted means, those without weight made up."""
    height, width = sums.shape[:2]
    means = sums / np.maximum(weights, 1e-6)
    if max(height, width) == 1:
        return means
    half = (max(1, width // 2), max(1, height // 2))
    halved = (cv2.resize(one, half, interpolation=cv2.INTER_AREA) for one in (sums, weights))
    coarse = _carry_on(*(one.reshape(half[1], half[0], -1) for one in halved))
    far = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(sums.shape)
    return weights * means + (1 - weights) * far


def place(pictures: np.ndarray, soft: np.ndarray, scenes: Scenes) -> np.ndarray:
    """The persons of `pictures`, float32 [n, h, w, c], with soft labels, float32 [n, h, w, parts], before the n
    `scenes`, which are resized.

    They wear the photograph's clothes where they are clothed. What the photograph does not show of these, as at a neck
    that its own person hid, has their colour and the shading of the rendered ones."""
    height, width = pictures.shape[1:3]
    whole = Window.whole(height, width)
    parts = (partial(Window.of, pictures=each) for each in (pictures, soft))
    return place_in(height, width, *parts, scenes, [whole])(whole)


def place_in(
    height: int,
    width: int,
    pictures: Callable[[Window], np.ndarray],
    soft: Callable[[Window], np.ndarray],
    scenes: Scenes,
    everywhere: Sequence[Window],
) -> Callable[[Window], np.ndarray]:
    """The same of pictures so large that they are had by windows: a function that gives the window that is wanted.

    Args:
        height, width: of the pictures, px.
        pictures, soft: a window of them, and of their soft labels, see `place`.
        scenes: see `place`.
        everywhere: windows that cover the pictures once.
    """
    inner = partial(_inner_heads, height, width, soft)
    weighed = ((window, _weigh(pictures(window), soft(window), inner(window))) for window in everywhere)
    coarse = max(1, _mixed_reach(height) // COARSE)
    means = resize_from(weighed, (height, width), (height // coarse, max(1, width // coarse)))
    near = _heads_near(means[..., :-2], (_mixed_reach(height) + 0.5) / coarse)
    light, clothed = np.split(means[..., -2:].mean(axis=(1, 2), keepdims=True), 2, axis=-1)
    usual = light / np.maximum(clothed, 1e-9)  # the mean light of the clothes

    def placed(window: Window) -> np.ndarray:
        seen = window.grown(LENS_REACH, height, width)
        before, labels = pictures(seen), soft(seen)
        # The head's own colour where a pixel is partly head, so that no rim of the old background comes along.
        own = np.where(inner(seen) > SOLID, before, resize_into(near, height, width, seen))
        view = _see(scenes, height, width, seen)
        return window.within(seen).of(_compose(before, own, labels, view, usual))

    return placed


def _inner_heads(height: int, width: int, soft: Callable[[Window], np.ndarray], window: Window) -> np.ndarray:
    """[n, rows, columns, 1]: how much head a pixel has at the least, it or one that is near enough to be mixed with."""
    reach = _mixed_reach(height)
    wide = window.grown(reach, height, width)
    return window.within(wide).of(np.stack([_eroded(share, reach) for share in head(soft(wide))[..., 0]])[..., None])


def _weigh(pictures: np.ndarray, soft: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Whose means are wanted, [n, h, w, c + 3]: pixels weighted by how surely they are head, that weight, and the same
    of the light of clothes."""
    sure, own = inner**4 + 1e-4, soft[..., CLOTHES, None]
    return np.concatenate([pictures * sure, sure, pictures.mean(axis=-1, keepdims=True) * own, own], axis=-1)


def _heads_near(weighed: np.ndarray, deviation: float) -> np.ndarray:
    """The weighted mean over a normal window of this standard deviation, px: pixels and weight [n, h, w, c + 1] to [n,
    h, w, c]."""
    blurred = np.stack([cv2.GaussianBlur(one, (0, 0), deviation) for one in weighed])
    return blurred[..., :-1] / blurred[..., -1:]


class _View(NamedTuple):
    """What n scenes show in a window."""

    rooms: np.ndarray  # float32 [n, rows, columns, c] in [-1, 1]
    clothes: np.ndarray  # the same
    worn: np.ndarray  # float32 [n, rows, columns, 1]
    clothed: np.ndarray  # bool [n, 1, 1, 1]: whether any are worn, in the window or elsewhere


def _see(scenes: Scenes, height: int, width: int, window: Window) -> _View:
    """A window of n scenes that are resized to `height` x `width` px."""
    rooms, clothes, worn = (resize_into(values, height, width, window) for values in scenes)
    clothed = scenes.worn.any(axis=(1, 2, 3), keepdims=True)
    return _View(to_signed(np.clip(rooms, 0, 255)), to_signed(np.clip(clothes, 0, 255)), worn, clothed)


def _compose(
    pictures: np.ndarray,
    persons: np.ndarray,
    soft: np.ndarray,
    view: _View,
    usual: np.ndarray,
) -> np.ndarray:
    """Persons, which have no other colour in them, in the photographs' clothes before the photographs' rooms.

    Args:
        pictures, persons, soft: float32 [n, rows, columns, ...], the window that `view` has of the scenes.
        usual: the mean light of the clothes in whole pictures, [n, 1, 1, 1].
    """
    heads, own = head(soft), soft[..., CLOTHES, None]
    light = pictures.mean(axis=-1, keepdims=True)
    carried = np.clip(view.clothes + (1 - view.worn) * (light - usual), -1, 1)
    dressed = np.where(view.clothed, carried, pictures)
    behind = _mix(own / np.maximum(1 - heads, 1e-3), dressed, view.rooms)
    return _mix(heads, persons, behind)


def head(soft: np.ndarray) -> np.ndarray:
    """[n, h, w, 1]: how much of each pixel is person and not background or clothes, in [0, 1]."""
    return np.clip(1 - soft[..., BACKGROUND, None] - soft[..., CLOTHES, None], 0, 1)


def far_from_head(soft: np.ndarray) -> np.ndarray:
    """[n, h, w, 1]: 1 where no head is near, 0 on it and on its seam, SEAM shares of the side wide on either side."""
    reach = SEAM * soft.shape[1]
    blurred = np.stack([cv2.GaussianBlur(heads, (0, 0), reach) for heads in head(soft)[..., 0]])[..., None]
    return np.clip(1 - 2 * blurred, 0, 1)


def outline(soft: np.ndarray, dilation: float = DILATION) -> np.ndarray:
    """Persons of soft labels, float32 [n, h, w, parts], taken larger by `dilation`: [n, OUTLINE * OUTLINE] in [0,
    1]."""
    size, found = (OUTLINE, OUTLINE), persons(soft, dilation).astype(np.float32)
    return np.stack([cv2.resize(person, size, interpolation=cv2.INTER_AREA).ravel() for person in found])


def persons(soft: np.ndarray, dilation: float) -> np.ndarray:
    """Bool [n, h, w]: where the persons are, taken larger by `dilation` shares of the side."""
    found = (head(soft)[..., 0] > PERSON).astype(np.uint8)
    reach = round(dilation * soft.shape[1])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    return np.stack([cv2.dilate(person, kernel) for person in found]).astype(bool)


def _inside(share: np.ndarray) -> np.ndarray:
    """Bool [h, w, 1]: where a part, whose share [h, w] is, has no other colour in it."""
    return (_eroded(share, _mixed_reach(len(share))) > SOLID)[..., None]


def _eroded(share: np.ndarray, reach: int) -> np.ndarray:
    return cv2.erode(share, np.ones((2 * reach + 1,) * 2))


def _mix(share: np.ndarray, before: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Pictures before others, by their share of each pixel, an outline as soft as a lens draws it."""
    share = np.stack([cv2.GaussianBlur(one, (0, 0), LENS) for one in share[..., 0]])[..., None]
    return share * before + (1 - share) * behind


def _mixed_reach(height: int) -> int:
    """How far inside an outline a pixel may still have what is outside in it, px."""
    return max(1, round(MIXED * height))
