"""The state of a method as arrays by name, and back."""

from collections.abc import Callable, Mapping
from itertools import zip_longest
from pathlib import Path

import keras
import numpy as np

from simrefine.errors import UserError
from simrefine.models.history import HistoryBuffer

Variables = Mapping[str, keras.Variable]


def variables_by_name(owners: Mapping[str, keras.Model | keras.optimizers.Optimizer]) -> dict[str, keras.Variable]:
    """Every variable of the owners, under a name that is the same in every process, "owner/000": Keras's own names
    count the layers made so far in it."""
    return {
        f"{name}/{index:03d}": variable
        for name, owner in owners.items()
        for index, variable in enumerate(owner.variables)
    }


def take_state(
    variables: Mapping[str, keras.Variable], histories: Mapping[str, HistoryBuffer]
) -> dict[str, np.ndarray]:
    """Weights and the faces of the histories."""
    arrays = {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in variables.items()}
    return arrays | {f"{name}/faces": history.held() for name, history in histories.items()}


def put_state(
    arrays: Mapping[str, np.ndarray],
    variables: Variables,
    histories: Mapping[str, HistoryBuffer],
    source: Path,
) -> None:
    """The way back.

    Raises:
        UserError: the arrays are of another configuration; nothing was assigned.
    """
    wanted = {*variables, *(f"{name}/faces" for name in histories)}
    if wanted != arrays.keys():
        unknown = sorted(wanted ^ arrays.keys())
        raise UserError(
            f"{source} is of another architecture: {', '.join(unknown[:3])} fit nothing",
            "use the configuration it was trained with (config.toml beside it)",
        )
    assign(list(variables.values()), [arrays[name] for name in variables], source)
    for name, history in histories.items():
        history.hold(arrays[f"{name}/faces"])


def build_from(build: Callable[[], keras.Model], values: list[np.ndarray], source: Path) -> keras.Model:
    """The network that `build` makes, with these weights. Its shapes are worked out and compared first, without memory
    for a single weight: a small file that asks for a giant network costs nothing.

    Raises:
        UserError: the arrays belong to another architecture.
    """
    with keras.StatelessScope(initialize_variables=False):
        _compare(build().variables, values, source)
    network = build()
    assign(network.variables, values, source)
    return network


def assign(variables: list[keras.Variable], values: list[np.ndarray], source: Path) -> None:
    """Puts arrays into variables after comparing every shape, so that nothing is half loaded.

    Raises:
        UserError: the arrays belong to another architecture.
    """
    _compare(variables, values, source)
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _compare(variables: list[keras.Variable], values: list[np.ndarray], source: Path) -> None:
    wanted, found = [tuple(variable.shape) for variable in variables], [value.shape for value in values]
    if wanted != found:
        pairs = zip_longest(wanted, found)
        index, (mine, theirs) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        raise UserError(
            f"{source} is of another architecture: as array {index} the network has {mine}, the file {theirs}",
            "use the configuration it was trained with (config.toml beside it)",
        )
