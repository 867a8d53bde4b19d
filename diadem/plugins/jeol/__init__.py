"""JEOL Analysis Station: projects, images, maps and spectra of X-ray analysis."""
