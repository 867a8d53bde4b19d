"""Names of samples as words: which of many have to be looked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def is_short(name: tuple[str, ...]) -> bool:
    """Whether a name is no more than a number, or a letter or two: it means a sample only where nothing else stands."""
    return len(name) == 1 and (len(name[0]) < 3 or name[0].isdigit())


def needed(asked: tuple[str, ...], names: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The names that are not found with a shorter one anyhow: who asks for ``S-12`` finds ``S-12-a`` too.

    Parameters
    ----------
    asked : tuple of str
        The name that is looked for in any case.
    names : iterable of tuple of str
        Others for the same thing.
    """
    found = {asked}
    for name in sorted(set(names) - found, key=lambda words: (len(words), words)):
        if not any(name[start:end] in found for start in range(len(name)) for end in range(start + 1, len(name) + 1)):
            yield name
            if not is_short(name):
                found.add(name)
