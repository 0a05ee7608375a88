"""Held-out renders, spread evenly over their folder, and what refiners make of each of them.

    python experiments/sheet.py RUN [RUN ...] --renders DIR --out FILE [--faces 24] [--columns 12] [--draws 4] [--size PX]

Blocks of rows: the render, and for each run, with --given what its network is given, and so many draws of the refined
face (`simrefine refine --seed`). FILE is a PNG, JPEG or WebP.
"""

from pathlib import Path

import click
import numpy as np
from runs import refine_faces

from simrefine.data.faces import read_faces
from simrefine.data.images import Picture, encode_picture, resize
from simrefine.refining.refiner import load
from simrefine.training.inputs import spread
from simrefine.training.montage import sheet

MEMORY_GIB = 8.0  # a folder


@click.command(help=__doc__.partition("\n")[0])
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--renders", required=True, type=click.Path(path_type=Path), help="held-out renders")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="picture file")
@click.option("--faces", default=24, help="renders on the sheet", show_default=True)
@click.option("--columns", default=12, help="of them in a row", show_default=True)
@click.option("--draws", default=1, help="refined faces below each", show_default=True)
@click.option("--enlarge", default=1, help="how many times", show_default=True)
@click.option("--size", type=int, help="side of the faces, px [default: that of the first run's training]")
@click.option("--given", is_flag=True, help="also what the networks are given")
def main(runs, renders, out, faces, columns, draws, enlarge, size, given):
    refiners = [load(run) for run in runs]
    size, channels = size or refiners[0].size, refiners[0].channels
    found = read_faces(renders, "renders", size=size, channels=channels, memory_gib=MEMORY_GIB)
    raw = found.take(spread(len(found), faces))
    rows = [raw.images]
    for refiner in refiners:
        rows += [refine_faces(refiner.without_network(), raw)] if given else []
        rows += [refine_faces(refiner.with_seed(seed), raw) for seed in range(draws)]
    # [rows, faces, h, w, c] to blocks of rows, `columns` faces wide.
    blocks = [block for start in range(0, faces, columns) for block in np.stack(rows)[:, start : start + columns]]
    drawn = sheet(np.stack(blocks))
    height, width = (enlarge * side for side in drawn.shape[:2])
    out.write_bytes(encode_picture(Picture(resize(drawn, height, width)), out.suffix))


if __name__ == "__main__":
    main()
