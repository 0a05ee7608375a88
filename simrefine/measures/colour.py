"""The complexion of a face: a colour picture and its 68 points in; the mean colour of its skin, whether that is a
colour that skin has, and how far it moved out.

Colours are CIELAB, see data/colour.py. Distances are CIE76, Euclidean: about 2.3 is just noticeable (Mahy et al. 1994).
"""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from simrefine.data.colour import is_tinted, to_lab
from simrefine.data.images import to_signed
from simrefine.data.points import LEFT_EYE, MOUTH, OUTLINE, RIGHT_EYE


def skin_mask(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Where skin is: bool [height, width], inside the hull of jaw and brows, without eyes and mouth.

    Args:
        points: [68, 2] of x, y in px, the picture spanning 0..width; NaN nowhere.
    """
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)  # the pixels' centres

    def inside(part: slice) -> np.ndarray:
        corners = cv2.convexHull(points[part].astype(np.float32))[:, 0]  # [m, 2], all turning one way
        mask = np.full((height, width), cv2.contourArea(corners) > 0)  # a line or a point has no inside
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            mask &= (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0)
        return mask

    return inside(OUTLINE) & ~inside(LEFT_EYE) & ~inside(RIGHT_EYE) & ~inside(MOUTH)


def skin_colours(images: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The mean colour of each face's skin, CIELAB [n, 3]; NaN where a point is missing or no skin is in the picture.

    Args:
        images: uint8 [n, h, w, 3].
        points: [n, 68, 2] px.
    """
    colours = np.full((len(images), 3), np.nan)
    for index, (image, places) in enumerate(zip(images, points, strict=True)):
        if np.isfinite(places).all():
            skin = image[skin_mask(places, *image.shape[:2])]
            if len(skin):
                colours[index] = to_lab(to_signed(skin)).mean(axis=0)
    return colours


def typology_angle(colours: np.ndarray) -> np.ndarray:
    """The individual typology angle (ITA, Chardon et al. 1991) of CIELAB colours [n, 3]: [n] in degrees, above 55 very
    light, below -30 dark skin. atan2(L* - 50, b*), which is the usual arctan((L* - 50) / b*) where b* is positive, as
    it is for skin, and goes on without a jump where it is not."""
    lightness, _, b = colours.T
    return np.degrees(np.arctan2(lightness - 50, b))


def compare_complexions(raw: np.ndarray, others: Mapping[str, np.ndarray], real: np.ndarray | None) -> dict[str, Any]:
    """How many complexions are none, and how far they moved; ready for JSON.

    Args:
        raw: `skin_colours` of the raw faces, [n, 3].
        others: of what became of the same faces, by name ("refined"), [n, 3] each.
        real: of photographs, [m, 3], or None.

    Returns:
        {"raw": {"faces", "tinted"}, a name of `others`: those and "distance" and "ita_change", "real": as "raw"};
        "tinted" is a share in [0, 1]; distances (CIE76) and changes (degrees) have "median" and "p95". A set without a
        known face is left out.
    """
    sets = {"raw": raw, **others} | ({} if real is None else {"real": real})
    summary = {}
    for name, colours in sets.items():
        seen = np.isfinite(colours).all(axis=1)
        if not seen.any():
            continue
        summary[name] = {"faces": int(seen.sum()), "tinted": float(is_tinted(colours[seen]).mean())}
        both = seen & np.isfinite(raw).all(axis=1) if name in others else np.zeros(0, bool)
        if both.any():
            before, after = raw[both], colours[both]
            turned = np.abs(typology_angle(after) - typology_angle(before))
            summary[name] |= {
                "distance": _spread(np.linalg.norm(after - before, axis=1)),
                "ita_change": _spread(np.minimum(turned, 360 - turned)),
            }
    return summary


def _spread(values: np.ndarray) -> dict[str, float]:
    return {"median": float(np.median(values)), "p95": float(np.percentile(values, 95))}
