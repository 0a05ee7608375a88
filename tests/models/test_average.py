"""The averaged refiner is an average, and soon forgets where it started."""

import keras
import numpy as np
import pytest

from simrefine.models.average import follow


class Network:
    def __init__(self, value):
        self.variables = [keras.Variable(float(value))]

    @property
    def value(self):
        return float(self.variables[0])


@pytest.mark.parametrize(("step", "kept"), [(0, 0.1), (90, 0.91), (10**6, 0.99)])
def test_the_average_moves_by_its_decay_and_faster_at_first(step, kept):
    average, network = Network(1), Network(0)
    follow(average, network, 0.99, np.float32(step))
    assert average.value == pytest.approx(kept) and network.value == 0
