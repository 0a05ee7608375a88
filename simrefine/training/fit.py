"""The one trainer of small networks that learn from examples: a network, a loss and batches in, moved weights out.

The two-sample test and the networks that learn landmarks and classes use it. The two players of a GAN do not: they take
turns, see `simrefine.training.train`.
"""

from collections.abc import Callable

import keras

from simrefine import backend
from simrefine.threads import Prefetcher


def fit(
    network: keras.Model,
    loss: Callable,
    batch: Callable[[int], tuple],
    steps: int,
    optimizer: keras.optimizers.Optimizer,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[int], bool] | None = None,
) -> None:
    """Moves the trainable weights of `network`, and nothing else, `steps` times down the gradient of `loss`.

    Args:
        network: what is trained; its state that no gradient reaches (dropout, batch norm) follows where `loss` calls it
            with training=True.
        loss: the arrays of a batch to a scalar.
        batch: the number of a step, from 0, to the arrays of its batch. A pure function: batches are made ahead, by
            several threads.
        steps: how many.
        optimizer: not built yet.
        progress: called after every step with the share of the steps that is done, in (0, 1].
        stop: called after every step with its number; True ends the training early.
    """
    variables = network.trainable_variables
    optimizer.build(variables)

    def update(*arrays):
        return backend.minimise(lambda: (loss(*arrays), {}), variables, optimizer)

    step = backend.compile_step(update, [*network.variables, *optimizer.variables])
    for index, arrays in enumerate(Prefetcher(lambda step: backend.to_device(batch(step)), range(steps))):
        step(*arrays)
        if progress:
            progress((index + 1) / steps)
        if stop and stop(index):
            break
