"""Rendered faces on photographed heads: hair, ears, neck, clothes and room are those of a photograph of someone who
looks the same way, the face is the rendered one.

In go soft part labels (data/parts.py) of faces and photographs; out come, for each face, the photograph that fits it
best, moved under it, and which of the face's pixels stay. No pixel of these moves, so points, pose and expression stay
valid; where hair, neck and clothes are does not.
"""

from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np

from simrefine.catalogue import PARTS
from simrefine.data.images import as_signed, resize, to_uint8
from simrefine.data.parts import as_shares, follow_edges, resize_soft
from simrefine.data.scenes import BACKGROUND, Scenes
from simrefine.data.windows import Window, resize_into

HAIR = PARTS.index("hair")
SKIN = PARTS.index("skin")
FACE = [PARTS.index(part) for part in ("skin", "brows", "eyes", "lips", "mouth")]
BROW_WEIGHT = 0.5  # of a pixel of brows beside one of the eyes, of which little is seen where they are closed
SEEN = 0.001  # share of a picture that eyes and mouth must cover for a face to have a frame

# The frame of a face: left eye, right eye and mouth are moved to these points by a similarity, which makes the distance
# of the eyes of a face that looks ahead 1.
FRAME = np.array([[-0.5, -0.35], [0.5, -0.35], [0.0, 0.7]])
REACH = 1.75  # how far the frame goes to every side
LARGEST = 256  # px, side at which photographs are read for pictures that are larger
CELLS = 16  # along a side of the frame, in which labels are held against each other
FINE = 3  # px of a cell, of which its mean is taken

# What of a rendered face stays: an egg around it, in the units of the frame, that ends below the chin and in the ears.
# With a head that is turned it goes aside, by so much of what the middle of the face does.
MIDDLE, BESIDE, BELOW, ABOVE, ASIDE = 0.1, 1.1, 1.4, 1.05, 0.8
CHEEK, CHEEK_RADIUS, CHEEK_SHARE, NOSE = (0.64, 0.3), 0.32, 0.8, (0.45, 0.6)
PASSAGE, FOREHEAD = 0.1, 0.2  # over which it ends, in shares of the egg, and in units of the frame
HAIRLINE = 1.3 / 64  # how wide the passage to the photographed forehead is, standard deviation in shares of the side

LIGHT = 3.5 / 64  # standard deviation of the window within which skin has one light, in shares of the side
GAINS = (0.7, 1.4)  # within which the light of a face is changed
SKIN_NEAR = 0.3  # share of that window from which on its light is trusted

JAW = (0.3, 0.9)  # rows of the frame in which a face is as wide as its jaw
# By what a photographed face is made narrower than the rendered one, and what is below its nose shorter, so that it is
# the rendered outline that is seen.
NARROWER, SHORTER = 0.9, 0.9
EASED = (1.2, 2.4)  # how far from its middle, in units of the frame, that ends
WIDER = 1.25  # how much wider, and narrower, a photograph is made on each side to be as wide there as the face

NEAR_SKIN = 0.15  # share of the photographs that count as near in complexion
BEST = 8  # photographs that fit best, one of which is drawn
WORST = 0.1  # what a photograph that fits at all costs at the most, see `misfit`
WORSE = 1.5  # and beside the best
COVERED, COVERED_ELSEWHERE, APART, MOVED, OTHER_LIGHT = 3.0, 0.3, 10.0, 0.25, 0.1  # what counts how much in it
VIEW = 3 * CELLS**2 + 6 + 2 + 2  # numbers of a view, see `views`


class Frames(NamedTuple):
    """Where n faces are in their pictures."""

    matrices: np.ndarray  # [n, 2, 3]: from the frame to the picture, in shares of its side
    points: np.ndarray  # [n, 3, 2]: where their eyes and mouth are in the frame
    seen: np.ndarray  # bool [n]: whether they are seen; where not, the other two mean nothing


class Heads(NamedTuple):
    """Photographs to put faces on, m of them."""

    images: np.ndarray  # uint8 [m, s, s, c]
    soft: np.ndarray  # uint8 [m, t, t, parts], their labels

    def take(self, places: np.ndarray, side: int) -> "Heads":
        """Those at some places, for pictures of some side, px, which is of no account where they are in memory."""
        return Heads(*(values[places] for values in self))


class HeadsOnDemand:
    """The same, each read when a face is first put on it, as large as the picture that it is for.

    Args:
        read: the photographs at some places, of some side, px.
        parse: the soft labels of the photographs at some places.
        size: px that the side has at least.
    """

    def __init__(
        self, read: Callable[[np.ndarray, int], np.ndarray], parse: Callable[[np.ndarray], np.ndarray], size: int
    ):
        self._read, self._parse, self._size = read, parse, size
        self._soft, self._lock = {}, Lock()

    def take(self, places: np.ndarray, side: int) -> Heads:
        with self._lock:  # several threads dress faces
            new = [place for place in dict.fromkeys(places.tolist()) if place not in self._soft]
            if new:
                self._soft |= zip(new, self._parse(np.array(new)), strict=True)
            soft = np.stack([self._soft[place] for place in places.tolist()])
        return Heads(self._read(places, min(max(side, self._size), max(LARGEST, self._size))), soft)


class Seats(NamedTuple):
    """What is under n faces that are put on photographed heads."""

    scenes: Scenes  # the photographs, moved, with no clothes apart
    labels: np.ndarray  # float32 [n, s, s, parts]: theirs, moved alike
    matrices: np.ndarray  # of the faces, see `Frames`
    asides: np.ndarray  # [n]: how far to the right in its frame the middle of each face is
    inner: np.ndarray  # float32 [n, t, t, 1]: 1 inside of a face, falling to 0 at its border
    light: np.ndarray | None = None  # float32 [n, t, t, c], see `light_between`


def frames(soft: np.ndarray) -> Frames:
    """Of faces with soft labels, uint8 [n, s, s, parts]."""
    shares = soft.astype(np.float32) / 255.0
    height, width = shares.shape[1:3]
    across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    eyes = shares[..., PARTS.index("eyes")] + BROW_WEIGHT * shares[..., PARTS.index("brows")]
    mouth = shares[..., PARTS.index("lips")] + shares[..., PARTS.index("mouth")]
    middle = (eyes.sum(axis=1) @ across) / np.maximum(eyes.sum(axis=(1, 2)), 1e-6)
    left = across < middle[:, None]
    weights = np.stack([eyes * left[:, None], eyes * ~left[:, None], mouth], axis=1)
    sums = weights.sum(axis=(2, 3))
    whole = np.maximum(sums, 1e-6)
    points = np.stack([weights.sum(axis=2) @ across / whole, weights.sum(axis=3) @ down / whole], axis=-1)
    seen = (sums > SEEN * height * width).all(axis=1)
    return Frames(*_fit(points), seen)


def _fit(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The similarities [n, 2, 3] that bring FRAME nearest to points [n, 3, 2], and those points brought back."""
    centre = FRAME - FRAME.mean(axis=0)
    middle = points.mean(axis=1)
    around = points - middle[:, None]
    whole = (centre**2).sum()
    along = (around * centre).sum(axis=(1, 2)) / whole
    turned = (centre[:, 0] * around[..., 1] - centre[:, 1] * around[..., 0]).sum(axis=1) / whole
    turn = np.stack([np.stack([along, -turned], -1), np.stack([turned, along], -1)], axis=1)
    shift = middle - turn @ FRAME.mean(axis=0)
    back = np.linalg.inv(turn + 1e-9 * np.eye(2))
    return np.concatenate([turn, shift[..., None]], axis=-1), (points - shift[:, None]) @ back.swapaxes(1, 2)


def views(pictures: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """What faces are held against each other by, float16 [n, VIEW]: how much of each cell of their frame is face, hair
    and background, where eyes and mouth are in it, by how much the frame is turned and scaled, and whether the light is
    from the side and from above. All 0 where eyes and mouth are not seen. In float16, as it is published.

    Args:
        pictures: float32 [n, h, w, c] in [-1, 1], or gray levels as uint8.
        soft: their labels, uint8 [n, s, s, parts].
    """
    nothing = np.zeros(VIEW)
    found = zip(pictures, soft, *frames(soft), strict=True)
    return np.array([_view(*each) if each[-1] else nothing for each in found], np.float16).reshape(len(soft), VIEW)


def _view(picture: np.ndarray, soft: np.ndarray, matrix: np.ndarray, points: np.ndarray, seen: bool) -> np.ndarray:
    shares = soft.astype(np.float32) / 255.0
    light = resize(as_signed(picture), *soft.shape[:2]).mean(axis=-1) + 1
    groups = (shares[..., FACE].sum(axis=-1), shares[..., HAIR], shares[..., BACKGROUND])
    side, length = CELLS * FINE, len(soft)
    # From pixels of the frame to pixels of the labels, both counted from their centres.
    to_frame = np.array([[2 * REACH / side, 0, REACH / side - REACH], [0, 2 * REACH / side, REACH / side - REACH]])
    there = length * matrix @ np.vstack([to_frame, [0, 0, 1]]) - [[0, 0, 0.5]] * np.ones((2, 1))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    values = np.stack([*groups, shares[..., SKIN], shares[..., SKIN] * light], axis=-1)
    moved = cv2.warpAffine(values, there, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    cells = np.moveaxis(cv2.resize(moved, (CELLS, CELLS), interpolation=cv2.INTER_AREA), -1, 0)
    turned = (np.arctan2(*matrix[::-1, 0]), np.log(np.hypot(*matrix[:, 0])))  # radians, and a logarithm
    return np.concatenate([cells[:3].ravel(), points.ravel(), turned, _light(*cells[3:])])


def _light(skin: np.ndarray, light: np.ndarray) -> np.ndarray:
    """By how much skin is lighter to the right than to the left, and below than above, in shares of the sum; of cells
    [CELLS, CELLS]."""
    x, y = _middles()
    face = (np.abs(x) < 1.1) & (np.abs(y) < 1.1)

    def mean(some: np.ndarray) -> float:
        return (light * some).sum() / max((skin * some).sum(), 1e-6)

    pairs = [(mean(face & (axis > 0)), mean(face & (axis < 0))) for axis in (x, y)]
    return np.array([(one - other) / max(one + other, 1e-6) for one, other in pairs])


def _middles() -> tuple[np.ndarray, np.ndarray]:
    """Where the cells are in the frame: x and y of their middles, [CELLS, CELLS]."""
    along = (np.arange(CELLS) + 0.5) / CELLS * 2 * REACH - REACH
    return tuple(np.meshgrid(along, along))


def mirrored(seen: np.ndarray) -> np.ndarray:
    """The views of the same faces seen in a mirror."""
    cells, points, turned, light = _split(seen)
    there = points.any(axis=1, keepdims=True)
    cells = cells.reshape(-1, 3, CELLS, CELLS)[..., ::-1].reshape(cells.shape)
    sign = np.array([-1, 1], seen.dtype)
    points = (points.reshape(-1, 3, 2)[:, [1, 0, 2]] * sign).reshape(points.shape) * there
    return np.concatenate([cells, points, turned * sign, light * sign], axis=1)


def _split(seen: np.ndarray) -> list[np.ndarray]:
    """Cells, points, turn and light of views."""
    return np.split(seen, [3 * CELLS**2, VIEW - 4, VIEW - 2], axis=1)


def misfit(faces: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How badly each face would sit on each head, [n, m], by their views: the share of the frame where the head's own
    face would stick out beside the rendered one, where there is nothing behind this one, and, counted most, where hair
    would hide its features; how far eyes and mouth are apart, how far the head would be turned and scaled, and the
    light. Infinite where one of the two is not seen."""
    faces, others = faces.astype(np.float32), others.astype(np.float32)
    x, y = (axis.ravel() for axis in _middles())
    features = (np.abs(x) < 0.85) & (y > -0.75) & (y < 1.0)
    hidden = np.where(features, COVERED, COVERED_ELSEWHERE)
    own, cheeks = faces[:, : CELLS**2], (y > -0.6) & (y < 1.0)
    wanted = np.concatenate([cheeks * (1 - own), hidden * own, (y < 1.2) * own], axis=1).astype(np.float32)
    cost = wanted @ _split(others)[0].T / CELLS**2
    for one, other, weight in zip(_split(faces)[1:], _split(others)[1:], (APART, MOVED, OTHER_LIGHT), strict=True):
        cost += weight * ((one[:, None] - other[None]) ** 2).mean(axis=-1)
    known = [_split(each)[1].any(axis=1) for each in (faces, others)]
    return np.where(np.logical_and.outer(*known), cost, np.inf)


def choose_heads(faces: np.ndarray, bank: np.ndarray, far: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """For each face the photograph that it is put on, int [n], places in the bank; -1 where none fits.

    Args:
        faces, bank: their views, [n, VIEW] and [m, VIEW].
        far: [n, m], how far their complexions are apart.
        draws: [n], uniform in [0, 1).
    """
    last = min(far.shape[1], max(BEST, int(NEAR_SKIN * far.shape[1]))) - 1
    near = far <= np.partition(far, last, axis=1)[:, [last]]
    cost = np.where(near, misfit(faces, bank), np.inf)
    best = cost.argsort(axis=1, kind="stable")[:, :BEST]
    costs = np.take_along_axis(cost, best, axis=1)
    fitting = (costs < np.minimum(WORST, WORSE * costs[:, :1])).sum(axis=1)
    drawn = np.take_along_axis(best, (draws * fitting).astype(int)[:, None], axis=1)[:, 0]
    return np.where(fitting > 0, drawn, -1)


def seat(heads: Heads, mirror: np.ndarray, soft: np.ndarray, shifts: np.ndarray) -> Seats:
    """Photographs under the faces that are put on them.

    Args:
        heads: of n photographs.
        mirror: bool [n], which of them are mirrored.
        soft: labels of the n faces, uint8 [n, t, t, parts].
        shifts: [n, c], by which the colour of the photographed skin is moved.
    """
    flip = mirror[:, None, None, None]
    images, photographed = (np.where(flip, values[:, :, ::-1], values) for values in heads)
    pictures = as_signed(images).astype(np.float32)
    labels = as_shares(photographed, *images.shape[1:3])
    if images.shape[1] > photographed.shape[1]:  # they are finer than their labels
        labels = follow_edges(labels, pictures)
    pictures = pictures + labels[..., [SKIN]] * shifts[:, None, None].astype(np.float32)
    found, under, rooms, shares = frames(soft), frames(photographed), [], []
    widths = zip(_widths(soft, found.matrices), _widths(photographed, under.matrices), strict=True)
    places = zip(found.matrices, under.matrices, widths, strict=True)
    for picture, label, (there, here, (wide, narrow)) in zip(pictures, labels, places, strict=True):
        maps = _way_back(there, here, NARROWER * np.clip(wide / narrow, 1 / WIDER, WIDER), images.shape[1])
        rooms.append(_warp(picture, maps))
        shares.append(_warp(label, maps))
    rooms = to_uint8(np.stack(rooms))
    scenes = Scenes(rooms, np.zeros_like(rooms), np.zeros((*rooms.shape[:3], 1), bool))
    return Seats(scenes, np.stack(shares), found.matrices, *_face(soft, found.matrices))


def _face(soft: np.ndarray, matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Asides and inner parts of faces, see `Seats`."""
    face, x, y = _face_in_frame(soft, matrices)
    rows = face * ((y > -0.6) & (y < 0.9) & (np.abs(x) < REACH))
    asides = ASIDE * (rows * x).sum(axis=(1, 2)) / np.maximum(rows.sum(axis=(1, 2)), 1e-6)
    blurred = np.stack([cv2.GaussianBlur(one, (0, 0), HAIRLINE * soft.shape[1]) for one in face])
    return asides, np.clip(2 * blurred - 1, 0, 1)[..., None]


def _face_in_frame(soft: np.ndarray, matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The share of face that each pixel has, and where it is in the frame of that face, all [n, t, t]; of soft labels,
    uint8 [n, t, t, parts]."""
    size = soft.shape[1:3]
    return as_shares(soft[..., FACE], *size).sum(axis=-1), *_in_frame(matrices, *size, Window.whole(*size))


def _widths(soft: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """How wide faces are to the left and to the right of the middle of their frame, [n, 2], below the ears and above
    the chin, where no neck is beside them."""
    face, x, y = _face_in_frame(soft, matrices)
    rows = ((y > JAW[0]) & (y < JAW[1])).astype(np.float32)
    pixel = np.abs(np.linalg.det(matrices[:, :, :2])) * soft.shape[1] * soft.shape[2]  # in a unit of the frame, squared
    sides = [(face * rows * side).sum(axis=(1, 2)) / (pixel * (JAW[1] - JAW[0])) for side in (x < 0, x > 0)]
    return np.maximum(np.stack(sides, axis=1), 0.05)


def _way_back(there: np.ndarray, here: np.ndarray, wider: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """From where each pixel of a picture whose frame is `there` is taken in one whose frame is `here`, both side px:
    columns and rows, float32 [side, side]. The face is made `wider` to the left and to the right of its middle, and
    shorter below; towards the border the picture stays as it is, or what lies beyond it would be seen."""
    x, y = (values[0] for values in _in_frame(there[None], side, side, Window.whole(side, side)))
    x = x * _eased(np.abs(x), np.where(x < 0, *wider))
    y = y * _eased(np.maximum(y, 0), SHORTER)
    across, down = (side * (here[axis, 0] * x + here[axis, 1] * y + here[axis, 2]) - 0.5 for axis in (0, 1))
    return across.astype(np.float32), down.astype(np.float32)


def _eased(far: np.ndarray, wider: np.ndarray | float) -> np.ndarray:
    """What places are multiplied by to make wider what is between them and the middle; 1 from EASED[1] on."""
    near = np.clip((EASED[1] - far) / (EASED[1] - EASED[0]), 0, 1)
    return 1 + near * (1 / wider - 1)


def _warp(picture: np.ndarray, maps: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A picture [s, s, c], moved; what it does not show is mirrored."""
    moved = cv2.remap(picture, *maps, interpolation=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return moved.reshape(picture.shape)


def light_between(faces: np.ndarray, soft: np.ndarray, seats: Seats) -> np.ndarray:
    """By what the light on faces is to be multiplied, colour by colour, to be that on the heads that they are on: the
    skin of the photograph around each pixel beside that of the face; float32 [n, t, t, c].

    Args:
        faces: in the photographs' colours, float32 [n, t, t, c] in [-1, 1].
        soft: their labels, float32 [n, t, t, parts].
        seats: what is under them.
    """
    size = soft.shape[1:3]
    rooms = np.stack([resize(room, *size) for room in as_signed(seats.scenes.rooms)])
    kept = face_alone(soft, seats, *size, Window.whole(*size))
    skins = (kept[..., [SKIN]], resize_soft(seats.labels[..., [SKIN]], *size))
    (own, seen), (wanted, there) = (_lights(*pair) for pair in zip((faces, rooms), skins, strict=True))
    gain = np.clip((wanted + 1) / np.maximum(own + 1, 0.05), *GAINS)
    return 1 + (gain - 1) * np.clip(np.minimum(seen, there) / SKIN_NEAR, 0, 1)


def light_up(faces: np.ndarray, seats: Seats, height: int, width: int, window: Window) -> np.ndarray:
    """A window of faces of this size, float32 [n, rows, columns, c] in [-1, 1], in the light of their heads."""
    return np.clip((faces + 1) * resize_into(seats.light, height, width, window) - 1, -1, 1)


def _lights(pictures: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour of the skin around each pixel, and how much of it is there, [n, t, t, c] and [n, t, t, 1]."""
    deviation = LIGHT * pictures.shape[1]
    blurred = [[cv2.GaussianBlur(one, (0, 0), deviation) for one in values] for values in (pictures * skin, skin)]
    sums, weights = (np.stack(values).reshape(*skin.shape[:3], -1) for values in blurred)
    return sums / np.maximum(weights, 1e-3), weights


def face_alone(soft: np.ndarray, seats: Seats, height: int, width: int, window: Window) -> np.ndarray:
    """Soft labels of faces that are put on photographed heads, in a window of the picture, [n, rows, columns, parts]:
    the photograph, all of it, counts as background, and what is left of the render is its face, where no hair of the
    photograph is before it.

    Args:
        soft: of the rendered heads in the window.
        seats: what is under them.
        height, width: of the picture, px.
        window: what is wanted of it.
    """
    hair, room = np.moveaxis(resize_into(seats.labels[..., [HAIR, BACKGROUND]], height, width, window), -1, 0)
    inner = resize_into(seats.inner, height, width, window)[..., 0]
    x, y = _in_frame(seats.matrices, height, width, window)
    x = x - seats.asides[:, None, None]
    below, above = (np.maximum(sign * (y - MIDDLE), 0) / length for sign, length in ((1, BELOW), (-1, ABOVE)))
    radius = np.sqrt((x / BESIDE) ** 2 + below**2 + above**2)
    inside = np.clip(1 - (radius - 1) / PASSAGE, 0, 1)
    # Above the eyes a face ends where the photographed head does, and softly where its own hair begins.
    forehead = np.clip((FRAME[0, 1] - y) / FOREHEAD, 0, 1)
    share = inside * (1 - forehead * (1 - inner))
    for side in (-1, 1):
        off = np.hypot(x - side * CHEEK[0], y - CHEEK[1])
        beside = np.abs(seats.asides + side * CHEEK[0])  # of the nose; the far cheek of a turned head is hidden
        shown = CHEEK_SHARE * np.clip((beside - NOSE[0]) / (NOSE[1] - NOSE[0]), 0, 1)
        share *= 1 - shown[:, None, None] * np.clip((CHEEK_RADIUS - off) / CHEEK_RADIUS * 2, 0, 1)
    share *= (1 - hair) * (1 - forehead * room)
    kept = np.zeros(soft.shape, np.float32)
    kept[..., FACE] = soft[..., FACE] * share[..., None]
    kept[..., BACKGROUND] = 1 - kept.sum(axis=-1)
    return kept


def _in_frame(matrices: np.ndarray, height: int, width: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a window are in the frames of n faces: x and y, float32 [n, rows, columns]."""
    down = (np.arange(window.top, window.bottom, dtype=np.float32)[:, None] + 0.5) / height
    across = (np.arange(window.left, window.right, dtype=np.float32) + 0.5) / width
    back = np.linalg.inv(matrices[..., :2]).astype(np.float32)[..., None, None]
    shifts = matrices[:, :, 2].astype(np.float32)[..., None, None]
    across, down = across - shifts[:, 0], down - shifts[:, 1]
    return back[:, 0, 0] * across + back[:, 0, 1] * down, back[:, 1, 0] * across + back[:, 1, 1] * down
