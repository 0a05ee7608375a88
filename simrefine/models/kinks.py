"""Functions with a kink, whose slope there is the same on every backend. A refiner that begins as the identity begins
in the kink of every loss of its change, and with pixels that lie just at the ends of the range."""

from keras import ops


def magnitude(x):
    """|x|, with the slope 0 at 0, as in TensorFlow; with `ops.abs` JAX has 1 there, which pushes all that is not yet
    changed into one direction."""
    return x * ops.stop_gradient(ops.sign(x))


def clipped(pictures):
    """Within [-1, 1], with the whole slope at both ends, as in TensorFlow; with `ops.clip` JAX has half of it."""
    return ops.where(pictures > 1.0, 1.0, ops.where(pictures < -1.0, -1.0, pictures))
