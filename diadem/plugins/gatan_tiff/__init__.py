"""Gatan DigitalMicrograph: TIFF files that it exports, with calibrations and, since GMS 2, all tags of the image."""
