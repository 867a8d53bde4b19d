"""Carriers that are folders: a group drive, a folder that a program keeps in step with another place."""
