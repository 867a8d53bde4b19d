"""Thermo Fisher Scientific (FEI): TIFF files of scanning, dual-beam and transmission microscopes."""
