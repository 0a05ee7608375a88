"""The whole job on the example faces: make them, train, refine, evaluate, and say whether it worked.

In goes the name of a new folder; out come run/, refined/, report/ and faces.png in it. Only here does every held-out
render have a true photo look of its own (see drawing/example_faces.py), so only here can refinement be held against the
truth: the face alone, because the room that a refined face stands in is another photograph's.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simrefine.config import ANNOTATIONS, MASKS, Config
from simrefine.data.faces import read_faces
from simrefine.data.images import Picture, encode_picture
from simrefine.drawing.example_faces import write_demo
from simrefine.errors import UserError
from simrefine.evaluation.evaluate import evaluate
from simrefine.files import TEMPORARY_PREFIX, reporting_disk_faults, write_file
from simrefine.measures.realism import sharpness_within
from simrefine.refining.folder import refine_folder
from simrefine.refining.refiner import Refiner, load
from simrefine.training.inputs import spread
from simrefine.training.montage import sheet
from simrefine.training.train import train

# What the demo must reach to call itself a success.
SWD_DOWN = 0.4  # share of the raw faces' sliced Wasserstein distance to the photo pile that is gone
TEXTURE_DOWN = 0.5  # the same of each of its two finest levels, where grain, stubble and hair are
BLUR = 0.15  # by how much the median face may be softer or sharper than its own photo look
MAX_DISPLACEMENT = 1.5  # median, percent of the inter-ocular distance
FACE = range(1, 6)  # values of the part masks: skin, brows, eyes, lips, inside of the mouth
SHEET, SHOWN, ENLARGED = "faces.png", 8, 3  # held-out faces that are shown, and how many times as large
# The demo's own options, and why it has them.
_FREE = "drawn skin, hair and rooms are smooth, and are to become rough"
_SHORT = "a few hundred steps must do"
OPTIONS = (
    ("refiner.width", 16, "a quarter of the work"),
    ("training.batch_size", 16, "half of the work"),
    ("parts.head", False, "each head is held against its own photo look"),
    ("training.ema_decay", 0.98, _SHORT),
    ("refiner_optimizer.learning_rate", 6e-4, _SHORT),
    ("discriminator_optimizer.learning_rate", 6e-4, _SHORT),
    ("self_regularisation.high_pass", 0.2, _FREE),
    ("self_regularisation.l1", 0.05, _FREE),
    ("self_regularisation.band", 10.0, _FREE),
    ("self_regularisation.tint", 30.0, _FREE),
    ("self_regularisation.room", 5.0, _FREE),
)


@dataclass(frozen=True)
class Extent:
    """How much is made and trained: what two cores that have bfloat16 do in some minutes.

    Args:
        faces: rendered faces, and as many in the photo look of other people, to train on.
        held_out: faces of a third group, each in both looks.
        values: options of the training beside OPTIONS, "section.key" to value.
    """

    faces: int = 500
    held_out: int = 100
    size: int = 64  # px
    steps: int = 500
    values: tuple[tuple[str, object], ...] = ()


USUAL = Extent()


class Look(NamedTuple):
    """How near the held-out faces of one look are to photographs and to the truth.

    Args:
        swd: sliced Wasserstein distance to the photo pile, x 1e3, the mean over its levels.
        fine: the same of its two finest levels.
        distance: to each face's own photo look: mean absolute difference over the face, gray levels; the median face.
        sharpness: of the face, as a share of that of its own photo look; the median face.
    """

    swd: float
    fine: tuple[float, float]
    distance: float
    sharpness: float


@dataclass(frozen=True)
class Outcome:
    """What became of the held-out faces.

    Args:
        raw, unrefined, refined: as they were drawn; as the network is given them, in a photograph's colours and room;
            and as it makes them.
        nearer: share of the faces that the network moved towards their own photo look, in [0, 1].
        displacement: of the label points, median and 95th percentile, percent of the inter-ocular distance.
        seconds: all of it.
    """

    raw: Look
    unrefined: Look
    refined: Look
    nearer: float
    displacement: tuple[float, float]
    seconds: float

    @property
    def swd_down(self) -> float:
        return 1 - self.refined.swd / self.raw.swd

    @property
    def fine_down(self) -> tuple[float, ...]:
        return tuple(1 - after / before for before, after in zip(self.raw.fine, self.refined.fine, strict=True))

    @property
    def missed(self) -> list[str]:
        """What the demo promises and did not reach; empty where it worked."""
        promises = {
            f"the photo pile is not {SWD_DOWN:.0%} nearer": self.swd_down >= SWD_DOWN,
            f"its two finest levels are not both {TEXTURE_DOWN:.0%} nearer": min(self.fine_down) >= TEXTURE_DOWN,
            "colours and rooms alone brought one of these levels nearer": all(
                after < before for before, after in zip(self.unrefined.fine, self.refined.fine, strict=True)
            ),
            f"faces are not as sharp as their photo look within {BLUR:.0%}": abs(self.refined.sharpness - 1) <= BLUR,
            "faces are farther from their own photo look than raw ones": self.refined.distance < self.raw.distance,
            f"labels moved by {MAX_DISPLACEMENT} % or more": self.displacement[0] < MAX_DISPLACEMENT,
        }
        return [miss for miss, kept in promises.items() if not kept]

    @property
    def worked(self) -> bool:
        """Whether all that the demo promises was reached."""
        return not self.missed

    def describe(self) -> str:
        """The numbers as a table, and whether they are what was promised."""
        looks = (self.raw, self.unrefined, self.refined)
        finest, second = (f"{down:.0%} down, {TEXTURE_DOWN:.0%} promised" for down in self.fine_down)
        wanted = f"1 is as sharp, {1 - BLUR:.2f} to {1 + BLUR:.2f} promised"
        median, p95 = self.displacement
        return "\n".join(
            [
                f"{'held-out faces':<36}{'raw':>7}{'unrefined':>11}{'refined':>9}",
                _row("distance to the photo pile (SWD)", (look.swd for look in looks), self._down),
                _row("- its finest level: grain", (look.fine[0] for look in looks), finest),
                _row("- the next: stubble, strands", (look.fine[1] for look in looks), second),
                _row("face to its own photo look", (look.distance for look in looks), "gray levels"),
                _row("face's sharpness beside it", (look.sharpness for look in looks), wanted, places=2),
                "unrefined = in a photograph's colours and room, without the network, which moved "
                f"{self.nearer:.0%} of the faces nearer to their own photo look",
                f"labels moved by {median:.2f} % of the inter-ocular distance (95th percentile {p95:.2f} %), less than "
                f"{MAX_DISPLACEMENT} % promised",
                f"{'; '.join(['it fell short of what is promised', *self.missed]) if self.missed else 'it worked'}, "
                f"in {self.seconds:.0f} s",
            ]
        )

    @property
    def _down(self) -> str:
        return f"{self.swd_down:.0%} down, {SWD_DOWN:.0%} promised"


def _row(name: str, values: Iterable[float], note: str, places: int = 1) -> str:
    raw, unrefined, refined = (f"{value:.{places}f}" for value in values)
    return f"{name:<36}{raw:>7}{unrefined:>11}{refined:>9}   {note}"


def run_demo(
    out: Path | str,
    *,
    clean: bool = False,
    seed: int = 0,
    extent: Extent = USUAL,
    progress: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Makes the example faces, trains a refiner on them, refines the held-out renders and measures the result.

    Args:
        out: a folder that is not there yet, or is empty.
        clean: remove the faces, `out`/data, when all went well; a resumed training needs them.
        seed: of the faces and of the training.
        extent: how much of it.
        progress: called with what is being done.

    Raises:
        UserError: `out` holds something; the disk is full; the training was interrupted.
    """
    out, started = Path(out), time.monotonic()
    draw_faces(out, seed=seed, extent=extent, progress=progress)
    data, run, refined = out / "data", out / "run", out / "refined"
    _train(data, run, extent, seed, progress)
    progress("refining the held-out renders")
    renders = data / "held-out" / "renders"
    faces = _refine(load(run), renders, refined, extent.size)
    truth, masks = (_read(folder, extent.size) for folder in (data / "held-out" / "photos", Path(f"{renders}{MASKS}")))
    near = {name: hold_against_truth(pictures, truth, masks[..., 0]) for name, pictures in faces.items()}
    _write_sheet(out / SHEET, [*faces.values(), truth])
    result = evaluate(
        renders,
        data / "photos",
        out / "report",
        model=run,
        labels=renders / ANNOTATIONS,
        note=_note(near),
        progress=progress,
    )
    if clean:
        shutil.rmtree(data)
    looks = {name: _look(result["realism"][name]["swd"], one) for name, one in near.items()}
    return Outcome(
        **looks,
        nearer=float(np.mean(near["refined"].distances < near["unrefined"].distances)),
        displacement=(result["labels"]["percent_median"], result["labels"]["percent_p95"]),
        seconds=time.monotonic() - started,
    )


def draw_faces(
    out: Path | str,
    *,
    seed: int = 0,
    extent: Extent = USUAL,
    progress: Callable[[str], None] = lambda message: None,
) -> None:
    """Makes the example faces alone, in `out`/data; see `run_demo` for what is given and raised."""
    out = Path(out)
    make_folder(out)
    progress(f"drawing {extent.faces} faces as renders, {extent.faces} in a photo look and {extent.held_out} in both")
    write_demo(out / "data", extent.size, extent.faces, extent.faces, extent.held_out, seed)


def make_folder(out: Path) -> None:
    """Makes the folder of a demo.

    Raises:
        UserError: it holds something, or cannot be made.
    """
    # A kill may have left a temporary folder, which the next one replaces.
    if out.exists() and not (out.is_dir() and all(path.name.startswith(TEMPORARY_PREFIX) for path in out.iterdir())):
        raise UserError(f"{out} is there already", "remove it, or name another folder with --out")
    with reporting_disk_faults(out):
        out.mkdir(parents=True, exist_ok=True)


def _train(data: Path, run: Path, extent: Extent, seed: int, progress: Callable[[str], None]) -> None:
    """Trains a refiner on the faces in `data`; see `train_to_the_end`."""
    values = {
        "data.synthetic": data / "renders",
        "data.real": data / "photos",
        "data.size": extent.size,
        "training.steps": extent.steps,
        "training.seed": seed,
    }
    for key, value, why in OPTIONS:
        progress(f"the demo sets {key} = {value}: {why}")
        values[key] = value
    train_to_the_end(values | dict(extent.values), run, data)


def train_to_the_end(values: Mapping[str, object], run: Path, data: Path) -> None:
    """Trains on the faces in `data`.

    Raises:
        UserError: a signal ended the training early.
    """
    trained = train(Config.load(values=values, environment={}), run)
    if trained.exit_code:
        raise UserError(
            "the demo was interrupted while it trained",
            f"its faces are in {data}; go on by hand as shown above, or remove {data.parent} and start the demo again",
            exit_code=trained.exit_code,
        )


class Nearness(NamedTuple):
    """What each face has of its own photo look, see `Look`: float [n]."""

    distances: np.ndarray
    sharpness: np.ndarray

    def medians(self) -> tuple[float, float]:
        return float(np.median(self.distances)), float(np.median(self.sharpness))


def _refine(refiner: Refiner, renders: Path, refined: Path, size: int) -> dict[str, np.ndarray]:
    """Refines `renders`, with the masks beside it, into `refined`; the faces as they were drawn, as the network is
    given them, and as it makes them."""
    refine_folder(refiner, renders.parent, refined, exclude=["photos"], copy=[f"*{MASKS}"])
    raw = _read(renders, size)
    return {"raw": raw, "unrefined": refiner.without_network()(raw), "refined": _read(refined / renders.name, size)}


def hold_against_truth(pictures: np.ndarray, truth: np.ndarray, masks: np.ndarray) -> Nearness:
    """Holds faces against their own photo look: uint8 [n, h, w, c] twice and part masks, uint8 [n, h, w].

    The face alone: what stands behind the head in the photo look cannot be known from the render, and hair takes the
    colour of another photograph's.
    """
    faces = np.isin(masks, FACE)
    return Nearness(
        distances_within(pictures, truth, faces), sharpness_within(pictures, faces) / sharpness_within(truth, faces)
    )


def distances_within(pictures: np.ndarray, truth: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The mean absolute difference of pictures [n, h, w, c] to the truth where `faces`, bool [n, h, w], are: [n]."""
    differences = np.abs(pictures.astype(np.float32) - truth).mean(axis=-1)
    return (differences * faces).sum(axis=(1, 2)) / faces.sum(axis=(1, 2))


def _look(swd: Mapping[str, float], near: Nearness) -> Look:
    levels = sorted((side for side in swd if side != "mean"), key=int, reverse=True)
    finest, second = swd[levels[0]], swd[levels[:2][-1]]  # pictures below 32 px have one level
    return Look(swd["mean"], (finest, second), *near.medians())


def _note(near: Mapping[str, Nearness]) -> str:
    """What the report says under its verdict."""
    medians = {name: one.medians() for name, one in near.items()}
    distances = ", ".join(f"{distance:.1f} ({name})" for name, (distance, _) in medians.items())
    sharpness = ", ".join(f"{share:.2f} ({name})" for name, (_, share) in medians.items())
    return (
        "These are the demo's drawn faces, and what is called photographs here is their drawn photo look. To its own "
        f"photo look the median face, without hair and room, is {distances} gray levels away; beside it, its sharpness "
        f"is {sharpness}. Unrefined is what the network is given: a photograph's colours and room."
    )


def _write_sheet(path: Path, looks: Sequence[np.ndarray]) -> None:
    """Some faces, a row a look."""
    chosen = spread(len(looks[0]), SHOWN)
    rows = sheet(np.stack([pictures[chosen] for pictures in looks]))
    write_file(path, encode_picture(Picture(rows.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)), ".png"))


def _read(folder: Path, size: int) -> np.ndarray:
    """The pictures of a folder: uint8 [n, size, size, 3]."""
    faces = read_faces(folder, "demo", size=size, channels=3, memory_gib=1)
    return faces.pile[np.arange(len(faces))]
