"""What a finished run does to faces it has not seen: mean change, and whether its own discriminator sees through it.

    python experiments/measure.py RUN [RUN ...] --synthetic DIR --real DIR [--sheet FILE.png] [--draws 4]

Reads each run's newest checkpoint and prints one table row: the mean change of held-out renders in gray levels (by
the averaged refiner, which is the one published, and by the last step's), and the share of patches that the last
discriminator tells rightly on refined and on real held-out faces, without augmentation. --sheet writes twelve raw
faces, spread evenly over the folder, and, row by row below them, what each run makes of them; --draws in so many
different styles (`simrefine refine --seed`).
"""

from functools import partial
from pathlib import Path

import click
import numpy as np

from simrefine import backend
from simrefine.config import Config
from simrefine.data.batches import Pile
from simrefine.data.folders import list_folder
from simrefine.data.images import GRAY_LEVELS, Picture, encode_picture, to_signed, to_uint8
from simrefine.data.styles import restyle_alone
from simrefine.errors import UserError
from simrefine.models.losses import patch_accuracy
from simrefine.models.networks import judge
from simrefine.models.simgan import SimGAN
from simrefine.training.checkpoint import newest_checkpoint, read_refiner
from simrefine.training.montage import sheet
from simrefine.training.train import restore

BATCH = 50
COLUMNS = 12  # faces on the sheet


def in_batches(function, pictures: np.ndarray) -> np.ndarray:
    """`function` of [n, h, w, c], BATCH pictures at a time."""
    return np.concatenate([np.asarray(function(pictures[i : i + BATCH])) for i in range(0, len(pictures), BATCH)])


def accuracy(gan: SimGAN, pictures: np.ndarray, is_refined: bool) -> float:
    """Share of patches that the discriminator tells rightly; float32 [n, h, w, c] in [-1, 1]."""
    parts = [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]
    rights = [len(part) * float(patch_accuracy(judge(gan.discriminator, part), is_refined)) for part in parts]
    return sum(rights) / len(pictures)


@click.command(help=__doc__.partition("\n")[0])
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--synthetic", required=True, type=click.Path(path_type=Path), help="held-out renders")
@click.option("--real", required=True, type=click.Path(path_type=Path), help="held-out photographs")
@click.option("--sheet", "sheet_file", type=click.Path(path_type=Path), help="PNG of raw and refined faces")
@click.option("--draws", default=1, help="rows a run on the sheet", show_default=True)
def main(runs, synthetic, real, sheet_file, draws):
    print("| run | step | change, average | change, last step | D right on refined | D right on real |")
    print("|---|---|---|---|---|---|")
    rows = []
    for run in runs:
        config = Config.load(run / "config.toml", environment={})
        checkpoint, damaged = newest_checkpoint(run / "checkpoints")
        if not checkpoint:
            raise UserError(f"{run} holds no whole checkpoint: {damaged}")
        gan = SimGAN(config, "float32", backend.minimise, backend.compile_step)
        restore(gan, checkpoint)
        raw, photos = (
            to_signed(Pile(list_folder(folder, what="folder").pictures, config.data.size, config.data.channels, 4)[:])
            for folder in (synthetic, real)
        )
        # As `refine` does it: the colours of the photographs that the run has learnt from.
        dress = partial(restyle_alone, styles=read_refiner(run).styles, candidates=config.style.candidates)
        styled = dress(raw, seed=0)
        average, last = in_batches(gan.average, styled), in_batches(gan.refiner, styled)
        changes = [np.abs(each - styled).mean() * GRAY_LEVELS for each in (average, last)]
        rights = accuracy(gan, average, True), accuracy(gan, photos, False)
        print(
            f"| {run.name} | {checkpoint.step} | {changes[0]:.1f} | {changes[1]:.1f} | {rights[0]:.2f} | {rights[1]:.2f} |",
            flush=True,
        )
        if sheet_file:
            chosen = raw[np.linspace(0, len(raw) - 1, COLUMNS).astype(int)]
            drawn = [to_uint8(gan.average(dress(chosen, seed=seed))) for seed in range(draws)]
            rows = [*(rows or [to_uint8(chosen)]), *drawn]
    if sheet_file:
        sheet_file.write_bytes(encode_picture(Picture(sheet(np.stack(rows))), ".png"))


if __name__ == "__main__":
    main()
