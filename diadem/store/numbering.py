"""Names for packages where the name is taken."""

from __future__ import annotations

from collections.abc import Iterator


def numbered(path: str) -> Iterator[str]:
    """The path, and those that may be taken in its place: ``path-2``, ``path-3`` … up to 999."""
    yield path
    yield from (f"{path}-{number}" for number in range(2, 1000))
