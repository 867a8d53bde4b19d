"""Hashing (and, with the node, keys and signatures). Bytes in, bytes out: no file is opened here."""
