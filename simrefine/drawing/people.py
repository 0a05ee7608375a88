"""People for the example faces: random numbers in, persons with a face, colours and hair out, and their poses.

A person is what stays from picture to picture; a view is what one picture adds: pose, expression, gaze, light and a
backdrop. Colours are linear RGB; the palettes were chosen by eye to span the human range.
"""

from dataclasses import dataclass

import numpy as np

from simrefine.drawing.heads import head_model
from simrefine.drawing.sculpture import EXPRESSIONS, HAIR, IDENTITY

# sRGB of skin from fair to dark, of hair with how common it is, and of irises with how common; 0 to 255.
_SKIN = np.array(
    [[240, 208, 190], [233, 192, 168], [224, 172, 140], [202, 146, 110], [166, 110, 78], [120, 78, 55], [78, 51, 40]]
)
_HAIR = {
    "black": ((26, 22, 22), 5),
    "dark brown": ((52, 35, 26), 5),
    "brown": ((90, 60, 40), 4),
    "light brown": ((134, 98, 66), 2),
    "blond": ((196, 160, 102), 2),
    "red": ((140, 62, 30), 1),
    "gray": ((140, 138, 136), 1.5),
    "white": ((214, 210, 205), 0.7),
}
_IRIS = {
    "brown": ((84, 50, 28), 6),
    "dark brown": ((48, 28, 18), 4),
    "hazel": ((112, 92, 48), 2),
    "green": ((88, 112, 76), 1),
    "blue": ((88, 126, 164), 2),
    "gray": ((120, 132, 138), 1),
}
_STYLES = {"short": 5, "cropped": 3, "fringe": 2, "receding": 1.5, "bob": 2, "long": 3, "bald": 0.8}
_LONG = ("bob", "long")


@dataclass(frozen=True)
class Person:
    """What stays from picture to picture.

    Args:
        identity: float64 [23], see sculpture.IDENTITY.
        skin, lips, hair, brows, iris, clothes: float64 [3], linear RGB.
        hair_style, hair_name: for the annotations. thickness: float32 [n], see `heads.shape_head`.
        brow_width: cm. collar: place on the head's rows.
        stubble, freckles, lashes, gloss, ruddy: 0 to 1; gloss is how much skin shines, ruddy how red cheeks are.
        texture: seeds the skin and hair texture.
    """

    identity: np.ndarray
    skin: np.ndarray
    lips: np.ndarray
    hair: np.ndarray
    brows: np.ndarray
    iris: np.ndarray
    clothes: np.ndarray
    hair_style: str
    hair_name: str
    thickness: np.ndarray
    brow_width: float
    collar: float
    stubble: float
    freckles: float
    lashes: float
    gloss: float
    ruddy: float
    texture: int


@dataclass(frozen=True)
class View:
    """What one picture adds.

    Args:
        yaw, pitch, roll: degrees; > 0 is the nose to the image's right, looking up, clockwise.
        expression: float64 [6], see sculpture.EXPRESSIONS. gaze: float64 [2], degrees to the image's right and up.
        distance: of the camera, cm. light: float64 [3], unit vector towards the main light.
        backdrop: float64 [3], linear RGB.
    """

    yaw: float
    pitch: float
    roll: float
    expression: np.ndarray
    gaze: np.ndarray
    distance: float
    light: np.ndarray
    backdrop: np.ndarray


def linear_from_srgb(colour: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear RGB (IEC 61966-2-1)."""
    colour = np.asarray(colour, np.float64)
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def draw_person(rng: np.random.Generator) -> Person:
    """A random person."""
    identity = np.clip(rng.normal(0, 0.9, len(IDENTITY)), -2, 2)
    man = rng.random() < 0.5
    for name, shift in (
        ("jaw_width", 0.6),
        ("brow_ridge", 0.7),
        ("neck_width", 0.9),
        ("upper_lip", -0.4),
        ("eye_size", -0.3),
    ):
        identity[IDENTITY.index(name)] += shift if man else -shift
    tone = rng.uniform(0, len(_SKIN) - 1)
    skin = _between(_SKIN, tone) * (1 + rng.normal(0, 0.02, 3))
    hair_name = _pick(
        rng,
        {
            name: share * (1 if tone < 2.5 or name in ("black", "dark brown", "gray") else 0.08)
            for name, (_, share) in _HAIR.items()
        },
    )
    hair = np.array(_HAIR[hair_name][0]) * rng.uniform(0.85, 1.15)
    iris_name = _pick(
        rng, {name: share * (1 if tone < 2.5 or "brown" in name else 0.06) for name, (_, share) in _IRIS.items()}
    )
    style = _pick(
        rng,
        {
            name: share * (0.15 if name in (("bob", "long") if man else ("receding", "bald", "cropped")) else 1)
            for name, share in _STYLES.items()
        },
    )
    lips = skin * [0.86, 0.62, 0.64] if man else skin * [0.9, 0.58, 0.6]
    brows = hair * 0.75 if hair_name not in ("white", "blond") else hair * 0.6
    return Person(
        identity=np.clip(identity, -2, 2),
        skin=_linear(skin),
        lips=_linear(lips),
        hair=_linear(hair),
        brows=_linear(brows),
        iris=_linear(np.array(_IRIS[iris_name][0]) * rng.uniform(0.85, 1.15)),
        clothes=_colour(rng, saturation=0.6, low=0.03, high=0.6),
        hair_style=style,
        hair_name=hair_name,
        thickness=grow_hair(rng, style),
        brow_width=rng.uniform(0.26, 0.42) if man else rng.uniform(0.17, 0.3),
        collar=rng.uniform(14.9, 16.4),
        stubble=float(man and rng.random() < 0.55) * rng.uniform(0.3, 1.0),
        freckles=float(tone < 2 and rng.random() < 0.3) * rng.uniform(0.4, 1.0),
        lashes=rng.uniform(0.2, 0.5) if man else rng.uniform(0.5, 1.0),
        gloss=rng.uniform(0.3, 1.0),
        ruddy=rng.uniform(0.3, 1.0),
        texture=int(rng.integers(2**31)),
    )


def draw_view(rng: np.random.Generator) -> View:
    """A random pose, expression, gaze, light and backdrop."""
    e = dict.fromkeys(EXPRESSIONS, 0.0)
    if rng.random() < 0.45:
        e["jaw_open"] = rng.beta(1.2, 2.5)
    if rng.random() < 0.5:
        e["smile"] = rng.uniform(0.1, 1)
    elif rng.random() < 0.2:
        e["pucker"] = rng.uniform(0.2, 1)
    e["blink"] = rng.uniform(0.6, 1) if rng.random() < 0.08 else rng.uniform(0, 0.3)
    e["brows_up" if rng.random() < 0.5 else "brows_down"] = rng.beta(1, 2)
    around, up = np.radians(rng.uniform(-65, 65)), np.radians(rng.uniform(5, 50))
    return View(
        yaw=float(np.clip(rng.normal(0, 18), -40, 40)),
        pitch=float(np.clip(rng.normal(0, 8), -20, 20)),
        roll=float(np.clip(rng.normal(0, 6), -15, 15)),
        expression=np.array([e[name] for name in EXPRESSIONS]),
        gaze=np.clip(rng.normal(0, [6, 3]), [-12, -6], [12, 6]),
        distance=rng.uniform(55, 120),
        light=np.array([np.sin(around) * np.cos(up), np.sin(up), np.cos(around) * np.cos(up)]),
        backdrop=_colour(rng, saturation=0.55, low=0.05, high=0.75),
    )


def grow_hair(rng: np.random.Generator, style: str) -> np.ndarray:
    """How far hair stands off the scalp at each vertex of the model: float32 [n], cm; negative where none grows."""
    model = head_model()
    rooted = np.unique(model.triangles[model.kind == HAIR])
    thickness = np.full(len(model.mean), -1.0, np.float32)
    if style == "bald":
        return thickness
    angle, height = model.surface[rooted, 0], model.surface[rooted, 1]
    degrees = np.degrees(np.abs(angle))
    front = rng.uniform(5.3, 6.6) if style != "fringe" else rng.uniform(2.9, 3.8)
    temple = front - 1.2 if style != "receding" else front + 1.6
    if style == "receding":
        front += 1.0
    #        forehead ........... temple ... before the ear .... over it, behind it ........ nape
    places = [0, 25, 42, 58, 70, 80, 88, 97, 112, 140, 180]
    lines = [front, front, temple, 3.9, 2.6, -1.2, -1.2, 1.2, 0.5, -2.5, -4.0]
    if style in _LONG:
        end = -rng.uniform(6.5, 9.5) if style == "bob" else -16.5
        places, lines = [0, 25, 45, 60, 68, 74, 180], [front, front, temple, 3.4, 1.8, end, end]
    part = rng.uniform(-15, 15)  # the hairline is never quite symmetrical
    line = np.interp(
        np.abs(np.degrees(angle) - part * (degrees < 60) * np.cos(np.radians(degrees * 1.5))), places, lines
    )
    top, sides = {
        "short": (rng.uniform(0.8, 2.2), rng.uniform(0.4, 0.9)),
        "cropped": (rng.uniform(0.3, 0.5), rng.uniform(0.2, 0.35)),
        "fringe": (rng.uniform(1.0, 1.8), rng.uniform(0.5, 1.2)),
        "receding": (rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.6)),
        "bob": (rng.uniform(0.9, 1.6), rng.uniform(1.3, 2.0)),
        "long": (rng.uniform(0.8, 1.5), rng.uniform(1.2, 1.9)),
    }[style]
    grown = np.clip((height - line) / 0.8, 0, 1) ** 0.6
    volume = sides + (top - sides) * np.clip((height - 1.5) / 5.0, 0, 1)
    phase, waves = rng.uniform(0, 2 * np.pi, 3), rng.integers(9, 17, 3)
    clumps = sum(np.sin(w * angle + 0.35 * height + f) for w, f in zip(waves, phase, strict=True)) / 3
    thickness[rooted] = grown * (volume * (1 + 0.18 * clumps) + 0.2) - 0.2
    return thickness


def _between(table: np.ndarray, place: float) -> np.ndarray:
    low = min(int(place), len(table) - 2)
    return table[low] + (place - low) * (table[low + 1] - table[low])


def _pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[rng.choice(len(weights), p=weights / weights.sum())]


def _linear(levels: np.ndarray) -> np.ndarray:
    return linear_from_srgb(np.clip(levels / 255, 0, 1))


def _colour(rng: np.random.Generator, saturation: float, low: float, high: float) -> np.ndarray:
    """A random hue, not too colourful, with a lightness between `low` and `high` in sRGB."""
    colour = 1 - rng.uniform(0, saturation) * rng.random(3)
    return linear_from_srgb(np.clip(colour / colour.max() * rng.uniform(low, high) ** 0.7, 0, 1))
