"""Training, from two folders of faces to a published refiner: the loop, readable from top to bottom.

In goes a Config; out comes a run folder with config.toml, environment.json, log.txt, metrics.jsonl, tensorboard/,
checkpoints/ and refiner/. The steps themselves are in models/simgan.py.
"""

import json
import math
import platform
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console

from simrefine import backend
from simrefine.config import CHANGEABLE_ON_RESUME, Config
from simrefine.data.batches import Batch, Pile, Sampler
from simrefine.data.folders import Reject, list_folder, write_rejects
from simrefine.data.images import to_signed
from simrefine.data.labels import read_labels
from simrefine.data.points import check_inside, fit_points, hold_map
from simrefine.data.styles import read_all_styles, restyle, restyle_alone
from simrefine.errors import EXIT_DIVERGED, EXIT_INTERRUPTED, EXIT_TERMINATED, UserError
from simrefine.files import reporting_disk_faults, write_file
from simrefine.models.augmentation import draw_augmentation
from simrefine.models.losses import feature_distance
from simrefine.models.simgan import SimGAN, StepBatch
from simrefine.randomness import generator
from simrefine.threads import Prefetcher
from simrefine.training.checkpoint import (
    Checkpoint,
    assign,
    newest_checkpoint,
    publish_refiner,
    read_refiner,
    save_checkpoint,
)
from simrefine.training.held_out import SCORE, hold_out, is_better, measure_held_out
from simrefine.training.monitor import Monitor

MAX_STYLES = 4096  # photographs whose colours are used and kept with the refiner: 200 kB
RUNS = Path("runs")  # where a run without a name goes, numbered


@dataclass(frozen=True)
class Result:
    """How a training ended."""

    run: Path
    step: int  # steps done, over all its processes
    exit_code: int  # 0, or EXIT_INTERRUPTED / EXIT_TERMINATED when a signal ended it early


def train(
    config: Config, run: Path | str | None = None, *, resume: bool = False, dry_run: bool = False, quiet: bool = False
) -> Result:
    """Trains a refiner (SimGAN, arXiv 1612.07828, Algorithm 1) and publishes it under `run`/refiner.

    Args:
        config: `data.synthetic` and `data.real` must be set.
        run: the run folder; None = the next free number under runs/.
        resume: continue `run` from its newest whole checkpoint. On a CPU and with the same `training.steps` the
            result equals, bit for bit, that of a run that was never stopped.
        dry_run: read the folders and report what would be done, then stop.
        quiet: print nothing; log.txt still says everything.

    Raises:
        UserError: a folder is missing, holds too few usable pictures or is given twice; the run folder is taken,
            in use or of another configuration; a loss became NaN (exit code EXIT_DIVERGED); the disk is full.
    """
    console = Console(quiet=quiet)
    run = Path(run) if run else _next_run()
    backend.use_device()
    dtype = backend.resolve_precision(config.training.precision)
    said: list[str] = []  # for log.txt, which does not exist yet

    def say(message: str) -> None:
        console.print(message, markup=False, highlight=False, soft_wrap=True)
        said.append(message)

    say(f"run folder  {run}{'  (dry run: nothing is written)' if dry_run else ''}")
    say(f"device      {backend.describe_device()}, {dtype}")
    for line in config.to_lines():
        say(f"  {line}")
    if dry_run:
        synthetic, _ = _load_piles(config, None, say)
        _read_points(config, synthetic, say)
        return Result(run, 0, 0)

    # All that can be refused is refused before the run folder is made.
    checkpoint = _checkpoint_to_resume(run, config, say) if resume else _claim(run)
    first = checkpoint.step if checkpoint else 0
    options = config.training
    total = options.all_steps
    if first >= total:
        raise UserError(f"{run} has done all of its {total} steps already", "give a larger --steps to go on")
    synthetic, real = _load_piles(config, run, say)
    held_out_faces = None
    if config.evaluation.every:
        synthetic, held_out_synthetic = hold_out(synthetic, config, "synthetic")
        real, held_out_real = hold_out(real, config, "real")
        held_out_faces = held_out_synthetic, held_out_real
        say(f"held out    {config.evaluation.faces} pictures of each, never trained on")

    points = _read_points(config, synthetic, say)
    styles = read_all_styles(real[[place]][0] for place in _spread(len(real), MAX_STYLES))

    def dress(pictures: np.ndarray) -> np.ndarray:
        return restyle_alone(pictures, styles, config.style.candidates, seed=0)

    def refine(pictures: np.ndarray) -> np.ndarray:
        return gan.average(dress(pictures))

    with _locked(run), reporting_disk_faults(run):
        write_file(run / "config.toml", config.to_toml().encode())
        write_file(run / "environment.json", json.dumps(_environment(dtype), indent=2).encode())

        gan = SimGAN(config, dtype, backend.minimise, backend.compile_step, _features(config))
        if checkpoint:
            restore(gan, checkpoint)
        best = read_refiner(run / "best").evaluation if first and (run / "best").exists() else None
        samplers = _Samplers(config, synthetic, real, points, styles)
        fixed = dress(_fixed_faces(synthetic, config.monitor.faces)), _fixed_faces(real, config.monitor.faces)
        batches = Prefetcher(samplers.step_batch, range(first, total))
        with Monitor(run, config, first, total, console, said) as monitor, _Interruption() as interruption:
            if first:
                monitor.say(f"continuing at step {first}")
            elif held_out_faces:
                monitor.held_out(0, measure_held_out(refine, *held_out_faces))  # what the unrefined faces score
            monitor.say("compiling the training step (the first one takes a while)")
            done = saved = first
            for step, batch in enumerate(batches, start=first):
                gan.set_learning_rates(step)
                if step < options.pretrain_refiner:
                    numbers = gan.step_pretraining(batch, step)
                elif step < options.pretrain_refiner + options.pretrain_discriminator:
                    numbers = gan.step_discriminator(batch)
                else:
                    numbers = gan.step(batch, step)
                _stop_on_nan(numbers, step, run, saved)
                done = step + 1
                monitor.step(step, numbers, batches.seconds_waited)
                last = done == total or interruption.signal is not None
                if done % config.monitor.images_every == 0 or last or step == first:
                    monitor.pictures(done, *fixed, gan.inspect(*fixed))
                if held_out_faces and (done % config.evaluation.every == 0 or last):
                    measured = measure_held_out(refine, *held_out_faces)
                    monitor.held_out(done, measured)
                    if is_better(measured, best, config.evaluation):
                        best = measured
                        publish_refiner(run / "best", config, done, average_weights(gan), styles, best)
                if done % config.monitor.checkpoint_every == 0 or last:
                    _save(gan, config, run, done, styles)
                    saved = done
                if last:
                    break
            if done < total:
                monitor.say(f"stopped at step {done} by {interruption.name}; everything is saved")
                monitor.say(f"to go on:  simrefine train --resume --run {run}")
                return Result(run, done, interruption.exit_code)
            monitor.say(f"done: the refiner is in {run / 'refiner'}")
            model = run
            if best:
                model = run / "best"
                monitor.say(f"the best on held-out faces (distance {best[SCORE]:.1f}) is in {model}")
            monitor.say(f"to use it: simrefine refine DIR --model {model} --out DIR")
    return Result(run, done, 0)


class _Samplers:
    """The random order of both piles: step number in, StepBatch out, whatever was asked for before.

    `points` are the label points of the synthetic pile, [m, k, 2] in px, or None; `styles` the photographs' colours.
    """

    def __init__(self, config: Config, synthetic: Pile, real: Pile, points: np.ndarray | None, styles: np.ndarray):
        options = config.training
        self._config, self._points, self._styles = config, points, styles
        # Half of D's refined faces come from the history where there is one.
        self._refined = options.batch_size // 2 if config.history.half_batches else options.batch_size
        seed, flip = options.seed, config.data.flip
        self._for_refiner = Sampler(synthetic, options.batch_size, seed, "refiner synthetic", flip)
        self._for_discriminator = Sampler(synthetic, self._refined, seed, "discriminator synthetic", flip)
        self._real = Sampler(real, options.batch_size, seed, "discriminator real", flip)

    def step_batch(self, step: int) -> StepBatch:
        options = self._config.training
        k_g, k_d, n = options.refiner_updates, options.discriminator_updates, options.batch_size
        rng, style_rng = (generator(options.seed, step, purpose) for purpose in ("augmentation", "style"))
        for_refiner = [self._for_refiner.batch(step * k_g + k) for k in range(k_g)]
        for_discriminator = [self._for_discriminator.batch(step * k_d + k) for k in range(k_d)]

        def dress(batch: Batch) -> np.ndarray:
            return restyle(batch.pictures, self._styles, self._config.style.candidates, style_rng)

        return StepBatch(
            synthetic_for_refiner=[dress(batch) for batch in for_refiner],
            hold_for_refiner=[self._hold(batch) for batch in for_refiner],
            draws_for_refiner=[draw_augmentation(n, rng) for _ in range(k_g)],
            synthetic_for_discriminator=[dress(batch) for batch in for_discriminator],
            real=[self._real.batch(step * k_d + k).pictures for k in range(k_d)],
            draws_for_discriminator=[draw_augmentation(2 * n, rng) for _ in range(k_d)],
            history_rng=generator(options.seed, step, "history"),
        )

    def _hold(self, batch: Batch) -> np.ndarray:
        """See StepBatch: 1 at the label points, falling to `labels.elsewhere`; 1 everywhere without points."""
        if self._points is None:
            return np.ones((len(batch.pictures), 1, 1, 1), np.float32)
        options, size = self._config.labels, self._config.data.size
        points = self._points[batch.places]
        across = np.where(batch.mirrored[:, None], size - points[..., 0], points[..., 0])
        near = hold_map(np.stack([across, points[..., 1]], -1), size, options.reach)
        return options.elsewhere + (1.0 - options.elsewhere) * near


class _Interruption:
    """Turns the first Ctrl-C or SIGTERM into a wish that the loop fulfils; the second Ctrl-C quits at once."""

    EXIT_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}  # noqa: RUF012

    def __init__(self):
        self.signal: signal.Signals | None = None

    def __enter__(self) -> "_Interruption":
        try:
            self._previous = {each: signal.signal(each, self._receive) for each in self.EXIT_CODES}
        except ValueError:  # not the main thread, where Python allows no handlers: the caller's stand
            self._previous = {}
        return self

    def __exit__(self, *_) -> None:
        for each, handler in self._previous.items():
            signal.signal(each, handler)

    def _receive(self, number: int, _frame) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    @property
    def name(self) -> str:
        return {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[self.signal]

    @property
    def exit_code(self) -> int:
        return self.EXIT_CODES[self.signal]


def _next_run() -> Path:
    number = 1
    while (RUNS / f"{number:03d}").exists():
        number += 1
    return RUNS / f"{number:03d}"


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """Keeps two trainings out of one folder; the lock dies with the process, so none is left behind."""
    with reporting_disk_faults(run):
        run.mkdir(parents=True, exist_ok=True)
        file = open(run / ".lock", "w")  # noqa: SIM115 held for the whole run
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # Windows: two runs in one folder stay the user's affair
        except OSError as error:
            raise UserError(f"another training is running in {run}", "wait for it, or name another --run") from error
        yield


def _claim(run: Path) -> None:
    """Checks that a new run overwrites nothing; one that never reached its first checkpoint may start over."""
    if any((run / "checkpoints").glob("step-*")):
        raise UserError(f"{run} already holds a run", "continue it with --resume, or name another --run")


def _checkpoint_to_resume(run: Path, config: Config, say) -> Checkpoint:
    if not (run / "config.toml").exists():
        raise UserError(f"{run} holds no run to resume: config.toml is missing", "name the folder of an earlier --run")
    differing = config.differences(Config.load(run / "config.toml", environment={}))
    fixed = {key: pair for key, pair in differing.items() if key not in CHANGEABLE_ON_RESUME}
    if fixed:
        shown = ", ".join(f"{key} = {now!r} (was {before!r})" for key, (now, before) in fixed.items())
        raise UserError(f"{run} was trained with another configuration: {shown}", "leave these out, or start a new run")
    checkpoint, damaged = newest_checkpoint(run / "checkpoints")
    for message in damaged:
        say(f"WARNING: {message}")
    if not checkpoint:
        raise UserError(f"{run / 'checkpoints'} holds no whole checkpoint", "start over without --resume")
    if damaged:
        say(f"falling back to {checkpoint.path}")
    return checkpoint


def _load_piles(config: Config, run: Path | None, say) -> tuple[Pile, Pile]:
    """Reads both folders; rejected files are listed in `run`/rejects.csv."""
    folders = {"synthetic": config.data.synthetic, "real": config.data.real}
    for name, folder in folders.items():
        if not folder:
            raise UserError(f"no {name} folder is given", f"add --{name} DIR")
    listings = {
        name: list_folder(Path(folder), config.data.exclude, what=f"{name} folder") for name, folder in folders.items()
    }
    both = set.intersection(*({record.path.resolve() for record in each.pictures} for each in listings.values()))
    if both:
        raise UserError(
            f"{len(both)} pictures are in both the synthetic folder {folders['synthetic']} and the real folder "
            f"{folders['real']}, such as {min(both)}",
            "give two separate folders, or leave one out with --exclude",
        )
    piles, rejects = {}, []
    for name, folder in folders.items():
        pile = Pile(listings[name].pictures, config.data.size, config.data.channels, config.data.memory_gib)
        say(f"{name:<11} {folder}: {len(pile)} pictures, {len(pile.rejects)} rejected")
        rejects += [Reject(str(Path(folder) / each.relative), each.reason) for each in pile.rejects]
        piles[name] = pile
    where = ""
    if rejects and run:
        write_rejects(run / "rejects.csv", rejects)
        where = f", see {run / 'rejects.csv'}"
    for reject in rejects[:3]:
        say(f"  rejected  {reject.relative}: {reject.reason}")
    for name, pile in piles.items():
        if len(pile) < config.training.batch_size:
            raise UserError(
                f"the {name} folder {folders[name]} holds {len(pile)} usable pictures, at least "
                f"{config.training.batch_size} (one batch) are needed ({len(pile.rejects)} rejected{where})",
                "add pictures, or lower --batch-size",
            )
    return piles["synthetic"], piles["real"]


def _read_points(config: Config, synthetic: Pile, say) -> np.ndarray | None:
    """The label points of the synthetic pile, [m, k, 2] in px of the training pictures, NaN where there are none; None
    without a label file, or where `labels.elsewhere` makes them idle."""
    if not config.labels.file or config.labels.elsewhere == 1:
        return None
    labels = read_labels(Path(config.labels.file), Path(config.data.synthetic))
    if not labels.points:
        say(f"labels      {config.labels.file} has no points: features are held everywhere alike")
        return None
    names = [str(record.relative) for record in synthetic.records]
    known = [name for name in names if name in labels.points]
    if not known:
        raise UserError(
            f"{config.labels.file} has no points for the pictures of {config.data.synthetic}",
            "name the label file that belongs to them, or turn it off with --labels ''",
        )
    nowhere = np.full_like(labels.points[known[0]], np.nan)
    points = np.stack([labels.points.get(name, nowhere) for name in names])
    height, width = synthetic.source_sizes.T
    check_inside(points, names, height, width, labels.source)
    say(f"labels      {config.labels.file}: points of {len(known)} pictures say where features are held")
    return fit_points(points, height, width, config.data.size)


def _fixed_faces(pile: Pile, count: int) -> np.ndarray:
    """The same faces at every look, spread over the pile: float32 [count, h, w, c]."""
    return to_signed(pile[_spread(len(pile), count)])


def _spread(length: int, count: int) -> np.ndarray:
    """At most `count` places, spread evenly over `length`."""
    return np.linspace(0, length - 1, min(count, length)).astype(int)


def _features(config: Config):
    """The feature-map term, if its lambda asks for it."""
    if not config.self_regularisation.features:
        return None
    options = config.features
    try:
        return feature_distance(options.application, options.layer, options.weights)
    except Exception as error:  # Keras raises many kinds here: no network, no file, no such layer, a damaged file
        raise UserError(
            f"cannot load {options.application} with weights {options.weights!r} for self_regularisation.features: "
            f"{error}",
            "set features.weights to a local weights file, or self_regularisation.features = 0",
        ) from error


def _stop_on_nan(numbers: dict[str, float], step: int, run: Path, saved: int) -> None:
    bad = [name for name, value in numbers.items() if not math.isfinite(value)]
    if bad:
        kept = f"the last good checkpoint is step {saved}" if saved else "no checkpoint had been saved yet"
        raise UserError(
            f"training diverged at step {step + 1}: {', '.join(bad)} is not a finite number; {kept} in {run}",
            "lower the learning rates, or refiner.bound",
            exit_code=EXIT_DIVERGED,
        )


def _save(gan: SimGAN, config: Config, run: Path, step: int, styles: np.ndarray) -> None:
    arrays = {name: variable.numpy() for name, variable in gan.variables().items()}
    arrays |= {"history/faces": gan.history.faces[: gan.history.count]}
    save_checkpoint(run / "checkpoints", step, arrays, config.monitor.keep_checkpoints)
    publish_refiner(run / "refiner", config, step, average_weights(gan), styles)


def average_weights(gan: SimGAN) -> list[np.ndarray]:
    """The averaged refiner's weights, which are the ones that are published."""
    return [variable.numpy() for variable in gan.average.variables]


def restore(gan: SimGAN, checkpoint: Checkpoint) -> None:
    """Weights, both optimisers, the average and the history; randomness needs none, it follows from the step."""
    arrays = dict(checkpoint.arrays)
    faces = arrays.pop("history/faces")
    variables = gan.variables()
    if variables.keys() != arrays.keys():
        odd = sorted(variables.keys() ^ arrays.keys())
        raise UserError(f"{checkpoint.path} is of another architecture: {', '.join(odd[:3])} fit nothing")
    assign(list(variables.values()), [arrays[name] for name in variables], checkpoint.path)
    gan.history.faces[: len(faces)] = faces
    gan.history.count = len(faces)


def _environment(dtype: str) -> dict[str, str | None]:
    packages = ("simrefine", "tensorflow", "keras", "numpy", "opencv-python-headless", "tensorboard")
    return {name: version(name) for name in packages} | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": backend.describe_device(),
        "precision": dtype,
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    """The commit of the working folder, "-dirty" where files differ from it; None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
