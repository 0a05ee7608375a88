"""Whether refinement helped: realism, labels, usefulness, and the report that says so."""

import simrefine.models  # noqa: F401 first, because it makes Keras and TensorFlow start quietly
