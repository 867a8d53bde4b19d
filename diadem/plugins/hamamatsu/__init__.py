"""Hamamatsu: streak camera pictures of HPD-TA, as `.img` and as TIFF."""
