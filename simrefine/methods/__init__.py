"""Methods of learning a refiner, a file each: which loss moves which weights, in which order."""

import simrefine.backend  # noqa: F401 first, because it chooses the backend before Keras is imported
from simrefine.methods.cyclegan import CycleGAN
from simrefine.methods.method import Method
from simrefine.methods.simgan import SimGAN

METHODS: dict[str, type[Method]] = {"simgan": SimGAN, "cyclegan": CycleGAN}  # the names are those of the catalogue
