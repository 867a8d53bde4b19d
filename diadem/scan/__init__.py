"""Existing folders: looked at, nothing written in them; what is there, and which sessions could be archived."""
