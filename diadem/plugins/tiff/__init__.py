"""TIFF files: pages, and where their pixels lie."""
