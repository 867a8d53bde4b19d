"""Merlin (Quantum Detectors): the header before every frame of a MIB file, and the .hdr file beside it."""
