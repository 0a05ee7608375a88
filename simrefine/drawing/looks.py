"""One head, two looks: what a camera sees of it, painted and lit once like a render and once like a photograph.

`expose` finds which point of the head each sample shows, and whether the main light reaches it. Both looks share
that, the flat colours and the light's direction, so that they differ in light, texture, backdrop and camera only and
never in geometry. Colours are linear RGB until the very end; paint goes by place on the head (heads.Model.surface).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from simrefine.data.images import round_to_uint8
from simrefine.drawing import heads, sculpture
from simrefine.drawing.heads import head_model
from simrefine.drawing.people import Person, View
from simrefine.drawing.rasterise import rasterise
from simrefine.drawing.sculpture import EAR, EYE, HAIR, HEAD, MOUTH, TEETH

# Labels of the part mask.
BACKGROUND, SKIN, BROWS, EYES, LIPS, MOUTH_INSIDE, HAIR_PART, NECK, CLOTHES = range(9)
SAMPLES = 2  # per pixel and axis
# Standard deviation of what a path tracer leaves over, gray levels: where a picture has none at all, a network that is
# given one and the same colour over and over cannot make grain of it.
SAMPLING_NOISE = 0.8
_LIGHT_SPAN = 30.0  # cm that a shadow map shows: the head


@dataclass(frozen=True)
class Exposure:
    """What each sample that shows the head sees, [p] samples.

    Args:
        size: side of the picture, px. It has SAMPLES x SAMPLES samples a pixel.
        landmarks: float64 [68, 2], px.
        sample: int64 [p], index in the flat grid of samples.
        kind: int8 [p], see heads. surface: float32 [p, 4], see heads.Model.
        normal: float32 [p, 3], unit, and towards_eye: float32 [p, 3], unit, as the camera sees it.
        open_sky: float32 [p], share of the directions that the head itself does not block.
        lit, softly_lit: float32 [p], how much of a small and of a large main light reaches the point.
    """

    size: int
    landmarks: np.ndarray
    sample: np.ndarray
    kind: np.ndarray
    surface: np.ndarray
    normal: np.ndarray
    towards_eye: np.ndarray
    open_sky: np.ndarray
    lit: np.ndarray
    softly_lit: np.ndarray


@dataclass(frozen=True)
class Paint:
    """Flat colours: part uint8 [p], see BACKGROUND to CLOTHES; colour float32 [p, 3], linear RGB."""

    part: np.ndarray
    colour: np.ndarray


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """float32 [3, 3] for column vectors; degrees, signs as in View."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]]
    about_z = [[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return (np.array(about_z) @ about_y @ about_x).astype(np.float32)


def pose_head(vertices: np.ndarray, view: View) -> np.ndarray:
    """Turns the head about the neck; the shoulders follow by less: float32 [n, 3]."""
    pivot = np.array([0, -8, -2], np.float32)
    centred = vertices - pivot
    turned = centred @ rotation(view.yaw, view.pitch, view.roll).T
    followed = centred @ rotation(0.45 * view.yaw, 0.2 * view.pitch, 0.15 * view.roll).T
    share = np.clip((head_model().mean[:, 1:2] + 17) / 6.5, 0, 1)
    return followed + share * share * (3 - 2 * share) * (turned - followed) + pivot


@dataclass(frozen=True)
class Camera:
    """A pinhole on the z axis. The picture spans `side` from `corner`, both on the plane at distance 1."""

    distance: float
    corner: np.ndarray
    side: float
    size: int

    def project(self, points: np.ndarray) -> np.ndarray:
        """[n, 3] cm to [n, 3]: x, y in px and nearness, 1 / cm."""
        nearness = 1 / (self.distance - points[:, 2])
        flat = points[:, :2] * [1, -1] * nearness[:, None]
        return np.column_stack([(flat - self.corner) / self.side * self.size, nearness])


def frame(marks: np.ndarray, distance: float, size: int) -> Camera:
    """Frames the landmarks [68, 3]: a square, 1.6 times the longer side of their box, around the box's centre moved up
    by 8 % of its height."""
    flat = Camera(distance, np.zeros(2), 1.0, 1).project(marks)[:, :2]
    low, high = flat.min(0), flat.max(0)
    side = 1.6 * float((high - low).max())
    return Camera(distance, (low + high) / 2 - [0, 0.08 * (high - low)[1]] - side / 2, side, size)


def expose(person: Person, view: View, size: int) -> Exposure:
    """Poses and photographs a head; see Exposure."""
    model = head_model()
    posed = pose_head(heads.shape_head(person.identity, view.expression, person.thickness), view)
    marks = heads.landmarks(posed)
    camera = frame(marks, view.distance, size)
    grown = (model.kind != HAIR) | (person.thickness[model.triangles] > 0).any(1)
    triangles, kinds = model.triangles[grown], model.kind[grown]
    # Long hair is also seen from inside, behind the neck and between it and a cheek.
    inside = np.flatnonzero((kinds == HAIR) & (model.surface[triangles[:, 0], 1] < 0))
    triangles, kinds = np.concatenate([triangles, triangles[inside, ::-1]]), np.concatenate([kinds, kinds[inside]])
    samples = size * SAMPLES
    points = camera.project(posed) * [SAMPLES, SAMPLES, 1]
    raster = rasterise(points, triangles, samples, samples)
    sample = np.flatnonzero(raster.triangle >= 0)
    which = raster.triangle.reshape(-1)[sample]
    weights = raster.weights.reshape(-1, 3)[sample]
    per_vertex = np.column_stack([model.surface, posed, heads.vertex_normals(posed), _open_sky()])
    corners = triangles[which]
    seen = sum(per_vertex[corners[:, k]] * weights[:, k, None] for k in range(3))
    surface, place, normal, open_sky = np.split(seen, [4, 7, 10], axis=1)
    normal = _unit(normal)
    lit, softly_lit = _trace_light(posed, triangles, place + 0.3 * normal, view.light, samples)
    return Exposure(
        size=size,
        landmarks=camera.project(marks)[:, :2],
        sample=sample,
        kind=kinds[which],
        surface=surface,
        normal=normal,
        towards_eye=_unit(np.array([0, 0, view.distance], np.float32) - place),
        open_sky=open_sky[:, 0],
        lit=lit,
        softly_lit=softly_lit,
    )


def _trace_light(
    posed: np.ndarray, triangles: np.ndarray, places: np.ndarray, light: np.ndarray, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the main light reaches `places` [p, 3], by a shadow map (Williams 1978): 0 or 1 for a small light, and
    the mean over a disc of the map for a large one."""
    side = int(np.clip(samples * 0.75, 96, 512))
    nearness = rasterise(_towards_light(posed, light, side), triangles, side, side).nearness
    place = _towards_light(places, light, side)
    lit = _reached(nearness, place, 0.15)
    radius, turn = np.repeat([0.55, 1.1], 3) * side / _LIGHT_SPAN, np.arange(6) * 2.4
    disc = np.stack([radius * np.cos(turn), radius * np.sin(turn), 0 * turn], 1).astype(np.float32)
    return lit, np.mean([_reached(nearness, place + offset, 0.65) for offset in disc], axis=0)


def _towards_light(points: np.ndarray, light: np.ndarray, side: int) -> np.ndarray:
    """Points as the light sees them, in texels of its map, and their height towards it (positive), cm."""
    right = _unit(np.array([light[2], 0, -light[0]]))
    up = np.cross(light, right)
    turned = (points - np.array([0, -3, 0], np.float32)) @ np.stack([right, -up, light]).T.astype(np.float32)
    texels = side / _LIGHT_SPAN
    return turned * np.float32([texels, texels, 1]) + np.float32([side / 2, side / 2, 100])


def _reached(nearness: np.ndarray, place: np.ndarray, slack: float) -> np.ndarray:
    """1 where nothing lies more than `slack` cm above a place, else 0."""
    side = len(nearness)
    x, y = (np.clip(place[:, axis].astype(np.int32), 0, side - 1) for axis in (0, 1))
    return (nearness[y, x] <= place[:, 2] + slack).astype(np.float32)


@cache
def _open_sky() -> np.ndarray:
    """How much of its surroundings each vertex of the bald mean head sees: float32 [n], 0 to 1, weighted by cosine."""
    model = head_model()
    vertices = heads.shape_head(np.zeros(len(sculpture.IDENTITY)), np.zeros(len(sculpture.EXPRESSIONS)))
    normals = heads.vertex_normals(vertices)
    solid = model.triangles[(model.kind == HEAD) | (model.kind == EAR) | (model.kind == EYE)]
    directions, seen, total = 40, 0.0, 1e-6
    for k in range(directions):  # a spiral over the sphere (Fibonacci lattice)
        height, turn = 1 - (2 * k + 1) / directions, k * 2.399963
        flat = np.sqrt(1 - height**2)
        towards = np.array([flat * np.cos(turn), height, flat * np.sin(turn)])
        cosine = np.clip(_dot(normals, towards), 0, 1)
        nearness = rasterise(_towards_light(vertices, towards, 128), solid, 128, 128).nearness
        seen = seen + cosine * _reached(nearness, _towards_light(vertices + 0.25 * normals, towards, 128), 0.25)
        total = total + cosine
    share = (seen / total).astype(np.float32)
    share[np.unique(model.triangles[model.kind == HAIR])] = 0.85
    return share


# ---------------------------------------------------------------------------------------------------------------------
# Paint: what colour a place has under white light.


def paint_flat(seen: Exposure, person: Person, view: View) -> Paint:
    """The part and the flat colour of each sample."""
    x, y, angle, row = seen.surface.T
    a = np.abs(x)
    kind = seen.kind
    part = np.full(len(kind), SKIN, np.uint8)
    head = kind == HEAD
    face = head & (row < sculpture.JAW_ROW) & (np.abs(angle) < 1.5)
    part[head & (row > sculpture.JAW_ROW + 0.35)] = NECK
    collar = person.collar + 0.55 * np.cos(angle)
    part[head & (row > collar)] = CLOTHES
    upper, lower = sculpture.lip_outline(x)
    part[face & (a < sculpture.MOUTH_HALF_WIDTH + 0.05) & (y < upper) & (y > lower)] = LIPS
    part[face & (_brow_cover(a, y, person.brow_width) > 0.5)] = BROWS
    part[kind == EYE] = EYES
    part[(kind == MOUTH) | (kind == TEETH)] = MOUTH_INSIDE
    part[kind == HAIR] = HAIR_PART

    table = np.zeros((9, 3), np.float32)
    table[[SKIN, BROWS, LIPS, HAIR_PART, NECK, CLOTHES]] = (
        person.skin,
        person.brows,
        person.lips,
        person.hair,
        person.skin,
        person.clothes,
    )
    colour = table[part]
    colour[kind == MOUTH] = (0.06, 0.012, 0.01)
    colour[kind == TEETH] = (0.42, 0.38, 0.31)
    eye = kind == EYE
    colour[eye] = _paint_eyes(seen.surface[eye, :3], person, view)
    brow = part == BROWS
    colour[brow] += 0.25 * (1 - person.brow_width / 0.42) * (person.skin - colour[brow])
    # Nostrils, the line of the lashes and the line between the lips are dark in any light.
    nostril = np.exp(-(((a - 0.62) / 0.3) ** 4) - ((y + 4.88) / 0.17) ** 4) * face
    lash_size = np.where(row < sculpture.EYE_ROW, 0.17, 0.07)
    lash = (
        np.exp(-((y / lash_size) ** 2)) * (np.abs(a - sculpture.EYE_X - 0.05) < sculpture.EYE_HALF_WIDTH + 0.1) * face
    )
    lash = lash * (0.35 + 0.6 * person.lashes) * np.where(row < sculpture.EYE_ROW, 1, 0.5)
    line = 0.5 * np.exp(-(((y - sculpture.mouth_line(x)) / 0.07) ** 2)) * (a < sculpture.MOUTH_HALF_WIDTH + 0.1) * face
    colour *= ((1 - 0.85 * nostril) * (1 - lash) * (1 - line))[:, None]
    return Paint(part, colour)


def _brow_cover(a: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    """1 on the middle of a brow, falling through 0.5 at its edge."""
    places, heights = np.array(sculpture.BROW)[::-1].T
    middle = np.interp(a, places, heights) - 0.1
    half = width * np.interp(a, [0.85, 1.1, 2.2, 4.0, 5.1, 5.25], [0, 0.85, 1, 0.75, 0.25, 0])
    return np.clip(1 - 0.5 * np.abs(y - middle) / np.maximum(half, 1e-3), 0, 1)


def _paint_eyes(direction: np.ndarray, person: Person, view: View) -> np.ndarray:
    right, up = np.radians(view.gaze)
    gaze = np.array([np.sin(right) * np.cos(up), np.sin(up) - 0.02, np.cos(right) * np.cos(up)], np.float32)
    off = np.linalg.norm(direction / np.linalg.norm(direction, axis=1, keepdims=True) - gaze, axis=1)[:, None]
    white = np.array([0.72, 0.66, 0.62], np.float32)
    iris = person.iris.astype(np.float32) * (0.75 + 1.2 * np.clip((off - 0.15) / 0.2, 0, 1))
    colour = np.where(off < 0.38, iris, white)
    colour = np.where((off > 0.34) & (off < 0.40), iris * 0.35, colour)
    colour = np.where(off > 1.15, np.float32([0.3, 0.1, 0.08]), colour)  # the corners are pink
    return np.where(off < 0.15, np.float32(0.006), colour)


def part_mask(seen: Exposure, paint: Paint) -> np.ndarray:
    """The most frequent part of each pixel's samples: uint8 [size, size]."""
    parts = np.zeros((seen.size * SAMPLES) ** 2, np.uint8)
    parts[seen.sample] = paint.part
    blocks = parts.reshape(seen.size, SAMPLES, seen.size, SAMPLES)
    counts = sum(np.eye(9, dtype=np.uint8)[blocks[:, i, :, j]] for i in range(SAMPLES) for j in range(SAMPLES))
    return counts.argmax(-1).astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------------
# The two looks.


def render_look(seen: Exposure, paint: Paint, view: View, rng: np.random.Generator) -> np.ndarray:
    """One hard white light, flat colours, a plain backdrop, and hardly any noise: uint8 [size, size, 3]."""
    colour = _saturate(paint.colour, 1.12)
    facing = np.clip(_dot(seen.normal, view.light), 0, 1) * seen.lit
    shine = _shine(seen, view.light, 500) * (seen.kind == EYE)
    light = 0.18 * (0.35 + 0.65 * seen.open_sky) + 1.1 * facing
    picture = np.empty(((seen.size * SAMPLES) ** 2, 3), np.float32)
    picture[:] = _saturate(view.backdrop[None].astype(np.float32), 1.3)
    picture[seen.sample] = colour * light[:, None] + shine[:, None]
    levels = 255 * _srgb(_average(picture, seen.size))
    return round_to_uint8(levels + SAMPLING_NOISE * _grain(rng, seen.size))


def photo_look(seen: Exposure, paint: Paint, person: Person, view: View, rng: np.random.Generator) -> np.ndarray:
    """Soft coloured light, texture and shine, a cluttered backdrop and a camera's faults: uint8 [size, size, 3]."""
    colour, relief = _texture(seen, paint, person)
    warm = rng.normal(0, 0.1)
    key_colour = np.array([1 + warm, 1, 1 - warm]) * rng.uniform(0.95, 1.15)
    sky = np.array([1 - 0.6 * warm, 1, 1 + 0.6 * warm]) * rng.uniform(0.34, 0.48)
    ground = sky * 0.35 + 0.12 * view.backdrop
    facing = _dot(seen.normal, view.light)
    wrapped = np.clip((facing + 0.35) / 1.35, 0, 1) ** 1.3 * (0.25 + 0.75 * seen.softly_lit)
    upward = 0.5 + 0.5 * seen.normal[:, 1]
    around = (upward[:, None] * sky + (1 - upward[:, None]) * ground) * (0.25 + 0.75 * seen.open_sky**1.3)[:, None]
    # Light bleeds through skin: the edge of the shade is redder.
    bleed = np.exp(-(((facing - 0.05) / 0.22) ** 2)) * np.isin(paint.part, (SKIN, NECK, LIPS)) * 0.07
    light = around + key_colour * (wrapped * relief)[:, None] + bleed[:, None] * np.array([1, 0.25, 0.15])
    gloss = _gloss(seen, paint, person)
    shine = (_shine(seen, view.light, 14) * 0.35 + _shine(seen, view.light, 50)) * seen.softly_lit
    shine = shine * gloss + 0.05 * gloss * (1 - np.clip(_dot(seen.normal, seen.towards_eye), 0, 1)) ** 3
    shine = shine + 0.7 * _shine(seen, view.light, 500) * (seen.kind == EYE)
    picture = _clutter(rng, view.backdrop, seen.size * SAMPLES).reshape(-1, 3)
    picture[seen.sample] = colour * light + shine[:, None] * key_colour
    return _develop(_average(picture, seen.size), rng)


def _texture(seen: Exposure, paint: Paint, person: Person) -> tuple[np.ndarray, np.ndarray]:
    """Colours with what skin, hair and cloth have on them, [p, 3], and a factor on the main light for fine relief."""
    x, y, angle, row = seen.surface.T
    a = np.abs(x)
    lattice = np.random.default_rng(person.texture).random((64, 64), np.float32) - 0.5
    along, down = angle * 8.5, row * 2.2  # cm on the skin, about
    coarse, middle, fine = (_noise(lattice, along * f + o, down * f) for f, o in ((0.55, 0), (1.7, 21), (5.0, 43)))
    skin = np.isin(paint.part, (SKIN, NECK))
    colour = paint.colour.copy()
    flush = np.exp(-(((a - 3.7) / 1.5) ** 2) - ((y + 3.3) / 1.5) ** 2) + 0.8 * np.exp(
        -((a / 1.0) ** 2) - ((y + 4.1) / 0.9) ** 2
    )
    flush = (flush + 0.3 * np.exp(-((a / 1.6) ** 2) - ((y + 10.5) / 1.2) ** 2)) * (seen.kind == HEAD) + 0.7 * (
        seen.kind == EAR
    )
    flush = np.clip(flush + 0.35 * coarse, 0, 1.2) * person.ruddy * skin
    colour *= 1 - flush[:, None] * np.array([0.04, 0.22, 0.2])
    below_eye = np.exp(-(((a - 2.7) / 1.1) ** 2) - ((y + 0.95) / 0.45) ** 2) * skin
    colour *= 1 - below_eye[:, None] * np.array([0.16, 0.22, 0.16])
    mottle = 1 + skin * (0.14 * coarse + 0.12 * middle + 0.12 * fine)
    if person.freckles:
        spots = np.clip(_noise(lattice, along * 3.1 + 11, down * 3.1 + 5) - 0.2, 0, 0.1) * 10
        cheeks = np.exp(-((a / 4.2) ** 4) - ((y + 2.3) / 2.1) ** 4) * skin * person.freckles
        colour *= 1 - (spots * cheeks)[:, None] * np.array([0.3, 0.5, 0.6])
    if person.stubble:
        jaw = np.clip((-5.1 - y + 0.18 * (a - 2)) / 0.7, 0, 1) * (seen.kind == HEAD) * np.clip((13.4 - row) / 0.8, 0, 1)
        beard = jaw * skin * person.stubble * (0.55 + 0.9 * fine + 0.5 * middle) * (np.abs(angle) < 1.6)
        colour += np.clip(beard, 0, 0.8)[:, None] * (0.6 * person.brows - colour)
    hair = np.isin(paint.part, (HAIR_PART, BROWS))
    strands = _noise(lattice, angle * 55, y * 0.9) + 0.6 * _noise(lattice, angle * 17 + 30, y * 0.4)
    mottle += np.where(seen.kind == HAIR, 1.1 * strands, 0) + (paint.part == BROWS) * 1.2 * fine
    mottle += (paint.part == LIPS) * 0.5 * _noise(lattice, x * 7, y * 1.2) + (paint.part == CLOTHES) * (
        0.5 * fine + 0.5 * middle
    )
    brow = paint.part == BROWS
    colour[brow] += 0.3 * (person.skin - colour[brow]) * (0.5 + fine[brow, None])
    relief = 1 + skin * (0.15 * middle + 0.15 * fine)
    return np.clip(colour * np.clip(mottle, 0.2, 2.0)[:, None], 0, 1) * np.where(hair, 1.1, 1.0)[:, None], relief


def _gloss(seen: Exposure, paint: Paint, person: Person) -> np.ndarray:
    """How much each place mirrors the main light: oily forehead, nose and chin, moist lips, combed hair."""
    x, y = np.abs(seen.surface[:, 0]), seen.surface[:, 1]
    oily = np.exp(-((x / 1.3) ** 2)) * (y < 6) + 0.7 * np.exp(-(((x - 3.6) / 1.6) ** 2) - ((y + 2.2) / 1.0) ** 2)
    table = np.zeros(9, np.float32)
    table[[SKIN, NECK, LIPS, HAIR_PART, EYES, MOUTH_INSIDE]] = (0.09, 0.04, 0.1, 0.1, 0.03, 0.02)
    on_skin = (paint.part == SKIN) & (seen.kind == HEAD)
    return table[paint.part] * np.where(on_skin, person.gloss * (0.55 + 1.1 * oily), 1)


def _shine(seen: Exposure, light: np.ndarray, exponent: float) -> np.ndarray:
    half = _unit(seen.towards_eye + light.astype(np.float32))
    return np.clip(_dot(seen.normal, half), 0, 1) ** exponent


def _clutter(rng: np.random.Generator, backdrop: np.ndarray, samples: int) -> np.ndarray:
    """A room out of focus in the backdrop's colours: float32 [samples, samples, 3]."""
    side = 32
    v, u = (np.indices((side, side)) + 0.5) / side
    picture = backdrop * (1 + 0.5 * (rng.normal() * (u - 0.5) + rng.normal() * (v - 0.5)))[..., None]
    for _ in range(rng.integers(5, 11)):
        turn, centre = rng.uniform(-0.3, 0.3) + rng.integers(2) * np.pi / 2, rng.random(2) * 1.2 - 0.1
        du, dv = u - centre[0], v - centre[1]
        p, q = np.abs(du * np.cos(turn) + dv * np.sin(turn)), np.abs(dv * np.cos(turn) - du * np.sin(turn))
        long, short = rng.uniform(0.1, 0.6), rng.uniform(0.03, 0.2)
        round_one = np.hypot(p / long, q / short) if rng.random() < 0.4 else np.maximum(p / long, q / short)
        cover = np.clip((1 - round_one) * min(long, short) / 0.04 + 0.5, 0, 1)[..., None]
        tint = backdrop * np.exp(rng.normal(0, 0.55)) * np.exp(rng.normal(0, 0.25, 3)) + 0.02
        picture = picture + 0.85 * cover * (tint - picture)
    if rng.random() < 0.35:
        for _ in range(rng.integers(3, 9)):
            spot = np.hypot(u - rng.random(), v - rng.random() * 0.7) < rng.uniform(0.03, 0.09)
            picture = picture + spot[..., None] * rng.uniform(0.1, 0.5) * np.array([1, 0.85, 0.6]) * rng.uniform(
                0.6, 1.2, 3
            )
    picture = _blur(picture.clip(0, 1.2), samples // SAMPLES, rng.uniform(0.5, 2.0))
    return picture.repeat(SAMPLES, 0).repeat(SAMPLES, 1)


def _develop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a camera does to linear light [size, size, 3]: vignette, exposure, colour, curve, blur, noise."""
    size = len(picture)
    v, u = (np.indices((size, size)) + 0.5) / size - 0.5
    vignette = 1 - rng.uniform(0.1, 0.5) * (u**2 + v**2)
    balance = np.exp(rng.normal(0, 0.04, 3)) * np.exp(rng.normal(0.0, 0.07))
    picture = picture * vignette[..., None] * balance
    picture = picture / (1 + 0.28 * picture) * 1.15  # film has a shoulder: highlights fade instead of clipping
    levels = 255 * _srgb(_blur(picture, size, rng.uniform(0.3, 0.5) * size / 64))
    grain = _grain(rng, size)
    return round_to_uint8(levels * 0.98 + 3 + rng.uniform(1.5, 4.0) * grain)


def _grain(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise of light and, less of it, of colour: [size, size, 3]; that of light has a standard deviation of 1."""
    return rng.normal(0, 1, (size, size, 1)) + 0.45 * rng.normal(0, 1, (size, size, 3))


def _noise(lattice: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Smooth noise at places u, v [p], one cell per unit, repeating after the lattice's side."""
    side = len(lattice)
    iu, iv = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    fu, fv = u - iu, v - iv
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    flat = lattice.reshape(-1)
    iu, iv, ju, jv = iu % side, (iv % side) * side, (iu + 1) % side, ((iv + 1) % side) * side
    upper = flat[iv + iu] * (1 - fu) + flat[iv + ju] * fu
    return upper * (1 - fv) + (flat[jv + iu] * (1 - fu) + flat[jv + ju] * fu) * fv


def _blur(picture: np.ndarray, size: int, deviation: float) -> np.ndarray:
    """A square picture resampled to `size` px through a Gaussian of `deviation` of its own px: float32."""
    cells = len(picture)
    at = (np.arange(size) + 0.5) / size * cells
    weight = np.exp(-0.5 * ((at[:, None] - np.arange(cells) - 0.5) / deviation) ** 2)
    weight = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    planes = picture.transpose(2, 0, 1).astype(np.float32)  # small products, which BLAS does not split among threads
    return (weight @ planes @ weight.T).transpose(1, 2, 0)


def _average(picture: np.ndarray, size: int) -> np.ndarray:
    blocks = picture.reshape(size, SAMPLES, size, SAMPLES, 3)
    return sum(blocks[:, i, :, j] for i in range(SAMPLES) for j in range(SAMPLES)) / SAMPLES**2


def _saturate(colour: np.ndarray, by: float) -> np.ndarray:
    gray = colour.mean(-1, keepdims=True)
    return np.clip(gray + by * (colour - gray), 0, 1)


def _srgb(linear: np.ndarray) -> np.ndarray:
    """Linear RGB to sRGB (IEC 61966-2-1), clipped to [0, 1]."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[p, 3] with [p, 3] or [3] to [p]. Written out: BLAS would start threads for it, which takes longer."""
    other = np.asarray(other, np.float32).T
    return one[:, 0] * other[0] + one[:, 1] * other[1] + one[:, 2] * other[2]


def _unit(vectors: np.ndarray) -> np.ndarray:
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return vectors / np.sqrt(np.maximum(x * x + y * y + z * z, 1e-18))[..., None]
