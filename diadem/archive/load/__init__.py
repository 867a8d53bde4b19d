"""A dataset of a package as HyperSpy signals whose bytes are proven."""
