"""Nodes at sites of their own: separate processes, in network namespaces that a line joins."""
