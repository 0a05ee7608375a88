"""`--axis yaw=-20..20:5` and `--lock age`: what is asked of axes, from texts to steps.

A step is in standard deviations of the attribute, the three angles of a head in degrees; `1.5sd` says so of any.
"""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simrefine.errors import UserError
from simrefine.generating.axes import Axes

MOST = 1000  # values of a sweep
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_VALUE = re.compile(rf"({_NUMBER})(?:\.\.({_NUMBER}):({_NUMBER}))?(sd)?")
_WRITE = "write NAME=NUMBER or NAME=FROM..TO:STEP, such as smile=+1.5 or yaw=-20..20:5"


@dataclass(frozen=True)
class Asked:
    """What is asked of one axis: steps of it, in standard deviations of its attribute, and as they were written."""

    place: int
    steps: tuple[float, ...]
    values: tuple[float, ...]
    unit: str


@dataclass(frozen=True)
class Moves:
    """Every combination of the steps of several axes, with others locked."""

    asked: tuple[Asked, ...]
    locked: tuple[int, ...]

    @classmethod
    def parse(cls, axes: Axes, steps: Sequence[str], locks: Sequence[str] = ()) -> "Moves":
        """Of texts as the command line has them; a lock "all" is every axis that is not moved.

        Raises:
            UserError: a text is malformed, there is no such axis, one is named twice, or moved and locked.
        """
        asked = tuple(_parse(axes, text) for text in steps)
        places = [one.place for one in asked]
        if not asked:
            raise UserError("no axis is named", f"{_WRITE}, with --axis")
        if len(set(places)) < len(places):
            raise UserError("an axis is named twice", "name each once")
        locked: list[int] = []
        for name in (name.strip() for text in locks for name in text.split(",")):
            if name == "all":
                locked += [int(place) for place in np.flatnonzero(axes.usable) if place not in places]
            elif name:
                locked.append(axes.place(name))
        if clash := {*locked} & {*places}:
            raise UserError(f"{axes.names[min(clash)]} is both moved and locked", "leave one of the two out")
        return cls(asked, tuple(dict.fromkeys(locked)))

    @property
    def turns(self) -> list[tuple[int, ...]]:
        """For each combination the place of the step of each axis."""
        return list(itertools.product(*(range(len(one.steps)) for one in self.asked)))

    def said(self, axes: Axes, turn: tuple[int, ...]) -> dict[str, str]:
        """The values of a combination, by the names of the axes, with their units."""
        return {
            axes.names[one.place]: f"{one.values[step]:+g} {one.unit}"
            for one, step in zip(self.asked, turn, strict=True)
        }

    def offsets(self, axes: Axes) -> np.ndarray:
        """What each combination adds to the latents, [turns, d]: each axis is held while others move.

        Raises:
            UserError: see `Axes.direction`.
        """
        places = [one.place for one in self.asked]
        directions = [axes.direction(place, (*places, *self.locked)) for place in places]
        steps = [[one.steps[step] for one, step in zip(self.asked, turn, strict=True)] for turn in self.turns]
        return np.array(steps) @ np.stack(directions)


def _parse(axes: Axes, text: str) -> Asked:
    name, equals, value = text.rpartition("=")  # a class has one in its name
    found = _VALUE.fullmatch(value.replace(" ", ""))
    if not equals or not found:
        raise UserError(f"--axis {text} cannot be read", _WRITE)
    place = axes.place(name.strip())
    first, last, by, forced = found.groups()
    values = (float(first),) if last is None else _sweep(text, *map(float, (first, last, by)))
    unit = "sd" if forced else axes.unit(axes.names[place])
    scale = 1.0 if unit == "sd" else float(axes.deviation[place])
    return Asked(place, tuple(value / scale for value in values), values, unit)


def _sweep(text: str, first: float, last: float, by: float) -> tuple[float, ...]:
    count = (last - first) / by if by else math.inf
    if not 0 <= count < MOST:
        raise UserError(
            f"--axis {text} is no sweep: steps of {by:g} do not lead from {first:g} to {last:g} in up to {MOST}", _WRITE
        )
    return tuple(round(first + step * by, 9) for step in range(int(count + 1e-9) + 1))
