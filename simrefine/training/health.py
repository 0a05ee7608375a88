"""The three ways in which training goes wrong without an error, told from the logged numbers.

In go the means over each logging window; out come alarms, once when a condition has held for a while and again
only after it has cleared. The limits are in the open, so that a user can argue with them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

IDENTITY_CHANGE = 1.0  # gray levels: below what anyone sees
WINNING_ACCURACY = 0.98  # of patches, on both real and refined
COLLAPSED_DIVERSITY = 0.3  # spread over the refined faces as a share of the spread over the rendered ones


@dataclass(frozen=True)
class Condition:
    """An alarm's name, when it holds, how many windows in a row it must hold, and what to tell the user."""

    name: str
    holds: Callable[[Mapping[str, float]], bool]
    windows: int
    message: str  # formatted with the numbers, "/" in their names replaced by "_"


CONDITIONS = (
    Condition(
        "refiner is the identity",
        lambda n: n["refiner/change"] < IDENTITY_CHANGE,
        10,
        "refined faces differ from the rendered ones by {refiner_change:.2f} gray levels (below "
        f"{IDENTITY_CHANGE}); lower the lambdas under [self_regularisation] or raise the refiner's learning rate",
    ),
    Condition(
        "discriminator wins",
        lambda n: min(n["discriminator/accuracy_real"], n["discriminator/accuracy_refined"]) > WINNING_ACCURACY,
        5,
        "it tells {discriminator_accuracy_real:.1%} of real and {discriminator_accuracy_refined:.1%} of refined "
        "patches rightly, so the refiner gets little to learn from; lower its learning rate, raise K_g "
        "(training.refiner_updates) or the [augmentation]",
    ),
    Condition(
        "collapse",
        lambda n: n["refiner/diversity"] < COLLAPSED_DIVERSITY,
        3,
        "refined faces differ from each other by {refiner_diversity:.2f} of what the rendered ones do (below "
        f"{COLLAPSED_DIVERSITY}); raise a lambda or lower the refiner's learning rate",
    ),
)


class Health:
    """Counts, for every condition, the windows in a row in which it held."""

    def __init__(self):
        self._held = {condition.name: 0 for condition in CONDITIONS}

    def observe(self, numbers: Mapping[str, float]) -> list[tuple[str, str]]:
        """The alarms that begin with this window, as (name, message with its numbers)."""
        alarms = []
        for condition in CONDITIONS:
            try:
                holds = condition.holds(numbers)
            except KeyError:  # a pretraining phase has only one of the players
                holds = False
            self._held[condition.name] = self._held[condition.name] + 1 if holds else 0
            if self._held[condition.name] == condition.windows:
                shown = {name.replace("/", "_"): value for name, value in numbers.items()}
                alarms.append((condition.name, condition.message.format(**shown)))
        return alarms

    @property
    def states(self) -> dict[str, float]:
        """1 for every alarm that stands, else 0, under names for TensorBoard."""
        return {
            "health/" + condition.name.replace(" ", "_"): float(self._held[condition.name] >= condition.windows)
            for condition in CONDITIONS
        }
