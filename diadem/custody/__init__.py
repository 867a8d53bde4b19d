"""Custody: the signed log of a node, its mirrors, and the chains of statements that others can check."""
