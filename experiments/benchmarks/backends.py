"""How fast is a training step on each backend, and on a GPU beside plain PyTorch?

    taskset -c 1 python experiments/benchmarks/backends.py [--size 64] [--batch-size 32] [--rounds 5] [--steps 2]
    python experiments/benchmarks/backends.py --pytorch --size 128     # on a GPU: channels-last, autocast, torch.compile

Without --pytorch the step is that of `simrefine train` with its default options, on generated pictures; with it, that
of ../paper.toml, which plain_pytorch.py has too. Each contender has a process to itself and its own best precision
(`auto`) unless --precision names one. They take turns, whoever was last begins the next round, and the table has the
medians.
"""

import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np

PAPER = Path(__file__).parents[1] / "paper.toml"
WARM_UP = 2  # steps, the first of which is compiled


class Step:
    """A contender in a process of its own."""

    def __init__(self, name: str, values: dict, file: Path | None):
        from simrefine import backend
        from simrefine.config import Config

        backend.use_device()
        self.config, self.name = Config.load(file, values, environment={}), name
        self.dtype = backend.resolve_precision(self.config.training.precision)
        self.device = backend.describe_device()
        if name == "pytorch":
            from plain_pytorch import PyTorch

            self.method = PyTorch(self.config, fast=True)
            self.device, self.dtype = self.method.device_name, self.config.training.precision
        else:
            from methods import generate_inputs

            from simrefine.methods import METHODS

            self.method = METHODS["simgan"](self.config, generate_inputs(self.config), self.dtype)

    def about(self) -> tuple[str, str]:
        return self.device, self.dtype

    def seconds(self, steps: range) -> float:
        """Without making the batches, which `simrefine train` does beside it."""
        from simrefine import backend

        if self.name == "pytorch":
            batches = [self.method.faces(step) for step in steps]
        else:
            batches = [backend.to_device(self.method.batch(step)) for step in steps]
        began = time.perf_counter()
        for step, batch in zip(steps, batches, strict=True):
            numbers = self.method.step(batch, step)
        for number in numbers.values():
            float(number)  # the last step has ended when its numbers are there
        return time.perf_counter() - began


def start(name: str, values: dict, file: Path | None) -> None:
    global contender  # one in each child process
    contender = Step(name, values, file)


def answer(method: str, *arguments):
    return getattr(contender, method)(*arguments)


def compare(names: list[str], values: dict, file: Path | None, rounds: int, steps: int) -> dict[str, dict]:
    """Images/s of each contender in every round, its device and its precision."""
    spawn, processes = multiprocessing.get_context("spawn"), {}
    for name in names:
        os.environ["KERAS_BACKEND"] = "jax" if name == "jax" else "tensorflow"  # of the process that begins now
        processes[name] = ProcessPoolExecutor(1, spawn, start, (name, values, file))
        processes[name].submit(answer, "about").result()
    try:
        measured = {}
        for name, process in processes.items():
            device, dtype = process.submit(answer, "about").result()
            first = process.submit(answer, "seconds", range(WARM_UP)).result()
            measured[name] = {"device": device, "precision": dtype, "first": first, "speeds": []}
        for turn in range(rounds):
            span = range(WARM_UP + turn * steps, WARM_UP + (turn + 1) * steps)
            for name in sorted(processes, reverse=turn % 2 == 0):
                seconds = processes[name].submit(answer, "seconds", span).result()
                measured[name]["speeds"].append(values["training.batch_size"] * steps / seconds)
    finally:
        for process in processes.values():
            process.shutdown()
    return measured


@click.command(help=__doc__.partition("\n")[0], context_settings={"show_default": True})
@click.option("--size", default=64, help="side of the pictures, px")
@click.option("--batch-size", default=32)
@click.option("--rounds", type=click.IntRange(1), default=5, help="turns of each contender")
@click.option("--steps", type=click.IntRange(1), default=2, help="training steps a turn")
@click.option("--precision", default="auto", help="auto, float32 or bfloat16")
@click.option("--pytorch", is_flag=True, help="the paper's networks, beside plain PyTorch")
def main(size, batch_size, rounds, steps, precision, pytorch):
    values = {"data.size": size, "training.batch_size": batch_size, "training.precision": precision}
    names = [name for name in ("tensorflow", "jax") if find_spec(name)]
    if pytorch:
        if not find_spec("torch"):
            raise click.ClickException("this needs PyTorch, which simrefine itself does not")
        names.append("pytorch")
        values |= {"training.refiner_updates": 1, "training.pretrain_refiner": 0, "training.pretrain_discriminator": 0}
    measured = compare(names, values, PAPER if pytorch else None, rounds, steps)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    click.echo(f"{size} px, batches of {batch_size}, {rounds} rounds of {steps} steps; load of the machine {load}\n")
    click.echo("| contender | device | precision | first two steps, s | images/s, median (least .. most) |")
    click.echo("|---|---|---|---|---|")
    for name, each in measured.items():
        speeds = each["speeds"]
        spread = f"{statistics.median(speeds):.1f} ({min(speeds):.1f} .. {max(speeds):.1f})"
        click.echo(f"| {name} | {each['device']} | {each['precision']} | {each['first']:.0f} | {spread} |")
    if len(names) > 1:
        ratio = statistics.median(np.divide(measured[names[0]]["speeds"], measured[names[1]]["speeds"]))
        click.echo(f"\n{names[0]} / {names[1]}: {ratio:.2f} in the median of the rounds")


if __name__ == "__main__":
    main()
