"""TVIPS: TIFF files of EM-MENU."""
