"""Spectrometers and cathodoluminescence: optics beside electron microscopes."""
