"""JEOL: TIFF files of SightX Viewer and of the TEM Center's cameras."""
