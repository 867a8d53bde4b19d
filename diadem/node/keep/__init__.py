"""Copies of packages: written, proven, mended, given up."""
