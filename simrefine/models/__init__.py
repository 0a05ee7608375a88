"""Networks, losses, the history buffer and Algorithm 1: keras.ops only, so that any backend can run them."""

import os

# Keras and TensorFlow read these when they are imported, which happens below this package and nowhere before it.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow logs a missing GPU and a skipped graph rewrite as errors; real ones arrive as Python exceptions too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
