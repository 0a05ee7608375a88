"""Optimisers that are built before anything is traced, and the fall of their learning rates."""

import keras

from simrefine.config import Config, OptimizerOptions, TrainingOptions


def build_optimiser(options: OptimizerOptions, variables: list) -> keras.optimizers.Optimizer:
    """An optimiser that has its variables already: one that makes them inside a trace loses them."""
    if options.name == "sgd":
        optimiser = keras.optimizers.SGD(options.learning_rate)
    else:
        optimiser = keras.optimizers.Adam(options.learning_rate, beta_1=options.beta_1)
    optimiser.build(variables)
    return optimiser


def set_learning_rates(
    config: Config, step: int, refiner: keras.optimizers.Optimizer, discriminator: keras.optimizers.Optimizer
) -> None:
    """Those of step `step`: the full ones at first, then falling linearly to zero after the last step.

    Full rates keep the two players chasing each other through tints to the end; falling ones let them settle.
    """
    share = falling_share(config.training, step, config.training.all_steps)
    for optimiser, options in ((refiner, config.refiner_optimizer), (discriminator, config.discriminator_optimizer)):
        optimiser.learning_rate = share * options.learning_rate


def falling_share(training: TrainingOptions, step: int, steps: int) -> float:
    """The share of its learning rate that an optimiser has at step `step` of `steps`: 1 at first, then falling to zero
    after the last, over `training.learning_rate_decay` of all; 0 from there on."""
    falling = training.learning_rate_decay * steps
    return min(1.0, max(0, steps - step) / falling) if falling else 1.0
