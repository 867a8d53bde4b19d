"""Electron backscatter diffraction: maps and patterns of Oxford, Bruker, EDAX, kikuchipy and EMsoft."""
