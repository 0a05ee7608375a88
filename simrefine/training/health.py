"""The ways in which training goes wrong without an error, noticed in the logged numbers.

In go the alarms that a method declares and the means over each logging window; out comes an alarm, once when its
condition has held for a while and again only after it has cleared. What is no number stops the training at once.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simrefine.arrays import non_finite
from simrefine.errors import EXIT_DIVERGED, UserError
from simrefine.methods.logged import Alarm, Logged


class Health:
    """Counts, for every alarm that `logged` declares, the windows in a row in which its condition held."""

    def __init__(self, logged: Sequence[Logged]):
        self._alarms = [entry.alarm for entry in logged if entry.alarm]
        self._held = {alarm.name: 0 for alarm in self._alarms}

    def observe(self, numbers: Mapping[str, float]) -> list[tuple[str, str]]:
        """The alarms that begin with this window, as (name, message with its numbers)."""
        beginning = []
        for alarm in self._alarms:
            try:
                holds = alarm.holds(numbers)
            except KeyError:  # a pretraining phase has only one of the players
                holds = False
            self._held[alarm.name] = self._held[alarm.name] + 1 if holds else 0
            if self._held[alarm.name] == alarm.windows:
                shown = {name.replace("/", "_"): value for name, value in numbers.items()}
                beginning.append((alarm.name, alarm.message.format(**shown)))
        return beginning

    @property
    def descriptions(self) -> dict[str, str]:
        """What is said of each of `states`."""
        return {
            _name(alarm): f'1 while the alarm "{alarm.name}" stands, which the Text tab explains. **Look for:** 0.'
            for alarm in self._alarms
        }

    @property
    def states(self) -> dict[str, float]:
        """1 for every alarm that stands, else 0, under names for TensorBoard."""
        return {_name(alarm): float(self._held[alarm.name] >= alarm.windows) for alarm in self._alarms}


def _name(alarm: Alarm) -> str:
    return "health/" + alarm.name.replace(" ", "_")


def stop_on_nan(numbers: Mapping[str, float | np.ndarray], step: int, run: Path, saved: int) -> None:
    """Raises a UserError where a number, or an array, of step `step` is not finite.

    `saved` is the step of the last checkpoint, whose arrays were finite, or it would not have been saved.
    """
    if bad := non_finite(numbers):
        kept = f"the last good checkpoint is step {saved}" if saved else "no checkpoint had been saved yet"
        raise UserError(
            f"training diverged at step {step + 1}: {bad} is not a finite number; {kept} in {run}",
            "lower the learning rates, or refiner.bound",
            exit_code=EXIT_DIVERGED,
        )
