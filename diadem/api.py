"""Composition root: the verbs. The only place that asks the plugin manager."""
