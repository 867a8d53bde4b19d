"""Gatan DigitalMicrograph: dm5 files, the same tags as in dm4 in the groups and attributes of an HDF5 file."""
