"""Do the colours swing from checkpoint to checkpoint, and does the averaged refiner agree with the current one?

    simrefine train ... --run RUN --set monitor.checkpoint_every=100 --set monitor.keep_checkpoints=1000
    python experiments/oscillation.py RUN --synthetic DIR --figure FILE.png

Refines the same held-out faces with every checkpoint's current and averaged refiner. Prints, over the second half of
the training, how far the mean colour of a face moves from one checkpoint to the next, and how far the two refiners are
apart. The figure has the mean red, green and blue of all faces against the step: thin the current refiner, thick the
average; dotted, the same faces unrefined, in the colours that their styles gave them.
"""

from pathlib import Path

import click
import cv2
import numpy as np
from runs import BATCH, load_method, read_config, read_for

from simrefine.data.images import GRAY_LEVELS, Picture, encode_picture, to_signed
from simrefine.errors import UserError
from simrefine.threads import in_batches
from simrefine.training.checkpoint import read_checkpoint
from simrefine.training.inputs import spread

FACES = 100
WIDTH, HEIGHT, MARGIN = 900, 360, 40  # of the figure, px
COLOURS = ((200, 40, 40), (40, 140, 40), (40, 60, 200))


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--synthetic", required=True, type=click.Path(path_type=Path), help="held-out renders")
@click.option("--figure", type=click.Path(path_type=Path), help="PNG of the colours against the step")
def main(run, synthetic, figure):
    config = read_config(run)
    faces = read_for(config, synthetic, "synthetic")
    faces = faces.take(spread(len(faces), FACES))
    paths = sorted((run / "checkpoints").glob("step-*"))
    steps = [int(path.name.removeprefix("step-")) for path in paths]
    if sum(step > steps[-1] / 2 for step in steps) < 2:
        raise UserError(
            f"{run} holds fewer than 2 checkpoints of its second half",
            "train with a small monitor.checkpoint_every and a large monitor.keep_checkpoints",
        )
    method = load_method(run, read_checkpoint(paths[-1]), faces, faces)
    styled = method.inputs.dresser.dress_alone(to_signed(faces.images), seed=0).pictures
    colours, apart = [], []
    for checkpoint in map(read_checkpoint, paths):  # one at a time: a long run has many
        method.restore(checkpoint.arrays, checkpoint.path)
        current, average = (in_batches(refiner, styled, BATCH) for refiner in (method.refiner, method.average))
        colours.append([refined.mean(axis=(1, 2)) for refined in (current, average)])
        apart.append(np.abs(current - average).mean() * GRAY_LEVELS)
    colours = (np.array(colours) + 1) * GRAY_LEVELS  # [checkpoints, current or average, faces, channels], 0..255
    late = np.array(steps) > steps[-1] / 2
    moves = np.abs(np.diff(colours[late], axis=0)).mean(axis=(0, 2, 3))
    print(f"{run.name}: {len(steps)} checkpoints, steps {steps[0]} to {steps[-1]}; the second half, gray levels of 255")
    print(f"mean colour of a face, from checkpoint to checkpoint: current {moves[0]:.1f}, average {moves[1]:.1f}")
    print(f"a pixel of the current refiner from the average's: {np.array(apart)[late].mean():.1f}")
    if figure:
        unrefined = (styled.mean(axis=(0, 1, 2)) + 1) * GRAY_LEVELS
        figure.write_bytes(encode_picture(Picture(draw(steps, colours.mean(axis=2), unrefined)), ".png"))


def draw(steps: list[int], colours: np.ndarray, unrefined: np.ndarray) -> np.ndarray:
    """The figure, uint8 [HEIGHT, WIDTH, 3]: `colours` [checkpoints, current or average, channels] against `steps`."""
    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    low, high = np.floor(colours.min() / 20) * 20, np.ceil(colours.max() / 20) * 20

    def place(step, level):
        x = MARGIN + (WIDTH - 2 * MARGIN) * step / steps[-1]
        return round(x), round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (level - low) / (high - low))

    def write(text, x, y):
        cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (60, 60, 60), 1, cv2.LINE_AA)

    for level in np.arange(low, high + 1, 20):
        cv2.line(canvas, place(0, level), place(steps[-1], level), (225, 225, 225))
        write(f"{level:.0f}", 8, place(0, level)[1] + 4)
    for step in range(0, steps[-1] + 1, 500):
        write(str(step), place(step, low)[0] - 14, HEIGHT - 16)
    for channel in range(colours.shape[-1]):
        for kind, thickness in enumerate((1, 3)):
            line = [place(step, level) for step, level in zip(steps, colours[:, kind, channel], strict=True)]
            cv2.polylines(canvas, [np.array(line)], False, COLOURS[channel], thickness, cv2.LINE_AA)
        for step in range(0, steps[-1], max(1, steps[-1] // 100)):
            cv2.circle(canvas, place(step, unrefined[channel]), 1, COLOURS[channel], -1)
    return canvas


if __name__ == "__main__":
    main()
