"""The table of settings that a paper's supplement has."""
