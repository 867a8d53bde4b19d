"""Olympus Soft Imaging Solutions: TIFF files of iTEM and AnalySIS, also those of JEOL microscopes with its cameras."""
