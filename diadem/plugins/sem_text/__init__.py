"""JEOL: text files of `$CM_` lines beside the pictures of its scanning and transmission microscopes."""
