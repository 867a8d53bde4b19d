"""Bruker Esprit: maps in ``.bcf`` containers and single spectra in ``.spx``."""
