"""The sculpture behind the parametric head: a mesh of skull, eyes, mouth, ears and hair, and where its vertices go.

Numbers for identity and expression come in, all vertices come out. The skull is a loft through a front, a side and a
back profile; features are smooth bumps and warps on it; eyes and mouth are slits in the mesh, which lids, lips and jaw
pull open. Slow and exact; heads.py makes a linear model of it. Units and axes as there.
"""

from dataclasses import dataclass

import numpy as np

IDENTITY = (  # about normal with deviation 1; sensible from -2 to 2
    "face_width",
    "face_length",
    "jaw_width",
    "chin_length",
    "chin_forward",
    "brow_ridge",
    "brow_height",
    "forehead_slope",
    "eye_size",
    "eye_spacing",
    "eye_tilt",
    "eye_depth",
    "nose_length",
    "nose_width",
    "nose_forward",
    "nose_bridge",
    "mouth_width",
    "upper_lip",
    "lower_lip",
    "cheekbones",
    "cheeks",
    "ear_size",
    "neck_width",
)
EXPRESSIONS = ("jaw_open", "smile", "pucker", "blink", "brows_up", "brows_down")  # from 0 to 1

# What a triangle belongs to. The colours of a head are painted on it by place, see looks.py.
HEAD, EYE, MOUTH, TEETH, EAR, HAIR = range(6)

# Where the features lie on the mean head, cm.
EYE_X, EYE_HALF_WIDTH, EYE_RADIUS = 3.15, 1.5, 1.75
MOUTH_Y, MOUTH_HALF_WIDTH = -6.95, 2.5
# Rows of the head grid, as places on the profiles below.
EYE_ROW, MOUTH_ROW, JAW_ROW = 6.0, 9.0, 12.0

# Profiles: y and z of the front, x, y and z of the side, y and z of the back, squareness of the section; from the crown
# through brow (5), eyes (6), nose (8), mouth (9), chin (11), jaw line (12), throat (14) to the shoulders.
_PROFILES = np.array(
    [
        [11.7, -1.0, 0.02, 11.7, -1.0, 11.7, -1.0, 2.2],
        [11.3, 2.6, 3.6, 11.3, -1.2, 11.3, -5.0, 2.2],
        [9.9, 5.7, 5.9, 9.9, -1.4, 9.7, -8.0, 2.25],
        [7.4, 7.8, 7.15, 7.4, -1.5, 7.3, -9.8, 2.3],
        [4.6, 8.75, 7.6, 4.6, -1.4, 4.3, -10.5, 2.35],
        [2.2, 9.0, 7.6, 2.2, -1.2, 2.0, -10.6, 2.35],
        [0.0, 8.7, 7.45, 0.0, -1.0, 0.0, -10.2, 2.3],
        [-2.6, 8.75, 7.25, -2.2, -0.7, -2.5, -9.2, 2.25],
        [-5.1, 8.8, 6.95, -4.1, -0.3, -5.0, -8.1, 2.2],
        [-6.95, 8.75, 6.65, -5.5, 0.0, -7.0, -7.3, 2.2],
        [-9.0, 8.45, 6.3, -6.9, 0.3, -8.6, -7.0, 2.15],
        [-10.6, 8.45, 5.95, -7.9, 0.5, -9.6, -6.9, 2.15],
        [-11.7, 7.5, 5.55, -8.7, 0.4, -10.4, -6.9, 2.15],
        [-12.0, 5.6, 5.05, -9.4, -0.2, -11.0, -6.9, 2.1],
        [-12.4, 3.6, 4.8, -10.6, -1.0, -12.0, -6.9, 2.05],
        [-14.2, 2.8, 4.85, -12.8, -1.6, -13.5, -7.1, 2.05],
        [-16.2, 2.9, 6.3, -15.0, -2.2, -15.5, -7.6, 2.1],
        [-18.4, 4.3, 12.5, -16.6, -2.5, -17.5, -8.6, 2.3],
        [-21.5, 6.8, 18.0, -19.5, -2.5, -20.5, -9.6, 2.4],
        [-28.0, 8.5, 19.0, -28.0, -2.5, -28.0, -10.0, 2.4],
    ]
)
BROW = ((5.0, 1.5), (4.25, 2.0), (3.3, 2.2), (2.25, 1.98), (1.2, 1.68))  # x and y along a brow, from the temple inwards


def mouth_line(x: np.ndarray) -> np.ndarray:
    """Where the lips meet on the mean face: y at x, cm. It rises to the sides as the rows of the loft do."""
    return MOUTH_Y + 1.45 * (np.abs(x) / 6.65) ** 2.2


def lip_outline(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper and lower edge of the lips on the mean face: y at x, cm; both meet at the corners."""
    a = np.abs(x)
    line = mouth_line(x)
    along = np.clip(1 - (a / (MOUTH_HALF_WIDTH + 0.06)) ** 2, 0, 1)
    upper = line + 0.74 * along**0.75 - 0.13 * np.exp(-((a / 0.33) ** 2))
    return upper, line - 0.98 * along**0.8


def landmark_places() -> tuple[np.ndarray, np.ndarray]:
    """Where the 68 points of 300-W (Sagonas et al. 2013) sit on the mean face, from the image's left to its right.

    Returns:
        [17, 2], place on the profiles and angle of the jaw's points; [51, 3], x, y and side of the others, where side
        is +1 on an upper lid or lip, -1 on a lower one and 0 away from the slits.
    """
    half_jaw = _numbers("6.1 1.5 7 1.5 7.9 1.5 9.3 1.5 10.8 1.42 11.7 1.2 11.9 0.85 11.95 0.42").reshape(8, 2)
    jaw = np.concatenate([half_jaw * [1, -1], [[JAW_ROW, 0]], half_jaw[::-1]])
    brow = np.array([(x, y, 0) for x, y in BROW])
    brows = np.concatenate([brow * [-1, 1, 1], brow[::-1]])
    nose = [(0, y, 0) for y in (0.35, -1.2, -2.75, -4.15)]
    nose += [(x, y, 0) for x, y in zip((-1.45, -0.75, 0, 0.75, 1.45), (-4.72, -4.98, -5.15, -4.98, -4.72), strict=True)]
    across = EYE_HALF_WIDTH * np.array([-1, -1 / 3, 1 / 3, 1, 1 / 3, -1 / 3])
    lids = np.column_stack([across, np.zeros(6), (0, 1, 1, 0, -1, -1)])  # corner, upper, upper, corner, lower, lower
    upper, lower, inner = (
        (-1.55, -0.55, 0, 0.55, 1.55),
        (1.6, 0.75, 0, -0.75, -1.6),
        (-2.2, -0.8, 0, 0.8, 2.2, 0.8, 0, -0.8),
    )
    left, right = ((x, mouth_line(x), 0) for x in (-MOUTH_HALF_WIDTH, MOUTH_HALF_WIDTH))
    mouth = [left, *((x, lip_outline(x)[0], 0) for x in upper), right, *((x, lip_outline(x)[1], 0) for x in lower)]
    mouth += [(x, mouth_line(x), side) for x, side in zip(inner, (1, 1, 1, 1, 1, -1, -1, -1), strict=True)]
    eyes = [lids + np.array([x, 0, 0]) for x in (-EYE_X, EYE_X)]
    return jaw, np.concatenate([brows, nose, *eyes, mouth])


def _numbers(text: str) -> np.ndarray:
    return np.array(text.split(), np.float64)


# ---------------------------------------------------------------------------------------------------------------------
# The mesh: which vertices there are and how they hang together.


@dataclass(frozen=True)
class Mesh:
    """The vertices before any feature is sculpted, and how they hang together.

    Args:
        rest: [n, 3], eyes and mouth closed. side: [n], +1 on the upper edge of a slit, -1 on the lower, 0 elsewhere.
        piece: [n], HEAD to HAIR. surface, outward, triangles, mirror: see heads.Model.
        twin: [n], the vertex of the HEAD that one follows (its own index where it follows none), inset cm behind it.
        eyes: the vertices of an eye's centre and of its front, for the left and the right eye.
    """

    rest: np.ndarray
    side: np.ndarray
    piece: np.ndarray
    surface: np.ndarray
    outward: np.ndarray
    triangles: np.ndarray
    mirror: np.ndarray
    twin: np.ndarray
    inset: np.ndarray
    eyes: tuple[tuple[int, int], ...]


def build_mesh() -> Mesh:
    head = _head_piece()
    pieces = [
        head,
        *(_eye_piece(side, head["rest"], edge) for side, edge in zip((-1, 1), head["eye_edges"], strict=True)),
        *_mouth_pieces(head["rest"], *head["mouth_edges"]),
        *(_ear_piece(side) for side in (-1, 1)),
        _hair_piece(),
    ]
    starts = np.cumsum([0, *(len(piece["rest"]) for piece in pieces)])
    joined = {
        name: np.concatenate([piece.get(name, np.zeros((len(piece["rest"]), *tail))) for piece in pieces])
        for name, tail in (("rest", (3,)), ("side", ()), ("surface", (4,)), ("outward", (3,)), ("inset", ()))
    }
    twin = np.arange(starts[-1])
    for piece, start in zip(pieces, starts, strict=False):
        if "twin" in piece:  # the head stands first: its own indices hold for all
            twin[start + piece["twin"][0]] = piece["twin"][1]
    eyes = tuple((int(starts[k] + pieces[k]["centre"]), int(starts[k])) for k in (1, 2))
    # Pieces that lie on both sides mirror themselves; eyes and ears stand in the order left, right.
    other = {1: 2, 2: 1, len(pieces) - 3: len(pieces) - 2, len(pieces) - 2: len(pieces) - 3}
    mirror = np.concatenate([piece["mirror"] + starts[other.get(k, k)] for k, piece in enumerate(pieces)])
    return Mesh(
        piece=np.repeat([piece["kind"] for piece in pieces], np.diff(starts)),
        triangles=np.concatenate([p["triangles"] + s for p, s in zip(pieces, starts, strict=False)]).astype(np.int32),
        mirror=mirror.astype(np.int32),
        twin=twin,
        eyes=eyes,
        **joined,
    )


def _spline(knots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Catmull-Rom through `knots` [k, c] at places 0 to k - 1: [n, c]."""
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    index = np.clip(np.floor(at).astype(int), 0, len(knots) - 2)
    f = (at - index)[:, None]
    a, b, c, d = (padded[index + k] for k in range(4))
    return b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))


def _loft(profiles: np.ndarray, row: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Points of the lofted surface: row [n] (place on the profiles), angle [n] (rad, 0 in front) to [n, 3]."""
    front_y, front_z, side_x, side_y, side_z, back_y, back_z, square = _spline(profiles, row).T
    sine, cosine = np.sin(angle), np.cos(angle)
    across, along = np.abs(sine) ** (2 / square), np.abs(cosine) ** (2 / square)
    ahead = cosine > 0
    y = side_y + np.where(ahead, front_y - side_y, back_y - side_y) * np.abs(cosine) ** 2
    z = side_z + np.where(ahead, front_z - side_z, back_z - side_z) * along
    return np.stack([side_x * across * np.sign(sine), y, z], axis=-1)


def _grid_triangles(ids: np.ndarray, wrap: bool, skip_rows: tuple[int, ...] = ()) -> np.ndarray:
    """Two triangles for each cell of a grid whose rows go down and whose columns go counter-clockwise seen from above
    (to the image's right in front); the diagonals of the two halves mirror each other."""
    if wrap:
        ids = np.concatenate([ids, ids[:, :1]], axis=1)
    keep = [row for row in range(len(ids) - 1) if row not in skip_rows]
    a, b, c, d = ids[:-1, :-1][keep], ids[:-1, 1:][keep], ids[1:, :-1][keep], ids[1:, 1:][keep]
    half = a.shape[1] // 2
    left = (np.arange(a.shape[1]) < half)[None].repeat(len(keep), 0)
    one = np.where(left[..., None], np.stack([a, c, d], -1), np.stack([a, c, b], -1))
    two = np.where(left[..., None], np.stack([a, d, b], -1), np.stack([b, c, d], -1))
    triangles = np.concatenate([one.reshape(-1, 3), two.reshape(-1, 3)])
    proper = (
        (triangles[:, 0] != triangles[:, 1])
        & (triangles[:, 1] != triangles[:, 2])
        & (triangles[:, 0] != triangles[:, 2])
    )
    return triangles[proper]


def _head_piece() -> dict:
    # Columns: dense where the face is. x at the level of the eyes, then steps round the back.
    x = _numbers(
        "0.2 0.4 0.6 0.8 1 1.2 1.4 1.65 1.9 2.15 2.4 2.65 2.9 3.15 3.4 3.65 3.9 4.15 4.4 4.65 4.95 5.3 5.65 6 6.35 6.65"
        " 6.95 7.2 7.37"
    )
    front = np.arcsin((x / _PROFILES[6, 2]) ** (_PROFILES[6, 7] / 2))
    half = np.concatenate([front, np.linspace(np.pi / 2, np.pi, 10)[:-1]])
    angles = np.concatenate([[-np.pi], -half[::-1], [0], half])
    # Rows: dense at eyes, nose and lips. y on the front profile, down to the chin; then places on the profiles.
    face = _numbers(
        "11.7 11.5 11.1 10.5 9.7 8.8 7.9 7 6.1 5.3 4.6 4 3.5 3.1 2.8 2.5 2.25 2 1.75 1.5 1.25 1.05 0.88 0.72 0.57"
        " 0.43 0.3 0.18 0.08 0 0 -0.08 -0.18 -0.3 -0.43 -0.57 -0.72 -0.9 -1.1 -1.35 -1.65 -2 -2.35 -2.7 -3 -3.3"
        " -3.55 -3.8 -4 -4.2 -4.4 -4.6 -4.75 -4.9 -5.05 -5.2 -5.4 -5.6 -5.8 -5.97 -6.12 -6.27 -6.42 -6.56 -6.7"
        " -6.83 -6.95 -6.95 -7.07 -7.2 -7.34 -7.48 -7.62 -7.78 -7.95 -8.15 -8.4 -8.7 -9.05 -9.4 -9.8 -10.2 -10.6"
        " -11 -11.35"
    )
    below = _numbers("11.75 12 12.25 12.55 13 13.5 14 14.5 15 15.4 15.8 16.2 16.6 17 17.5 18 19")
    fine = np.linspace(0, 12, 4801)
    fine_y = _spline(_PROFILES, fine)[:, 0]
    rows = np.concatenate([np.interp(-face, -fine_y, fine), below])
    eye_row, mouth_row = (int(np.flatnonzero(face == y)[0]) for y in (0, MOUTH_Y))

    row, angle = (values.reshape(-1) for values in np.meshgrid(rows, angles, indexing="ij"))
    rest = _loft(_PROFILES, row, angle)
    shape = (len(rows), len(angles))
    side = np.zeros(shape)
    side[eye_row], side[eye_row + 1], side[mouth_row], side[mouth_row + 1] = 1, -1, 1, -1
    # Outside of the slit, its two rows are one.
    ids = np.arange(len(row)).reshape(shape)
    at_eye, at_mouth = rest.reshape(*shape, 3)[eye_row], rest.reshape(*shape, 3)[mouth_row]
    in_eye = (np.abs(np.abs(at_eye[:, 0]) - EYE_X) < EYE_HALF_WIDTH - 0.01) & (at_eye[:, 2] > 0)
    in_mouth = (np.abs(at_mouth[:, 0]) < MOUTH_HALF_WIDTH - 0.05) & (at_mouth[:, 2] > 0)
    ids[eye_row + 1] = np.where(in_eye, ids[eye_row + 1], ids[eye_row])
    ids[mouth_row + 1] = np.where(in_mouth, ids[mouth_row + 1], ids[mouth_row])
    ids[0] = ids[0, 0]
    columns = np.concatenate([[0], np.arange(len(angles) - 1, 0, -1)])

    def edge(slit: int, open_columns: np.ndarray, off: int = 0) -> np.ndarray:
        """The vertices round a slit, from its top clockwise as seen from in front; `off` takes rows further off."""
        left, right = open_columns[0] - 1, open_columns[-1] + 1  # the corners
        upper, lower = ids[slit - off, open_columns], ids[slit + 1 + off, open_columns]
        loop = np.concatenate([ids[slit, [left]], upper, ids[slit, [right]], lower[::-1]])
        return np.roll(loop, -len(loop) // 4)

    open_eyes, open_mouth = np.split(np.flatnonzero(in_eye), 2), np.flatnonzero(in_mouth)
    return {
        "kind": HEAD,
        "eye_edges": [edge(eye_row, open_eye) for open_eye in open_eyes],
        "mouth_edges": [edge(mouth_row, open_mouth), edge(mouth_row, open_mouth, off=7)],
        "rest": rest,
        "side": side.reshape(-1),
        "surface": np.column_stack([rest[:, :2], angle, row]),
        "triangles": _grid_triangles(ids, wrap=True, skip_rows=(eye_row, mouth_row)),
        "mirror": np.arange(len(row)).reshape(shape)[:, columns].reshape(-1),
    }


def _eye_piece(side: int, head: np.ndarray, edge: np.ndarray) -> dict:
    """The front of a ball, as rings round its axis, its centre, and a last ring on the edge of the lids [24], to which
    the ball is sewn, so that no gap shows. `head` holds the vertices of the head."""
    rings, spokes = 9, len(edge)
    polar, turn = np.meshgrid(np.linspace(0, 1.35, rings), np.arange(spokes) * 2 * np.pi / spokes, indexing="ij")
    direction = np.stack([np.sin(polar) * np.sin(turn), np.sin(polar) * np.cos(turn), np.cos(polar)], -1)
    # A brim closes the gap to the lids; towards the nose, where the skin lies higher, it reaches further.
    reach = 1.05 + 0.25 * np.clip(-side * np.sin(turn[-1:]), 0, 1)
    direction[-1] *= np.stack([reach, reach, 0.5 * np.ones_like(reach)], -1)[0]
    brim = direction[-1]
    direction = direction.reshape(-1, 3)
    centre = np.array([side * EYE_X, 0.0, 5.5])
    ids = np.arange(rings * spokes).reshape(rings, spokes)
    lids = len(direction) + 1 + np.arange(spokes)
    ids = np.concatenate([ids, lids[None]])
    other = ids[:, -np.arange(spokes)]
    # Seen from in front, turn grows clockwise while rings grow outward: the rows go "down" only the other way round.
    return {
        "kind": EYE,
        "rest": np.concatenate([centre + EYE_RADIUS * direction, centre[None], head[edge]]),
        "surface": np.column_stack(
            [np.concatenate([direction, [[0, 0, 0]], brim]), np.full(len(direction) + 1 + spokes, side)]
        ),
        "centre": len(direction),
        "twin": (lids, edge),
        "triangles": _grid_triangles(ids[:, ::-1], wrap=True),
        "mirror": np.concatenate([other[:-1].reshape(-1), [len(direction)], other[-1]]),
    }


def _mouth_pieces(head: np.ndarray, lips: np.ndarray, behind: np.ndarray) -> list[dict]:
    """The dark of the mouth, the upper and the lower teeth.

    The dark is a bag of five rings: the middle of its back, one around that, the border of its back, one behind the
    lips, and one on the edge of the lips, to which the bag is sewn, so that no gap shows.

    Args:
        head: the vertices of the head. lips, behind: the vertices round the slit and further off, which the last two
            rings follow.
    """
    n = len(lips)
    across = head[lips, 0]
    x = 1.15 * across
    upward = np.sign(np.cos(np.arange(n) * 2 * np.pi / n)) * (1 - (across / across.max()) ** 2).clip(0) ** 0.25
    back = [np.stack([x, -7.7 + height * upward, 7.05 - 0.22 * x**2], 1) for height in (0, 1.25, 2.5)]
    rest = np.concatenate([*back, head[behind], head[lips]])
    ids = np.arange(len(rest)).reshape(-1, n)
    dark = {
        "kind": MOUTH,
        "rest": rest,
        "surface": _ride_jaw(rest, _step(rest[:, 1], -6.5, -9.5)),
        "twin": (ids[-2:].reshape(-1), np.concatenate([behind, lips])),
        "inset": np.repeat([0, 0, 0, 0.7, 0], n),
        "triangles": _grid_triangles(ids[:, ::-1], wrap=True),
        "mirror": ids[:, -np.arange(n)].reshape(-1),
    }
    x = np.linspace(-2.6, 2.6, 15)
    arch = 8.75 - 0.22 * x**2
    upper = _teeth_piece(x * 0.72, np.array([-6.0, -6.5, -6.9]), arch - 0.28, 0)
    lower = _teeth_piece(x * 0.68, np.array([-7.5, -7.8, -8.3]), arch - 0.5, 1)
    return [dark, upper, lower]


def _teeth_piece(x: np.ndarray, y: np.ndarray, depth: np.ndarray, jaw: float) -> dict:
    """A sheet that faces forward: x and depth [c] left to right, y [r] downwards; jaw as in _ride_jaw."""
    ids = np.arange(len(y) * len(x)).reshape(len(y), len(x))
    rest = np.stack([*np.meshgrid(x, y), np.tile(depth, (len(y), 1))], -1).reshape(-1, 3)
    return {
        "kind": TEETH,
        "rest": rest,
        "surface": _ride_jaw(rest, np.full(len(rest), jaw)),
        "triangles": _grid_triangles(ids, wrap=False),
        "mirror": ids[:, ::-1].reshape(-1),
    }


def _ride_jaw(rest: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The `surface` of what is inside the mouth: x, y, 0 and how much it moves with the jaw, 0 to 1."""
    return np.column_stack([rest[:, :2], np.zeros(len(rest)), share])


def _ear_piece(side: int) -> dict:
    """A thin closed leaf: rings from the hollow over the rim to the back."""
    spokes = 28
    #            hollow ............ fold ....... groove ... rim ........ back
    radius = np.array([0, 0.2, 0.36, 0.46, 0.58, 0.68, 0.78, 0.86, 0.93, 1.0, 1.0, 0.9, 0.6])
    height = np.array([-0.3, -0.3, -0.25, 0.1, 0.32, 0.2, 0.12, 0.42, 0.5, 0.35, 0.05, -0.15, -0.5])
    turn = np.arange(spokes) * 2 * np.pi / spokes  # 0 is up, a quarter is to the back
    r, t = np.meshgrid(radius, turn, indexing="ij")
    h = np.broadcast_to(height[:, None], r.shape)
    top, back = np.cos(t), np.sin(t)
    # Wide above, a lobe below.
    b = r * back * np.where(top > 0, 1.75, 1.75 - 0.75 * np.abs(top) ** 1.5) + 0.3 * r * top
    u = r * top * 3.05
    lobe = np.clip(-u / 3.0, 0, 1)
    h = h * (1 - 0.75 * lobe * (r < 0.97)) + 0.12 * lobe
    out, away = np.sin(0.5), np.cos(0.5)
    backward, upward = np.array([out * side, 0, -away]), np.array([0, 0.985, -0.17])
    normal = np.array([away * side, 0, out])
    rest = np.array([side * 7.55, -1.3, -1.2]) + b[..., None] * backward + u[..., None] * upward + h[..., None] * normal
    ids = np.arange(r.size).reshape(r.shape)
    # On the right (side 1) the back lies to the right of an onlooker, and turn grows clockwise.
    triangles = _grid_triangles(ids[:, ::-1] if side > 0 else ids, wrap=True)
    surface = np.column_stack([b.reshape(-1), u.reshape(-1), h.reshape(-1), np.full(b.size, side)])
    return {
        "kind": EAR,
        "rest": rest.reshape(-1, 3),
        "surface": surface,
        "triangles": triangles,
        "mirror": ids.reshape(-1),
    }


def _hair_piece() -> dict:
    """A shell on the scalp that hangs straight down below the ears; thickness and style are chosen in `shape_head`."""
    profiles = _PROFILES.copy()
    profiles[7:14, 2:5] = [
        [7.5, -2.4, -1.0],
        [7.5, -4.8, -1.0],
        [7.5, -7.2, -1.0],
        [7.5, -9.6, -1.0],
        [7.6, -12, -1.0],
        [7.8, -14.5, -0.9],
        [8, -17, -0.8],
    ]
    profiles[7:14, 5:7] = [
        [-2.5, -9.6],
        [-5.0, -9.0],
        [-7.4, -8.7],
        [-9.8, -8.6],
        [-12.2, -8.7],
        [-14.6, -8.9],
        [-17, -9.2],
    ]
    profiles[7:14, 0] = [-2.6, -5.0, -7.4, -9.8, -12.2, -14.6, -17]
    profiles[7:14, 1] = 7.0
    rows = np.concatenate([np.linspace(0, 3, 7)[:-1], np.linspace(3, 7, 17)[:-1], np.linspace(7, 13, 13)])
    angles = np.linspace(-np.pi, np.pi, 96, endpoint=False)
    row, angle = (values.reshape(-1) for values in np.meshgrid(rows, angles, indexing="ij"))
    rest = _loft(profiles[:14], row, angle)
    ids = np.arange(len(row)).reshape(len(rows), len(angles))
    columns = np.concatenate([[0], np.arange(len(angles) - 1, 0, -1)])
    outward = rest - [0, 0, -1]
    outward[:, 1] = np.where(rest[:, 1] > 0, outward[:, 1] * 0.9, 0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    triangles = ids.copy()
    triangles[0] = ids[0, 0]
    return {
        "kind": HAIR,
        "rest": rest,
        "outward": outward,
        "surface": np.column_stack([angle, rest[:, 1], angle, row]),
        "triangles": _grid_triangles(triangles, wrap=True),
        "mirror": ids[:, columns].reshape(-1),
    }


# ---------------------------------------------------------------------------------------------------------------------
# The sculpture: where the vertices are.


def _bump(x: np.ndarray, y: np.ndarray, at: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    return np.exp(-(((x - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2)


def _bell(x: np.ndarray, at: float, size: float) -> np.ndarray:
    return np.exp(-(((x - at) / size) ** 2))


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between; the other way round where low > high."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def sculpt(mesh: Mesh, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """All vertices, [n, 3]. The steps: relief of the face, openings, expression, identity."""
    p, e = dict(zip(IDENTITY, identity, strict=True)), dict(zip(EXPRESSIONS, expression, strict=True))
    points = mesh.rest.copy()
    head = mesh.piece == HEAD
    points[head] = _sculpt_face(mesh.rest[head], mesh.side[head], mesh.surface[head, 3], p, e)
    rider = (mesh.piece == MOUTH) | (mesh.piece == TEETH)
    points[rider] = _swing_jaw(points[rider], mesh.surface[rider, 3:] * e["jaw_open"])
    for centre, _ in mesh.eyes:
        ball = (mesh.piece == EYE) & (np.sign(mesh.rest[:, 0]) == np.sign(mesh.rest[centre, 0]))
        middle = _warp(points[centre][None], p)[0]
        middle[2] -= 0.13 * p["eye_depth"]
        points[ball] = middle + (points[ball] - mesh.rest[centre]) * (1 + 0.05 * p["eye_size"])
    others = mesh.piece != EYE
    points[others] = _warp(points[others], p)
    for side in (-1, 1):
        ear = (mesh.piece == EAR) & (np.sign(mesh.rest[:, 0]) == side)
        root = points[ear].mean(0) + np.array([-0.8 * side, 0, 0.5])
        points[ear] = root + (points[ear] - root) * (1 + 0.08 * p["ear_size"])
    return points[mesh.twin] - mesh.inset[:, None] * [0, 0, 1]


def _swing_jaw(points: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Turns points round the axis through the jaw's joints; amount 1 opens by 17 degrees."""
    turn = np.radians(17) * amount
    y, z = points[:, 1:2] + 1.5, points[:, 2:3] - 0.5
    turned_y, turned_z = y * np.cos(turn) - z * np.sin(turn), y * np.sin(turn) + z * np.cos(turn)
    return np.hstack([points[:, :1], turned_y - 1.5, turned_z + 0.5])


def _sculpt_face(rest: np.ndarray, side: np.ndarray, row: np.ndarray, p: dict, e: dict) -> np.ndarray:
    """The vertices of the head with all features, [n, 3]. The two halves come out alike: all goes by |x|.

    In the steps below `rest`, `side` and `row` are as in Mesh, `front` is [n], 1 on the face and 0 behind it, and `p`
    and `e` are identity and expression by name.
    """
    front = _step(rest[:, 2], 0.0, 3.0) * _step(row, 13.5, 12.3)
    points = _raise_features(rest, front, p)
    points = _move_lids(points, rest, np.where(side != 0, side > 0, row < EYE_ROW), front, p, e)
    points = _move_brows(points, rest, front, p, e)
    points = _move_lips(points, rest, front, p, e)
    return _open_mouth(points, rest, np.where(side != 0, side < 0, row > MOUTH_ROW), row, front, e)


def _raise_features(rest: np.ndarray, front: np.ndarray, p: dict) -> np.ndarray:
    x, y, z = rest.T
    a, sign = np.abs(x), np.sign(x)
    off, along = _place_on_lips(x, y)
    z = z + _relief(x, y, p) * front
    x = x + sign * front * 0.25 * _bump(a, y, (_wing(p) + 0.15, -4.4), (0.5, 0.6)) * (1 + 0.5 * p["nose_width"])
    # The underside of the nose is seen from in front: the floor rises into it.
    y = y + 0.22 * front * _bump(a, y, (0.6, -4.9), (0.9, 0.35))
    # Lip fullness in height.
    lip = front * along
    y = y + lip * 0.1 * p["upper_lip"] * _bell(off, 0.75, 0.5)
    y = y - lip * 0.1 * p["lower_lip"] * _bell(off, -0.95, 0.55)
    return np.stack([x, y, z], 1)


def _relief(x: np.ndarray, y: np.ndarray, p: dict) -> np.ndarray:
    """How far the features stand out in z, [n], cm."""
    a = np.abs(x)
    relief = (0.55 + 0.2 * p["brow_ridge"]) * _bump(a, y, (2.6, 1.75), (1.9, 0.75))
    relief += (0.3 + 0.15 * p["brow_ridge"]) * _bump(a, y, (0, 1.7), (1.0, 0.9))
    relief += -1.25 * _bump(a, y, (3.0, -0.05), (1.75, 1.15)) - 0.75 * _bump(a, y, (1.7, 0.1), (0.55, 0.9))
    relief += -0.25 * _bump(a, y, (2.6, -1.6), (1.2, 0.5))  # below the lower lid
    relief += (0.55 + 0.3 * p["cheekbones"]) * _bump(a, y, (4.6, -2.3), (1.7, 1.2))
    relief += (-0.25 + 0.35 * p["cheeks"]) * _bump(a, y, (4.7, -5.6), (1.7, 1.7))
    relief += 0.3 * _bump(a, y, (2.9, -4.1), (1.0, 1.1)) - 0.22 * _bump(a, y, (2.55, -5.6), (0.35, 1.0))
    relief += 0.65 * _bump(a, y, (0, -6.7), (2.5, 1.9))  # the teeth below the lips
    relief += -0.5 * _bump(a, y, (0, -8.75), (1.9, 0.5))
    relief += (0.6 + 0.35 * p["chin_forward"]) * _bump(a, y, (0, -10.4), (1.6, 1.1))
    relief += -0.25 * p["forehead_slope"] * _step(y, 2.5, 9.0)
    relief += 0.25 * _bump(a, y, (2.3, 5.0), (1.6, 1.4))  # frontal bosses

    # The nose: a ridge whose height and width grow downwards, a ball for its tip, wings, and a floor.
    down = np.clip((0.6 - y) / 4.9, 0, 1.05)
    height = 0.3 + 1.7 * down**1.2 + (0.25 + 0.25 * p["nose_bridge"]) * np.exp(-(((y + 1.3) / 1.1) ** 2))
    height += p["nose_forward"] * 0.3 * down**1.5
    width = (0.85 + 0.38 * down) * (1 + 0.09 * p["nose_width"] * down)
    under = _step(y - 0.12 * a**2, -5.35, -4.1) * _step(y, 1.8, 0.2)
    relief += height * under * (0.8 * np.exp(-(np.abs(a / width) ** 2)) + 0.2 * _bell(a, 0, 2.0 * width))
    relief += 0.75 * _bump(a, y, (0, -4.15), (0.95, 0.75))
    wing = _wing(p)
    relief += 0.7 * np.exp(-(np.abs((a - wing) / 0.58) ** 2) - np.abs((y + 4.3) / 0.62) ** 2)
    relief += -0.16 * _bump(a, y, (0.5, -3.85), (0.16, 0.5)) - 0.16 * _bump(a, y, (1.85, -4.2), (0.3, 0.7))
    relief += -0.45 * _bump(a, y, (0.58, -4.85), (0.3, 0.2))  # nostrils
    relief += -0.12 * _bump(a, y, (0, -5.6), (0.25, 0.5)) + 0.1 * _bump(a, y, (0.42, -5.6), (0.2, 0.5))  # philtrum

    # Lips: two rolls and the line between them.
    off, along = _place_on_lips(x, y)
    relief += (0.36 + 0.14 * p["upper_lip"]) * along**0.7 * _bell(off, 0.38, 0.34)
    relief += (0.46 + 0.16 * p["lower_lip"]) * along**0.9 * _bell(off, -0.46, 0.42)
    relief += -0.3 * along**0.5 * np.exp(-((off / 0.13) ** 2)) - 0.25 * _bump(a, off, (2.55, 0), (0.4, 0.35))
    # The crease above the upper lid.
    relief += -0.1 * _bump(a, y, (EYE_X, 0.55), (1.5, 0.13))
    return relief


def _place_on_lips(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The height over the line between the lips, cm, and 1 in the middle of that line, falling to 0 at its ends."""
    return y - mouth_line(x), np.clip(1 - (np.abs(x) / (MOUTH_HALF_WIDTH + 0.15)) ** 2, 0, 1)


def _wing(p: dict) -> float:
    """|x| of a nostril's wing, cm."""
    return 1.2 * (1 + 0.1 * p["nose_width"])


def _move_lids(
    points: np.ndarray, rest: np.ndarray, above: np.ndarray, front: np.ndarray, p: dict, e: dict
) -> np.ndarray:
    """The upper lid does the closing."""
    x, y, z = points.T
    a = np.abs(rest[:, 0])
    along_eye = np.clip(1 - ((a - EYE_X - 0.02) / EYE_HALF_WIDTH) ** 2, 0, 1)
    fade = np.exp(-np.abs(rest[:, 1]) / 1.25)
    lift = 0.54 * along_eye**0.55 * (1 - 0.12 * (a - EYE_X)) * (1 + 0.1 * p["eye_size"])
    drop = 0.36 * along_eye**0.8 * (1 + 0.12 * (a - EYE_X)) * (1 - 0.3 * e["smile"])
    lift = lift - e["blink"] * (lift + drop)
    near_eye = front * (rest[:, 2] > 0) * fade
    y = y + near_eye * np.where(above, lift, -drop)
    tilted = front * _bump(a, rest[:, 1], (EYE_X, 0), (2.2, 0.9)) * np.clip((a - EYE_X) / 1.5, -1, 1.3)
    y = y + 0.16 * p["eye_tilt"] * tilted
    return np.stack([x, y, z], 1)


def _move_brows(points: np.ndarray, rest: np.ndarray, front: np.ndarray, p: dict, e: dict) -> np.ndarray:
    x, y, z = points.T
    a, sign = np.abs(rest[:, 0]), np.sign(rest[:, 0])
    brow = front * _bump(a, rest[:, 1], (2.8, 2.0), (2.2, 1.1))
    y = y + brow * (0.75 * e["brows_up"] - 0.5 * e["brows_down"] + 0.15 * p["brow_height"])
    z = z + 0.15 * front * e["brows_down"] * _bump(a, rest[:, 1], (1.0, 1.5), (0.7, 0.7))
    x = x - sign * front * 0.25 * e["brows_down"] * _bump(a, rest[:, 1], (1.4, 1.8), (0.9, 0.8))
    return np.stack([x, y, z], 1)


def _move_lips(points: np.ndarray, rest: np.ndarray, front: np.ndarray, p: dict, e: dict) -> np.ndarray:
    """Smile and pucker move the corners of the mouth."""
    x, y, z = points.T
    a, sign = np.abs(rest[:, 0]), np.sign(rest[:, 0])
    corner = front * _bump(a, rest[:, 1], (2.5, MOUTH_Y + 0.3), (1.3, 1.3))
    spread = front * np.clip(a / MOUTH_HALF_WIDTH, 0, 1) * _bump(a, rest[:, 1], (1.5, MOUTH_Y), (2.2, 1.5))
    x = x + sign * (0.6 * e["smile"] * corner + spread * (0.22 * p["mouth_width"] - 0.75 * e["pucker"]))
    y = y + e["smile"] * (0.62 * corner + 0.3 * front * _bump(a, rest[:, 1], (3.9, -2.9), (1.5, 1.2)))
    z = z - e["smile"] * 0.45 * corner + e["smile"] * 0.25 * front * _bump(a, rest[:, 1], (3.9, -3.0), (1.2, 1.0))
    z = z - 0.25 * e["smile"] * front * _bump(a, rest[:, 1], (2.9, -5.2), (0.4, 1.2))
    z = z + e["pucker"] * 0.5 * front * _bump(a, rest[:, 1], (0, MOUTH_Y), (1.6, 1.0))
    return np.stack([x, y, z], 1)


def _open_mouth(
    points: np.ndarray, rest: np.ndarray, is_lower: np.ndarray, row: np.ndarray, front: np.ndarray, e: dict
) -> np.ndarray:
    """A smile parts the lips a little; the jaw carries the lower one away."""
    x, y, z = points.T
    off, _ = _place_on_lips(rest[:, 0], rest[:, 1])
    slit = np.sqrt(np.clip(1 - (np.abs(rest[:, 0]) / MOUTH_HALF_WIDTH) ** 2, 0, 1)) * front
    parted = slit * np.exp(-np.abs(off) / 0.9) * 0.16 * e["smile"]
    y = y + np.where(is_lower, -parted, parted)
    whole = _step(off, 2.5, -2.5)
    carried = whole + slit * np.exp(-((off / 2.2) ** 2)) * (is_lower - whole)
    carried = np.where(is_lower & (off < -2.2), np.maximum(carried, whole), carried)
    carried = carried * _step(z, -1.0, 4.5) * _step(row, 15.0, 12.6)
    return _swing_jaw(np.stack([x, y, z], 1), (carried * e["jaw_open"])[:, None])


def _warp(points: np.ndarray, p: dict) -> np.ndarray:
    """Proportions: one warp of space that face, ears, hair, teeth and eye centres all follow."""
    x, y, z = points.T
    a = np.abs(x)
    low = np.clip(-y, 0, 12)
    new_x = x * (1 + 0.035 * p["face_width"])
    new_x = new_x * (1 + 0.055 * p["jaw_width"] * _step(y, -2.5, -9.0) * _step(y, -16.0, -11.0))
    new_x = new_x * (1 + 0.05 * p["neck_width"] * _step(y, -9.5, -12.0) * _step(y, -17.0, -14.0))
    new_x = new_x + np.sign(x) * 0.12 * p["cheekbones"] * np.exp(-(((y + 2.0) / 2.5) ** 2)) * _step(a, 2, 6)
    new_x = new_x + np.sign(x) * 0.2 * p["cheeks"] * np.exp(-(((y + 5.5) / 2.5) ** 2)) * _step(a, 2, 6)
    new_x = new_x + np.sign(x) * 0.1 * p["eye_spacing"] * _step(a, 0.5, 2.2) * np.exp(
        -((y / 2.0) ** 2) - ((a - 3.1) / 2.6) ** 4
    )
    new_y = y - 0.03 * p["face_length"] * low
    new_y = new_y - 0.3 * p["chin_length"] * _step(y, -8.3, -11.0)
    new_y = new_y - 0.25 * p["nose_length"] * np.exp(-((x / 1.9) ** 2) - ((y + 4.5) / 1.3) ** 2) * _step(z, 6, 8)
    return np.stack([new_x, new_y, z], 1)
