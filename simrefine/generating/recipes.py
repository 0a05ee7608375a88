"""What is done to faces, as a TOML file that `move` repeats in bulk and the studio saves:

lock = ["pitch", "skin"]
parts = ["hair"]
seed = 3

[axes]
yaw = "-20..20:5"
mouthSmile = 1.5
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simrefine.errors import UserError
from simrefine.reading import Unreadable, read_regular

MAX_BYTES = 2**20
_FORM = "it has a table [axes] of name = number or text, and above it lock = [...], parts = [...] and seed = number"


@dataclass(frozen=True)
class Recipe:
    """Texts as the command line takes them.

    Args:
        axes: steps, "yaw=-20..20:5".
        lock: names of axes that stay.
        parts: that are drawn anew.
        seed: of what is drawn anew.
    """

    axes: tuple[str, ...] = ()
    lock: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    seed: int = 0

    def with_more(self, axes: Sequence[str], lock: Sequence[str], parts: str | None, seed: int | None) -> "Recipe":
        """What a command line adds; its parts and its seed stand in for the recipe's."""
        names = self.parts if parts is None else tuple(name.strip() for name in parts.split(",") if name.strip())
        return Recipe((*self.axes, *axes), (*self.lock, *lock), names, self.seed if seed is None else seed)

    def as_toml(self) -> str:
        """The text of the file."""
        lists = {"lock": self.lock, "parts": self.parts}
        lines = [f"{name} = [{', '.join(map(_quoted, values))}]" for name, values in lists.items()]
        steps = (step.rpartition("=") for step in self.axes)  # a class has a "=" in its name
        lines += [
            f"seed = {self.seed}",
            "",
            "[axes]",
            *(f"{_quoted(name)} = {_quoted(value)}" for name, _, value in steps),
        ]
        return "\n".join(lines) + "\n"


def read_recipe(file: Path) -> Recipe:
    """Reads a recipe.

    Raises:
        UserError: it cannot be read, or has other things in it.
    """
    try:
        content = tomllib.loads(read_regular(file, MAX_BYTES).decode())
    except (Unreadable, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"the recipe {file} cannot be read: {error}", "check the path, or save it anew") from error
    kinds = {"axes": dict, "lock": list, "parts": list, "seed": int}
    for name, value in content.items():
        if name not in kinds or not isinstance(value, kinds[name]):
            raise UserError(f"the recipe {file} has a {name} that is none", _FORM)
    steps = content.get("axes", {})
    if not all(isinstance(value, int | float | str) for value in steps.values()) or content.get("seed", 0) < 0:
        raise UserError(f"the recipe {file} has a step or a seed that is none", _FORM)
    return Recipe(
        tuple(f"{name}={value}" for name, value in steps.items()),
        *(tuple(map(str, content.get(name, ()))) for name in ("lock", "parts")),
        content.get("seed", 0),
    )


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
