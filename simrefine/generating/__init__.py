"""New faces from a trained generator: samples, recombinations of two faces, and variations of a given one."""
