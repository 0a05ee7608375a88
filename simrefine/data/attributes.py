"""What a label file says of pictures beside points and people: numbers (angles, expressions, lights) and classes.

Rows of a .jsonl or a .csv in, a table of numbers out: NaN where nothing is said of a picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.data.labels import read_facts
from simrefine.errors import UserError

COLOUR = 3  # numbers in a list that stands for a colour, and counts by their mean
RARE = 0.02  # share of the pictures that a class must have, and must not have, to be one
_SIDES = ("_L", "_R")  # left and right of one expression, as ARKit names them


@dataclass(frozen=True)
class Attributes:
    """What is known of n pictures.

    Args:
        names: of the k attributes. A class is one for each of its values, "hair_style=bald".
        values: float64 [n, k]: numbers in the file's own unit, a class 1 or 0; NaN where nothing is said.
        classes: bool [k], whether it is a class.
    """

    names: tuple[str, ...]
    values: np.ndarray
    classes: np.ndarray


def read_attributes(file: Path, folder: Path, pictures: Sequence[str]) -> Attributes:
    """The attributes of `pictures`, posix paths below `folder`, which a .jsonl or a .csv names.

    Objects within a row are gone through. Where some rows give an object a number that others leave out of theirs, as
    expressions often are, the others have 0 of it. NAME_L and NAME_R become one NAME, their mean, and a colour the mean
    of its three numbers. An attribute is called by its own key where no other has that key, else by the keys above
    too: "person.skin".

    Raises:
        UserError: the file is missing, malformed, or says nothing of the pictures that differs between them.
    """
    rows = read_facts(file, folder, pictures)
    known = {place: rows[name] for place, name in enumerate(pictures) if name in rows}
    if not known:
        raise UserError(f"{file} has no row for the pictures of {folder}", "name the label file that belongs to them")
    flat = {place: dict(_flatten(row)) for place, row in known.items()}
    columns = {}
    for key in sorted(set().union(*flat.values())):
        above = key.split(".")[:-1]
        beside = [place for place, row in known.items() if above and _has_object(row, above)]
        said = {place: row[key] for place, row in flat.items() if key in row}
        columns[key] = _column(said, beside, len(pictures))
    numbers = {key: values for key, values in columns.items() if values.dtype != object}
    numbers = {key: (values, False) for key, values in _both_sides(numbers).items()}
    classes = {
        f"{key}={value}": (share, True)
        for key, values in columns.items()
        if values.dtype == object
        for value, share in _classes(values)
    }
    found = {key: column for key, column in (numbers | classes).items() if np.nanstd(column[0]) > 0}
    if not found:
        raise UserError(f"{file} says nothing that differs between these pictures", "give rows numbers or classes")
    values, kinds = zip(*found.values(), strict=True)
    return Attributes(_short([*found]), np.stack(values, axis=1), np.array(kinds))


def _flatten(row: Mapping[str, Any], above: str = ""):
    """Pairs of dotted keys and numbers or texts; longer lists, which are points, are left out."""
    for key, value in row.items():
        key = f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{key}.")
        elif isinstance(value, bool):
            yield key, str(value).lower()
        elif isinstance(value, Real | str):
            yield key, value
        elif isinstance(value, list) and len(value) == COLOUR and all(isinstance(one, Real) for one in value):
            yield key, float(np.mean(value))


def _has_object(row: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        row = row.get(key) if isinstance(row, Mapping) else None
    return isinstance(row, Mapping)


def _column(said: Mapping[int, Any], beside: Sequence[int], count: int) -> np.ndarray:
    """What is said, by place: float64 [count] where all of it is numbers, with 0 for the rows `beside` that have the
    object it stands in, and NaN elsewhere; else texts, as objects, and None elsewhere."""
    numbers = {place: _number(value) for place, value in said.items()}
    if None in numbers.values():
        column = np.full(count, None, object)
        for place, value in said.items():
            column[place] = str(value)
        return column
    column = np.full(count, np.nan)
    column[list(beside)] = 0.0
    for place, number in numbers.items():
        column[place] = number
    return column


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _both_sides(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns, those of left and right as one."""
    left, right = _SIDES
    stems = [key.removesuffix(left) for key in columns if key.endswith(left)]
    both = {stem: (columns[stem + left] + columns[stem + right]) / 2 for stem in stems if stem + right in columns}
    alone = {key: values for key, values in columns.items() if not key.endswith(_SIDES) or key[:-2] not in both}
    return alone | both


def _classes(values: np.ndarray):
    """Pairs of a value and who has it, float64 [n], of the values that are neither rare nor everybody's."""
    said = np.array([value is not None for value in values])
    for value in sorted({*values[said]}):
        share = np.where(said, values == value, np.nan).astype(float)
        if RARE <= np.nanmean(share) <= 1 - RARE:
            yield value, share


def _short(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys without those above them, where that leaves them different."""
    lasts = [key.partition("=")[0].rpartition(".")[2] + "".join(key.partition("=")[1:]) for key in keys]
    return tuple(last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True))
