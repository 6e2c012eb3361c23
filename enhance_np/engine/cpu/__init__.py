"""The engine of the CPU: the vocabulary compiled by numba, on all cores."""
