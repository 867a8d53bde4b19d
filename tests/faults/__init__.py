"""Faults on purpose, done to a whole node: two stores, parity, a catalogue, a log. See `benchmarks/README.md`."""
