"""Do the labels still hold? Raw and refined pictures and their label points in; how far the points moved comes out.

The picture under a label is followed by dense optical flow (DIS, Kroeger et al. 2016, arXiv 1603.03590), which needs no
trained network. The paper measured the same thing by hand: the pupil's centre before and after, on 100 eyes (section
3.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from simrefine.data.images import to_channels
from simrefine.data.points import interocular
from simrefine.threads import on_all_cores

FLOW_SIDE = 256  # px: smaller pictures are enlarged at least to this, DIS's 8 px patches then see an eighth of a face
GRID = 16  # points a side where there are no labels
WORST = 8  # pictures named in a summary
_WINDOW = 1 / 8  # of the side: the neighbourhood whose mean and spread are taken away
_FLAT = 4.0  # gray levels: spreads well below it are noise, which must not be blown up into texture
_EDGE = 1 / 128  # of the side: finer edges are grain and sharpness, not shape
_RANGE = 2.5  # spreads around the mean that are kept


@dataclass(frozen=True)
class Drift:
    """How far the labels of each picture moved.

    Args:
        names: of the n pictures.
        pixels: [n], mean over a picture's points of the length of the flow, in px.
        percent: [n], the same in percent of `unit`; NaN where a picture's eyes are not labelled.
        unit: "inter-ocular distance" or "image side".
        where: "label points", or "grid" where there are none.
        edge_agreement: [n], see `compare_edges`.
    """

    names: list[str]
    pixels: np.ndarray
    percent: np.ndarray
    unit: str
    where: str
    edge_agreement: np.ndarray


def measure_drift(
    raw: np.ndarray,
    refined: np.ndarray,
    points: np.ndarray | None,
    names: Sequence[str],
) -> Drift:
    """Measures how far the picture under each label point moved from raw to refined.

    Known answers, on rendered faces of 64 px with 68 points: a face moved by 0.5 to 4 px comes back within 2 % (128 px:
    8 %). Parts that move alone are smoothed by the flow's patches: a mouth moved by 1 px shows 85 % of it, an eye 80 %.

    The floor is what faces give that changed and did not move: median (95th percentile) in px at 64 px: tint 0.02
    (0.03), brightness gradient 0.02 (0.04), gamma 0.7 0.03 (0.06), blur of 0.7 px 0.05 (0.08), noise of 6 gray levels
    0.07 (0.13), JPEG of quality 60 0.11 (0.17), all at once 0.20 (0.29); at 128 px all at once 0.15 (0.23). So up to
    0.8 % of the inter-ocular distance at 64 px and 0.3 % at 128 px may be no drift at all; on a grid, twice that in px.

    DIS presets differ in how much they smooth: FAST lowers the floor by a third but shows 60 % of an eye's move, MEDIUM
    shows 90 % and nearly doubles the floor; ULTRAFAST stands between. Forward-backward weights changed neither.

    Args:
        raw: uint8 [n, h, w, c].
        refined: the same pictures refined, the same shape.
        points: [n, k, 2] of x, y in px; NaN where not labelled; points outside count at the nearest border. None
            measures at a grid over the picture instead: of GRID x GRID points the half with the most texture around
            them, in percent of the image side.
        names: [n], of the pictures.
    """
    side = min(raw.shape[1:3])
    where = "label points" if points is not None else "grid"
    if points is None:
        points = np.broadcast_to(_grid(*raw.shape[1:3]), (len(raw), GRID * GRID, 2))
    distance, unit = interocular(points), "inter-ocular distance"  # [n] px
    if distance is None or not np.isfinite(distance).any():
        distance, unit = np.full(len(raw), float(side)), "image side"

    def measure(index: int) -> tuple[float, float]:
        before, after = flatten_light(raw[index]), flatten_light(refined[index])
        factor = len(before) // raw.shape[1]
        shifts = np.linalg.norm(follow_points(before, after, points[index] * factor), axis=-1) / factor
        if where == "grid":
            shifts = shifts[_textured_cells(before)]
        return float(np.nanmean(shifts)), compare_edges(before, after)

    pixels, agreement = np.array(on_all_cores(measure, range(len(raw)))).T
    return Drift(list(names), pixels, pixels / distance * 100, unit, where, agreement)


def summarise_drift(drift: Drift) -> dict[str, Any]:
    """Medians, 95th percentiles and the WORST pictures as [name, percent], largest first; ready for JSON."""
    known = np.flatnonzero(np.isfinite(drift.percent))
    worst = known[np.argsort(-drift.percent[known], kind="stable")][:WORST]
    return {
        "pictures": len(drift.names),
        "where": drift.where,
        "unit": drift.unit,
        "pixels_median": float(np.median(drift.pixels)),
        "pixels_p95": float(np.percentile(drift.pixels, 95)),
        "percent_median": float(np.nanmedian(drift.percent)),
        "percent_p95": float(np.nanpercentile(drift.percent, 95)),
        "edge_agreement_median": float(np.median(drift.edge_agreement)),
        "worst": [[drift.names[index], float(drift.percent[index])] for index in worst],
    }


def flatten_light(picture: np.ndarray) -> np.ndarray:
    """Takes colour, brightness and contrast away, so that what is left is where things are: luma less its local mean,
    over its local spread. uint8 [h, w, c] to uint8 [h * f, w * f], f a whole factor that brings the short side to
    FLOW_SIDE or more."""
    luma = to_channels(picture, 1)[..., 0].astype(np.float32)
    side = min(luma.shape)
    detail = luma - cv2.GaussianBlur(luma, (0, 0), side * _WINDOW)
    spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), side * _WINDOW)) + _FLAT
    factor = -(-FLOW_SIDE // side)
    flat = cv2.resize(detail / spread, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return np.clip(127.5 + flat * (127.5 / _RANGE), 0, 255).astype(np.uint8)


def follow_points(before: np.ndarray, after: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where the picture under each point went: [k, 2] of x, y to [k, 2] of dx, dy, in px of these pictures, uint8
    [h, w]. NaN stays NaN; outside the picture the flow at its border counts."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(before, after, None)  # [h, w, 2]
    places = np.nan_to_num(points - 0.5).astype(np.float32)[None]  # OpenCV counts from the first pixel's centre
    shifts = cv2.remap(flow, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    return np.where(np.isfinite(points), shifts, np.nan)


def compare_edges(before: np.ndarray, after: np.ndarray) -> float:
    """How well the edges of two pictures agree in place, direction and relative strength: the cosine between their
    gradient fields, sum g . g' / (|g| |g'|), in [0, 1]. 1 for the same edges, 0 for unrelated or inverted ones.

    Two different faces have 0.04; a face moved by 1/128, 1/64 and 1/32 of its side has 0.9, 0.7 and 0.3; tints,
    gradients and gamma keep 1.0, JPEG of quality 60 keeps 0.94 or more.
    """
    sigma = min(before.shape) * _EDGE
    fields = [cv2.spatialGradient(cv2.GaussianBlur(picture, (0, 0), sigma)) for picture in (before, after)]
    first, second = (np.stack(field).astype(np.float64).ravel() for field in fields)
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    if norms == 0:
        return float(np.array_equal(first, second))
    return float(np.clip(first @ second / norms, 0, 1))


def _textured_cells(picture: np.ndarray) -> np.ndarray:
    """bool [GRID * GRID]: the half of the cells with the stronger edges; in flat ones there is nothing to follow."""
    strength = np.hypot(*(gradient.astype(np.float32) for gradient in cv2.spatialGradient(picture)))
    strength = cv2.resize(strength, (GRID, GRID), interpolation=cv2.INTER_AREA).ravel()
    return strength >= np.median(strength)


def _grid(height: int, width: int) -> np.ndarray:
    """[GRID * GRID, 2]: the centres of equal cells."""
    x, y = np.meshgrid((np.arange(GRID) + 0.5) / GRID * width, (np.arange(GRID) + 0.5) / GRID * height)
    return np.stack([x, y], -1).reshape(-1, 2)
