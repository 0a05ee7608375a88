"""What a training step costs with another method, or with a label keeper, beside the default's.

    taskset -c 1 python experiments/benchmarks/methods.py [--size 64] [--rounds 5] [--batch-size 32]

All contenders train on the same generated pictures with random label points; the landmark keeper's network is untrained,
which changes nothing about its cost. After one warm-up step of each, in which the step is compiled, every round takes a
step of each in turn, so that whatever else the machine does hits all alike. The ratios are within a round; the table has
their medians. A batch is made beforehand, as `simrefine train` makes it in the background.
"""

import statistics
import time

import click
import numpy as np

from simrefine import backend
from simrefine.config import Config
from simrefine.data.dressing import PictureStyles
from simrefine.data.images import to_signed
from simrefine.data.styles import read_styles
from simrefine.methods import METHODS
from simrefine.methods.method import Frozen, Inputs, Method
from simrefine.models.landmarks import build_landmark_network

CONTENDERS = {
    "simgan, the default": {},
    "simgan, keeper.cycle=2": {"keeper.cycle": 2.0},
    "simgan, keeper.landmarks=10": {"keeper.landmarks": 10.0},
    "cyclegan": {"method.name": "cyclegan"},
}
DEFAULT = next(iter(CONTENDERS))
POINTS = 68  # a face


def generate_inputs(config: Config) -> Inputs:
    """Piles of two batches of plain colour with noise, and points somewhere in each picture."""
    rng, n, data = np.random.default_rng(0), 2 * config.training.batch_size, config.data
    colours = rng.integers(40, 200, (2, n, 1, 1, data.channels))
    noise = rng.integers(-30, 31, (2, n, data.size, data.size, data.channels))
    synthetic, real = (colours + noise).astype(np.uint8)
    points = rng.uniform(0, data.size, (n, POINTS, 2)).astype(np.float32)
    return Inputs(synthetic, real, points, PictureStyles(read_styles(to_signed(real)), config.style.candidates))


def build(values: dict, size: int, batch_size: int) -> Method:
    values = {"data.size": size, "training.batch_size": batch_size} | values
    config = Config.load(values=values, environment={})
    dtype = backend.resolve_precision(config.training.precision)
    landmarks = None
    if config.keeper.landmarks:
        landmarks = build_landmark_network(POINTS, config.data.channels, dtype, config.training.seed)
    return METHODS[config.method.name](config, generate_inputs(config), dtype, Frozen(landmarks=landmarks))


def seconds(method: Method, step: int) -> float:
    """What step `step` takes, without its batch."""
    batch = method.batch(step)
    began = time.perf_counter()
    for number in method.step(batch, step).values():
        float(number)  # the step has ended when its numbers are there
    return time.perf_counter() - began


@click.command(help=__doc__.partition("\n")[0], context_settings={"show_default": True})
@click.option("--size", default=64, help="side of the pictures, px")
@click.option("--rounds", type=click.IntRange(1), default=5, help="steps of each method that count")
@click.option("--batch-size", default=32)
def main(size, rounds, batch_size):
    backend.use_device()
    methods = {name: build(values, size, batch_size) for name, values in CONTENDERS.items()}
    for method in methods.values():
        seconds(method, 0)
    times = {name: [] for name in methods}
    for step in range(1, rounds + 1):
        for name in sorted(methods, reverse=step % 2 == 0):  # whoever was last begins: a drift hits all alike
            times[name].append(seconds(methods[name], step))
    print(f"{backend.describe_device()}, {backend.resolve_precision('auto')}, {size} px, batches of {batch_size}\n")
    print("| method | seconds a step | ratio to the default (least .. most) |\n|---|---|---|")
    for name, spent in times.items():
        ratios = [own / default for own, default in zip(spent, times[DEFAULT], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"
        print(f"| {name} | {statistics.median(spent):.3f} | {'1' if name == DEFAULT else spread} |")


if __name__ == "__main__":
    main()
