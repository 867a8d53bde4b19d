"""A catalogue as a folder: any browser shows and searches it, from a disk, without a server or a network."""
