"""What a million faces cost, worked out from what a folder of them takes here: the table of docs/scale.md.

    python experiments/benchmarks/scale.py RUN --faces DIR [--count 96] [--rounds 5]

RUN is a refiner, DIR a folder of renders. They are brought to each side and refined into new folders, in turn, by a
refiner that is loaded once: at the training's scale, where the network works at its own side and its change is added,
and at their own, which is what a refiner costs that was trained at that side. Medians over the rounds.
"""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
from refine import write_faces

from simrefine.refining.folder import refine_folder
from simrefine.refining.refiner import SCALES, load

SIDES, MILLION, HOUR = (128, 256), 10**6, 3600
WARM_UP = 32  # pictures, one batch: the first call compiles


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.png"))


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--faces", required=True, type=click.Path(path_type=Path), help="renders, as PNG")
@click.option("--count", default=96, show_default=True, help="pictures a round")
@click.option("--rounds", default=5, show_default=True)
def main(run, faces, count, rounds):
    chosen = sorted(faces.glob("*.png"))[:count]
    refiners = {scale: load(run, scale=scale) for scale in SCALES}
    seconds = {(side, scale): [] for side in SIDES for scale in SCALES}
    with TemporaryDirectory() as home:
        home, read, written = Path(home), {}, {}
        for side in SIDES:
            write_faces(chosen, len(chosen), side, ".png", home / str(side))
            read[side] = bytes_in(home / str(side))
            for scale, refiner in refiners.items():
                refine_folder(refiner, sorted((home / str(side)).iterdir())[:WARM_UP], home / f"warm-{side}-{scale}")
        for place in range(rounds):
            for side, scale in seconds:
                out = home / f"{side}-{scale}-{place}"
                begun = time.perf_counter()
                refine_folder(refiners[scale], home / str(side), out)
                seconds[side, scale].append(time.perf_counter() - begun)
                written[side, scale] = bytes_in(out)
    print(
        "| side, px | scale | faces/s | process hours a million | read, written a million, GB |\n|---|---|---|---|---|"
    )
    for (side, scale), taken in seconds.items():
        rate = count / median(taken)
        gigabytes = [total / count * MILLION / 1e9 for total in (read[side], written[side, scale])]
        print(
            f"| {side} | {scale} | {rate:.1f} ({count / max(taken):.1f} .. {count / min(taken):.1f}) "
            f"| {MILLION / rate / HOUR:.0f} | {gigabytes[0]:.0f}, {gigabytes[1]:.0f} |"
        )


if __name__ == "__main__":
    main()
