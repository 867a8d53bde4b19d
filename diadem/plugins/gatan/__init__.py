"""Gatan DigitalMicrograph: dm3, dm4 and dm5 files, and the TIFF files that it exports."""
