"""Python API for notebooks and tests: frames of figures, comparison of models, measurement of a block of code."""
