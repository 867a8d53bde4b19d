"""Bundled plugins, by the same door as foreign ones."""
