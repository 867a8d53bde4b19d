"""Checks that judge data where somebody asks for it: saturation, truncation, missing calibration."""
