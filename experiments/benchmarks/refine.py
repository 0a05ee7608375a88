"""How near does `simrefine refine` come to the slower of its halves, the refiner and the files?

    python experiments/benchmarks/refine.py RUN --faces DIR [--count 96] [--rounds 5] [--many 20000]

RUN is a refiner, DIR a folder of renders, which are brought to each side and format. In turn, and in one process: the
refiner alone, on decoded arrays; the files alone, by `refine_folder` with a refiner that changes nothing; and the whole,
by `refine_folder`. Printed are medians over the rounds and the median of the ratios within a round, then where the
refiner's time goes, how long a new process takes to its first picture, and with --many its peak memory for 1,000 and
for so many files.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import numpy as np

from simrefine.data.images import Picture, encode_picture, fit_square, read_picture
from simrefine.refining.folder import refine_folder
from simrefine.refining.pictures import MAX_BATCH_PIXELS
from simrefine.refining.refiner import Refiner, load
from simrefine.threads import in_batches

SIDES, FORMATS, BATCH, FEW = (64, 128, 512), (".png", ".jpg"), 32, 1000
FIRST_AFTER = 300  # seconds that a process is waited for


class Unchanged:
    """A refiner that takes no time."""

    channels, masks, fingerprint, about = 3, None, "0" * 64, {}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return images


def write_faces(faces: list[Path], count: int, side: int, ending: str, out: Path) -> np.ndarray:
    """The faces over and over as `count` files of side x side px; gives the pixels of each face once."""
    out.mkdir(parents=True)
    pixels = [fit_square(read_picture(face).pixels, side) for face in faces[:count]]
    contents = [encode_picture(Picture(each), ending) for each in pixels]
    for place in range(count):
        (out / f"{place:06d}{ending}").write_bytes(contents[place % len(contents)])
    return np.stack(pixels)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def at_once(pixels: np.ndarray) -> int:
    """How many of them `refine_folder` gives a refiner at a time."""
    return max(1, min(BATCH, MAX_BATCH_PIXELS // pixels[0, ..., 0].size))


def print_halves(refiner: Refiner, faces: list[Path], rounds: int, home: Path) -> dict[int, np.ndarray]:
    """Prints the table; gives the pixels of each side."""
    print("| side, px | format | refiner alone, faces/s | files alone | refine | of the slower half (least .. most) |")
    print("|---|---|---|---|---|---|")
    pixels = {}
    for side in SIDES:
        for ending in FORMATS:
            folder = home / f"{side}{ending}"
            # A quarter of the largest, which take as long as all others together.
            pixels[side] = write_faces(faces, max(1, len(faces) // (4 if side > 256 else 1)), side, ending, folder)
            count, rates = len(pixels[side]), defaultdict(list)
            for turn in range(rounds + 1):  # the first one compiles, and does not count
                refined, copied = (home / f"{kind}-{side}{ending}-{turn}" for kind in ("refined", "copied"))
                for name, taken in (
                    ("refiner", seconds(lambda images=pixels[side]: in_batches(refiner, images, at_once(images)))),
                    ("files", seconds(lambda to=copied, folder=folder: refine_folder(Unchanged(), folder, to))),
                    ("whole", seconds(lambda to=refined, folder=folder: refine_folder(refiner, folder, to))),
                ):
                    rates[name] += [count / taken] * bool(turn)
            halves = zip(rates["refiner"], rates["files"], strict=True)
            ratios = [whole / min(half) for whole, half in zip(rates["whole"], halves, strict=True)]
            medians = " | ".join(f"{median(rates[name]):.1f}" for name in ("refiner", "files", "whole"))
            spread = f"{median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"
            print(f"| {side} | {ending[1:]} | {medians} | {spread} |", flush=True)
    return pixels


def print_parts(refiner: Refiner, pixels: dict[int, np.ndarray], rounds: int) -> None:
    """Prints where the refiner's time goes: the parser and what else dressing takes are told apart by leaving the
    network out, and the parser by what it takes alone."""
    print("\n| side, px | parser, ms a face | other dressing | network |\n|---|---|---|---|")
    dressed = refiner.without_network()
    parser = dressed.dresser._parse if hasattr(dressed.dresser, "_parse") else lambda images: images
    for side, images in pixels.items():
        taken = defaultdict(list)
        for turn in range(rounds + 1):
            for name, work in (("parser", parser), ("dressed", dressed), ("whole", refiner)):
                took = seconds(lambda work=work, images=images: in_batches(work, images, at_once(images)))
                taken[name] += [took] * bool(turn)
        parsed, dressing, whole = (1000 * median(taken[name]) / len(images) for name in ("parser", "dressed", "whole"))
        print(f"| {side} | {parsed:.1f} | {dressing - parsed:.1f} | {whole - dressing:.1f} |", flush=True)


def start(run: Path, folder: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "simrefine.cli", "refine", folder, "--model", run, "--out", out]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def first_picture(run: Path, folder: Path, out: Path) -> float:
    """Seconds from the start of a process to its first picture."""
    began, process = time.perf_counter(), start(run, folder, out)
    try:
        while not next(chain(out.glob("*.png"), out.glob("*.jpg")), None):
            if process.poll() or time.perf_counter() - began > FIRST_AFTER:
                raise click.ClickException(f"no picture came out of {folder}")
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        process.kill()
        process.wait()


def peak_memory(run: Path, folder: Path, out: Path) -> float:
    """MiB that a process takes at most to refine a folder."""
    process = start(run, folder, out)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{folder} could not be refined")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--faces", required=True, type=click.Path(path_type=Path), help="renders, as PNG")
@click.option("--count", default=96, show_default=True, help="pictures a round")
@click.option("--rounds", default=5, show_default=True)
@click.option("--many", default=0, help="files for which peak memory is measured, beside 1,000; 0 = not at all")
def main(run, faces, count, rounds, many):
    chosen = sorted(faces.glob("*.png"))[:count]
    refiner = load(run)
    with TemporaryDirectory() as home:
        home = Path(home)
        pixels = print_halves(refiner, chosen, rounds, home)
        print_parts(refiner, pixels, rounds)
        firsts = [first_picture(run, home / "64.png", home / f"first-{turn}") for turn in range(rounds)]
        print(f"\nfirst picture after {median(firsts):.1f} s ({min(firsts):.1f} .. {max(firsts):.1f})", flush=True)
        for files in (FEW, many) if many else ():
            write_faces(chosen, files, 64, ".png", home / f"many-{files}")
            peak = peak_memory(run, home / f"many-{files}", home / f"many-{files}-out")
            print(f"{files} files of 64 px: {peak:.0f} MiB at most", flush=True)


if __name__ == "__main__":
    main()
