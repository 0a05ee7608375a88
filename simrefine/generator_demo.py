"""`simrefine generate demo`: heads that simrefine draws, a generator that learns them, and strangers recombined.

Only here is it known what a recombined face should look like: the drawer draws any person in any pose, light and
expression. So faces of strangers, the identity of one with the attributes of another, are held against that truth, and
beside it against what costs nothing: the two faces they were made of.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simrefine.catalogue import PARTS
from simrefine.config import Config, parse_classes
from simrefine.data.faces import read_faces
from simrefine.data.images import Picture, encode_picture
from simrefine.data.parts import parts_of_mask
from simrefine.demo import distances_within, make_folder, train_to_the_end
from simrefine.drawing.example_faces import RENDER, VIEWS, Face, draw_face, write_people
from simrefine.files import write_file
from simrefine.generating.generator import Generator
from simrefine.training.montage import sheet

SKIN_IOU = 0.7  # what the demo must reach: of the drawn skin with the true face's
SHEET, SHOWN, ENLARGED = "faces.png", 4, 3  # people and attributes on it, and how many times as large
FACE = [PARTS.index(part) for part in ("skin", "brows", "eyes", "lips", "mouth")]
# The demo's own options: as much as two cores do in a few minutes.
OPTIONS = (
    ("generator.photographs", False),
    ("generator.identity_steps", 100),
    ("generator.identity_batch", 64),
    ("generator.reconstruction_steps", 400),
    ("generator_loss.kl_warm_up", 200),
    ("training.batch_size", 16),
    ("training.ema_decay", 0.98),
    ("training.steps", 500),
    ("monitor.faces", 6),
)


@dataclass(frozen=True)
class Extent:
    """How much is drawn and trained.

    Args:
        people, strangers: to learn from, and to be recombined; VIEWS faces each.
        values: options of the training beside OPTIONS.
    """

    people: int = 120
    strangers: int = 20
    size: int = 64  # px
    values: tuple[tuple[str, object], ...] = ()


USUAL = Extent()


@dataclass(frozen=True)
class Outcome:
    """What became of strangers' faces, recombined; each number is the median face's.

    Args:
        made: mean absolute difference of the face alone to the truth, gray levels.
        identity, attributes: the same of the faces that gave identity and attributes, as they are.
        wrong: of made faces to the truth of the next pair: what being any face is worth.
        iou: intersection over union of the drawn skin with the truth's.
        wrong_iou: with that of the next pair.
        seconds: all of it.
    """

    made: float
    identity: float
    attributes: float
    wrong: float
    iou: float
    wrong_iou: float
    seconds: float

    @property
    def missed(self) -> list[str]:
        """What the demo promises and did not reach; empty where it worked."""
        promises = {
            "recombined faces are not nearer to the truth than the faces they were made of": self.made
            < min(self.identity, self.attributes),
            "they are not nearer to their own truth than to another": self.made < self.wrong,
            f"the drawn skin overlaps the true one by less than {SKIN_IOU:.0%}": self.iou >= SKIN_IOU,
        }
        return [miss for miss, kept in promises.items() if not kept]

    def describe(self) -> str:
        """The numbers, and whether they are what was promised."""
        rows = (
            ("recombined faces", self.made),
            ("- the face that gave the identity", self.identity),
            ("- the face that gave the attributes", self.attributes),
            ("- recombined faces to another's truth", self.wrong),
        )
        fell = "; ".join(["it fell short of what is promised", *self.missed]) if self.missed else "it worked"
        return "\n".join(
            [
                "faces of strangers against the truth: the one person in the other's pose, light and expression",
                *(f"{name:<40}{value:>6.1f}   gray levels, the face alone" for name, value in rows),
                f"{'drawn skin over true skin (another)':<40}{self.iou:>6.2f}   ({self.wrong_iou:.2f}), "
                f"{SKIN_IOU} promised",
                f"{fell}, in {self.seconds:.0f} s",
            ]
        )


def run_demo(
    out: Path | str,
    *,
    seed: int = 0,
    extent: Extent = USUAL,
    progress: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Draws people, trains a generator on them, recombines strangers and holds them against the truth.

    Args:
        out: a folder that is not there yet, or is empty. It gets data/, run/ and faces.png.
        seed: of the faces and of the training.
        extent: how much of it.
        progress: called with what is being done.

    Raises:
        UserError: `out` holds something; the disk is full; the training was interrupted.
    """
    out, started = Path(out), time.monotonic()
    make_folder(out)
    progress(f"drawing {extent.people} people and {extent.strangers} strangers, {VIEWS} faces each")
    write_people(out / "data", extent.size, extent.people, extent.strangers, seed)
    _train(out / "data" / "people", out / "run", extent, seed, progress)
    progress("recombining strangers")
    generator = Generator(out / "run")
    folder = out / "data" / "strangers"
    given = read_faces(folder, "strangers", size=extent.size, channels=3, memory_gib=1).images
    identity, attributes = pairs(extent.strangers)
    f, z = generator.encode(given)
    made = generator(f[identity], z[attributes])
    truth = [
        draw_face(seed, "strangers", int(a), extent.size, of=int(p)) for p, a in zip(identity, attributes, strict=True)
    ]
    _write_sheet(out / SHEET, given, generator, f, z, seed)
    return Outcome(
        **hold_against_truth(made, truth, given[identity], given[attributes]), seconds=time.monotonic() - started
    )


def pairs(strangers: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the faces that give the identity, the first of each stranger, and the attributes: the other views
    of the next ones."""
    people = np.repeat(np.arange(strangers), VIEWS - 1)
    turns = np.tile(np.arange(1, VIEWS), strangers)
    return VIEWS * people, VIEWS * ((people + turns) % strangers) + turns


def hold_against_truth(made, truth: list[Face], identity: np.ndarray, attributes: np.ndarray) -> dict[str, float]:
    """The numbers of an `Outcome` of faces made, `generating.generator.Faces`, of the given ones uint8 [n, h, w, 3]."""
    table = parse_classes(Config.load(environment={}).parts.classes)
    wanted = np.stack([face.pictures[RENDER] for face in truth]).astype(np.float32)
    parts = np.stack([parts_of_mask(face.mask, table, wanted.shape[1]) for face in truth])
    faces, skin, drawn = np.isin(parts, FACE), parts == PARTS.index("skin"), made.parts == PARTS.index("skin")

    def apart(pictures: np.ndarray, turn: int = 0) -> float:
        others, where = np.roll(wanted, turn, axis=0), np.roll(faces, turn, axis=0)
        return float(np.median(distances_within(pictures, others, where)))

    def overlap(turn: int = 0) -> float:
        other = np.roll(skin, turn, axis=0)
        return float(np.median((drawn & other).sum(axis=(1, 2)) / (drawn | other).sum(axis=(1, 2))))

    return {
        "made": apart(made.pictures),
        "identity": apart(identity),
        "attributes": apart(attributes),
        "wrong": apart(made.pictures, 1),
        "iou": overlap(),
        "wrong_iou": overlap(1),
    }


def _train(people: Path, run: Path, extent: Extent, seed: int, progress: Callable[[str], None]) -> None:
    """Trains a generator on the faces in `people`; see `train_to_the_end`."""
    values = {"method.name": "generator", "data.synthetic": people, "data.size": extent.size, "training.seed": seed}
    for key, value in OPTIONS:
        progress(f"the demo sets {key} = {str(value).lower()}")
        values[key] = value
    train_to_the_end(values | dict(extent.values), run, people.parent)


def _write_sheet(path: Path, given: np.ndarray, generator: Generator, f, z, seed: int) -> None:
    """First row: who gives the attributes. Then two rows a person: as made, and as drawn in truth."""
    count = min(SHOWN, len(given) // VIEWS)
    people, looks = VIEWS * np.arange(count), VIEWS * np.arange(count) + 1
    blank = np.full_like(given[:1], 255)
    rows = [np.concatenate([blank, given[looks]])]
    for person in people:
        made = generator(np.repeat(f[[person]], count, axis=0), z[looks]).pictures
        truth = [draw_face(seed, "strangers", int(look), given.shape[1], of=int(person)) for look in looks]
        rows += [
            np.concatenate([given[[person]], made]),
            np.concatenate([blank, np.stack([face.pictures[RENDER] for face in truth])]),
        ]
    pixels = sheet(np.stack(rows)).repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)
    write_file(path, encode_picture(Picture(pixels), ".png"))
