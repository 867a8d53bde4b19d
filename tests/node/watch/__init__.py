"""Watched folders, in parts."""
