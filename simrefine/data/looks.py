"""The colours that a rendered face takes from a photograph before it is refined, part by part.

In go faces, their soft part labels (data/parts.py) and a bank of photographs; out come the faces in the colours that
one of them has. Each part takes mean and covariance of the same part by the linear Monge-Kantorovich map of
data/styles.py, its stretch bounded. No pixel moves, so labels stay valid."""

from typing import NamedTuple

import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.colour import is_tinted, to_lab
from simrefine.data.heads import views
from simrefine.data.images import to_signed
from simrefine.data.parts import as_shares
from simrefine.data.scenes import outline
from simrefine.data.styles import ROUNDING, monge_map

LIPS = (PARTS.index("lips"), PARTS.index("mouth"))
SKIN, HAIR = PARTS.index("skin"), PARTS.index("hair")
# Parts that keep their own colours and follow the light on the skin alone: a photograph's are a few pixels with much
# else among them, and whites must stay white. Brows so stay as much darker than the skin as they were.
FOLLOWERS = tuple(PARTS.index(part) for part in ("brows", "eyes", "mouth"))
LOOSER, LOOSE = (HAIR, PARTS.index("brows"), PARTS.index("eyes")), 0.3  # how much these are held beside skin
FEWEST = 0.002  # share of a picture that a part must cover for its statistics to mean something
RANGE, SKIN_RANGE = 1.5, 3.0  # standard deviations from its mean within which a part's colours lie; skin has highlights
STRETCH = 1.5  # how far colours of a part may be spread out, and by its inverse drawn together
NEAR = 0.03  # share of the photographs that count as near in complexion and hair
HAIR_WEIGHT = 0.25  # of a difference of hair beside one of skin: dark hair that turns blond is no cap, but a bald head
# How far complexion may move towards that of the head that a face is put on, CIE76, and in units of [-1, 1] for gray.
LARGEST_MOVE, LARGEST_GRAY_MOVE = 2.0, 0.04
FEWEST_NEAR = 8  # of them, where the share would be less: one photograph must not dress everyone


class Bank(NamedTuple):
    """Photographs of natural complexion, as far as faces need them; m of them."""

    shares: np.ndarray  # float32 [m, parts]: how much of each picture a part covers
    means: np.ndarray  # float32 [m, parts, c] in [-1, 1]
    covariances: np.ndarray  # float32 [m, parts, c, c]
    outlines: np.ndarray  # float32 [m, OUTLINE * OUTLINE]: where the photograph's person was and is filled, in [0, 1]
    views: np.ndarray  # float16 [m, VIEW]: how its head is seen, see data/heads.py; [m, 0] of refiners from before

    def take(self, places) -> "Bank":
        return Bank(*(values[places] for values in self))


def read_bank(images: np.ndarray, soft: np.ndarray) -> Bank:
    """The bank of photographs, uint8 [m, h, w, c], with soft labels, uint8 [m, s, s, parts]; all are kept."""
    rows = []
    for image, labels in zip(images, soft, strict=True):  # one by one: as float32 a pile would fill the memory
        shares = as_shares(labels[None], *image.shape[:2])
        rows.append((*part_statistics(to_signed(image[None]), shares), outline(shares)))
    values = (np.concatenate(values).astype(np.float32) for values in zip(*rows, strict=True))
    return Bank(*values, views(images, soft))


def natural(bank: Bank) -> np.ndarray:
    """Bool [m]: whose skin is seen and, in colour, is not tinted (data/colour.py)."""
    seen = bank.shares[:, SKIN] > 10 * FEWEST
    if bank.means.shape[-1] == 1:
        return seen
    return seen & ~is_tinted(to_lab(bank.means[:, SKIN]))


class Moments(NamedTuple):
    """What the statistics of parts are made of; those of two halves of a picture add up to those of the picture."""

    pixels: int  # of each picture
    weights: np.ndarray  # [n, parts], of a part's pixels
    sums: np.ndarray  # float64 [n, parts, c + c * c], weighted, of colours and of their products

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(*(one + another for one, another in zip(self, other, strict=True)))


def part_statistics(pictures: np.ndarray, soft: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares [n, parts], means [n, parts, c] and covariances [n, parts, c, c] of pictures, float32 [n, h, w, c], over
    their soft labels, float32 [n, h, w, parts]."""
    return statistics_of(read_moments(pictures, soft))


def read_moments(pictures: np.ndarray, soft: np.ndarray) -> Moments:
    """Of pictures, or of a window of them, float32 [n, h, w, c], over their soft labels, float32 [n, h, w, parts]."""
    n, height, width, channels = pictures.shape
    # In float32 the difference of two moments near 1 may be negative, which no covariance is.
    pixels = pictures.reshape(n, -1, channels).astype(np.float64)
    weights = soft.reshape(n, height * width, -1).swapaxes(1, 2)  # [n, parts, pixels]
    products = (pixels[..., :, None] * pixels[..., None, :]).reshape(n, -1, channels * channels)
    sums = weights.astype(np.float64) @ np.concatenate([pixels, products], axis=-1)
    return Moments(height * width, weights.sum(axis=-1), sums)


def statistics_of(moments: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares, means and covariances, see `part_statistics`."""
    n, parts, size = moments.sums.shape
    channels = int(size**0.5)  # of c + c * c
    means, products = np.split(moments.sums / np.maximum(moments.weights, 1e-6)[..., None], [channels], axis=-1)
    covariances = products.reshape(n, parts, channels, channels) - means[..., :, None] * means[..., None, :]
    covariances += ROUNDING * np.eye(channels)
    return moments.weights / moments.pixels, means, covariances


def choose(shares: np.ndarray, means: np.ndarray, heads: np.ndarray, bank: Bank, draws: np.ndarray) -> np.ndarray:
    """For each face a photograph: of some drawn among those of nearest complexion and hair, the one whose person the
    rendered head hides best, so that least of the room has to be made up.

    Args:
        shares, means: [n, parts] and [n, parts, c], of the faces, see `part_statistics`.
        heads: [n, OUTLINE * OUTLINE], their outlines without dilation, see `scenes.outline`.
        bank: of m photographs.
        draws: [n, candidates], uniform in [0, 1).

    Returns:
        int [n], places in the bank.
    """
    far = complexions_apart(means, bank)
    have_hair = (shares[:, None, HAIR] >= FEWEST) & (bank.shares[None, :, HAIR] >= FEWEST)
    far = np.hypot(far, np.where(have_hair, HAIR_WEIGHT * _apart(means, bank.means, HAIR), 0))
    near = far.argsort(axis=1)[:, : max(FEWEST_NEAR, int(NEAR * far.shape[1]))]
    drawn = np.take_along_axis(near, (draws * near.shape[1]).astype(int), axis=1)
    made_up = (bank.outlines[drawn] * (1 - heads[:, None])).sum(axis=-1)
    return drawn[np.arange(len(means)), made_up.argmin(axis=1)]


def complexions_apart(means: np.ndarray, bank: Bank) -> np.ndarray:
    """How far the skin of faces, [n, parts, c], and of photographs is apart, [n, m], see `_apart`."""
    return _apart(means, bank.means, SKIN)


def hold_complexion(means: np.ndarray, bank: Bank) -> tuple[Bank, np.ndarray]:
    """The n photographs of a bank, the skin of each so near to that of a face that its complexion hardly moves; and by
    how much that is, [n, c].

    Args:
        means: [n, parts, c], of the faces.
        bank: of n photographs.
    """
    own, others = means[:, SKIN], bank.means[:, SKIN]
    largest = LARGEST_MOVE if means.shape[-1] == 3 else LARGEST_GRAY_MOVE
    far = np.diagonal(_apart(means, bank.means, SKIN))[:, None]
    shifts = (own - others) * (1 - np.minimum(1, largest / np.maximum(far, 1e-6)))
    moved = bank.means.copy()
    moved[:, SKIN] += shifts
    return bank._replace(means=moved), shifts


def _apart(means: np.ndarray, others: np.ndarray, part: int) -> np.ndarray:
    """How far the colours of a part are apart, [n, parts, c] and [m, parts, c] to [n, m]: CIE76, or in units of [-1, 1]
    for gray."""
    colour = to_lab if means.shape[-1] == 3 else np.asarray
    return np.linalg.norm(colour(means[:, None, part]) - colour(others[None, :, part]), axis=-1)


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
    # Channels first: values are held to bounds by channel several times faster where a channel's lie side by side.
    pixels, weights = (np.moveaxis(each, -1, 1).reshape(n, each.shape[-1], -1) for each in (pictures, soft))
    moved = np.zeros_like(pixels)
    for part in range(len(PARTS)):
        if not weights[:, part].any():  # as of most parts in a window of a large picture
            continue
        spread = (SKIN_RANGE if part == SKIN else RANGE) * np.sqrt(
            np.diagonal(covariances[:, part], axis1=-2, axis2=-1)
        )
        low, high = ((means[:, part] + sign * spread)[..., None].astype(np.float32) for sign in (-1, 1))
        transform, shift = (each.astype(np.float32) for each in (maps[:, part], shifts[:, part, :, None]))
        held = np.minimum(np.maximum(pixels, low), high)
        moved += weights[:, part, None] * (transform @ held + shift)  # the maps are symmetric
    moved = np.clip(moved, -1, 1).astype(np.float32).swapaxes(1, 2)
    return np.ascontiguousarray(moved).reshape(pictures.shape)


def head_held(soft: np.ndarray) -> np.ndarray:
    """[n, h, w, 1]: how much the head is held as it is, in [0, 1]: skin wholly, hair, brows and eyes by LOOSE of that,
    as these are where a render is farthest from a photograph; lips and what is between them not at all."""
    return soft[..., [SKIN]] + LOOSE * soft[..., list(LOOSER)].sum(axis=-1, keepdims=True)


def without_lips(soft: np.ndarray) -> np.ndarray:
    """[n, h, w, 1]: how much of each pixel is neither lips nor what is between them, in [0, 1]: renders have more
    lipstick on than photographs."""
    return np.clip(1 - soft[..., list(LIPS)].sum(axis=-1, keepdims=True), 0, 1)


def _light(own: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The light that skin of mean colour `own` [n, c] needs to have that of `wanted`, as gain [n] and offset [n] of
    values in [-1, 1]; black stays black, the gain is bounded."""
    gain = np.clip((wanted.mean(axis=-1) + 1) / np.maximum(own.mean(axis=-1) + 1, 0.05), 0.5, 1.6)
    return gain, gain - 1
