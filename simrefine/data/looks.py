"""What a rendered face takes from a photograph before it is refined: the colours of each part, and the room around it.

In go faces, their soft part labels (data/parts.py) and a bank of photographs; out come the faces as they might have
been photographed there. Each part takes mean and covariance of the same part of one photograph by the linear
Monge-Kantorovich map of data/styles.py, its stretch bounded; where the render shows no person, the photograph stands
in, its own person filled in from the surroundings (Telea 2004, "An image inpainting technique based on the fast
marching method"). No pixel moves, so labels stay valid."""

from typing import NamedTuple

import cv2
import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.colour import is_tinted, to_lab
from simrefine.data.images import to_signed
from simrefine.data.parts import resize_soft
from simrefine.data.styles import ROUNDING, monge_map

BACKGROUND, SKIN, CLOTHES = (PARTS.index(part) for part in ("background", "skin", "clothes"))
# Parts that keep their own colours and follow the light on the skin alone: a photograph's are a few pixels with much
# else among them, and whites must stay white. Brows so stay as much darker than the skin as they were.
FOLLOWERS = tuple(PARTS.index(part) for part in ("brows", "eyes", "mouth"))
FEWEST = 0.002  # share of a picture that a part must cover for its statistics to mean something
RANGE, SKIN_RANGE = 1.5, 3.0  # standard deviations from its mean within which a part's colours lie; skin has highlights
STRETCH = 1.5  # how far colours of a part may be spread out, and by its inverse drawn together
NEAR = 0.05  # share of the photographs whose complexion counts as near
FEWEST_NEAR = 8  # of them, where the share would be less: one photograph must not dress everyone
OUTLINE = 16  # px, side of the outlines that are held against each other
PERSON = 0.3  # share of a pixel from which on it shows the photograph's person
DILATION = 5 / 64  # by which the person is taken larger before it is filled, in shares of the side
FILL_RADIUS = 3  # px, of the inpainting
FILL_BLUR = 1 / 32  # standard deviation of what is filled, in shares of the side
FACE = tuple(PARTS.index(part) for part in ("skin", "brows", "eyes", "lips", "mouth"))
SEAM = 0.5 / 64  # standard deviation of the seam's width, in shares of the side
MIXED = 1 / 96  # how far inside the outline a pixel may still have the old background in it, in shares of the side
SOLID = 0.97  # share of a pixel from which on it shows the head alone, and has no other colour in it


class Bank(NamedTuple):
    """Photographs of natural complexion, as far as faces need them; m of them."""

    shares: np.ndarray  # float32 [m, parts]: how much of each picture a part covers
    means: np.ndarray  # float32 [m, parts, c] in [-1, 1]
    covariances: np.ndarray  # float32 [m, parts, c, c]
    outlines: np.ndarray  # float32 [m, OUTLINE * OUTLINE]: where the photograph's person was and is filled, in [0, 1]

    def take(self, places) -> "Bank":
        return Bank(*(values[places] for values in self))


def read_bank(images: np.ndarray, soft: np.ndarray) -> Bank:
    """The bank of photographs, uint8 [m, h, w, c], with soft labels, uint8 [m, s, s, parts]; all are kept."""
    rows = []
    for image, labels in zip(images, soft, strict=True):  # one by one: as float32 a pile would fill the memory
        shares = as_shares(labels[None], *image.shape[:2])
        rows.append((*part_statistics(to_signed(image[None]), shares), outline(shares)))
    return Bank(*(np.concatenate(values).astype(np.float32) for values in zip(*rows, strict=True)))


def natural(bank: Bank) -> np.ndarray:
    """Bool [m]: whose skin is seen and, in colour, is not tinted (data/colour.py)."""
    seen = bank.shares[:, SKIN] > 10 * FEWEST
    if bank.means.shape[-1] == 1:
        return seen
    return seen & ~is_tinted(to_lab(bank.means[:, SKIN]))


def part_statistics(pictures: np.ndarray, soft: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares [n, parts], means [n, parts, c] and covariances [n, parts, c, c] of pictures, float32 [n, h, w, c], over
    their soft labels, float32 [n, h, w, parts]."""
    n, height, width, channels = pictures.shape
    # In float32 the difference of two moments near 1 may be negative, which no covariance is.
    pixels = pictures.reshape(n, -1, channels).astype(np.float64)
    weights = soft.reshape(n, height * width, -1).swapaxes(1, 2)  # [n, parts, pixels]
    totals = weights.sum(axis=-1)
    products = (pixels[..., :, None] * pixels[..., None, :]).reshape(n, -1, channels * channels)
    moments = weights @ np.concatenate([pixels, products], axis=-1) / np.maximum(totals, 1e-6)[..., None]
    means = moments[..., :channels]
    covariances = moments[..., channels:].reshape(n, -1, channels, channels) - means[..., :, None] * means[..., None, :]
    covariances += ROUNDING * np.eye(channels)
    return totals / (height * width), means, covariances


def choose(means: np.ndarray, soft: np.ndarray, bank: Bank, draws: np.ndarray) -> np.ndarray:
    """For each face a photograph: of some drawn among those of nearest complexion, the one whose person the rendered
    head hides best, so that least of the room has to be made up.

    Args:
        means: [n, parts, c], of the faces.
        soft: float32 [n, h, w, parts], of the faces.
        bank: of m photographs.
        draws: [n, candidates], uniform in [0, 1).

    Returns:
        int [n], places in the bank.
    """
    colour = to_lab if means.shape[-1] == 3 else np.asarray
    own, theirs = colour(means[:, SKIN]), colour(bank.means[:, SKIN])
    near = np.linalg.norm(own[:, None] - theirs[None], axis=-1).argsort(axis=1)[
        :, : max(FEWEST_NEAR, int(len(theirs) * NEAR))
    ]
    drawn = np.take_along_axis(near, (draws * near.shape[1]).astype(int), axis=1)
    heads = outline(soft, dilation=0)
    made_up = (bank.outlines[drawn] * (1 - heads[:, None])).sum(axis=-1)
    return drawn[np.arange(len(own)), made_up.argmin(axis=1)]


def recolour(
    pictures: np.ndarray, soft: np.ndarray, statistics: tuple[np.ndarray, np.ndarray, np.ndarray], bank: Bank
) -> np.ndarray:
    """Pictures, float32 [n, h, w, c], with their `part_statistics`, each part in the colours of the n photographs of
    `bank`; clipped to [-1, 1].

    A pixel on the border of two parts has a colour that neither has: light skin under a map that makes dark hair blond
    would be white. So each part's map gets colours within RANGE of that part's mean.
    """
    n, channels = len(pictures), pictures.shape[-1]
    shares, means, covariances = statistics
    maps = monge_map(covariances, bank.covariances, STRETCH)  # [n, parts, c, c]
    shifts = bank.means - (means[..., None, :] @ maps)[..., 0, :]
    light_map, light_shift = _light(means[:, SKIN], bank.means[:, SKIN])
    missing = (shares < FEWEST) | (bank.shares < FEWEST)
    missing[:, FOLLOWERS] = True
    missing[:, SKIN] = False
    maps = np.where(missing[..., None, None], light_map[:, None, None, None] * np.eye(channels), maps)
    shifts = np.where(missing[..., None], light_shift[:, None, None], shifts)
    pixels, weights = pictures.reshape(n, -1, channels), soft.reshape(n, -1, len(PARTS))
    moved = np.zeros_like(pixels)
    for part in range(len(PARTS)):
        spread = (SKIN_RANGE if part == SKIN else RANGE) * np.sqrt(
            np.diagonal(covariances[:, part], axis1=-2, axis2=-1)
        )
        low, high = (means[:, part] - spread)[:, None], (means[:, part] + spread)[:, None]
        mapped = np.clip(pixels, low, high) @ maps[:, part].astype(np.float32) + shifts[:, None, part]
        moved += weights[..., part, None] * mapped
    return np.clip(moved, -1, 1).reshape(pictures.shape).astype(np.float32)


def place(pictures: np.ndarray, soft: np.ndarray, scenes: np.ndarray) -> np.ndarray:
    """The persons of `pictures`, float32 [n, h, w, c], with soft labels, float32 [n, h, w, parts], before `scenes`,
    float32 [n, h, w, c]. Where a pixel is partly head, the head's own colour is taken from where it is wholly head, so
    that no rim of the old background comes along."""
    heads = head(soft)
    reach = max(1, round(MIXED * pictures.shape[1]))
    inner = np.stack([cv2.erode(one, np.ones((2 * reach + 1,) * 2)) for one in heads[..., 0]])[..., None]
    weights = inner**4 + 1e-4
    own = np.stack(
        [_mean_near(picture, weight, reach + 0.5) for picture, weight in zip(pictures, weights, strict=True)]
    )
    faces = np.where(inner > SOLID, pictures, own)
    # The parser's doubt at an outline is wider than the outline is soft, most of all where its maps were enlarged.
    cut = np.clip((heads - 0.5) * (1 + pictures.shape[1] / 64) + 0.5, 0, 1)
    return cut * faces + (1 - cut) * scenes


def head(soft: np.ndarray) -> np.ndarray:
    """[n, h, w, 1]: how much of each pixel is person and not background or clothes, in [0, 1]."""
    return np.clip(1 - soft[..., BACKGROUND, None] - soft[..., CLOTHES, None], 0, 1)


def face(soft: np.ndarray) -> np.ndarray:
    """[n, h, w, 1]: how much of each pixel is face or neck, without hair, in [0, 1]."""
    return soft[..., list(FACE)].sum(axis=-1, keepdims=True)


def far_from_head(soft: np.ndarray) -> np.ndarray:
    """[n, h, w, 1]: 1 where no head is near, 0 on it and on its seam, SEAM shares of the side wide on either side."""
    reach = SEAM * soft.shape[1]
    blurred = np.stack([cv2.GaussianBlur(heads, (0, 0), reach) for heads in head(soft)[..., 0]])[..., None]
    return np.clip(1 - 2 * blurred, 0, 1)


def fill_person(image: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """A photograph, uint8 [h, w, c], without its person, who is filled in from the surroundings; `soft` are its labels,
    uint8 [s, s, parts]."""
    height, width = image.shape[:2]
    person = _person(as_shares(soft[None], height, width), DILATION)[0]
    filled = cv2.inpaint(image, (person * 255).astype(np.uint8), FILL_RADIUS, cv2.INPAINT_TELEA)
    # The fills of both sides meet in a seam; what is filled is out of focus.
    smooth = cv2.GaussianBlur(filled, (0, 0), FILL_BLUR * height).reshape(image.shape)
    return np.where(person[..., None], smooth, image)


def _light(own: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The light that skin of mean colour `own` [n, c] needs to have that of `wanted`, as gain [n] and offset [n] of
    values in [-1, 1]; black stays black, the gain is bounded."""
    gain = np.clip((wanted.mean(axis=-1) + 1) / np.maximum(own.mean(axis=-1) + 1, 0.05), 0.5, 1.6)
    return gain, gain - 1


def _mean_near(picture: np.ndarray, weight: np.ndarray, reach: float) -> np.ndarray:
    """The weighted mean over a normal window of standard deviation `reach` px: picture [h, w, c], weight [h, w, 1]."""
    blurred = cv2.GaussianBlur(picture * weight, (0, 0), reach).reshape(picture.shape)
    return blurred / cv2.GaussianBlur(weight, (0, 0), reach).reshape(weight.shape)


def _person(soft: np.ndarray, dilation: float) -> np.ndarray:
    """Bool [n, h, w]: where the persons are, taken larger by `dilation` shares of the side."""
    persons = (head(soft)[..., 0] > PERSON).astype(np.uint8)
    reach = round(dilation * soft.shape[1])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    return np.stack([cv2.dilate(person, kernel) for person in persons]).astype(bool)


def outline(soft: np.ndarray, dilation: float = DILATION) -> np.ndarray:
    """Persons of soft labels, float32 [n, h, w, parts], taken larger by `dilation`: [n, OUTLINE * OUTLINE] in [0,
    1]."""
    persons = _person(soft, dilation).astype(np.float32)
    return np.stack([cv2.resize(p, (OUTLINE,) * 2, interpolation=cv2.INTER_AREA).ravel() for p in persons])


def as_shares(soft: np.ndarray, height: int, width: int) -> np.ndarray:
    """Soft labels, uint8 [n, s, t, parts] with 255 for 1, as float32 [n, height, width, parts] in [0, 1]."""
    return resize_soft(soft.astype(np.float32) / 255.0, height, width)
