"""Fibics: TIFF files of NPVE and ATLAS, on columns of several makers."""
