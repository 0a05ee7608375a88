"""What both a step and its backend must know. test_parity.py runs these on the other backend too."""

import keras
import numpy as np
import pytest
from keras import ops

from simrefine import backend
from simrefine.models.kinks import clipped, magnitude


def sgd(variables, rate=0.5):
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build(variables)
    return optimizer


def test_a_step_that_uses_a_variable_it_did_not_name_is_refused():
    # A backend without state of its own would take it for a constant and go on with its first value.
    named, forgotten = keras.Variable(1.0), keras.Variable(2.0)
    step = backend.compile_step(lambda x: named * forgotten * x, [named])
    with pytest.raises(ValueError, match="compile_step does not know"):
        step(np.float32(3.0))
    assert float(backend.compile_step(lambda x: named * forgotten * x, [named, forgotten])(np.float32(3.0))) == 6


def test_so_is_one_that_only_assigns_it():
    forgotten = keras.Variable(2.0)
    with pytest.raises(ValueError, match="compile_step does not know"):
        backend.compile_step(lambda x: forgotten.assign(x), [])(np.float32(3.0))


def test_a_compiled_step_sees_what_was_assigned_outside_and_what_it_assigned_before():
    count, factor = keras.Variable(0.0), keras.Variable(1.0)

    def add(x):
        count.assign(count + factor * x)
        return count * 1.0

    step = backend.compile_step(add, [count, factor])
    assert [float(step(np.float32(2))) for _ in range(3)] == [2, 4, 6]
    factor.assign(10.0)
    assert float(step(np.float32(2))) == 26 == float(count)
    assert float(step(np.float32(1))) == 36


def test_an_inference_sees_the_weights_as_they_are_now():
    weight = keras.Variable(1.0)
    infer = backend.compile_inference(lambda pictures: pictures * weight)
    pictures = np.ones((3, 2, 2, 1), np.float32)
    assert infer(pictures).max() == 1
    weight.assign(5.0)
    assert infer(pictures).min() == 5 and infer(pictures[:2, :1]).shape == (2, 1, 2, 1)
    assert infer(pictures[:0]).shape == (0, 2, 2, 1)


def test_minimise_moves_the_variables_it_is_given_and_no_other():
    moving, standing = keras.Variable(1.0), keras.Variable(1.0)
    aux = backend.minimise(lambda: (moving * standing, {"product": moving * standing}), [moving], sgd([moving]))
    assert (float(moving), float(standing), float(aux["product"])) == (0.5, 1.0, 1.0)


@pytest.mark.parametrize("compiled", [False, True])
def test_what_a_loss_assigns_beside_stays_assigned(compiled):
    layer = keras.layers.BatchNormalization(momentum=0.0)
    layer.build((None, 1))
    optimizer = sgd(layer.trainable_variables)

    def step(x):
        return backend.minimise(lambda: (ops.mean(layer(x, training=True)), {}), layer.trainable_variables, optimizer)

    variables = [*layer.variables, *optimizer.variables]
    run = backend.compile_step(step, variables) if compiled else step
    run(np.float32([[3.0], [5.0]]))
    assert float(np.asarray(layer.moving_mean)[0]) == 4


def test_rows_are_read_and_written_where_they_are_said_to_be():
    rows = keras.Variable(np.arange(5, dtype=np.uint8)[:, None] * [1, 10], dtype="uint8", trainable=False)
    step = backend.compile_step(lambda new, places: backend.write_rows(rows, places, new), [rows])
    step(np.full((2, 2), 77, np.uint8), np.int32([3, 0]))
    np.testing.assert_array_equal(np.asarray(rows)[:, 1], [77, 10, 20, 77, 40])
    np.testing.assert_array_equal(np.asarray(backend.read_rows(rows, np.int32([4, 1])))[:, 0], [4, 1])


def test_at_a_kink_the_slope_is_the_same_on_every_backend():
    # Elsewhere JAX has 1 for |0| and 0.5 for a clip at its ends, and TensorFlow 0 and 1.
    for function, at, slopes in ((magnitude, [0.0, -2.0, 3.0], [0, -1, 1]), (clipped, [1.0, -1.0, 2.0], [1, 1, 0])):
        x = keras.Variable(np.float32(at))
        backend.minimise(lambda x=x, f=function: (ops.sum(f(x * 1.0)), {}), [x], sgd([x], 1.0))
        np.testing.assert_array_equal(np.float32(at) - np.asarray(x), slopes)


def test_memory_that_is_short_is_a_memory_error():
    def exhausted(pictures):
        if backend.name == "jax":
            import jax

            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: OOM when allocating")
        import tensorflow as tf

        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(MemoryError, match="OOM"):
        backend.compile_inference(exhausted)(np.zeros((1, 2, 2, 3), np.float32))
