"""Velox (Thermo Fisher Scientific, FEI): EMD files with a JSON document for every frame, and an experiment's log."""
