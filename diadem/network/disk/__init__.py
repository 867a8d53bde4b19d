"""Packages on disks in the post: sealed for one node, proven there as if they had come over a line."""
