"""What differs between array frameworks: one module each, with the same names (`minimise`, `compile_step`, ...)."""
