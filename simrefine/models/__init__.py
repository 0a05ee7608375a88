"""Networks, losses, the history buffer and the augmentation: keras.ops only, so that any backend can run them.

They move no weight and open no file.
"""

import simrefine.backend  # noqa: F401 first, because it chooses the backend before Keras is imported
