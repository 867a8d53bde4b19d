"""Tests of the listener."""
