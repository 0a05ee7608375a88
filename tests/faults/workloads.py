"""What is killed: each command on tiny folders, what must hold right afterwards, and how it is finished.

The networks are stand-ins, because a kill concerns files: refining adds ten gray levels, and training counts.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from faults.children import Tried
from tiny import published as make_published
from tiny import tiny_config, write_pile

import simrefine.demo
import simrefine.evaluation.evaluate as evaluation
from simrefine.config import Config
from simrefine.data.masks import encode_mask
from simrefine.data.prepare import prepare_folder
from simrefine.demo import Extent, run_demo
from simrefine.errors import UserError
from simrefine.files import TEMPORARY_PREFIX, standing_folder, write_file
from simrefine.methods import METHODS
from simrefine.methods.method import Inspection
from simrefine.refining.folder import refine_folder
from simrefine.training import held_out
from simrefine.training.checkpoint import newest_checkpoint
from simrefine.training.published import read_refiner
from simrefine.training.run_folder import read_metrics
from simrefine.training.train import train

STEPS = 4


class Brighter:
    """Adds ten gray levels."""

    def __init__(self):
        self.channels, self.size, self.fingerprint, self.masks = 3, 16, "f" * 64, None
        self.about = {"model": "/runs/001", "step": 4}
        self.dresser = SimpleNamespace(has_scenes=False)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return np.minimum(images, 245) + np.uint8(10)

    def without_network(self) -> "Brighter":
        return self

    def with_masks(self, *_) -> "Brighter":
        return self


class Counting:
    """A method of learning that only counts its steps, see `methods.method.Method`."""

    logged = ()

    def __init__(self, config: Config, *_):
        self.config, self.steps = config, np.zeros(1)

    def batch(self, step: int):
        return step

    def step(self, batch, step: int) -> dict[str, float]:
        self.steps = self.steps + 1
        return {"loss": 1.0}

    def dress(self, pictures: np.ndarray) -> np.ndarray:
        return pictures

    def refine(self, pictures: np.ndarray) -> np.ndarray:
        return np.clip(pictures + 0.01 * self.steps[0], -1, 1)

    def inspect(self, synthetic: np.ndarray, real: np.ndarray) -> Inspection:
        columns = {"synthetic": synthetic, "refined": self.refine(synthetic)}
        return Inspection(columns, [np.zeros((len(synthetic), 2, 2))], {"margins": np.arange(9.0)}, {})

    def state(self) -> dict[str, np.ndarray]:
        return {"steps": self.steps, "weights": np.full(20_000, self.steps[0])}

    def restore(self, arrays, source: Path) -> None:
        self.steps = arrays["steps"]

    def publish(self):
        return make_published([np.full(20_000, self.steps[0])], np.zeros((1, 4, 3)))


@dataclass(frozen=True)
class Workload:
    """A command.

    Args:
        prepare: makes its input in a folder.
        run: runs it there, also to go on after a kill.
        check: whether what a kill left keeps its promises, given what an undisturbed run makes, as `tree` has it.
        finish: goes on, and checks what comes out.
    """

    prepare: Callable[[Path], None]
    run: Callable[[Path], None]
    check: Callable[[Path, dict[str, bytes], Tried], None]
    finish: Callable[[Path, dict[str, bytes], Tried], None]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its content, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}


def is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def leftovers(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.name.startswith((TEMPORARY_PREFIX, ".simrefine-old-"))]


def only_whole(folder: Path, wanted: dict[str, bytes], below: str, tried: Tried) -> None:
    """Whether each file under its final name is as an undisturbed run makes it."""
    for name, content in tree(folder).items():
        if name.startswith(below) and not is_hidden(name):
            tried.hold(wanted.get(name) == content, f"{name} is not whole")


def make_refine(folder: Path) -> None:
    write_pile(folder / "in" / "a", 7)
    write_pile(folder / "in" / "b", 3, seed=1, size=20, extension=".jpg")
    (folder / "in" / "bad.png").write_bytes(b"\x89PNG")
    (folder / "in" / "a" / "labels.jsonl").write_bytes(b"{}\n" * 50_000)


def run_refine(folder: Path) -> None:
    summary = refine_folder(Brighter(), folder / "in", folder / "out", compare=True, batch_size=4, threads=2)
    assert summary.written + summary.skipped + summary.rejected == summary.found == 11, summary


def finish_refine(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    run_refine(folder)
    tried.hold(tree(folder) == wanted, "another run does not make of it what an undisturbed one makes")


def make_prepare(folder: Path) -> None:
    pictures = write_pile(folder / "in", 6, size=64)
    (folder / "masks").mkdir()
    points = [[20, 20], [44, 20], [32, 32], [24, 44], [40, 44]]
    rows = []
    for path in sorted(pictures.glob("*.png")):
        (folder / "masks" / path.name).write_bytes(encode_mask(np.ones((64, 64), np.uint8)))
        rows.append(json.dumps({"file": path.name, "landmarks": points}) + "\n")
    (folder / "in" / "annotations.jsonl").write_text("".join(rows))


def run_prepare(folder: Path) -> None:
    labels = folder / "in" / "annotations.jsonl"
    options = {"max_scale": 9, "max_outside": 0.9, "size": 32}
    summary = prepare_folder(folder / "in", folder / "out", labels=labels, masks=folder / "masks", **options)
    assert summary.written + summary.rejected == summary.found == 6, summary


def check_prepare(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    found = tree(folder)
    for name in ("out", "out-masks"):
        have, want = ({n: c for n, c in files.items() if n.startswith(f"{name}/")} for files in (found, wanted))
        tried.hold(not (folder / name).exists() or have == want, f"{name} is neither absent nor complete")


def finish_prepare(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    if (folder / "out").exists():  # all was done
        return
    for path in folder.glob("out-masks/*"):  # two folders cannot appear at once; the next run asks for an empty one
        path.unlink()
    run_prepare(folder)
    tried.hold(tree(folder) == wanted, "another run does not make of it what an undisturbed one makes")


def make_evaluate(folder: Path) -> None:
    write_pile(folder / "raw", 8)
    write_pile(folder / "real", 8, real=True)


def run_evaluate(folder: Path) -> None:
    evaluation.load = lambda *_: Brighter()
    evaluation._measure = lambda *_: {}
    evaluation._about_run = lambda *_: {}
    evaluation.evaluate(folder / "raw", folder / "real", folder / "out", model=folder / "model")


def check_evaluate(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    found = tree(folder)
    if "out/evaluation.json" in found:
        json.loads(found["out/evaluation.json"])
    page = found.get("out/report.html", b"</html>")
    tried.hold(page.rstrip().endswith(b"</html>"), "report.html is not whole")
    known = {name for name in found if name.startswith("out/") and not is_hidden(name)}
    tried.hold(known <= {"out/evaluation.json", "out/report.html"}, f"unexpected: {known}")


def finish_evaluate(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    run_evaluate(folder)
    tried.hold(tree(folder).keys() == wanted.keys(), "another run leaves other files")
    check_evaluate(folder, wanted, tried)


def make_train(folder: Path) -> None:
    write_pile(folder / "synthetic", 16)
    write_pile(folder / "real", 16, real=True)


def measure_better(_, refine, *__) -> dict[str, float]:
    """Of held-out faces: each look is better than the one before."""
    return {held_out.SCORE: 9.0 - refine.__self__.steps[0], "held_out/displacement": 0.0}


def run_train(folder: Path) -> None:
    METHODS["simgan"], held_out.measure_held_out = Counting, measure_better
    values = {"data__synthetic": str(folder / "synthetic"), "data__real": str(folder / "real")}
    values |= {"training__steps": STEPS, "monitor__checkpoint_every": 1, "monitor__keep_checkpoints": 2}
    values |= {"evaluation__every": 2, "evaluation__faces": 10}
    run = folder / "run"
    resume = newest_checkpoint(run / "checkpoints")[0] is not None
    try:
        result = train(tiny_config(**values), run, resume=resume, quiet=True)
    except UserError as error:
        assert "has done all of its 4 steps already" in str(error), error
    else:
        assert (result.step, result.exit_code) == (STEPS, 0)


def check_train(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    run = folder / "run"
    checkpoint, damaged = newest_checkpoint(run / "checkpoints")
    tried.hold(not damaged, f"damaged: {damaged}")
    for name in ("refiner", "best"):
        place = standing_folder(run / name)
        if place.exists():
            read_refiner(place)
    if (run / "config.toml").exists():
        Config.load(run / "config.toml", environment={})
    tried.hold(checkpoint is None or (run / "config.toml").exists(), "a checkpoint without a configuration")
    if (run / "environment.json").exists():
        json.loads((run / "environment.json").read_text())
    sheet = (run / "data.png").read_bytes() if (run / "data.png").exists() else b"IEND"
    tried.hold(b"IEND" in sheet[-12:], "data.png is not whole")


def finish_train(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    had_best = standing_folder(folder / "run" / "best").exists()
    run_train(folder)
    check_train(folder, wanted, tried)
    run = folder / "run"
    checkpoint, _ = newest_checkpoint(run / "checkpoints")
    tried.hold(checkpoint.step == STEPS and checkpoint.arrays["steps"][0] == STEPS, "the resumed run is not the same")
    tried.hold(read_refiner(run).step == STEPS, "the refiner is not that of the last step")
    tried.hold((run / "best").exists() or not had_best, "the best refiner is lost")
    steps = [line["step"] for line in read_metrics(run / "metrics.jsonl") if "loss" in line]
    tried.hold(steps == sorted(steps), f"metrics.jsonl repeats steps: {steps}")
    tried.hold(not leftovers(folder), f"left behind: {leftovers(folder)}")


def run_whole_demo(folder: Path) -> None:
    METHODS["simgan"] = Counting
    simrefine.demo.load = lambda *_: Brighter()
    numbers = {"realism": {which: {"swd": {"16": 1.0, "mean": 1.0}} for which in ("raw", "unrefined", "refined")}}
    numbers |= {"labels": {"percent_median": 0.0, "percent_p95": 0.0}}

    def evaluate(raw, real, out, **_):
        write_file(out / "evaluation.json", json.dumps(numbers).encode())
        return numbers

    simrefine.demo.evaluate = evaluate
    values = {"monitor.checkpoint_every": 1, "training.batch_size": 4, "monitor.faces": 2, "style.candidates": 0}
    extent = Extent(faces=6, held_out=3, size=16, steps=2, values=tuple(values.items()))
    run_demo(folder / "demo", extent=extent)


def check_demo(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    found = tree(folder)
    for name in ("demo/data/", "demo/refined/", "demo/report/"):
        only_whole(folder, wanted, name, tried)
    data = {name for name in found if name.startswith("demo/data/")}
    tried.hold(not data or data == {n for n in wanted if n.startswith("demo/data/")}, "the faces are not complete")
    _, damaged = newest_checkpoint(folder / "demo" / "run" / "checkpoints")
    tried.hold(not damaged, f"damaged: {damaged}")


def finish_demo(folder: Path, wanted: dict[str, bytes], tried: Tried) -> None:
    out = folder / "demo"
    if not out.exists() or all(name.startswith(TEMPORARY_PREFIX) for name in os.listdir(out)):
        run_whole_demo(folder)
        tried.hold(not leftovers(folder), f"left behind: {leftovers(folder)}")


WORKLOADS = {
    "refine": Workload(make_refine, run_refine, lambda f, w, t: only_whole(f, w, "out/", t), finish_refine),
    "prepare": Workload(make_prepare, run_prepare, check_prepare, finish_prepare),
    "evaluate": Workload(make_evaluate, run_evaluate, check_evaluate, finish_evaluate),
    "train": Workload(make_train, run_train, check_train, finish_train),
    "demo": Workload(lambda folder: None, run_whole_demo, check_demo, finish_demo),
}
