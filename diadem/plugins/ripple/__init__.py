"""Placeholder of a family that offers nothing yet."""
