"""What both a step and its backend must know."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simrefine import backend


def test_a_step_that_uses_a_variable_it_did_not_name_is_refused():
    # A backend without state of its own would take it for a constant and go on with its first value.
    named, forgotten = keras.Variable(1.0), keras.Variable(2.0)
    step = backend.compile_step(lambda x: named * forgotten * x, [named])
    with pytest.raises(ValueError, match="compile_step does not know"):
        step(np.float32(3.0))
    assert float(backend.compile_step(lambda x: named * forgotten * x, [named, forgotten])(np.float32(3.0))) == 6


def test_minimise_moves_the_variables_it_is_given_and_no_other():
    moving, standing = keras.Variable(1.0), keras.Variable(1.0)
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build([moving])
    aux = backend.minimise(lambda: (moving * standing, {"product": moving * standing}), [moving], optimizer)
    assert (float(moving), float(standing), float(aux["product"])) == (0.5, 1.0, 1.0)


def test_memory_that_is_short_is_a_memory_error():
    def exhausted(pictures):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(MemoryError, match="OOM"):
        backend.compile_inference(exhausted)(np.zeros((1, 2, 2, 3), np.float32))
