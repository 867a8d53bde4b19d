"""Formats that are the only one of their maker here: Phenom, NeXus, DECTRIS, Semper, NORDIF."""
