"""The training loop and what surrounds it: checkpoints, monitoring, and the one place that knows TensorFlow."""
