"""How far two sets of pictures are apart, by formulas alone: uint8 pictures or features in, numbers out.

Sliced Wasserstein distance of Laplacian-pyramid patches (Karras et al. 2018, arXiv 1710.10196, section 5), colour and
sharpness statistics, and the formulas of FID (Heusel et al. 2017, arXiv 1706.08500) and KID (Binkowski et al. 2018,
arXiv 1801.01401). Cheap enough to be looked at during training; what needs a network is in evaluation/realism.py.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simrefine.data.images import LUMA
from simrefine.errors import UserError
from simrefine.randomness import generator

SMALLEST_LEVEL = 16  # px, side of the pyramid's coarsest level (Karras et al.)
PATCH = 7  # px
PATCHES = 2**15  # a set and level, however many pictures: 109 of each of 300; the paper draws 128 of each of 16,384
DIRECTIONS, DIRECTION_CHUNKS = 512, 4
ROUNDING = 12**-0.5  # gray levels: the standard deviation of rounding to uint8
KERNEL_SUBSETS, KERNEL_SUBSET_SIZE = 100, 100

_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16  # Burt and Adelson 1983


def check_enough(images: Sequence, minimum: int, what: str) -> None:
    """Raises a UserError that names `what` ("the refined set, for fid") where there are fewer than `minimum`."""
    if len(images) < minimum:
        raise UserError(
            f"too few pictures in {what}: {len(images)}, at least {minimum} are needed",
            "add pictures, or leave this part out",
        )


def check_same_shape(a: np.ndarray, b: np.ndarray) -> None:
    """Raises a UserError where two sets hold pictures of different shapes."""
    if a.shape[1:] != b.shape[1:]:
        sizes = " and ".join(f"{w} x {h} px with {c} channels" for h, w, c in (a.shape[1:], b.shape[1:]))
        raise UserError(f"the sets to compare hold pictures of different shapes: {sizes}", "resize them to one size")


# Sliced Wasserstein distance


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, seed: int = 0) -> dict[int, float]:
    """Sliced Wasserstein distance of 7 x 7 patches a level of the Laplacian pyramid (Karras et al. 2018, section 5).

    512 random directions; the distance along one is the mean absolute difference of the sorted projections. As
    in the paper, patches are normalised a channel, but both sets by the mean and standard deviation of `b`: if a set
    were normalised by its own, as in the published code, a tint and a loss of contrast would not be measured.
    Either set gives 2^15 patches, spread evenly over its pictures, from the same random places; so sets of different
    n compare, and a set is at distance 0 from itself. Small sets are never at 0: see `measure_realism`, "real".

    Args:
        a: uint8 [n, h, w, c].
        b: uint8 [m, h, w, c], the reference (real); sides of at least 16 px.

    Returns:
        {shorter side of the level in px, finest first: distance x 1e3}, down to 16 px, of which the coarsest holds
        the colours and the others the details of their scale.

    Raises:
        UserError: different shapes, empty, or smaller than 16 px.
    """
    check_same_shape(a, b)
    check_enough(a, 1, "the set, for the sliced Wasserstein distance")
    check_enough(b, 1, "the reference set, for the sliced Wasserstein distance")
    if min(a.shape[1:3]) < SMALLEST_LEVEL:
        raise UserError(
            f"pictures of {a.shape[2]} x {a.shape[1]} px are too small for the sliced Wasserstein distance",
            f"use at least {SMALLEST_LEVEL} px a side",
        )
    distances = {}
    for level_a, level_b in zip(_laplacian_pyramid(a), _laplacian_pyramid(b), strict=True):
        side = min(level_a.shape[1:3])
        patches_a, patches_b = (_draw_patches(level, generator(seed, side, "patches")) for level in (level_a, level_b))
        mean = patches_b.mean(axis=(0, 2, 3), keepdims=True)
        std = np.maximum(patches_b.std(axis=(0, 2, 3), keepdims=True), ROUNDING)  # a flat reference has none
        for patches in (patches_a, patches_b):
            patches -= mean
            patches /= std
        distances[side] = 1e3 * _sliced_distance(patches_a, patches_b, generator(seed, side, "directions"))
    return distances


def wasserstein_mean(distances: Mapping[int, float]) -> float:
    """The mean over the levels, the paper's "average"."""
    return float(np.mean(list(distances.values())))


def _laplacian_pyramid(images: np.ndarray) -> list[np.ndarray]:
    """Float32 levels [n, h / 2^k, w / 2^k, c] in gray levels, finest first (Burt and Adelson 1983)."""
    levels = [images.astype(np.float32)]
    while (min(levels[-1].shape[1:3]) + 1) // 2 >= SMALLEST_LEVEL:
        coarse = _smooth(_smooth(levels[-1], 1)[:, ::2], 2)[:, :, ::2]
        levels[-1] -= _expand(coarse, levels[-1].shape)
        levels.append(coarse)
    return levels


def _smooth(images: np.ndarray, axis: int) -> np.ndarray:
    widths = [(2, 2) if place == axis else (0, 0) for place in range(4)]
    padded = np.moveaxis(np.pad(images, widths, mode="reflect"), axis, 0)
    smooth = sum(tap * padded[k : k + images.shape[axis]] for k, tap in enumerate(_BINOMIAL))
    return np.moveaxis(smooth, 0, axis)


def _expand(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    spread = np.zeros(shape, np.float32)
    spread[:, ::2, ::2] = 4 * coarse  # three of four are zeros
    return _smooth(_smooth(spread, 1), 2)


def _draw_patches(level: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[PATCHES, c, 7, 7] from random places, as many from every picture (one more or less)."""
    windows = np.lib.stride_tricks.sliding_window_view(level, (PATCH, PATCH), axis=(1, 2))
    pictures = np.arange(PATCHES) * len(level) // PATCHES
    rows, columns = (rng.integers(count, size=PATCHES) for count in windows.shape[1:3])
    return windows[pictures, rows, columns]


def _sliced_distance(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    """Patches [PATCHES, c, 7, 7] to the mean over directions of the distance of their sorted projections."""
    directions = rng.standard_normal((DIRECTIONS, a[0].size), np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = []
    for chunk in np.split(directions, DIRECTION_CHUNKS):  # to save memory
        sorted_a, sorted_b = (np.sort(chunk @ patches.reshape(PATCHES, -1).T, axis=1) for patches in (a, b))
        distances.append(np.abs(sorted_a - sorted_b).mean())
    return float(np.mean(distances))


# Colour and sharpness


def statistics(images: np.ndarray) -> dict:
    """Colour and sharpness of a set, uint8 [n, h, w, c].

    Returns:
        mean, std: lists a channel over all pixels; contrast: standard deviation of luma within a picture; sharpness:
        mean absolute Laplacian of luma; noise: standard deviation, from the median absolute diagonal detail (Donoho
        and Johnstone 1994); all in gray levels. saturation: (max - min) / max of the channels, in [0, 1].

    Raises:
        UserError: an empty set.
    """
    check_enough(images, 1, "the set, for statistics")
    luma = _luma(images)
    diagonal = (luma[:, :-1, :-1] - luma[:, :-1, 1:] - luma[:, 1:, :-1] + luma[:, 1:, 1:]) / 2
    brightest, darkest = images.max(axis=-1).astype(np.float32), images.min(axis=-1)
    return {
        "mean": images.mean(axis=(0, 1, 2)).tolist(),
        "std": images.std(axis=(0, 1, 2)).tolist(),
        "contrast": float(luma.std(axis=(1, 2)).mean()),
        "sharpness": float(_detail(luma).mean()),
        "noise": float(np.median(np.abs(diagonal), axis=(1, 2)).mean() / 0.6745),
        "saturation": float(((brightest - darkest) / np.maximum(brightest, 1)).mean()),
    }


def sharpness_within(images: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Each picture's mean absolute Laplacian of luma, in gray levels, over its pixels that are in `where`: uint8
    [n, h, w, c] and bool [n, h, w] to float [n]; 0 where there are none. The outermost pixels have no Laplacian."""
    inside = where[:, 1:-1, 1:-1]
    return (_detail(_luma(images)) * inside).sum(axis=(1, 2)) / np.maximum(inside.sum(axis=(1, 2)), 1)


def _luma(images: np.ndarray) -> np.ndarray:
    """uint8 [n, h, w, c] to float32 [n, h, w] in gray levels."""
    return images @ LUMA if images.shape[-1] == 3 else images[..., 0].astype(np.float32)


def _detail(luma: np.ndarray) -> np.ndarray:
    """The absolute Laplacian: [n, h, w] to [n, h - 2, w - 2]."""
    return np.abs(
        luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * luma[:, 1:-1, 1:-1]
    )


def statistics_gap(a: Mapping, b: Mapping) -> dict:
    """What separates the `statistics` of a set from those of a reference.

    Returns:
        colour_gap: root mean square difference of the channels' means and standard deviations, in gray levels;
        sharpness_ratio, contrast_ratio: a / b, None where b has none; noise_difference (gray levels),
        saturation_difference: a - b.
    """
    differences = np.subtract([a["mean"], a["std"]], [b["mean"], b["std"]])
    return {
        "colour_gap": float(np.sqrt(np.mean(differences**2))),
        "sharpness_ratio": a["sharpness"] / b["sharpness"] if b["sharpness"] else None,
        "contrast_ratio": a["contrast"] / b["contrast"] if b["contrast"] else None,
        "noise_difference": a["noise"] - b["noise"],
        "saturation_difference": a["saturation"] - b["saturation"],
    }


# FID and KID, of features [n, d]


def frechet_distance(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), features [n, d] and [m, d] (Heusel et al. 2017, eq. 6).

    With S = R^T R the trace of the root is the sum of the singular values of R_a R_b^T: no matrix root, no
    complex numbers. Biased upwards for few pictures (n < d or so): compare values of equal n only.
    """
    roots = []
    for features in (features_a, features_b):
        check_enough(features, 2, "a set, for the Frechet distance")
        centred = np.asarray(features, np.float64) - np.mean(features, axis=0, dtype=np.float64)
        roots.append(np.linalg.qr(centred / np.sqrt(len(centred) - 1), mode="r"))
    between = np.mean(features_a, axis=0, dtype=np.float64) - np.mean(features_b, axis=0, dtype=np.float64)
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    distance = between @ between + np.square(roots[0]).sum() + np.square(roots[1]).sum() - 2 * shared
    return max(0.0, float(distance))  # rounding may leave -1e-14


def kernel_distance(
    features_a: np.ndarray, features_b: np.ndarray, seed: int = 0, subset: int = KERNEL_SUBSET_SIZE
) -> tuple[float, float]:
    """KID of features [n, d] and [m, d]: the unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3.

    Returns:
        (mean, standard deviation) over 100 random subsets (Binkowski et al. 2018, section 4) of `subset` pictures of
        each set, or of the smaller set's size; the paper's 1000 are more than small sets have. The mean may be
        below 0; the deviation is that of one subset.
    """
    check_enough(features_a, 2, "the first set, for the kernel distance")
    check_enough(features_b, 2, "the second set, for the kernel distance")
    a, b = (np.asarray(features, np.float64) for features in (features_a, features_b))
    size = min(subset, len(a), len(b))
    values = []
    for index in range(KERNEL_SUBSETS):
        rng = generator(seed, index, "kernel subset")
        values.append(_squared_discrepancy(*(features[rng.permutation(len(features))[:size]] for features in (a, b))))
    return float(np.mean(values)), float(np.std(values))


def _squared_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased MMD^2 (Gretton et al. 2012, eq. 3): without the pairs of a picture with itself."""

    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    def without_self(k):
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    return without_self(kernel(a, a)) + without_self(kernel(b, b)) - 2 * kernel(a, b).mean()
