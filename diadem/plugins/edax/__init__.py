"""EDAX Genesis and TEAM: spectra, maps and the images beside them."""
