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

import copy
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError:
    sys.exit("This benchmark needs PyTorch, which simrefine itself does not: pip install torch==2.13.0")

from simrefine import backend
from simrefine.config import Config
from simrefine.data.images import to_signed, to_uint8
from simrefine.errors import UserError
from simrefine.files import write_file
from simrefine.models.augmentation import DRAWS
from simrefine.models.history import HistoryBuffer
from simrefine.models.losses import REAL, REFINED
from simrefine.models.simgan import SimGAN, StepBatch

PAPER = Path(__file__).parents[1] / "paper.toml"
WARM_UP_STEPS = 3  # later on, Adam has enlarged the rounding too far to compare
# What the losses of these steps may differ by. In float32 they do by 0.0005, mostly from where Adam adds its epsilon;
# with another draw from the history it is 0.004, with symmetric padding 0.03, with a discriminator at rest 0.8.
TOLERANCE = {"float32": 3e-3, "bfloat16": 1e-2}
PRECISIONS = list(TOLERANCE)
LOSSES = ("refiner/realism", "refiner/self_regularisation", "discriminator/loss")


class Side:
    """One contender: a subclass has `step(faces, step)`, which returns its losses."""

    def __init__(self, config: Config):
        self.config = config

    def faces(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Random pictures, the same for both sides: a synthetic batch, half of one, a real batch; [n, h, w, c]."""
        n, size, channels = self.config.training.batch_size, self.config.data.size, self.config.data.channels
        pixels = np.random.default_rng(step).integers(0, 256, (2 * n + n // 2, size, size, channels), np.uint8)
        return tuple(np.split(to_signed(pixels), [n, n + n // 2]))

    def seconds(self, steps: range) -> float:
        batches = [self.faces(step) for step in steps]
        began = time.perf_counter()
        for step, faces in zip(steps, batches, strict=True):
            self.step(faces, step)
        return time.perf_counter() - began

    def losses(self, steps: range) -> np.ndarray:
        numbers = [self.step(self.faces(step), step) for step in steps]
        return np.array([[each[name] for name in LOSSES] for each in numbers])  # [steps, losses]


class Simrefine(Side):
    """The package as it is."""

    def __init__(self, config: Config):
        super().__init__(config)
        dtype = backend.resolve_precision(config.training.precision)
        self.gan = SimGAN(config, dtype, backend.minimise, backend.compile_step)

    def weights(self) -> list[list[np.ndarray]]:
        return [network.get_weights() for network in (self.gan.refiner, self.gan.discriminator)]

    def step(self, faces, step: int) -> dict[str, float]:
        synthetic, half, real = faces
        draws = np.zeros((2 * len(synthetic), DRAWS), np.float32)  # unused: all strengths of the augmentation are 0
        hold = np.ones((len(synthetic), 1, 1, 1), np.float32)
        rng = np.random.default_rng(step)
        batch = StepBatch([synthetic], [hold], [draws[: len(synthetic)]], [half], [real], [draws], rng)
        return self.gan.step(batch, step)


class PyTorch(Side):
    """The same in plain PyTorch, as somebody who knows it would write it."""

    def __init__(self, config: Config):
        super().__init__(config)
        bfloat16 = config.training.precision == "bfloat16"
        self.refiner = build_refiner(config, bfloat16).to(memory_format=torch.channels_last)
        self.discriminator = build_discriminator(config, bfloat16).to(memory_format=torch.channels_last)
        self.refiner_optimizer = build_adam(self.refiner, config.refiner_optimizer)
        self.discriminator_optimizer = build_adam(self.discriminator, config.discriminator_optimizer)
        half, size = config.training.batch_size // 2, config.data.size
        self.history = HistoryBuffer(config.history.half_batches * half, (size, size, config.data.channels))

    def take(self, weights: list[list[np.ndarray]]) -> None:
        """Takes over the weights of Keras: [h, w, in, out] kernels and biases, in the order of the layers."""
        for network, arrays in zip((self.refiner, self.discriminator), weights, strict=True):
            arrays = [array.transpose(3, 2, 0, 1) if array.ndim == 4 else array for array in arrays]
            if [tuple(each.shape) for each in network.parameters()] != [array.shape for array in arrays]:
                raise ValueError("the two sides have different layers")
            for parameter, array in zip(network.parameters(), arrays, strict=True):
                parameter.data.copy_(torch.from_numpy(array))
        self.average = copy.deepcopy(self.refiner).requires_grad_(False)

    def step(self, faces, step: int) -> dict[str, float]:
        synthetic, half, real = map(to_tensor, faces)
        rng = np.random.default_rng(step)

        self.discriminator.requires_grad_(False)
        refined = self.refiner(synthetic)
        realism = patch_loss(self.discriminator(refined), REAL)
        regularisation = self.config.self_regularisation.l1 * functional.l1_loss(refined, synthetic)
        self.refiner_optimizer.zero_grad()
        (realism + regularisation).backward()
        self.refiner_optimizer.step()
        self.discriminator.requires_grad_(True)

        decay = min(self.config.training.ema_decay, (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.refiner.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
            refined = self.refiner(half)

        pixels = to_uint8(refined.permute(0, 2, 3, 1).numpy())
        if self.history.count < len(pixels):  # the first step has no past
            self.history.push(pixels, rng)
        past = to_tensor(to_signed(self.history.sample(len(pixels), rng)))
        on_fakes, on_real = self.discriminator(torch.cat([refined, past, real])).split(len(real))
        loss = (patch_loss(on_fakes, REFINED) + patch_loss(on_real, REAL)) / 2
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        self.history.push(pixels, rng)
        return dict(zip(LOSSES, (realism.item(), regularisation.item(), loss.item()), strict=True))


class MixedPrecision(nn.Module):
    """Layers in bfloat16 if asked for, then a 1x1 convolution that is always float32."""

    def __init__(self, layers: list[nn.Module], features: int, outputs: int, bfloat16: bool):
        super().__init__()
        self.layers, self.last = nn.Sequential(*layers), nn.Conv2d(features, outputs, 1)
        self.bfloat16 = bfloat16

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bfloat16):
            x = self.layers(x)
        return self.last(x.float())


class ResidualBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(conv3(width, width), nn.ReLU(inplace=True), conv3(width, width))

    def forward(self, x):
        return functional.relu_(x + self.layers(x))


class HalvingConv3(nn.Conv2d):
    """3x3, stride 2, with the "same" padding of TensorFlow: an even side is padded at its end only."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, stride=2)

    def forward(self, x):
        height, width = x.shape[2:]
        return super().forward(functional.pad(x, (width % 2, 1, height % 2, 1)))


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def build_refiner(config: Config, bfloat16: bool) -> nn.Module:
    channels, width = config.data.channels, config.refiner.width
    blocks = [ResidualBlock(width) for _ in range(config.refiner.blocks)]
    layers = [conv3(channels, width), nn.ReLU(inplace=True), *blocks]
    return nn.Sequential(MixedPrecision(layers, width, channels, bfloat16), nn.Hardtanh())  # clips to [-1, 1]


def build_discriminator(config: Config, bfloat16: bool) -> nn.Module:
    convolutions = HalvingConv3(config.data.channels, 96), HalvingConv3(96, 64), conv3(64, 32), nn.Conv2d(32, 32, 1)
    layers = [layer for convolution in convolutions for layer in (convolution, nn.ReLU(inplace=True))]
    layers.insert(4, nn.MaxPool2d(3, stride=1, padding=1))
    return MixedPrecision(layers, 32, 2, bfloat16)


def build_adam(network: nn.Module, options) -> torch.optim.Adam:
    betas = options.beta_1, 0.999
    return torch.optim.Adam(network.parameters(), options.learning_rate, betas, eps=1e-7, fused=True)  # Keras's epsilon


def patch_loss(logits, label: int):
    """Mean softmax cross-entropy of the patches: logits [n, 2, h, w]."""
    return functional.cross_entropy(logits, torch.full_like(logits[:, 0], label, dtype=torch.long))


def to_tensor(pictures: np.ndarray):
    """[n, h, w, c] to [n, c, h, w] without a copy: numpy's order is PyTorch's channels_last."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def start(kind: type[Side], config: Config) -> None:
    global side  # one in each child process
    side = kind(config)


def answer(method: str, *arguments):
    return getattr(side, method)(*arguments)


def compare(config: Config, rounds: int, steps: int) -> dict:
    """Checks that both sides are the same training, then times them in turns."""
    precision, spawn = config.training.precision, multiprocessing.get_context("spawn")
    sides = {"simrefine": Simrefine, "pytorch": PyTorch}
    processes = {name: ProcessPoolExecutor(1, spawn, start, (kind, config)) for name, kind in sides.items()}

    def ask(name: str, *question):
        return processes[name].submit(answer, *question).result()

    try:
        weights = ask("simrefine", "weights")
        ask("pytorch", "take", weights)
        warm_up = range(WARM_UP_STEPS)
        difference = float(np.abs(ask("simrefine", "losses", warm_up) - ask("pytorch", "losses", warm_up)).max())
        if not difference <= TOLERANCE[precision]:
            raise click.ClickException(f"{precision}: the losses differ by {difference:.2g}, so the sides do too")
        speeds = {name: [] for name in sides}  # images/s
        for turn in range(rounds):
            span = range(WARM_UP_STEPS + turn * steps, WARM_UP_STEPS + (turn + 1) * steps)
            for name in sorted(sides, reverse=turn % 2 == 0):  # whoever was last begins: a drift hits both alike
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
