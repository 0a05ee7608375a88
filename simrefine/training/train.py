"""Training, from two folders of faces to a published refiner: the loop, readable from top to bottom.

In goes a Config; out comes a run folder with config.toml, environment.json, data.png, log.txt, metrics.jsonl,
tensorboard/, checkpoints/ and refiner/. The steps themselves are in methods/.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from simrefine import backend
from simrefine.config import Config
from simrefine.data.faces import Faces
from simrefine.data.images import to_signed
from simrefine.errors import UserError
from simrefine.files import check_name, remove_leftovers, reporting_disk_faults, write_file
from simrefine.interruption import OUTPUT_CLOSED, Interruption
from simrefine.methods import METHODS
from simrefine.methods.method import Inputs, Method
from simrefine.printable import printable
from simrefine.threads import Prefetcher
from simrefine.training.checkpoint import save_checkpoint
from simrefine.training.data_check import SHEET, check_data, write_sheet
from simrefine.training.dressing import prepare_dressing
from simrefine.training.estimate import estimate_training
from simrefine.training.frozen import freeze_networks
from simrefine.training.health import stop_on_nan
from simrefine.training.held_out import SCORE, HeldOut, split_off
from simrefine.training.inputs import read_piles, resolve_size, spread
from simrefine.training.monitor import Monitor
from simrefine.training.output import Output
from simrefine.training.published import is_published, write_published
from simrefine.training.room import reporting_short_memory
from simrefine.training.run_folder import checkpoint_to_resume, claim, describe_environment, locked, next_run


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
    config = resolve_size(config, run if resume else None, say)
    for line in config.to_lines():
        say(f"  {line}")
    if dry_run:
        return _only_look(config, run, dtype, say)

    # All that can be refused is refused before the run folder is made.
    checkpoint = checkpoint_to_resume(run, config, say) if resume else claim(run)
    first, total = checkpoint.step if checkpoint else 0, config.training.all_steps
    if first >= total and is_published(run / "refiner", first):
        raise UserError(f"{run} has done all of its {total} steps already", "give a larger --steps to go on")
    piles = read_piles(config, run, say)
    shown = check_data(config, *piles, say)
    synthetic, real, held_out = _hold_out(config, run, *piles, resume, say)

    with locked(run), reporting_disk_faults(run), reporting_short_memory(config, run):
        remove_leftovers(run)
        write_file(run / "config.toml", config.to_toml().encode())
        write_file(run / "environment.json", json.dumps(describe_environment(dtype), indent=2).encode())
        write_sheet(run / SHEET, shown, say)
        dressing = prepare_dressing(config, synthetic, real, dtype, say, checkpoint and checkpoint.arrays)
        inputs = Inputs(synthetic.pile, real.pile, synthetic.points, dressing.dresser)
        frozen = freeze_networks(config, inputs, dressing.parser, dtype, say, resumed=bool(checkpoint))
        method = METHODS[config.method.name](config, inputs, dtype, frozen)
        if checkpoint:
            method.restore(checkpoint.arrays, checkpoint.path)
        with Monitor(run, config, method.logged, first, total, console, opening) as monitor:
            if dressing.parser:
                monitor.parser(dressing.agreement, dressing.sheet)
            return _run_steps(method, inputs, config, run, held_out, monitor, range(first, total))


def _only_look(config: Config, run: Path, dtype: str, say: Callable[[str], None]) -> Result:
    """What a dry run does: shows both piles, draws faces of them beside where the run folder would be, and says how
    long it would take."""
    piles = read_piles(config, None, say)
    write_sheet(run.with_name(f"{run.name}-{SHEET}"), check_data(config, *piles, say), say)
    say("time        trying a few steps")
    say(f"            {estimate_training(config, *piles, dtype)}")
    return Result(run, 0, 0)


def _hold_out(
    config: Config, run: Path, synthetic: Faces, real: Faces, resumed: bool, say: Callable[[str], None]
) -> tuple[Faces, Faces, HeldOut | None]:
    """The piles without the faces that are held out, and those, where any are."""
    if not config.evaluation.every:
        return synthetic, real, None
    synthetic, held_out_synthetic = split_off(synthetic, config, "synthetic")
    real, held_out_real = split_off(real, config, "real")
    say(f"held out    {config.evaluation.faces} pictures of each, never trained on")
    return synthetic, real, HeldOut(config, run, held_out_synthetic, held_out_real, resumed=resumed)


def _run_steps(
    method: Method,
    inputs: Inputs,
    config: Config,
    run: Path,
    held_out: HeldOut | None,
    monitor: Monitor,
    steps: range,
) -> Result:
    """The loop: a batch, a step, now and then a look and a checkpoint, until all steps are done or a signal comes."""
    first, total = steps.start, steps.stop
    _begin(method, run, held_out, monitor, first)
    synthetic, real = (to_signed(pile[spread(len(pile), config.monitor.faces)]) for pile in inputs[:2])
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
            looks = held_out and (done % config.evaluation.every == 0 or last)
            saves = done % config.monitor.checkpoint_every == 0 or last
            if shows or looks or saves:
                read_numbers()  # nothing is kept of a step whose numbers are none
            if shows:
                monitor.pictures(done, real, method.inspect(synthetic, real))
            if looks or saves:
                state = method.state()
                stop_on_nan(state, step, run, saved)  # a loss tells of it one step later, and perhaps there is none
            if looks:
                held_out.look(method, done, monitor)
            if saves:
                save_checkpoint(run / "checkpoints", done, state, config.monitor.keep_checkpoints)
                write_published(run / "refiner", method.publish(), done)
                saved = done
            if last:
                break
    return _end(config, run, held_out, monitor, done, interruption)


def _begin(method: Method, run: Path, held_out: HeldOut | None, monitor: Monitor, first: int) -> None:
    """What is done before the first step."""
    if first:
        monitor.say(f"continuing at step {first}")
        if not is_published(run / "refiner", first):  # an earlier process ended between its checkpoint and this
            write_published(run / "refiner", method.publish(), first)
            monitor.say(f"published the refiner of step {first}, which was missing")
    elif held_out:
        held_out.look_at_unrefined(method, monitor)


def _end(
    config: Config, run: Path, held_out: HeldOut | None, monitor: Monitor, done: int, interruption: Interruption
) -> Result:
    """Says how it ended, and what to do next."""
    if done < config.training.all_steps:
        monitor.say(f"stopped at step {done} by {interruption.name}; everything is saved")
        monitor.say(f"to go on:  simrefine train --resume --run {run}")
        return Result(run, done, interruption.exit_code)
    monitor.say(f"done: the refiner is in {run / 'refiner'}")
    model = run
    if held_out and held_out.best:
        model = held_out.folder
        monitor.say(f"the best on held-out faces (distance {held_out.best[SCORE]:.1f}) is in {model}")
    monitor.say(f"to use it: simrefine refine DIR --model {model} --out DIR")
    return Result(run, done, 0)
