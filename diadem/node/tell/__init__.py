"""Telling people what changed: by mail, to a web address, and in figures for Prometheus."""
