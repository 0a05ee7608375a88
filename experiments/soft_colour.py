"""How much of the colour of faces is fine, beside photographs: the measure by which a training softens renders.

    python experiments/soft_colour.py DIR [DIR ...] --real DIR [--size 64] [--faces 300]

Prints a row for each DIR: the spread of its colours between neighbouring pixels over that between wider bands, and the
blur that would make it as soft as --real (data/chroma.py). First come two halves of --real, which need none: what is
printed for them is how far the measure goes astray. --faces are spread evenly over a folder.
"""

from pathlib import Path

import click
import numpy as np
from two_sample import halves, read

from simrefine.data.chroma import fine_share, match_softness
from simrefine.data.images import to_signed


def print_row(name: str, pictures: np.ndarray, photographs: np.ndarray) -> None:
    """Both uint8 [n, s, s, 3]."""
    signed, size = to_signed(pictures), pictures.shape[1]
    blur = size * match_softness(signed, to_signed(photographs))
    print(f"| {name} | {len(pictures)} | {fine_share(signed):.2f} | {blur:.1f} |", flush=True)


@click.command(help=__doc__.partition("\n")[0])
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--real", required=True, type=click.Path(path_type=Path), help="photographs")
@click.option("--size", default=64, show_default=True, help="side that all pictures are brought to, px")
@click.option("--faces", default=300, show_default=True, help="at most so many of a folder")
def main(folders, real, size, faces):
    photographs = read(real, size, faces).images
    print("| faces | of them | fine colour | blur to be as soft as photographs, px |\n|---|---|---|---|")
    one, other = halves(read(real, size, 2 * faces), seed=0)
    print_row("half of the photographs", one.images, other.images)
    print_row("the other half", other.images, one.images)
    for folder in folders:
        print_row(folder.name, read(folder, size, faces).images, photographs)


if __name__ == "__main__":
    main()
