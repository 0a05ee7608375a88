"""Where a landmark network that learnt from photographs alone finds the points of refined faces, group by group.

    python experiments/label_truth.py RUN --faces DIR [--steps 600] [--seeds 1]

DIR holds synthetic/val and real/train, each with annotations.jsonl. Prints its mean error, percent of the distance of
the outer eye corners, against the exact labels of the held-out renders: raw, as the network of RUN is given them with
their own heads and on photographed ones, and refined. The network has seen no render, so what moves a label shows here.
"""

from pathlib import Path

import click
import numpy as np
from runs import refine_faces

from simrefine.data.faces import read_faces
from simrefine.refining.refiner import load
from simrefine.training.landmarks import LabelledSet, train_landmarks

GROUPS = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68)}
CORNERS = (36, 45)  # of the eyes, the outer ones
MEMORY_GIB = 4.0  # a folder


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--faces", required=True, type=click.Path(path_type=Path), help="the two folders")
@click.option("--steps", default=600, show_default=True, help="of the landmark network's training")
@click.option("--seeds", default=1, show_default=True, help="trainings")
def main(run, faces, steps, seeds):
    own, refiner = load(run, heads=False), load(run)
    held_out, real = (
        read_faces(
            faces / name, name, faces / name / "annotations.jsonl", size=own.size, channels=3, memory_gib=MEMORY_GIB
        )
        for name in ("synthetic/val", "real/train")
    )
    sets = {
        "raw": held_out.images,
        "given, own heads": refine_faces(own.without_network(), held_out),
        "refined, own heads": refine_faces(own, held_out),
        "given": refine_faces(refiner.without_network(), held_out),
        "refined": refine_faces(refiner, held_out),
    }
    scale = np.linalg.norm(np.subtract(*(held_out.points[:, corner] for corner in CORNERS)), axis=-1)[:, None]
    print(f"| seed | faces | all points | over raw | {' | '.join(GROUPS)} |\n" + "|---" * (4 + len(GROUPS)) + "|")
    for seed in range(seeds):
        predict = train_landmarks(LabelledSet(real.images, real.points), seed=seed, steps=steps)
        raw = None
        for name, images in sets.items():
            errors = 100 * np.linalg.norm(predict(images) - held_out.points, axis=-1) / scale
            raw = raw or errors.mean()
            cells = " | ".join(f"{errors[:, first:last].mean():.2f}" for first, last in GROUPS.values())
            print(f"| {seed} | {name} | {errors.mean():.2f} | {errors.mean() / raw:.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
