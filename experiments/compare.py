"""The table of quality.md: what a landmark network learns from each training set, and what each refiner does to labels.

    python experiments/compare.py [RUN ...] --faces DIR --results FILE.json [--size 64] [--seeds 3]

DIR holds synthetic/train, synthetic/val, real/train and real/val, each with annotations.jsonl. Measures the sets that
need no refiner (raw, augmentation only, colour matching, real) and those of each RUN (its refined faces, and with
--with-raw these and raw together), as `simrefine evaluate` does. FILE.json keeps what was measured, so that the next
call adds to it; one file is for one size and one kind of pictures (colour, or gray with --gray).
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from measure import in_batches

from simrefine.data.batches import Pile
from simrefine.data.folders import list_folder
from simrefine.data.labels import fit_points, read_labels, select_points
from simrefine.evaluation.baselines import augment_photometric, match_colours
from simrefine.evaluation.evaluate import evaluate
from simrefine.evaluation.usefulness import LabelledSet, gap_closed, hold_out, measure_usefulness
from simrefine.refining.refiner import load

LABELS = "annotations.jsonl"
MEMORY_GIB = 4


def read_set(folder: Path, size: int, channels: int) -> LabelledSet:
    pile = Pile(list_folder(folder, what="folder").pictures, size, channels, MEMORY_GIB)
    points = select_points(read_labels(folder / LABELS, folder), [str(record.relative) for record in pile.records])
    height, width = pile.source_sizes.T
    return LabelledSet(pile[np.arange(len(pile))], fit_points(points, height, width, size))


def measure_faces(run: Path, faces: Path, size: int) -> dict:
    """Realism and labels of held-out faces: what the columns after the gap are taken from."""
    raw, real = faces / "synthetic" / "val", faces / "real" / "val"
    with tempfile.TemporaryDirectory() as out:
        result = evaluate(
            raw,
            real,
            out,
            model=run,
            labels=raw / LABELS,
            real_labels=real / LABELS,
            parts=("realism", "labels"),
            size=size,
        )
    realism = {name: {key: result["realism"][name][key] for key in ("swd", "auc")} for name in ("raw", "refined")}
    labels = {key: result["labels"][key] for key in ("percent_median", "percent_p95")}
    return {"realism": realism, "labels": labels}


def print_table(sets: dict, measured: dict) -> None:
    print("| trained on | NME | gap closed | NME, adapted | gap closed, adapted | SWD | AUC | displacement |")
    print("|---|---|---|---|---|---|---|---|")
    for name, each in sets.items():
        cells = []
        for key in ("error", "adapted"):
            ends = [sets[end][key]["mean"] for end in ("raw", "real")]
            closed = gap_closed(ends[0], each[key]["mean"], ends[1])
            spread = f" ± {each[key]['std']:.2f}" if each[key]["std"] is not None else ""
            cells += [f"{each[key]['mean']:.2f}{spread}", "" if name == "raw" else f"{100 * closed:.0f} %"]
        faces = measured.get(name)
        if faces:
            realism, labels = faces["realism"]["refined"], faces["labels"]
            auc = realism["auc"]
            cells += [f"{realism['swd']['mean']:.1f}", f"{auc['auc']:.2f} ({auc['low']:.2f} .. {auc['high']:.2f})"]
            cells += [f"{labels['percent_median']:.2f} / {labels['percent_p95']:.2f}"]
        else:
            cells += [""] * 3
        print(f"| {name} | {' | '.join(cells)} |")


@click.command(help=__doc__.partition("\n")[0])
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--faces", required=True, type=click.Path(path_type=Path), help="the four folders")
@click.option("--results", required=True, type=click.Path(path_type=Path), help="JSON file that keeps the numbers")
@click.option("--size", default=64, help="side of the pictures, px", show_default=True)
@click.option("--gray", is_flag=True, help="gray pictures")
@click.option("--seeds", default=3, help="trainings a set", show_default=True)
@click.option("--with-raw", is_flag=True, help="also refined and raw together")
def main(runs, faces, results, size, gray, seeds, with_raw):
    channels = 1 if gray else 3
    kept = json.loads(results.read_text()) if results.exists() else {"sets": {}, "faces": {}}
    raw, real, test = (read_set(faces / name, size, channels) for name in ("synthetic/train", "real/train", "real/val"))
    learnt, adaptation = hold_out(real)

    def measure(name: str, make: Callable[[], LabelledSet]) -> None:
        if name not in kept["sets"]:
            measured = measure_usefulness({name: make()}, test, adaptation, range(seeds))
            kept["sets"][name] = measured["sets"][name]
            results.write_text(json.dumps(kept, indent=2) + "\n")

    measure("raw", lambda: raw)
    measure("augmentation only", lambda: LabelledSet(augment_photometric(raw.images, 0), raw.points))
    measure("colour matching", lambda: LabelledSet(match_colours(raw.images, real.images, 0), raw.points))
    measure("real", lambda: learnt)
    for run in runs:
        if run.name not in kept["faces"]:
            kept["faces"][run.name] = measure_faces(run, faces, size)
        refined = LabelledSet(in_batches(load(run), raw.images), raw.points)
        measure(run.name, lambda refined=refined: refined)
        if with_raw:
            both = LabelledSet(np.concatenate([refined.images, raw.images]), np.concatenate([raw.points] * 2))
            measure(f"{run.name} + raw", lambda both=both: both)
    print_table(kept["sets"], kept["faces"])


if __name__ == "__main__":
    main()
