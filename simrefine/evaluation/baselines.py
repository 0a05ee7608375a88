"""What can be had without a refiner's network: the photographs' colours, or those of its own faces. (A camera's faults
are added in every training, see training/photometric.py.)

Pictures are uint8 [n, h, w, c] in and out, changed in place of a refined set: no pixel moves, so labels stay valid.
"""

import numpy as np

from simrefine.data.images import to_signed, to_uint8
from simrefine.data.styles import read_all_styles, read_styles, transfer_styles
from simrefine.randomness import generator


def match_colours(images: np.ndarray, reference: np.ndarray, seed: int) -> np.ndarray:
    """Gives every picture the mean and covariance of colour of a reference picture's middle, drawn at random for each.

    Args:
        images: uint8 [n, h, w, c].
        reference: uint8 [m, h, w, c], photographs; of any size and number.
    """
    drawn = generator(seed, 0, "match colours").integers(len(reference), size=len(images))
    styles = read_all_styles(reference)
    return np.concatenate(
        [to_uint8(transfer_styles(to_signed(i[None]), styles[k : k + 1])) for i, k in zip(images, drawn, strict=True)]
    )


def take_colours(images: np.ndarray, refined: np.ndarray) -> np.ndarray:
    """Gives every picture the mean and covariance of colour of its refined one, both uint8 [n, h, w, c]: all of a
    refinement that one change of colours a picture can do, so what refined faces have beyond it was not bought with
    colour."""
    pairs = (to_signed(np.stack(pair)) for pair in zip(images, refined, strict=True))
    return np.concatenate([to_uint8(transfer_styles(own[None], read_styles(other[None]))) for own, other in pairs])
