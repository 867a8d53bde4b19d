"""Parity of a package: twenty parts of data and two of parity, of which any two may be lost.

`field` is the arithmetic, `format` where everything lies in a parity file, `build` writes one from a sound package,
`rebuild` reads one and makes lost leaves again. Parity lies in the same store as the package, so it mends local damage
and never counts as a copy.
"""
