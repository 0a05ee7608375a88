"""What a finished run does to faces it has not seen: mean change, and whether its own discriminator sees through it.

    python experiments/measure.py RUN [RUN ...] --synthetic DIR --real DIR

Reads each run's newest checkpoint, of simgan or of cyclegan, and prints one table row: the mean change of held-out
renders in gray levels (by the averaged refiner, which is the one published, and by the last step's), and the share of
patches that the last discriminator tells rightly on refined and on real held-out faces, without augmentation.
"""

from pathlib import Path

import click
import keras
import numpy as np
from runs import BATCH, load_method, photograph_judge, read_config, read_for, read_newest

from simrefine.data.images import GRAY_LEVELS, to_signed
from simrefine.models.losses import patch_accuracy
from simrefine.models.networks import judge
from simrefine.threads import in_batches


def accuracy(discriminator: keras.Model | None, pictures: np.ndarray, is_refined: bool) -> str:
    """Share of patches that it tells rightly, for the table; float32 [n, h, w, c] in [-1, 1]."""
    if discriminator is None:
        return ""

    def shares(part: np.ndarray) -> np.ndarray:  # one a picture, because the last part may be smaller
        return np.full(len(part), float(patch_accuracy(judge(discriminator, part), is_refined)))

    return f"{in_batches(shares, pictures, BATCH).mean():.2f}"


@click.command(help=__doc__.partition("\n")[0])
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--synthetic", required=True, type=click.Path(path_type=Path), help="held-out renders")
@click.option("--real", required=True, type=click.Path(path_type=Path), help="held-out photographs")
def main(runs, synthetic, real):
    print("| run | step | change, average | change, last step | D right on refined | D right on real |")
    print("|---|---|---|---|---|---|")
    for run in runs:
        config, checkpoint = read_config(run), read_newest(run)
        renders, photographs = read_for(config, synthetic, "synthetic"), read_for(config, real, "real")
        method = load_method(run, checkpoint, renders, photographs)
        raw = to_signed(renders.images)

        styled = method.inputs.dresser.dress_alone(raw, seed=0).pictures  # as `refine` does it
        average, last = (in_batches(refiner, styled, BATCH) for refiner in (method.average, method.refiner))
        cells = [run.name, str(checkpoint.step)]
        cells += [f"{np.abs(refined - styled).mean() * GRAY_LEVELS:.1f}" for refined in (average, last)]
        discriminator = photograph_judge(method)
        cells += [accuracy(discriminator, average, True), accuracy(discriminator, to_signed(photographs.images), False)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
