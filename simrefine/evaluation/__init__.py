"""Whether refinement helped: realism, labels, usefulness, and the report that says so."""

import simrefine.backend  # noqa: F401 first, because it chooses the backend before Keras is imported
