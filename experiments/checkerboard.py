"""Is there a checkerboard? What up-sampling leaves behind repeats with the 8 pixels of the U-Net's three doublings.

    python experiments/checkerboard.py RUN [RUN ...] --synthetic DIR --real DIR

Fine detail (what a 9-pixel blur takes away) of held-out faces is folded into a tile of 8 x 8 pixels. *pattern* is the
standard deviation of the mean tile, in gray levels of 255: marks that are alike everywhere. *unevenness* is that of the
mean absolute tile, in percent of its mean: marks whose sign depends on the face. The last row says what the measure can
see: raw faces with a checkerboard of one gray level.
"""

from pathlib import Path

import click
import cv2
import numpy as np
from runs import BATCH, read_config, read_for

from simrefine.refining.refiner import load
from simrefine.threads import in_batches

TILE = 8  # px
BLUR = 9  # px


def fold(pictures: np.ndarray) -> tuple[float, float]:
    """Pattern and unevenness of uint8 [n, side, side, c], without a tile along the border, where padding shows."""
    gray = pictures.astype(np.float32).mean(axis=-1)
    detail = gray - np.stack([cv2.blur(picture, (BLUR, BLUR)) for picture in gray])
    inner = detail[:, TILE:-TILE, TILE:-TILE]
    n, height, width = inner.shape
    tiles = inner.reshape(n, height // TILE, TILE, width // TILE, TILE)
    mean, absolute = (values.mean(axis=(0, 1, 3)) for values in (tiles, np.abs(tiles)))
    return mean.std(), 100 * absolute.std() / absolute.mean()


@click.command(help=__doc__.partition("\n")[0])
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--synthetic", required=True, type=click.Path(path_type=Path), help="held-out renders")
@click.option("--real", required=True, type=click.Path(path_type=Path), help="held-out photographs")
def main(runs, synthetic, real):
    config = read_config(runs[0])
    raw, photographs = (read_for(config, *folder).images for folder in ((synthetic, "synthetic"), (real, "real")))
    sets = {"raw": raw, "photographs": photographs}
    for run in runs:
        sets[run.name] = in_batches(load(run), raw, BATCH)
    board = np.indices(raw.shape[1:3]).sum(axis=0) % 2
    sets["raw + checkerboard"] = np.minimum(raw, 254) + board[:, :, None].astype(np.uint8)
    print("| faces | pattern, gray levels | unevenness, % |\n|---|---|---|")
    for name, pictures in sets.items():
        pattern, unevenness = fold(pictures)
        print(f"| {name} | {pattern:.2f} | {unevenness:.1f} |")


if __name__ == "__main__":
    main()
