"""Methods of learning, a file each: which loss moves which weights, in which order."""

import simrefine.backend  # noqa: F401 first, because it chooses the backend before Keras is imported
from simrefine.methods.cyclegan import CycleGAN
from simrefine.methods.method import RefinerMethod
from simrefine.methods.simgan import SimGAN

# Those that make refiners; the names are those of the catalogue. That which makes generators is in generator.py.
METHODS: dict[str, type[RefinerMethod]] = {"simgan": SimGAN, "cyclegan": CycleGAN}
