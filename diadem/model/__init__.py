"""Frozen values: ids, names, manifests, reports, records, facts. No file, clock or environment is touched here."""
