"""ASPEX (Personal SEM, Perception): TIFF files whose description says all."""
