"""Ripple files (Lispix): keys beside a file of raw counts; HyperSpy adds keys of its own."""
