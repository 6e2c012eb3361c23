"""Makes training pairs: PSFs, degradation, a synthetic Sun, patches in HDF5."""
