"""Training pairs: the Sun as HMI sees it and as a larger telescope would, in HDF5."""
