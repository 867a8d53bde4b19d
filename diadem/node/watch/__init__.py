"""Watched folders: what lies in them, when it is silent, what is remembered of it, and what a person wants of it."""
