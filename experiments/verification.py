"""What renders are worth for recognising people in photographs: the verification rows of quality.md.

    python experiments/verification.py RUN --faces DIR [--size 64] [--seeds 2]

DIR holds synthetic/train, real/train and real/val, each with annotations.jsonl that says who is who. A head on pretrained
maps (recogniser.py) learns the people of raw, unrefined and refined renders and of photographs, and compares pairs of
photographs of people in neither; two frames of one clip are no pair. Printed as each training ends: the AUC over pairs,
the true accepts at 1 % false accepts, and at the end the share of the gap between raw and real that each set closes.
"""

from pathlib import Path

import click
import numpy as np
from recogniser import STEPS, train_recogniser
from runs import refine_faces

from simrefine.data.faces import read_faces
from simrefine.evaluation.usefulness import gap_closed
from simrefine.evaluation.verification import People, build_people, compare_pairs
from simrefine.refining.refiner import load

MEMORY_GIB = 4.0  # a folder
FOLDERS = {"raw": "synthetic/train", "real": "real/train", "test": "real/val"}


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--faces", "folder", required=True, type=click.Path(path_type=Path), help="the folders")
@click.option("--size", default=64, show_default=True, help="side of the pictures, px")
@click.option("--seeds", default=2, show_default=True, help="trainings a set")
@click.option("--steps", default=STEPS, show_default=True, help="of a training")
def main(run, folder, size, seeds, steps):
    read = {"size": size, "channels": 3, "memory_gib": MEMORY_GIB}
    faces = {
        name: read_faces(folder / below, name, folder / below / "annotations.jsonl", **read)
        for name, below in FOLDERS.items()
    }
    refiner, (raw, test) = load(run), (faces["raw"], faces["test"])
    sets = build_people(faces)
    dressed = {"unrefined": refiner.without_network(), "refined": refiner}
    sets |= {name: People(refine_faces(treat, raw), raw.groups) for name, treat in dressed.items()}
    asked = People(test.images, test.groups, test.clips)
    found = {name: [] for name in ("raw", *dressed, "real")}
    for seed in range(seeds):
        for name in found:
            vectors = train_recogniser(sets[name].images, sets[name].people, seed, steps)
            found[name].append(compare_pairs(vectors(asked.images), asked))
            auc, accepted = found[name][-1]
            click.echo(f"seed {seed}  {name:9}  AUC {auc:.3f}  true accepts {100 * accepted:.1f} %")
    errors = {name: 1 - np.mean(scores, axis=0) for name, scores in found.items()}
    for name in dressed:
        closed = [gap_closed(*(errors[row][measure] for row in ("raw", name, "real"))) for measure in (0, 1)]
        click.echo(f"{name}: {100 * closed[0]:.0f} % of the gap in AUC, {100 * closed[1]:.0f} % in true accepts")


if __name__ == "__main__":
    main()
