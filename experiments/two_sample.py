"""Can sets of faces be told from photographs? The AUC of the two-sample test of `simrefine evaluate`, and its seconds.

    python experiments/two_sample.py DIR [DIR ...] --real DIR [--size 64] [--faces 400]

Prints a table row for each DIR against --real, and first for two halves of --real that share nobody, which nothing
should tell apart: 0.5 must lie in its interval. Where annotations.jsonl stands in a folder it says who is who, and people
are kept apart. --faces are spread evenly over a folder.
"""

import time
from pathlib import Path

import click
import numpy as np

from simrefine.data.faces import Faces, read_faces
from simrefine.evaluation.two_sample import folds_by_group, keys_of, two_sample_test

MEMORY_GIB = 4.0  # a folder


def read(folder: Path, size: int, count: int) -> Faces:
    """At most `count` faces of `folder`, spread evenly over it."""
    labels = folder / "annotations.jsonl"
    faces = read_faces(
        folder, "picture", labels if labels.exists() else None, size=size, channels=3, memory_gib=MEMORY_GIB
    )
    return faces.take(np.linspace(0, len(faces) - 1, min(len(faces), count)).astype(int))


def halves(faces: Faces, seed: int) -> tuple[Faces, Faces]:
    """Two of them that share nobody."""
    half, _ = folds_by_group(keys_of(faces.images, faces.groups), (), 2, seed)
    return faces.take(np.flatnonzero(half == 0)), faces.take(np.flatnonzero(half == 1))


def print_row(name: str, a: Faces, b: Faces, seed: int) -> None:
    began, worked = time.monotonic(), time.process_time()
    test = two_sample_test(a.images, b.images, seed, groups_a=a.groups, groups_b=b.groups)
    seconds, busy = time.monotonic() - began, time.process_time() - worked
    print(
        f"| {name} | {len(a)} + {len(b)} | {test.auc:.3f} ({test.low:.3f} .. {test.high:.3f}) | {seconds:.0f} | {busy:.0f} |",
        flush=True,
    )


@click.command(help=__doc__.partition("\n")[0])
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--real", required=True, type=click.Path(path_type=Path), help="photographs")
@click.option("--size", default=64, show_default=True, help="side that all pictures are brought to, px")
@click.option("--faces", default=400, show_default=True, help="at most so many of a folder")
@click.option("--seed", default=0, show_default=True, help="of the folds and the networks")
def main(folders, real, size, faces, seed):
    photographs = read(real, size, faces)
    print("| against photographs | faces | AUC (95 %) | seconds | of the CPU |\n|---|---|---|---|---|")
    print_row("two halves of the photographs", *halves(read(real, size, 2 * faces), seed), seed)
    for folder in folders:
        print_row(folder.name, read(folder, size, faces), photographs, seed)


if __name__ == "__main__":
    main()
