"""What the training of a refiner puts into the loop: renders, photographs, what renders are dressed with, and a look at
faces held out."""

from collections.abc import Callable
from pathlib import Path

from simrefine.config import Config
from simrefine.data.images import to_signed
from simrefine.methods import METHODS
from simrefine.methods.method import Inputs, Method
from simrefine.training.checkpoint import Checkpoint
from simrefine.training.data_check import SHEET, check_data, write_sheet
from simrefine.training.dressing import prepare_dressing
from simrefine.training.estimate import estimate_training
from simrefine.training.frozen import freeze_networks
from simrefine.training.held_out import SCORE, HeldOut, split_off
from simrefine.training.inputs import read_piles, spread
from simrefine.training.monitor import Monitor


class RefinerTask:
    """See `training.train.Task`."""

    monitor = Monitor

    def __init__(self, config: Config, say: Callable[[str], None], run: Path | None):
        self._config, self._say = config, say
        self._synthetic, self._real = read_piles(config, run, say)
        self._shown = check_data(config, self._synthetic, self._real, say)
        self._held_out = None

    def estimate(self, run: Path, dtype: str) -> str:
        write_sheet(run.with_name(f"{run.name}-{SHEET}"), self._shown, self._say)
        self._say("time        trying a few steps")
        return estimate_training(self._config, self._synthetic, self._real, dtype)

    def hold_out(self, run: Path, resumed: bool) -> None:
        config = self._config
        if not config.evaluation.every:
            return
        self._synthetic, held_out_synthetic = split_off(self._synthetic, config, "synthetic")
        self._real, held_out_real = split_off(self._real, config, "real")
        self._say(f"held out    {config.evaluation.faces} pictures of each, never trained on")
        self._held_out = HeldOut(config, run, held_out_synthetic, held_out_real, resumed=resumed)

    def build(self, run: Path, dtype: str, checkpoint: Checkpoint | None) -> Method:
        config, synthetic, real = self._config, self._synthetic, self._real
        write_sheet(run / SHEET, self._shown, self._say)
        arrays = checkpoint and checkpoint.arrays
        self._dressing = prepare_dressing(config, synthetic, real, dtype, self._say, arrays)
        inputs = Inputs(synthetic.pile, real.pile, synthetic.points, self._dressing.dresser)
        frozen = freeze_networks(config, inputs, self._dressing.parser, dtype, self._say, resumed=bool(checkpoint))
        self._faces = [to_signed(pile[spread(len(pile), config.monitor.faces)]) for pile in inputs[:2]]
        return METHODS[config.method.name](config, inputs, dtype, frozen)

    def begin(self, method: Method, monitor: Monitor, first: int) -> None:
        if self._dressing.parser:
            monitor.parser(self._dressing.agreement, self._dressing.sheet)
        if self._held_out and not first:
            self._held_out.look_at_unrefined(method, monitor)

    def show(self, method: Method, done: int, monitor: Monitor) -> None:
        synthetic, real = self._faces
        monitor.pictures(done, real, method.inspect(synthetic, real))

    def looks(self, done: int, last: bool) -> bool:
        return bool(self._held_out) and (done % self._config.evaluation.every == 0 or last)

    def look(self, method: Method, done: int, monitor: Monitor) -> None:
        self._held_out.look(method, done, monitor)

    def tell_how_to_use(self, run: Path, monitor: Monitor) -> None:
        model = run
        if self._held_out and self._held_out.best:
            model = self._held_out.folder
            monitor.say(f"the best on held-out faces (distance {self._held_out.best[SCORE]:.1f}) is in {model}")
        monitor.say(f"to use it: simrefine refine DIR --model {model} --out DIR")
