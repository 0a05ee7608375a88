"""Arrays go back into the variables they came from, or nowhere."""

import keras
import numpy as np
import pytest
from tiny import tiny_config

from simrefine.errors import UserError
from simrefine.methods.state import assign, build_from
from simrefine.models.networks import build_refiner


def test_arrays_of_another_architecture_are_refused_before_any_is_assigned(tmp_path):
    class Variable:
        def __init__(self, shape):
            self.shape = shape

        def assign(self, _):
            raise AssertionError("half loaded")

    with pytest.raises(UserError, match=r"another architecture.*array 1 .*\(4,\).*\(5,\)"):
        assign([Variable((3,)), Variable((4,))], [np.zeros(3), np.zeros(5)], tmp_path)
    with pytest.raises(UserError, match=r"another architecture.*array 1 .*\(4,\).*None"):
        assign([Variable((3,)), Variable((4,))], [np.zeros(3)], tmp_path)


def test_a_network_of_gigabytes_is_refused_before_its_weights_are_made(tmp_path):
    options = tiny_config(refiner__width=1024, refiner__kernel=7, refiner__blocks=1).refiner  # 13 GiB
    built = []

    def build():
        built.append(keras.src.backend.common.stateless_scope.in_stateless_scope())
        return build_refiner(options, 3, "float32", seed=0)

    with pytest.raises(UserError, match="another architecture"):
        build_from(build, [np.zeros(3, np.float32)], tmp_path)
    assert built == [True], "it was built in memory"


def test_a_network_is_built_with_the_weights_that_fit_it(tmp_path):
    options = tiny_config().refiner
    values = [np.full(v.shape, 0.5, np.float32) for v in build_refiner(options, 3, "float32", seed=0).variables]
    network = build_from(lambda: build_refiner(options, 3, "float32", seed=0), values, tmp_path)
    assert all((keras.ops.convert_to_numpy(variable) == 0.5).all() for variable in network.variables)
