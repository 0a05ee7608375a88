"""Is simrefine's training step at least as fast as a plain PyTorch loop on the same CPU?

Both sides train the networks of ../paper.toml (refiner: conv3-64 and 4 residual blocks; discriminator: eyes) with
softmax cross-entropy, 0.5 * per-channel L1, the history of 50 half-batches, Adam, one update of each player a step and
a moving average of the refiner; no augmentation. One side is `SimGAN.step` as `simrefine train` runs it, the other an
eager PyTorch loop, channels-last and under autocast for bfloat16. Each has a process to itself, so that their thread
pools never meet, and they take turns: one works, the other waits. Both get the same random pictures, made beforehand.

Before anything is timed, PyTorch takes over simrefine's initial weights, and the losses of the warm-up steps must
agree: the same networks, losses, optimisers and history, or no answer. The answer is the median over the rounds of
simrefine's images/s divided by PyTorch's in the same round; 1 or more means "not slower". simrefine also computes the
accuracies, the change and the diversity that it logs, which the plain loop does not.

On an otherwise idle machine, for a neighbour slows PyTorch's threads, which wait for one another, far more:

    python -m venv venv
    venv/bin/pip install -c constraints.txt -e . torch==2.13.0
    venv/bin/python experiments/benchmarks/against_pytorch.py
"""

import json
import multiprocessing
import os
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np

from simrefine import backend
from simrefine.config import Config
from simrefine.data.dressing import PictureStyles
from simrefine.data.images import to_signed
from simrefine.errors import UserError
from simrefine.files import write_file
from simrefine.methods.method import Inputs
from simrefine.methods.simgan import DiscriminatorBatch, RefinerBatch, SimGAN, StepBatch
from simrefine.models.augmentation import DRAWS
from simrefine.models.history import draw_places

PAPER = Path(__file__).parents[1] / "paper.toml"
WARM_UP_STEPS = 3  # later on, Adam has enlarged the rounding too far to compare
# What the losses of these steps may differ by. In float32 they do by 0.0005, mostly from where Adam adds its epsilon;
# with another draw from the history it is 0.004, with symmetric padding 0.03, with a discriminator at rest 0.8.
TOLERANCE = {"float32": 3e-3, "bfloat16": 1e-2}
PRECISIONS = list(TOLERANCE)
LOSSES = ("refiner/realism", "refiner/self_regularisation", "discriminator/loss")


class Simrefine:
    """The package as it is."""

    def __init__(self, config: Config):
        size, channels = config.data.size, config.data.channels
        none = np.empty((0, size, size, channels), np.uint8)  # the batches are made here, not by the method
        inputs = Inputs(
            none, none, None, PictureStyles(np.zeros((1, 1 + channels, channels), np.float32), candidates=0)
        )
        self.gan = SimGAN(config, inputs, backend.resolve_precision(config.training.precision))

    def weights(self) -> list[list[np.ndarray]]:
        return [network.get_weights() for network in (self.gan.refiner, self.gan.discriminator)]

    def step(self, faces: tuple[np.ndarray, np.ndarray, np.ndarray], step: int) -> dict:
        synthetic, half, real = faces
        n = len(synthetic)
        places = draw_places(step, len(half), self.gan.history.capacity, np.random.default_rng(step))
        draws = np.zeros((2 * n, DRAWS), np.float32)  # unused: all strengths of the augmentation are 0
        hold = np.ones((n, 1, 1, 1), np.float32)
        batch = StepBatch(
            refiner=[RefinerBatch(synthetic, hold, draws[:n], points=None, disturbance=None)],
            discriminator=[DiscriminatorBatch(half, real, draws, places)],
        )
        return self.gan.step(batch, step)


class Side:
    """A contender, `Simrefine` or `plain_pytorch.PyTorch`, in a process of its own."""

    def __init__(self, name: str, config: Config):
        if name == "pytorch":
            from plain_pytorch import PyTorch  # here only, so that TensorFlow and PyTorch never share a process

            self.contender = PyTorch(config)
        else:
            self.contender = Simrefine(config)
        self.config = config

    def weights(self) -> list[list[np.ndarray]]:
        return self.contender.weights()

    def take(self, weights: list[list[np.ndarray]]) -> None:
        self.contender.take(weights)

    def faces(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Random pictures, the same for both sides: a synthetic batch, half of one, a real batch; [n, h, w, c]."""
        n, size, channels = self.config.training.batch_size, self.config.data.size, self.config.data.channels
        pixels = np.random.default_rng(step).integers(0, 256, (2 * n + n // 2, size, size, channels), np.uint8)
        return tuple(np.split(to_signed(pixels), [n, n + n // 2]))

    def seconds(self, steps: range) -> float:
        batches = [self.faces(step) for step in steps]
        began = time.perf_counter()
        for step, faces in zip(steps, batches, strict=True):
            numbers = self.contender.step(faces, step)
        for number in numbers.values():
            float(number)  # the last step has ended when its numbers are there
        return time.perf_counter() - began

    def losses(self, steps: range) -> np.ndarray:
        """[steps, losses]"""
        numbers = [self.contender.step(self.faces(step), step) for step in steps]
        return np.array([[float(losses[name]) for name in LOSSES] for losses in numbers])


def start(name: str, config: Config) -> None:
    global side  # one in each child process
    side = Side(name, config)


def answer(method: str, *arguments):
    return getattr(side, method)(*arguments)


def compare(config: Config, rounds: int, steps: int) -> dict:
    """Checks that both sides are the same training, then times them in turns."""
    precision, spawn = config.training.precision, multiprocessing.get_context("spawn")
    processes = {name: ProcessPoolExecutor(1, spawn, start, (name, config)) for name in ("simrefine", "pytorch")}

    def ask(name: str, *question):
        return processes[name].submit(answer, *question).result()

    try:
        weights = ask("simrefine", "weights")
        ask("pytorch", "take", weights)
        warm_up = range(WARM_UP_STEPS)
        difference = float(np.abs(ask("simrefine", "losses", warm_up) - ask("pytorch", "losses", warm_up)).max())
        if not difference <= TOLERANCE[precision]:
            raise click.ClickException(f"{precision}: the losses differ by {difference:.2g}, so the sides do too")
        speeds = {name: [] for name in processes}  # images/s
        for turn in range(rounds):
            span = range(WARM_UP_STEPS + turn * steps, WARM_UP_STEPS + (turn + 1) * steps)
            for name in sorted(processes, reverse=turn % 2 == 0):  # whoever was last begins: a drift hits both alike
                speeds[name].append(config.training.batch_size * steps / ask(name, "seconds", span))
    finally:
        for process in processes.values():
            process.shutdown()
    return {
        "weights": [sum(array.size for array in arrays) for arrays in weights],  # refiner, discriminator
        "largest_difference_of_losses": difference,
        "images_per_second": speeds,
        "ratios": [ours / theirs for ours, theirs in zip(speeds["simrefine"], speeds["pytorch"], strict=True)],
    }


def load_config(precision: str, size: int, batch_size: int) -> Config:
    values = {
        "data.size": size,
        "training.batch_size": batch_size,
        "training.precision": precision,
        "training.refiner_updates": 1,
        "training.pretrain_refiner": 0,  # both players move from the first step on
        "training.pretrain_discriminator": 0,
        "training.ema_decay": 0.999,
    }
    for optimizer in ("refiner_optimizer", "discriminator_optimizer"):
        values |= {f"{optimizer}.name": "adam", f"{optimizer}.learning_rate": 2e-4, f"{optimizer}.beta_1": 0.5}
    try:
        return Config.load(PAPER, values, environment={})
    except UserError as error:
        raise click.UsageError(str(error)) from error


def describe_machine() -> dict:
    """The number of threads is each library's own choice, as for its users; TensorFlow's is one a CPU."""
    import torch  # not at the top, so that --help works without it

    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.processor(),
        "threads": {"tensorflow": os.cpu_count(), "torch": torch.get_num_threads()},
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # of the last minute; an idle machine has 0
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("simrefine", "keras", "tensorflow", "torch")},
    }


def span_of(values: list[float]) -> str:
    return f"{statistics.median(values):7.2f}  ({min(values):.2f} .. {max(values):.2f})"


@click.command(help=__doc__.partition("\n")[0], context_settings={"show_default": True})
@click.option("--precision", "precisions", type=click.Choice(PRECISIONS), multiple=True, default=PRECISIONS)
@click.option("--rounds", type=click.IntRange(1), default=9, help="turns of each side")
@click.option("--steps", type=click.IntRange(1), default=10, help="training steps a turn")
@click.option("--size", type=int, default=64, help="side of the pictures, px")
@click.option("--batch-size", type=int, default=32)
@click.option("--json", "file", type=click.Path(path_type=Path), metavar="FILE", help="write every number there too")
def main(precisions, rounds, steps, size, batch_size, file):
    if not find_spec("torch"):
        raise click.ClickException("this needs PyTorch, which simrefine itself does not: pip install torch==2.13.0")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # of the child processes, for both libraries
    report = describe_machine() | {"size": size, "batch_size": batch_size, "rounds": rounds, "steps": steps}
    click.echo("\n".join(f"{name:<12}{value}" for name, value in report.items()))
    if (report["load"] or 0) > 0.5:
        click.echo("WARNING: the machine was busy in the last minute; times next to other work are worthless", err=True)
    report["results"] = {}
    for precision in precisions:
        result = compare(load_config(precision, size, batch_size), rounds, steps)
        report["results"][precision] = result
        weights, difference = result["weights"], result["largest_difference_of_losses"]
        click.echo(f"\n{precision}: both have {weights[0]} + {weights[1]} weights, losses within {difference:.1g}")
        for name, speeds in result["images_per_second"].items():
            click.echo(f"  {name:<12}{span_of(speeds)}  images/s")
        slower = "slower" if statistics.median(result["ratios"]) < 1 else "not slower"
        click.echo(f"  {'ratio':<12}{span_of(result['ratios'])}  simrefine is {slower}")
    if file:
        write_file(file, json.dumps(report, indent=2).encode())


if __name__ == "__main__":
    main()
