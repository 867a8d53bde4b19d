"""HyperSpy's own files (.hspy, .hdf5, .zspy): its metadata tree, and what is left in it of the vendor's."""
