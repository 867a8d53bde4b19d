"""Whose a package is and was: the one for whom it was archived, and those who followed. Pure.

A user who leaves is followed by another, from a place of the log on. What the first said while it was theirs holds;
what the successor had said before says nothing of what they were to inherit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Succession:
    """That a user retired.

    Attributes
    ----------
    successor : str
        ``bob@hu-berlin``.
    place : int
        Where in the log that was stated; grows with the log.
    statement : str
        Id of the statement, 64 hex digits.
    """

    successor: str
    place: int
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """An owner, from a place of the log on, up to `until` (exclusive; None: to this day)."""

    name: str
    since: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owners of a package, one after the other.

    Attributes
    ----------
    holders : tuple of Holder
        The first is the one for whom it was archived; none where nobody owns it.
    """

    holders: tuple[Holder, ...] = ()

    @classmethod
    def of(cls, owner: str, successions: Mapping[str, Succession] | None = None) -> Self:
        """From the owner whom the ingest names, and who retired; a ring of successors ends where it begins."""
        holders: list[Holder] = []
        known = successions or {}
        name, since = owner, 0
        while name and name not in {one.name for one in holders}:
            end = known.get(name)
            holders.append(Holder(name, since, end.place if end else None))
            name, since = (end.successor, end.place) if end else ("", 0)
        return cls(tuple(holders))

    @property
    def now(self) -> str:
        """The owner as it is now: ``alice@hu-berlin``; "" for none."""
        return self.holders[-1].name if self.holders else ""

    def speaks(self, by: str, place: int) -> bool:
        """Whether somebody owned it at a place of the log."""
        return any(
            one.name == by and one.since <= place and (one.until is None or place < one.until) for one in self.holders
        )
