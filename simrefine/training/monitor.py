"""The outputs of a run while it trains: TensorBoard, metrics.jsonl, log.txt, the progress line and the health alarms.

In go each step's numbers and, now and then, pictures; nothing comes back, so training is the same with or without.
"""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.util.tensor_util import make_tensor_proto

from simrefine.config import Config
from simrefine.data.images import Picture, encode_picture, to_uint8
from simrefine.files import write_file
from simrefine.methods.logged import OF_EVERY_RUN, Logged
from simrefine.methods.method import Inspection
from simrefine.printable import printable
from simrefine.training.events import Events
from simrefine.training.health import Health
from simrefine.training.montage import change_overlay, comparison, probability_overlay
from simrefine.training.pace import Pace
from simrefine.training.run_folder import read_metrics

SECONDS_BETWEEN_LINES = 30  # on an output that is no terminal, where a progress line cannot be redrawn

# What TensorBoard says of the pictures.
GRID_PICTURE = (
    "The same faces at every look, a row a face: as the refiner is given them, refined, the change five times as "
    "strong around mid-gray, and any photograph. **Look for:** eyes, brows and lips in place; the rendered look gone."
)
CHANGE_PICTURE = (
    "Where the refiner changed these faces, from nothing (dark) to the most in this very face (bright); the bar beside "
    "each says how many gray levels that is. **Look for:** skin and hair rather than a single spot."
)
PROBABILITY_PICTURE = (
    "Where the discriminator takes a refined face for a photograph (blue) or sees through it (red), a column a patch "
    "size; white is undecided, and the bar says how far the colours reach. **Look for:** no part that is always red."
)
PARSER_PICTURE = (
    "Photographs, and below them what the parser takes for skin, hair, eyes, lips and clothes. **Look for:** parts "
    "where they are."
)


class Monitor:
    """The outputs of one run; a context manager, so that everything is flushed however the run ends.

    Args:
        run: the run folder.
        config: what is shown as text and as hyperparameters.
        logged: the numbers that the method may log; they say what the progress line shows and which alarms there are.
        first, total: the step this process begins with, and the number of all steps.
        console: where the progress goes.
        opening: the lines that were shown before the run folder was opened; log.txt begins with them.
    """

    def __init__(
        self,
        run: Path,
        config: Config,
        logged: Sequence[Logged],
        first: int,
        total: int,
        console: Console,
        opening: Sequence[str] = (),
    ):
        self._opening = opening
        self._shown = [entry for entry in logged if entry.label]
        self._run, self._config, self._first, self._total, self._console = run, config, first, total, console
        self._window: dict[str, list[float]] = defaultdict(list)
        self._window_began, self._waited = time.perf_counter(), 0.0
        self._line_shown, self._pace = 0.0, Pace()
        self._health = Health(logged)
        self._descriptions = self._health.descriptions | {
            entry.name: f"{entry.shows}. **Look for:** {entry.look_for}." for entry in (*logged, *OF_EVERY_RUN)
        }

    def __enter__(self) -> "Monitor":
        self._log = open(self._run / "log.txt", "a", encoding="utf-8", errors="backslashreplace")
        for message in self._opening:
            self._note(message)
        _forget_lines_from(self._run / "metrics.jsonl", self._first)
        self._metrics = open(self._run / "metrics.jsonl", "a", encoding="utf-8")
        self._events = Events(self._run / "tensorboard")
        # TensorBoard then drops what a killed process wrote past its last checkpoint.
        session = SessionLog(status=SessionLog.START)
        self._events.add_event(Event(wall_time=time.time(), step=self._first, session_log=session))
        self._add(self._first, text_pb("config", _as_code(self._config.to_toml())))
        flat = {name: printable(str(v)) if isinstance(v, str | tuple) else v for name, v in self._config.flat().items()}
        self._add(0, hparams_pb(flat))
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task("step", total=self._total, completed=self._first, numbers="")
        return self

    def __exit__(self, *_) -> None:
        self._progress.stop()
        self._events.close()
        self._metrics.close()
        self._log.close()

    @property
    def unheard(self) -> bool:
        """Whether nobody reads the progress any more, see `Output`."""
        return getattr(self._console.file, "lost", False)

    def say(self, message: str) -> None:
        """A line for the user and for log.txt."""
        self._console.print(printable(message), markup=False, highlight=False, soft_wrap=True)
        self._note(message)

    def _note(self, message: str) -> None:
        self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(message)}\n")
        self._log.flush()

    def parser(self, agreement: float, sheet: np.ndarray) -> None:
        """How well the parser reads held-out renders, in [0, 1], and what it makes of photographs, uint8 [h, w, 3]."""
        self.say(f"parser: {agreement:.1%} of the pixels of held-out renders are named rightly")
        self._write_scalars(self._first, {"parser/agreement": agreement})
        self._add_picture(self._first, "parser/photographs and their parts", sheet, PARSER_PICTURE)

    def tick(self, done: int) -> None:
        """A step has ended, and `done` are done in all; its numbers may come later."""
        self._progress.update(self._task, completed=done)
        self._pace.tick()
        if rest := self._pace.rest(self._total - done):
            self.say(rest)

    def step(self, step: int, numbers: dict[str, float], seconds_waited: float) -> None:
        """Takes the numbers of step `step`; at the end of each window writes their means.

        `seconds_waited` is the time lost waiting for data since the run began.
        """
        for name, value in numbers.items():
            self._window[name].append(value)
        done = step + 1
        if done % self._config.monitor.scalars_every and done != self._total:
            return
        seconds = time.perf_counter() - self._window_began
        count = max(map(len, self._window.values()))
        means = {name: float(np.mean(values)) for name, values in self._window.items()}
        means["time/images_per_second"] = count * self._config.training.batch_size / seconds
        means["time/waiting_for_data"] = (seconds_waited - self._waited) / seconds
        alarms = self._health.observe(means)
        self._write_scalars(done, means | self._health.states)
        self._metrics.write(json.dumps({"step": done} | {k: round(v, 6) for k, v in means.items()}) + "\n")
        self._metrics.flush()
        self._events.flush()
        self._show(done, means, seconds / count)
        for name, message in alarms:
            self.say(f"ALARM at step {done}: {name}: {message}")
            self._add(done, text_pb("health/alarms", f"**{name}**: {message}"))
        self._window.clear()
        self._window_began, self._waited = time.perf_counter(), seconds_waited

    def pictures(self, step: int, real: np.ndarray, seen: Inspection) -> None:
        """The fixed grid, the patch probabilities and the histograms after `step` steps.

        `real` are the fixed photographs, float32 [n, h, w, c] in [-1, 1], that `seen` was made from.
        """
        columns = {name: to_uint8(pictures) for name, pictures in (seen.columns | {"real": real}).items()}
        headings, grid = comparison(columns)
        self._add_picture(step, f"faces/{headings}", grid, GRID_PICTURE)
        changed = change_overlay(columns["synthetic"], columns["refined"])
        self._add_picture(step, "faces/refined, where it was changed (gray levels)", changed, CHANGE_PICTURE)
        overlay = probability_overlay(columns["refined"], seen.probabilities)
        tag = "faces/refined, probability of refined (red) per patch size"
        self._add_picture(step, tag, overlay, PROBABILITY_PICTURE)
        for tag, margins in seen.margins.items():
            self._add(step, histogram_pb(tag, margins))
        self._write_scalars(step, seen.numbers)
        self._events.flush()

    def held_out(self, step: int, numbers: dict[str, float]) -> None:
        """The numbers on held-out faces after `step` steps."""
        shown = ", ".join(f"{name.removeprefix('held_out/')} {value:.2f}" for name, value in numbers.items())
        self.say(f"held-out faces at step {step}: {shown}")
        self._write_scalars(step, numbers)
        self._metrics.write(json.dumps({"step": step} | {k: round(v, 6) for k, v in numbers.items()}) + "\n")
        self._metrics.flush()

    def _show(self, done: int, means: dict[str, float], seconds_a_step: float) -> None:
        losses = "  ".join(
            f"{entry.label} {means[entry.name]:{entry.format}}" for entry in self._shown if entry.name in means
        )
        speed = f"{means['time/images_per_second']:.0f} images/s"
        self._progress.update(self._task, numbers=f"{speed}  {losses}")
        left = _duration((self._total - done) * seconds_a_step)
        line = f"step {done}/{self._total}  {speed}  {losses}  left {left}"
        self._log.write(line + "\n")
        self._log.flush()
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._line_shown > SECONDS_BETWEEN_LINES or done == self._total):
            self._line_shown = now
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _write_scalars(self, step: int, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            self._add(step, scalar_pb(name, value, self._descriptions.get(name)))

    def _add_picture(self, step: int, tag: str, pixels: np.ndarray, description: str) -> None:
        png = encode_picture(Picture(pixels, None), ".png")
        height, width = pixels.shape[:2]
        # As tf.summary.image writes it: a tensor of width, height and pictures. Only so may it have a description.
        tensor = make_tensor_proto([str(width).encode(), str(height).encode(), png])
        about = create_summary_metadata(display_name=None, description=description)
        self._add(step, Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=about)]))

    def _add(self, step: int, summary: Summary) -> None:
        self._events.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def _forget_lines_from(metrics: Path, first: int) -> None:
    """Drops the lines a killed process wrote past its last checkpoint: the resumed run writes those steps again."""
    if metrics.exists():
        kept = [json.dumps(line) + "\n" for line in read_metrics(metrics) if line["step"] <= first]
        write_file(metrics, "".join(kept).encode())


def _as_code(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
