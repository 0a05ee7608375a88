"""What becomes of brows, eyes, lips and mouths, beside photographs: how dark, plain, warm and sharp they are.

    python experiments/features.py RUN --renders DIR --real DIR [--faces 200]

Of raw renders, what the network of RUN is given, what it makes of that, and photographs; parts are those of the run's
parser in all of them. In gray levels, medians over faces: luma below that of the skin, its spread within the part,
colour (the length of what is not luma), and the spread of luma in three bands, from under 0.6 px to 2.4 px at 64 px.
By these the constants of simrefine/data/features.py were set.
"""

from itertools import pairwise
from pathlib import Path

import click
import cv2
import numpy as np
from runs import BATCH
from two_sample import read

from simrefine.catalogue import PARTS
from simrefine.data.images import GRAY_LEVELS, LUMA, to_signed
from simrefine.methods.state import build_from
from simrefine.models.parser import build_parser, parser_of
from simrefine.refining.refiner import load
from simrefine.threads import in_batches
from simrefine.training.published import read_refiner

BANDS = (0.0, 0.6, 1.2, 2.4)  # standard deviations, px
FEWEST = 3.0  # px that a part must have in a face
SURE = 0.5  # share of a pixel from which on it is of a part


def measure(picture: np.ndarray, share: np.ndarray, skin: np.ndarray) -> list[float]:
    """Of one face, float32 [s, s, 3] in [-1, 1], with the shares of a part and of skin, [s, s]."""
    luma = picture @ LUMA
    colour = np.linalg.norm(picture - luma[..., None], axis=-1)

    def mean(values: np.ndarray, weights: np.ndarray) -> float:
        return float((values * weights).sum() / max(weights.sum(), 1e-6))

    level = mean(luma, share)
    blurred = [cv2.GaussianBlur(luma, (0, 0), deviation) if deviation else luma for deviation in BANDS]
    bands = [np.sqrt(mean((one - other) ** 2, share)) for one, other in pairwise(blurred)]
    spread = np.sqrt(mean((luma - level) ** 2, share))
    return [GRAY_LEVELS * value for value in (mean(luma, skin) - level, spread, mean(colour, share), *bands)]


def print_rows(name: str, images: np.ndarray, soft: np.ndarray) -> None:
    """Of uint8 [n, s, s, 3] with soft labels, uint8 [n, s, s, parts]."""
    shares = np.where(soft > SURE * 255, soft / 255, 0).astype(np.float32)
    for part in ("brows", "eyes", "lips", "mouth", "skin"):
        faces = zip(to_signed(images), shares[..., PARTS.index(part)], shares[..., PARTS.index("skin")], strict=True)
        rows = [measure(*face) for face in faces if face[1].sum() > FEWEST]
        cells = " | ".join(f"{value:.1f}" for value in np.median(rows, axis=0))
        print(f"| {name} | {part} | {len(rows)} | {cells} |", flush=True)


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--renders", required=True, type=click.Path(path_type=Path), help="rendered faces")
@click.option("--real", required=True, type=click.Path(path_type=Path), help="photographs")
@click.option("--faces", default=200, show_default=True, help="at most so many of a folder, spread evenly")
def main(run, renders, real, faces):
    published, refiner = read_refiner(run), load(run)
    parse = parser_of(build_from(lambda: build_parser(3, "float32", seed=0), published.parser, run))
    raw, photographs = (read(folder, refiner.size, faces).images for folder in (renders, real))
    treated = (in_batches(one, raw, BATCH) for one in (refiner.without_network(), refiner))
    print("| faces | part | of them | darker than skin | spread | colour | < 0.6 px | < 1.2 px | < 2.4 px |")
    print("|---" * 9 + "|")
    for name, images in zip(("photographs", "raw", "given", "refined"), (photographs, raw, *treated), strict=True):
        print_rows(name, images, parse(images))


if __name__ == "__main__":
    main()
