"""Samples: defined, linked, named, told."""
