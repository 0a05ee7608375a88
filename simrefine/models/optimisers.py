"""Optimisers that are built before anything is traced, and the fall of their learning rates."""

from collections.abc import Sequence

import keras

from simrefine.config import OptimizerOptions, TrainingOptions


def build_optimiser(options: OptimizerOptions, variables: list) -> keras.optimizers.Optimizer:
    """An optimiser that has its variables already: one that makes them inside a trace loses them."""
    if options.name == "sgd":
        optimiser = keras.optimizers.SGD(options.learning_rate)
    else:
        optimiser = keras.optimizers.Adam(options.learning_rate, beta_1=options.beta_1)
    optimiser.build(variables)
    return optimiser


def set_learning_rates(
    optimisers: Sequence[tuple[keras.optimizers.Optimizer, OptimizerOptions]], step: int, training: TrainingOptions
) -> None:
    """Those of step `step`: the full ones at first, then falling linearly to zero after the last step.

    Full rates keep the two players chasing each other through tints to the end; falling ones let them settle.
    """
    falling = training.learning_rate_decay * training.all_steps
    share = min(1.0, (training.all_steps - step) / falling) if falling else 1.0
    for optimiser, options in optimisers:
        optimiser.learning_rate = share * options.learning_rate
