"""The one supervised trainer: it goes down the loss, in the order of the steps, and moves nothing but the network."""

import keras
import numpy as np
from keras import ops

from simrefine.training.fit import fit


def make_network() -> keras.Model:
    picture = keras.Input((2,))
    x = keras.layers.BatchNormalization()(picture)
    return keras.Model(picture, keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(0))(x))


def test_a_network_with_batch_norm_learns_and_its_statistics_follow():
    network, shares = make_network(), []

    def batch(step):
        x = np.random.default_rng(step).normal(3, 2, (16, 2)).astype(np.float32)
        return x, x[:, :1] - 2 * x[:, 1:]

    def loss(x, y):
        return ops.mean((network(x, training=True) - y) ** 2)

    x, y = batch(1000)
    before = float(loss(x, y))
    fit(network, loss, batch, 60, keras.optimizers.Adam(0.1), shares.append)
    assert float(loss(x, y)) < 0.1 * before
    assert shares[0] == 1 / 60 and shares[-1] == 1 and len(shares) == 60
    moving_mean = network.layers[1].moving_mean.numpy()
    assert (np.abs(moving_mean - 3) < 2.5).all() and (moving_mean != 0).all()


def test_weights_that_are_not_trainable_stay():
    network = make_network()
    network.layers[1].trainable = False
    frozen = [variable.numpy() for variable in network.layers[1].weights]
    kernel = network.layers[2].kernel.numpy()

    def loss(x):
        return ops.mean(network(x, training=True) ** 2)

    fit(network, loss, lambda step: (np.ones((4, 2), np.float32),), 3, keras.optimizers.SGD(0.1))
    for variable, kept in zip(network.layers[1].weights, frozen, strict=True):
        np.testing.assert_array_equal(variable.numpy(), kept)
    assert (network.layers[2].kernel.numpy() != kernel).all()


def test_batches_are_used_in_the_order_of_the_steps():
    network = make_network()
    network.layers[1].trainable = False
    seen = keras.Variable(np.zeros(5, np.float32), trainable=False)
    network.seen = seen  # tracked, so that the step may assign it

    def loss(x, step):
        seen.assign(ops.concatenate([seen[1:], step]))
        return ops.mean(network(x, training=True) ** 2)

    def batch(step):
        return np.ones((4, 2), np.float32), np.array([step], np.float32)

    fit(network, loss, batch, 5, keras.optimizers.SGD(0.1))
    np.testing.assert_array_equal(seen.numpy(), range(5))


def test_training_ends_early_after_the_step_that_says_so():
    network, shares, asked = make_network(), [], []

    def loss(x):
        return ops.mean(network(x, training=True) ** 2)

    def stop(step: int) -> bool:
        asked.append(step)
        return step == 2

    batch = (np.ones((4, 2), np.float32),)
    fit(network, loss, lambda step: batch, 9, keras.optimizers.SGD(0.1), shares.append, stop)
    assert asked == [0, 1, 2] and shares[-1] == 3 / 9
