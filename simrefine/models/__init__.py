"""Networks, losses, the history buffer and Algorithm 1: keras.ops only, so that any backend can run them.

Importing this package imports Keras, and with it TensorFlow, for the first time in the program.
"""

import os

# Both read these when they are imported.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow logs a missing GPU and a skipped graph rewrite as errors; real ones arrive as Python exceptions too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _import_keras_quietly() -> None:
    """TensorFlow greets on the C side's standard error before it reads any setting; nobody asked."""
    standard_error, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras  # noqa: F401
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(nowhere)


_import_keras_quietly()
