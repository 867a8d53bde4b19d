"""ImageJ and Fiji: the scale of TIFF files that they save."""
