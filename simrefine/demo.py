"""The whole job on the example faces: make them, train, refine, evaluate, and say whether it worked.

In goes the name of a new folder; out come run/, refined/ and report/ in it. Only here does every held-out render have
a true photo look of its own (see drawing/example_faces.py), so only here can refinement be held against the truth.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simrefine.backend import resolve_precision
from simrefine.config import ANNOTATIONS, Config
from simrefine.data.faces import read_faces
from simrefine.drawing.example_faces import write_demo
from simrefine.errors import UserError
from simrefine.evaluation.evaluate import evaluate
from simrefine.files import TEMPORARY_PREFIX, reporting_disk_faults
from simrefine.refining.folder import refine_folder
from simrefine.refining.refiner import load
from simrefine.training.train import train

# What the demo must reach to call itself a success.
SWD_DOWN = 0.4  # share of the raw faces' sliced Wasserstein distance to the photo pile that is gone
MAX_DISPLACEMENT = 1.5  # median, percent of the inter-ocular distance
HEAD = range(1, 8)  # values of the part masks; 0 is the background, 8 the clothes


@dataclass(frozen=True)
class Extent:
    """How much is made and trained; see `usual_extent` for what two cores do in less than five minutes.

    Args:
        faces: rendered faces, and as many in the photo look of other people, to train on.
        held_out: faces of a third group, each in both looks.
        values: options of the training that differ from the defaults, "section.key" to value. Without styles: a face
            that is given a stranger's colours cannot be held against its own photo look.
    """

    faces: int = 500
    held_out: int = 100
    size: int = 64  # px
    steps: int = 600
    values: tuple[tuple[str, object], ...] = (("style.candidates", 0),)


@dataclass(frozen=True)
class Outcome:
    """What became of the held-out faces; pairs are (raw, refined).

    Args:
        swd: sliced Wasserstein distance to the photo pile, x 1e3.
        distance: to each face's own photo look: mean absolute difference over the head, gray levels; the median face.
        nearer: share of the faces that refinement moved towards their own photo look, in [0, 1].
        displacement: of the label points, median and 95th percentile, percent of the inter-ocular distance.
        seconds: all of it.
    """

    swd: tuple[float, float]
    distance: tuple[float, float]
    nearer: float
    displacement: tuple[float, float]
    seconds: float

    @property
    def swd_down(self) -> float:
        return 1 - self.swd[1] / self.swd[0]

    @property
    def worked(self) -> bool:
        """Whether all that the demo promises was reached."""
        return (
            self.swd_down >= SWD_DOWN
            and self.distance[1] < self.distance[0]
            and self.displacement[0] < MAX_DISPLACEMENT
        )

    def describe(self) -> str:
        """The numbers as a table, and whether they are what was promised."""
        rows = (
            ("distance to the photo pile (SWD)", *self.swd, f"{self.swd_down:.0%} down, {SWD_DOWN:.0%} promised"),
            ("distance to its own photo look", *self.distance, f"gray levels; {self.nearer:.0%} of the faces nearer"),
        )
        lines = [f"{'held-out faces':<34}{'raw':>8}{'refined':>9}"]
        lines += [f"{name:<34}{raw:8.1f}{refined:9.1f}   {note}" for name, raw, refined, note in rows]
        median, p95 = self.displacement
        lines.append(
            f"labels moved by {median:.2f} % of the inter-ocular distance (95th percentile {p95:.2f} %), "
            f"less than {MAX_DISPLACEMENT} % promised"
        )
        verdict = "it worked" if self.worked else "it fell short of what is promised"
        return "\n".join([*lines, f"{verdict}, in {self.seconds:.0f} s"])


def usual_extent() -> Extent:
    """What two cores do in less than five minutes. Those without bfloat16 are several times slower: smaller faces."""
    return Extent() if resolve_precision("auto") == "mixed_bfloat16" else Extent(size=32)


def run_demo(
    out: Path | str,
    *,
    clean: bool = False,
    seed: int = 0,
    extent: Extent | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Makes the example faces, trains a refiner on them, refines the held-out renders and measures the result.

    Args:
        out: a folder that is not there yet, or is empty.
        clean: remove the faces, `out`/data, when all went well; a resumed training needs them.
        seed: of the faces and of the training.
        extent: None = `usual_extent`.
        progress: called with what is being done.

    Raises:
        UserError: `out` holds something; the disk is full; the training was interrupted.
    """
    out, extent, started = Path(out), extent or usual_extent(), time.monotonic()
    draw_faces(out, seed=seed, extent=extent, progress=progress)
    data, run, refined = out / "data", out / "run", out / "refined"
    _train(data, run, extent, seed)
    progress("refining the held-out renders")
    refine_folder(load(run), data / "held-out", refined, exclude=["photos"], copy=["masks"])
    distance, nearer = _compare_with_truth(data / "held-out", refined, extent.size)
    result = evaluate(
        data / "held-out" / "renders",
        data / "photos",
        out / "report",
        model=run,
        labels=data / "held-out" / "renders" / ANNOTATIONS,
        note="These are the demo's drawn faces, and what is called photographs here is their drawn photo look. To its "
        f"own photo look the median face was {distance[0]:.1f} gray levels away and is {distance[1]:.1f} away now; "
        f"{nearer:.0%} of the faces came nearer.",
        progress=progress,
    )
    if clean:
        shutil.rmtree(data)
    return Outcome(
        swd=tuple(result["realism"][which]["swd"]["mean"] for which in ("raw", "refined")),
        distance=distance,
        nearer=nearer,
        displacement=(result["labels"]["percent_median"], result["labels"]["percent_p95"]),
        seconds=time.monotonic() - started,
    )


def draw_faces(
    out: Path | str,
    *,
    seed: int = 0,
    extent: Extent | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> None:
    """Makes the example faces alone, in `out`/data; see `run_demo` for what is given and raised."""
    out, extent = Path(out), extent or usual_extent()
    # A kill may have left a temporary folder, which the next one replaces.
    if out.exists() and not (out.is_dir() and all(path.name.startswith(TEMPORARY_PREFIX) for path in out.iterdir())):
        raise UserError(f"{out} is there already", "remove it, or name another folder with --out")
    with reporting_disk_faults(out):
        out.mkdir(parents=True, exist_ok=True)
    progress(f"drawing {extent.faces} faces as renders, {extent.faces} in a photo look and {extent.held_out} in both")
    write_demo(out / "data", extent.size, extent.faces, extent.faces, extent.held_out, seed)


def _train(data: Path, run: Path, extent: Extent, seed: int) -> None:
    """Trains a refiner on the faces in `data`.

    Raises:
        UserError: a signal ended the training early.
    """
    values = {
        "data.synthetic": data / "renders",
        "data.real": data / "photos",
        "data.size": extent.size,
        "training.steps": extent.steps,
        "training.seed": seed,
    }
    trained = train(Config.load(values=values | dict(extent.values), environment={}), run)
    if trained.exit_code:
        raise UserError(
            "the demo was interrupted while it trained",
            f"its faces are in {data}; go on by hand as shown above, or remove {data.parent} and start the demo again",
            exit_code=trained.exit_code,
        )


def _compare_with_truth(held_out: Path, refined: Path, size: int) -> tuple[tuple[float, float], float]:
    """The median distance of raw and of refined faces to their own photo look, gray levels, and the share of the faces
    that refinement moved towards it."""
    folders = held_out / "renders", refined / "renders", held_out / "photos", held_out / "masks"
    raw, better, truth, masks = (_read(folder, size) for folder in folders)
    heads = np.isin(masks[..., 0], HEAD)
    before, after = (distance_to_truth(pictures, truth, heads) for pictures in (raw, better))
    return (float(np.median(before)), float(np.median(after))), float(np.mean(after < before))


def distance_to_truth(pictures: np.ndarray, truth: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Mean absolute difference over each head, in gray levels: uint8 [n, h, w, c] twice and bool [n, h, w] -> [n].

    The head alone, because what stands behind it in the photo look cannot be known from the render.
    """
    differences = np.abs(pictures.astype(np.float32) - truth).mean(axis=-1)
    return (differences * heads).sum(axis=(1, 2)) / heads.sum(axis=(1, 2))


def _read(folder: Path, size: int) -> np.ndarray:
    """All pictures of a folder in the order of their names, uint8 [n, size, size, 3]."""
    return read_faces(folder, "demo", size=size, channels=3, memory_gib=1.0).images
