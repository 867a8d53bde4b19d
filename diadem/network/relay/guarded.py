"""A plugin's carrier as the core uses it: its faults are told in DIADEM's words, and what it says is held to bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from diadem.errors import DiademError, IntegrityError, Unreachable
from diadem.model.carriers import MAX_OBJECT, Carried, Carrier, ObjectName
from diadem.model.plain_text import one_line

#: Names that are told of what is ignored.
_TOLD: Final = 3


class Guarded:
    """A carrier that a plugin connected to.

    Parameters
    ----------
    carrier : Carrier
        The plugin's.
    label : str
        What people call it: ``the carrier 'group-drive'``.
    """

    def __init__(self, carrier: Carrier, label: str) -> None:
        self._carrier, self.label = carrier, label
        #: What people are to be told of what lies there and is no object; "" where all is well.
        self.strange = ""

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        """Store an object."""
        with self._told():
            self._carrier.put(relay, name, data)

    def ls(self, relay: str, *, wait: float = 0) -> Sequence[Carried]:
        """Objects that a node may have put there; other things are passed over, and told in `strange`."""
        with self._told():
            listed = list(self._carrier.ls(relay, wait=wait))
        good: list[Carried] = []
        other: list[Carried] = []
        for one in listed:
            fits = ObjectName.of(one.name) is not None and 0 <= one.size <= MAX_OBJECT
            (good if fits else other).append(one)
        names = ", ".join(one_line(one.name[:80]) for one in other[:_TOLD])
        self.strange = f"{self.label} holds {len(other)} items that no node put there: {names}" if other else ""
        return good

    def get(self, relay: str, name: str) -> bytes | bytearray:
        """An object. Raises `IntegrityError` where it has more bytes than any object."""
        with self._told():
            data = self._carrier.get(relay, name)
        if len(data) > MAX_OBJECT:
            raise IntegrityError(f"{self.label} returned {len(data):,} bytes", where=name)
        return data

    def remove(self, relay: str, names: Sequence[str]) -> None:
        """Remove objects."""
        with self._told():
            self._carrier.remove(relay, names)

    def end(self, relay: str) -> None:
        """Remove everything of a relay."""
        with self._told():
            self._carrier.end(relay)

    def close(self) -> None:
        """Let go of it, where it can be let go of."""
        close = getattr(self._carrier, "close", None)
        if close is not None:
            with self._told():
                close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DiademError:
            raise
        except Exception as error:
            raise Unreachable(
                f"{self.label} failed: {type(error).__name__}: {error}", next="Is it connected? It will be tried again."
            ) from error
