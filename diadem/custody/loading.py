"""A chain as it was found in a file: each statement read, or why it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from diadem.custody.chain import Chain, Item
from diadem.custody.log_entry import Entry, place_of
from diadem.errors import UsageError


@dataclass(frozen=True, slots=True)
class Read:
    """One statement of a chain.

    Attributes
    ----------
    file : str
        Name of the chain's file.
    label : str
        Which one, for people: ``statement 5 of 12``.
    item : Item
        As the file has it.
    entry : Entry or None
        What it says, where it can be read.
    problem : str or None
        Why it cannot be read.
    """

    file: str
    label: str
    item: Item
    entry: Entry | None
    problem: str | None

    @property
    def place(self) -> int:
        """Where it says that it stands in the log."""
        return place_of(self.item.epoch, self.item.index)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A chain with its statements read."""

    file: str
    chain: Chain
    keys: tuple[Read, ...]
    statements: tuple[Read, ...]


def load(file: str, data: bytes) -> Loaded:
    """Read a chain.

    Raises
    ------
    DocumentError
        It is none, as `Chain.from_bytes` says.
    """
    chain = Chain.from_bytes(data)
    keys = tuple(_reads(file, "key statement", chain.keys))
    return Loaded(file, chain, keys, tuple(_reads(file, "statement", chain.statements)))


def _reads(file: str, word: str, items: tuple[Item, ...]) -> Iterator[Read]:
    for number, item in enumerate(items, 1):
        label = f"{word} {number} of {len(items)}"
        try:
            entry = Entry.from_line(item.epoch, item.index, item.line.encode("utf-8", "surrogatepass"))
        except UsageError as error:
            yield Read(file, label, item, None, f"it cannot be read: {error.message}")
        else:
            yield Read(file, label, item, entry, None)
