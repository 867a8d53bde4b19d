"""TIFF files read by RosettaSciIO, with the pixel sizes that the vendors' tags state."""
