"""Frozen values: ids, names, manifests, reports, records, facts. No file, clock, random or environment is touched here."""
