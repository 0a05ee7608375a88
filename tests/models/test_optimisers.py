"""The learning rates fall, so that the two players settle."""

import keras
import pytest
from tiny import tiny_config

from simrefine.models.optimisers import build_optimiser, set_learning_rates


def test_learning_rates_stay_full_at_first_and_fall_to_zero_at_the_end():
    config = tiny_config(training__steps=100, training__learning_rate_decay=0.5)
    options = (config.refiner_optimizer, config.discriminator_optimizer)
    players = [(build_optimiser(option, [keras.Variable(1.0)]), option) for option in options]
    for step, share in ((0, 1.0), (50, 1.0), (75, 0.5), (99, 0.02), (100, 0.0)):
        set_learning_rates(config, step, *(optimiser for optimiser, _ in players))
        for optimiser, option in players:
            assert float(optimiser.learning_rate) == pytest.approx(share * option.learning_rate, rel=1e-5)


def test_without_a_fall_learning_rates_stay_full_to_the_last_step():
    config = tiny_config(training__steps=100, training__learning_rate_decay=0)
    option = config.refiner_optimizer
    optimiser, other = (build_optimiser(option, [keras.Variable(1.0)]) for _ in range(2))
    set_learning_rates(config, 99, optimiser, other)
    assert float(optimiser.learning_rate) == pytest.approx(option.learning_rate)
