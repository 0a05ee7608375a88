"""What refining a large picture takes: the most memory that the program held, and the seconds.

    python experiments/large_pictures.py RUN --face FILE.png [--sides 1000,2000,4000,8000] [--scale own] [--memory-gib 1.5]

Enlarges a rendered face to each side, lets `simrefine refine` refine it, in a process of its own, beside ten small
faces, and prints a row of a table. The last rows are of the cost of tiles: a picture through the network at its own
scale, whole and in tiles, in microseconds a pixel.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

import simrefine
from simrefine.data.images import Picture, encode_picture, read_picture, resize
from simrefine.memory import LEAST, resident_bytes

SMALL = 10  # faces beside the large one
TILED = 768  # px, side of the picture whose tiles are timed


def refine_apart(folder: Path, out: Path, options: list[str]) -> tuple[int, float, float, float]:
    """Refines a folder in a process of its own: pictures written, MiB held at the most, seconds, seconds of CPU."""
    command = [sys.executable, "-m", "simrefine", "refine", str(folder), "--out", str(out), *options]
    started = time.monotonic()
    _, _, used = os.wait4(os.spawnv(os.P_NOWAIT, sys.executable, command), 0)
    seconds = time.monotonic() - started
    written = sum(path.suffix == ".png" for path in out.iterdir()) if out.exists() else 0
    return written, used.ru_maxrss / 1024, seconds, used.ru_utime + used.ru_stime


def time_tiles(run: Path, face: np.ndarray) -> None:
    """Prints the microseconds a pixel that a picture takes at its own scale, whole and in tiles, after a first time."""
    picture = resize(face, TILED, TILED)[None]
    for name, gib in (("whole", 1024.0), ("in the smallest tiles", (resident_bytes() + LEAST) / 2**30)):
        refiner = simrefine.load(run, scale="own", memory_gib=gib)
        refiner(picture)
        started = time.process_time()
        refiner(picture)
        print(f"| {TILED} x {TILED} px {name} | {1e6 * (time.process_time() - started) / TILED**2:.2f} |", flush=True)


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--face", required=True, type=click.Path(path_type=Path), help="a rendered face")
@click.option("--sides", default="1000,2000,4000,8000", show_default=True, help="px")
@click.option("--scale", default="training", show_default=True, help="see simrefine refine")
@click.option("--memory-gib", default=1.5, show_default=True, help="see simrefine refine")
@click.option("--tiles/--no-tiles", default=True, show_default=True, help="also time tiles")
def main(run, face, sides, scale, memory_gib, tiles):
    pixels = read_picture(face).pixels
    print("| side, px | written | peak, MiB | seconds | seconds of CPU |")
    print("|---|---|---|---|---|")
    for side in map(int, sides.split(",")):
        with tempfile.TemporaryDirectory() as scratch:
            folder, out = Path(scratch) / "faces", Path(scratch) / "out"
            folder.mkdir()
            for number, length in enumerate([side] + [min(pixels.shape[:2])] * SMALL):
                content = encode_picture(Picture(resize(pixels, length, length)), ".png")
                (folder / f"{number}.png").write_bytes(content)
            options = ["--model", str(run), "--scale", scale, "--memory-gib", str(memory_gib)]
            written, peak, seconds, cpu = refine_apart(folder, out, options)
            print(f"| {side} | {written} of {SMALL + 1} | {peak:.0f} | {seconds:.0f} | {cpu:.0f} |", flush=True)
    if tiles:
        print("\n| through the network | microseconds of CPU a pixel |\n|---|---|")
        time_tiles(run, pixels)


if __name__ == "__main__":
    main()
