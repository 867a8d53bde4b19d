"""Hashing, keys, signatures, the tree of a log and its signed head. Bytes in, bytes out: no file is opened here."""
