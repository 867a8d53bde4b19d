"""Carriers: what takes sealed objects from one node to another that is not online at the same time. Values, no I/O.

A carrier stores what it is given until it is told to remove it: a hub, a shared folder, a disk in the post. It sees
names, sizes and times. It checks nothing: both nodes assume that it loses, changes, swaps and repeats what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self

from diadem.errors import Refused, Unreachable, UsageError

#: What `relay` looks like: random, and nothing that says which transfer it is for.
RELAY: Final = re.compile(r"[0-9a-f]{32}")
#: What the name of an object looks like.
OBJECT: Final = re.compile(r"([0-2])-(0|[1-9][0-9]{0,8})-([1-9][0-9]?)")
#: Names of configured carriers, as they stand in routes: ``via:group-drive``.
NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
#: How a route by a configured carrier begins.
VIA: Final = "via:"
#: Bytes of an object at most.
MAX_OBJECT: Final = 17 << 20
#: The last generation that a name can have.
LAST_GENERATION: Final = 99


class CarrierFull(Unreachable):
    """The carrier has no room until its recipient has taken something."""

    code = "full"


class NameTaken(Refused):
    """Another object has this name."""

    code = "name-taken"


@dataclass(frozen=True, slots=True)
class Carried:
    """One object that a carrier holds.

    Attributes
    ----------
    name : str
        As it was put.
    size : int
        Bytes.
    sha256 : str
        Of these bytes; "" where the carrier does not tell.
    """

    name: str
    size: int
    sha256: str = ""


class Carrier(Protocol):
    """A connection to a carrier, returned by a plugin. Must be safe to use from several threads at once.

    Failures are `Unreachable` (may work later), `CarrierFull`, `NotFound` and `Refused`.
    """

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        """Store an object under its name, whole or not at all.

        Parameters
        ----------
        relay : str
            32 hex digits: objects of one relay are kept apart from those of others.
        name : str
            Matches `OBJECT`.
        data : bytes or bytearray
            At most `MAX_OBJECT`. Its memory is reused afterwards: copy what you keep.

        Raises
        ------
        Refused
            Another object has this name. The same bytes again are not an error.
        CarrierFull
            There is no room.
        Unreachable
            It does not answer.
        """

    def ls(self, relay: str, *, wait: float = 0) -> Sequence[Carried]:
        """List what it holds for a relay; nothing for one that it does not know.

        Parameters
        ----------
        relay : str
            Which.
        wait : float
            Seconds for which it may wait until there is something new.
        """

    def get(self, relay: str, name: str) -> bytes | bytearray:
        """Read an object, at most `MAX_OBJECT` and one byte. Raises `NotFound` if it is not there."""

    def remove(self, relay: str, names: Sequence[str]) -> None:
        """Remove objects that were taken or are no longer wanted; ignore those that are not there."""

    def end(self, relay: str) -> None:
        """Remove everything of a relay, which has ended. Ignore one that is not there."""


class ObjectName(NamedTuple):
    """What the name of an object says.

    Attributes
    ----------
    part : int
        0 the tag manifest, 1 the other tag files, 2 the payload.
    window : int
        Number of the window, or of the piece of a part.
    generation : int
        How often it was asked for; from 1.
    """

    part: int
    window: int
    generation: int

    def __str__(self) -> str:
        """``2-17-1``."""
        return f"{self.part}-{self.window}-{self.generation}"

    @classmethod
    def of(cls, text: str) -> Self | None:
        """What a name says; None for one that no node gives."""
        found = OBJECT.fullmatch(text)
        return cls(int(found[1]), int(found[2]), int(found[3])) if found else None


def via(route: str) -> str:
    """The name of the configured carrier of a route; "" for any other route.

    Raises
    ------
    UsageError
        It begins as one, and names none.
    """
    if not route.startswith(VIA):
        return ""
    name = route.removeprefix(VIA)
    if not NAME.fullmatch(name):
        raise UsageError(f"'{route[:60]}' is not a route", next="Write via: and the name of a carrier: via:group-drive")
    return name
