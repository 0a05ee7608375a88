"""The exponential moving average of a network's weights, which is steadier than the weights of any one step."""

import keras
from keras import ops


def follow(average: keras.Model, network: keras.Model, decay: float, step) -> None:
    """Moves the weights of `average` towards those of `network`; a shorter memory at first, or it would remember the
    start. `step` is a scalar, the number of steps before this one."""
    decay = ops.minimum(decay, (step + 1.0) / (step + 10.0))
    for slow, fast in zip(average.variables, network.variables, strict=True):
        slow.assign(decay * slow + (1.0 - decay) * fast)
