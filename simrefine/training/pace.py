"""How fast steps follow each other, from the moments at which they end, and how long the rest takes, in words."""

from time import perf_counter

import numpy as np

MEASURED = 20  # steps after which a training says how long it will take


class Pace:
    """The seconds that a step takes: the median, so that what only happens now and then does not count. What came
    before the end of the first step, such as compiling it, is left out."""

    def __init__(self):
        self._ends: list[float] = []

    def tick(self) -> None:
        """A step has ended."""
        self._ends.append(perf_counter())

    @property
    def measured(self) -> int:
        """How many steps were measured."""
        return max(0, len(self._ends) - 1)

    @property
    def seconds_a_step(self) -> float:
        """Needs a measured step."""
        return float(np.median(np.diff(self._ends)))

    def rest(self, left: int) -> str | None:
        """How long `left` steps will take, said once: after MEASURED steps, where there are any left."""
        if self.measured != MEASURED - 1 or not left:
            return None
        return f"{in_words(left * self.seconds_a_step)} to go (from {self.measured} measured steps)"


def in_words(seconds: float) -> str:
    """ "about 12 minutes", "less than a minute", "about 3.5 hours"."""
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 1.5:
        return "about 1 minute"
    return f"about {minutes:.0f} minutes" if minutes < 90 else f"about {minutes / 60:.1f} hours"
