"""Training, from two folders of faces to a published refiner: the loop, readable from top to bottom.

In goes a Config; out comes a run folder with config.toml, environment.json, data.png, log.txt, metrics.jsonl,
tensorboard/, checkpoints/ and refiner/. The steps themselves are in methods/.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console

from simrefine import backend
from simrefine.catalogue import METHODS
from simrefine.config import Config
from simrefine.errors import UserError
from simrefine.files import check_name, remove_leftovers, reporting_disk_faults, write_file
from simrefine.interruption import OUTPUT_CLOSED, Interruption
from simrefine.methods.method import Method
from simrefine.printable import printable
from simrefine.threads import Prefetcher
from simrefine.training.checkpoint import Checkpoint, save_checkpoint
from simrefine.training.health import stop_on_nan
from simrefine.training.inputs import resolve_size
from simrefine.training.learn_generator import GeneratorTask
from simrefine.training.learn_refiner import RefinerTask
from simrefine.training.monitor import Monitor
from simrefine.training.output import Output
from simrefine.training.published import is_published, write_published
from simrefine.training.room import check_batch, reporting_short_memory
from simrefine.training.run_folder import checkpoint_to_resume, claim, describe_environment, locked, next_run


class Task(Protocol):
    """What is to be learnt, made as `TASKS[makes](config, say, run)`, which reads the folders and refuses what can be
    refused. `run` is where rejected files are listed, None = nowhere."""

    monitor: type[Monitor]

    def estimate(self, run: Path, dtype: str) -> str:
        """How long it would take, by a few steps, in words; faces that it learns from are drawn beside `run`."""

    def hold_out(self, run: Path, resumed: bool) -> None:
        """Takes the faces away that are never trained on."""

    def build(self, run: Path, dtype: str, checkpoint: Checkpoint | None) -> Method:
        """The method, after all that is trained before its first step."""

    def begin(self, method: Method, monitor: Monitor, first: int) -> None:
        """Shows what there is before step `first`."""

    def show(self, method: Method, done: int, monitor: Monitor) -> None:
        """Pictures of fixed faces."""

    def looks(self, done: int, last: bool) -> bool:
        """Whether a look at held-out faces is due after `done` steps."""

    def look(self, method: Method, done: int, monitor: Monitor) -> None:
        """The look, which also keeps the best."""

    def tell_how_to_use(self, run: Path, monitor: Monitor) -> None:
        """The last words."""


TASKS: dict[str, type[Task]] = {"refiner": RefinerTask, "generator": GeneratorTask}


@dataclass(frozen=True)
class Result:
    """How a training ended."""

    run: Path
    step: int  # steps done, over all its processes
    exit_code: int  # 0, or that of what ended it early, see errors.py


def train(
    config: Config, run: Path | str | None = None, *, resume: bool = False, dry_run: bool = False, quiet: bool = False
) -> Result:
    """Trains a refiner by `method.name` and publishes it under `run`/refiner.

    Args:
        config: `data.synthetic` and `data.real` must be set.
        run: the run folder; None = the next free number under runs/.
        resume: continue `run` from its newest whole checkpoint. On a CPU and with the same `training.steps` the
            result equals, bit for bit, that of a run that was never stopped.
        dry_run: read the folders, report what would be done, write the faces of data.png beside where the run would be,
            try a few steps to say how long it would take, then stop.
        quiet: print nothing; log.txt still says everything.

    Raises:
        UserError: a folder is missing, holds too few usable pictures or is given twice; the run folder is taken,
            in use or of another configuration; a loss became NaN (exit code EXIT_DIVERGED); the disk is full.
    """
    console, opening = Console(file=Output(), quiet=quiet), []
    run = Path(run) if run else next_run()
    check_name("run folder", str(run))
    backend.use_device()
    dtype = backend.resolve_precision(config.training.precision)

    def say(message: str) -> None:  # until the run folder has its log.txt, which begins with these lines
        console.print(printable(message), markup=False, highlight=False, soft_wrap=True)
        opening.append(message)

    say(f"run folder  {run}{'  (dry run: it is not made)' if dry_run else ''}")
    say(f"device      {backend.describe_device()}, {dtype}")
    slow = not (backend.has_gpu() or backend.has_native_bfloat16())
    config = resolve_size(config, run if resume else None, say, slow)
    for line in config.to_lines():
        say(f"  {line}")
    check_batch(config.training.batch_size)
    makes = METHODS[config.method.name].makes
    if dry_run:
        say(f"            {TASKS[makes](config, say, None).estimate(run, dtype)}")
        return Result(run, 0, 0)

    # All that can be refused is refused before the run folder is made.
    checkpoint = checkpoint_to_resume(run, config, say) if resume else claim(run)
    first, total = checkpoint.step if checkpoint else 0, config.training.all_steps
    if first >= total and is_published(run / makes, first):
        raise UserError(f"{run} has done all of its {total} steps already", "give a larger --steps to go on")
    task = TASKS[makes](config, say, run)
    task.hold_out(run, resume)

    with locked(run), reporting_disk_faults(run), reporting_short_memory(config, run):
        remove_leftovers(run)
        write_file(run / "config.toml", config.to_toml().encode())
        write_file(run / "environment.json", json.dumps(describe_environment(dtype), indent=2).encode())
        method = task.build(run, dtype, checkpoint)
        if checkpoint:
            method.restore(checkpoint.arrays, checkpoint.path)
        with task.monitor(run, config, method.logged, first, total, console, opening) as monitor:
            if first:
                _go_on(method, run / makes, first, monitor)
            task.begin(method, monitor, first)
            return _run_steps(task, method, config, run, monitor, range(first, total))


def _go_on(method: Method, folder: Path, first: int, monitor: Monitor) -> None:
    """Says so, and publishes what an earlier process did not that ended between its checkpoint and this."""
    monitor.say(f"continuing at step {first}")
    if not is_published(folder, first):
        write_published(folder, method.publish(), first)
        monitor.say(f"published the {folder.name} of step {first}, which was missing")


def _run_steps(task: Task, method: Method, config: Config, run: Path, monitor: Monitor, steps: range) -> Result:
    """The loop: a batch, a step, now and then a look and a checkpoint, until all steps are done or a signal comes."""
    first, total, makes = steps.start, steps.stop, METHODS[config.method.name].makes
    batches = Prefetcher(lambda step: backend.to_device(method.batch(step)), steps)
    if steps:
        monitor.say("compiling the training step (the first one takes a while)")
    saved = done = first
    unread: list[tuple[int, dict]] = []  # steps and their numbers, which may still be on their way

    def read_numbers() -> None:
        for past, numbers in unread:
            numbers = {name: float(value) for name, value in numbers.items()}
            stop_on_nan(numbers, past, run, saved)
            monitor.step(past, numbers, batches.seconds_waited)
        unread.clear()

    with Interruption() as interruption:
        for step, batch in zip(steps, batches, strict=True):
            unread.append((step, method.step(batch, step)))
            done = step + 1
            monitor.tick(done)
            if done % config.monitor.scalars_every == 0:
                read_numbers()
            if monitor.unheard:
                interruption.ask(OUTPUT_CLOSED)
            last = done == total or interruption.signal is not None
            shows = done % config.monitor.images_every == 0 or last or step == first
            looks, saves = task.looks(done, last), done % config.monitor.checkpoint_every == 0 or last
            if shows or looks or saves:
                read_numbers()  # nothing is kept of a step whose numbers are none
            if shows:
                task.show(method, done, monitor)
            if looks or saves:
                state = method.state()
                stop_on_nan(state, step, run, saved)  # a loss tells of it one step later, and perhaps there is none
            if looks:
                task.look(method, done, monitor)
            if saves:
                save_checkpoint(run / "checkpoints", done, state, config.monitor.keep_checkpoints)
                write_published(run / makes, method.publish(), done)
                saved = done
            if last:
                break
    if done < total:
        monitor.say(f"stopped at step {done} by {interruption.name}; everything is saved")
        monitor.say(f"to go on:  simrefine train --resume --run {run}")
        return Result(run, done, interruption.exit_code)
    monitor.say(f"done: the {makes} is in {run / makes}")
    task.tell_how_to_use(run, monitor)
    return Result(run, done, 0)
