"""Panta Rhei (CEOS): metadata inside a .prz archive."""
