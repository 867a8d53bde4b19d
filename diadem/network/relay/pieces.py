"""Part 1 in pieces of one size, as carriers take it: cut while it is read, and put together while it is taken. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from diadem.model.carriers import Carried, ObjectName
from diadem.network.windows import WINDOW

#: Bytes of each piece but the last.
PIECE: Final = WINDOW
#: More than sealing adds to a piece.
_SEAL: Final = 1 << 16


def pieces_of(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a part; the last is shorter than the others, and may be empty.

    One that is so nearly full that nobody can tell this from what is sealed is followed by an empty one.
    """
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    yield bytes(held)
    if len(held) > PIECE - _SEAL:
        yield b""


def whole_part(listed: Sequence[Carried], part: int, *, after: int) -> list[ObjectName]:
    """The names of the pieces of a part, where a carrier holds all of one generation; the latest such.

    Parameters
    ----------
    listed : sequence of Carried
        What it holds.
    part : int
        Which.
    after : int
        Generations up to this one came damaged.
    """
    sizes = {name: one.size for one in listed if (name := ObjectName.of(one.name)) is not None and name.part == part}
    for generation in sorted({name.generation for name in sizes if name.generation > after}, reverse=True):
        found: list[ObjectName] = []
        while (name := ObjectName(part, len(found), generation)) in sizes:
            found.append(name)
            if sizes[name] < PIECE:  # what is sealed is larger than what is inside: this one is not full
                return found
    return []


class PieceReader:
    """The bytes of a part whose pieces are fetched one after the other.

    Parameters
    ----------
    names : sequence of ObjectName
        The pieces, in order.
    fetch : callable
        The bytes of one.
    """

    def __init__(self, names: Sequence[ObjectName], fetch: Callable[[ObjectName], memoryview]) -> None:
        self._names, self._fetch = iter(names), fetch
        self._held = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of a buffer; 0 at the end."""
        while not self._held:
            name = next(self._names, None)
            if name is None:
                return 0
            self._held = self._fetch(name)
        count = min(len(buffer), len(self._held))
        buffer[:count], self._held = self._held[:count], self._held[count:]
        return count
