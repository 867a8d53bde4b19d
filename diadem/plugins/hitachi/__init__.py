"""Hitachi: text files beside the pictures of its scanning and transmission microscopes."""
