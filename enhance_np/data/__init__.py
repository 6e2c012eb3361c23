"""Where training pairs come from: PSFs, degradation, a procedural Sun, patches in HDF5."""
