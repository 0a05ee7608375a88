"""A parametric 3D head: identity and expression numbers in, a triangle mesh with 68 landmarks out.

The head of sculpture.py is sculpted once per process and then kept as a mean with linear bases (a morphable model after
Blanz and Vetter 1999), so that a head costs a weighted sum. Units are centimetres; x points to the image's right, y up,
z out of the face; the origin lies between the eyes.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from simrefine.drawing.sculpture import EXPRESSIONS, HEAD, IDENTITY, Mesh, build_mesh, landmark_places, sculpt


@dataclass(frozen=True)
class Model:
    """The head as linear bases, with what never changes about its mesh.

    Args:
        mean: float32 [n, 3], neutral, eyes open.
        identity, expression: float32 [k, n, 3], what one unit of each parameter adds.
        triangles: int32 [m, 3], counter-clockwise from outside; kind: int8 [m], HEAD to HAIR.
        surface: float32 [n, 4], where a vertex lies on the mean head, so that paint sticks to it. HEAD: x, y of the
            closed-eyed mean face, angle round the head (rad, 0 in front), row. HAIR: angle, y, angle, row. EYE:
            direction from the eye's centre and 0. Others: a place of their own.
        outward: float32 [n, 3], for HAIR the direction in which it thickens; else 0.
        corner: int32 [68, 3], weight: float32 [68, 3]: the vertices that carry a landmark.
        eyes: a pair of (centre vertex, a vertex of the ball, int array of the lid vertices around it).
        mirror: int32 [n], the vertex on the other side.
    """

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    triangles: np.ndarray
    kind: np.ndarray
    surface: np.ndarray
    outward: np.ndarray
    corner: np.ndarray
    weight: np.ndarray
    eyes: tuple[tuple[int, int, np.ndarray], ...]
    mirror: np.ndarray


@cache
def head_model() -> Model:
    """Sculpts the model; takes a second, once per process."""
    mesh = build_mesh()
    zero_identity, zero_expression = np.zeros(len(IDENTITY)), np.zeros(len(EXPRESSIONS))
    mean = sculpt(mesh, zero_identity, zero_expression)
    unit_identity, unit_expression = np.eye(len(IDENTITY)), np.eye(len(EXPRESSIONS))
    identity = [
        (sculpt(mesh, unit, zero_expression) - sculpt(mesh, -unit, zero_expression)) / 2 for unit in unit_identity
    ]
    expression = [sculpt(mesh, zero_identity, unit) - mean for unit in unit_expression]
    eyes = []
    for centre, rim in mesh.eyes:
        around = np.abs(mesh.rest[:, :2] - mesh.rest[centre, :2]) < [2.4, 2.0]
        lids = np.flatnonzero((mesh.piece[mesh.twin] == HEAD) & around.all(1) & (mesh.rest[:, 2] > 0))
        eyes.append((centre, rim, lids))
    corner, weight = _attach_landmarks(mesh)
    return Model(
        mean=mean.astype(np.float32),
        identity=np.stack(identity).astype(np.float32),
        expression=np.stack(expression).astype(np.float32),
        triangles=mesh.triangles,
        kind=mesh.piece[mesh.triangles[:, 0]].astype(np.int8),
        surface=mesh.surface.astype(np.float32),
        outward=mesh.outward.astype(np.float32),
        corner=corner,
        weight=weight,
        eyes=tuple(eyes),
        mirror=mesh.mirror,
    )


def shape_head(identity: np.ndarray, expression: np.ndarray, hair: np.ndarray | None = None) -> np.ndarray:
    """The vertices of one head: float32 [n, 3], cm.

    Args:
        identity, expression: [23] and [6], in the order of IDENTITY and EXPRESSIONS.
        hair: float [n], how far the hair stands off the scalp at each vertex, cm; negative sinks it. None is bald.
    """
    model = head_model()
    # einsum: BLAS would start threads for this, which takes longer than the product.
    vertices = model.mean + np.einsum("k,knc->nc", np.asarray(identity, np.float32), model.identity)
    vertices += np.einsum("k,knc->nc", np.asarray(expression, np.float32), model.expression)
    for centre, rim, lids in model.eyes:
        # Lids slide over the ball; a straight blend from open to shut would cut through it.
        radius = np.linalg.norm(vertices[rim] - vertices[centre])
        offset = vertices[lids] - vertices[centre]
        distance = np.linalg.norm(offset, axis=1, keepdims=True)
        vertices[lids] += offset * np.maximum((radius + 0.09) / distance - 1, 0)
    thickness = np.full(len(vertices), -1.0, np.float32) if hair is None else np.asarray(hair, np.float32)
    return vertices + model.outward * thickness[:, None]


def landmarks(vertices: np.ndarray) -> np.ndarray:
    """The 68 points on the surface: [n, c] vertices of any coordinates to [68, c]."""
    model = head_model()
    return np.einsum("lk,lkc->lc", model.weight, vertices[model.corner])


def vertex_normals(vertices: np.ndarray) -> np.ndarray:
    """Unit normals, each the mean of its triangles' by area: float32 [n, 3]."""
    triangles = head_model().triangles
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    faces = np.cross(b - a, c - a)
    order, starts, used = _corner_order()
    normals = np.zeros_like(vertices)
    normals[used] = np.add.reduceat(faces[order], starts)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


@cache
def _corner_order() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each vertex in use, where its triangles begin in a list of all triangle corners sorted by vertex."""
    triangles = head_model().triangles
    order = np.argsort(triangles.reshape(-1), kind="stable")
    used, starts = np.unique(triangles.reshape(-1)[order], return_index=True)
    return order // 3, starts, used


def _attach_landmarks(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """For each landmark the corners of the triangle that carries it, [68, 3], and their weights, [68, 3]."""
    jaw, others = landmark_places()
    corner, weight = np.zeros((68, 3), np.int32), np.zeros((68, 3), np.float32)
    # The jaw takes the nearest vertices: from in front, its outline has no triangle of its own.
    skin = np.flatnonzero(mesh.piece == HEAD)
    for index, (row, angle) in enumerate(jaw):
        off = np.abs(mesh.surface[skin, 3] - row) + 4 * np.abs(mesh.surface[skin, 2] - angle)
        corner[index], weight[index] = skin[np.argmin(off)], (1, 0, 0)
    # The others take the triangle around them, as the closed mean face is seen from in front.
    faces = mesh.triangles[(mesh.piece[mesh.triangles] == HEAD).all(1) & (mesh.rest[mesh.triangles, 2] > 3).all(1)]
    faces = faces[(mesh.surface[faces, 3] < 12).all(1)]
    a, b, c = (mesh.rest[faces[:, k], :2] for k in range(3))
    area = _cross(b - a, c - a)
    for index, (x, y, side) in enumerate(others, start=17):
        if side:  # just above or below a slit, whose edge is straight between two columns
            edge = np.flatnonzero((mesh.side == 1) & (mesh.rest[:, 2] > 3) & (np.abs(mesh.rest[:, 1] - y) < 1))
            y = np.interp(x, mesh.rest[edge, 0], mesh.rest[edge, 1]) + 1e-4 * side
        target = np.array([x, y])
        one, two = _cross(target - a, c - a) / area, _cross(b - a, target - a) / area
        best = np.argmax(np.minimum(np.minimum(one, two), 1 - one - two))
        corner[index], weight[index] = faces[best], (1 - one[best] - two[best], one[best], two[best])
    return corner, weight


def _cross(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
