"""The colours of a photograph as a style: the mean and covariance of colour of its middle, where the face is, and the
least change that gives them to another picture. No pixel moves, so labels stay valid.

In go pictures and styles, out come the pictures in those styles. The change is the linear Monge-Kantorovich map (Pitie
and Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer"), the optimal
transport between two normal distributions (Givens and Shortt 1984, "A class of Wasserstein metrics for probability
distributions").
"""

import zlib
from collections.abc import Iterable

import numpy as np

from simrefine.data.images import GRAY_LEVELS, as_signed, to_signed, to_uint8
from simrefine.data.windows import windows_of
from simrefine.randomness import generator

# Standard deviation of the window through which colours are read, in shares of the side. A blue sky or a red curtain
# behind a head would otherwise colour the skin.
WINDOW = 0.2
# Variance of rounding to whole gray levels, in units of [-1, 1]: a flat picture has no less.
ROUNDING = 1 / 12 / GRAY_LEVELS**2
WINDOW_PIXELS = 2**18  # at a time in float64, of a picture whose colours are read


def read_styles(pictures: np.ndarray) -> np.ndarray:
    """The style of each picture: float32 [n, h, w, c] in [-1, 1], or gray levels as uint8, to float64 [n, 1 + c, c],
    the mean above the root of the covariance, both in units of [-1, 1] and weighted by a normal window in the
    middle."""
    height, width = pictures.shape[1:3]
    down, across = _window(height), _window(width)

    def pieces():
        """Weights [pixels, 1] and pixels [n, pixels, c], in float64."""
        for window in windows_of(WINDOW_PIXELS, height, width):
            pixels = as_signed(window.of(pictures)).reshape(len(pictures), -1, pictures.shape[-1]).astype(np.float64)
            yield np.outer(down[window.top : window.bottom], across[window.left : window.right]).reshape(-1, 1), pixels

    means = sum((weights * pixels).sum(axis=1, keepdims=True) for weights, pixels in pieces())
    covariances = sum((weights * (pixels - means)).swapaxes(1, 2) @ (pixels - means) for weights, pixels in pieces())
    return np.concatenate([means, _power(covariances, 0.5, floor=ROUNDING)], axis=1)


def read_all_styles(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """The styles of uint8 pictures [h, w, c], as above. One by one: all at once, in the precision that this takes, a
    pile of photographs would fill the memory."""
    return np.concatenate([read_styles(to_signed(picture[None])) for picture in pictures])


def transfer_styles(pictures: np.ndarray, styles: np.ndarray) -> np.ndarray:
    """Pictures, float32 [n, h, w, c] in [-1, 1], with the colours of `styles` [n, 1 + c, c]; clipped to the range."""
    return move_styles(pictures, read_styles(pictures), styles)


def move_styles(pictures: np.ndarray, own: np.ndarray, styles: np.ndarray) -> np.ndarray:
    """The same, of pictures or windows of pictures whose styles are `own` [n, 1 + c, c]."""
    transforms = monge_map(own[:, 1:] @ own[:, 1:], styles[:, 1:] @ styles[:, 1:])
    moved = (pictures - own[:, None, :1]) @ transforms[:, None].astype(np.float32) + styles[:, None, :1]
    return np.clip(moved, -1.0, 1.0).astype(np.float32)


def monge_map(own: np.ndarray, wanted: np.ndarray, stretch: float = np.inf) -> np.ndarray:
    """The symmetric matrices [..., c, c] that give colours of covariance `own` the covariance `wanted`, with the least
    change; no direction is stretched, or shrunk, by more than `stretch`."""
    root = _power(own, 0.5)
    inverse = _power(root, -1.0)
    transforms = inverse @ _power(root @ wanted @ root, 0.5) @ inverse
    if np.isinf(stretch):
        return transforms
    values, vectors = np.linalg.eigh(transforms)
    return (vectors * np.clip(values, 1 / stretch, stretch)[..., None, :]) @ vectors.swapaxes(-1, -2)


def restyle(pictures: np.ndarray, styles: np.ndarray, candidates: int, rng: np.random.Generator) -> np.ndarray:
    """Gives each picture, float32 [n, h, w, c] in [-1, 1], the nearest of `candidates` random `styles` [m, 1 + c, c];
    unchanged where `candidates` is 0."""
    if not candidates:
        return pictures
    return transfer_styles(pictures, draw_styles(pictures, styles, candidates, rng))


def draw_styles(pictures: np.ndarray, styles: np.ndarray, candidates: int, rng: np.random.Generator) -> np.ndarray:
    """For each picture the nearest of `candidates` random `styles` [m, 1 + c, c]: [n, 1 + c, c]."""
    return choose_styles(pictures, styles, rng.integers(len(styles), size=(len(pictures), candidates)))


def restyle_alone(pictures: np.ndarray, styles: np.ndarray, candidates: int, seed: int) -> np.ndarray:
    """The same, but each picture draws its own candidates from its pixels and `seed`: whatever comes with it, and in
    whichever order, it gets the same style."""
    alone = [restyle(picture[None], styles, candidates, own_generator(to_uint8(picture), seed)) for picture in pictures]
    return np.concatenate(alone) if alone else pictures


def own_generator(image: np.ndarray, seed: int) -> np.random.Generator:
    """The random numbers by which a uint8 picture draws its look: they follow from its pixels and `seed` alone."""
    return generator(seed, zlib.crc32(np.ascontiguousarray(image)), "style")


def choose_styles(pictures: np.ndarray, styles: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """For each picture, the nearest of its candidates: the one that asks for the least change.

    Args:
        pictures: float32 [n, h, w, c] in [-1, 1], or uint8.
        styles: [m, 1 + c, c].
        candidates: int [n, k], places in `styles`. One candidate = any photograph's colours, and orange or blue faces
            among them; many = always the most usual colours.

    Returns:
        [n, 1 + c, c].
    """
    own = read_styles(pictures)[:, None]
    offered = styles[candidates]  # [n, k, 1 + c, c]
    costs = _distances(own, offered)
    return offered[np.arange(len(pictures)), costs.argmin(axis=1)]


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared 2-Wasserstein distance of normal distributions, [..., 1 + c, c] each to [...]."""
    (mean, root), (other_mean, other_root) = ((style[..., 0, :], style[..., 1:, :]) for style in (one, other))
    covariance, other_covariance = root @ root, other_root @ other_root
    crossed = np.linalg.eigvalsh(root @ other_covariance @ root)
    traces = (np.trace(matrix, axis1=-2, axis2=-1) for matrix in (covariance, other_covariance))
    return np.square(mean - other_mean).sum(-1) + sum(traces) - 2 * np.sqrt(np.maximum(crossed, 0)).sum(-1)


def _window(n: int) -> np.ndarray:
    """[n], adding up to one."""
    weights = np.exp(-0.5 * np.square(((np.arange(n) + 0.5) / n - 0.5) / WINDOW))
    return weights / weights.sum()


def _power(symmetric: np.ndarray, exponent: float, floor: float = 0.0) -> np.ndarray:
    """Symmetric positive matrices [..., c, c] to a power, their eigenvalues raised to `floor` first."""
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * np.maximum(values, floor)[..., None, :] ** exponent) @ vectors.swapaxes(-1, -2)
