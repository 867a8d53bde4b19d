"""TESCAN: TIFF files with tag 50431, and side files `.hdr` of all pictures."""
