"""Patterns of file names that belong together, compiled for one pass over a folder."""

from __future__ import annotations

import fnmatch
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from diadem.hooks.offers import Group, ReaderOffer

STEM = "{stem}"
_WILD = re.compile(r"[*?\[]")


def _translate(pattern: str) -> str:
    """fnmatch to a regular expression that stays within one folder and has no anchors."""
    text = fnmatch.translate(pattern)
    return text.removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")


@dataclass(frozen=True, slots=True)
class CompiledGroup:
    """A group whose primary pattern is a regular expression on the lower-case name."""

    group: Group
    pattern: re.Pattern[str]
    patterns: tuple[tuple[str, str], ...]

    def stem(self, name: str) -> str | None:
        """What ``{stem}`` stands for in a lower-case file name, or None where the name is no primary of this group."""
        match = self.pattern.match(name)
        return None if match is None else (match.groupdict().get("stem") or "")


def compile_group(group: Group) -> CompiledGroup:
    """Compile the patterns of one group."""
    head, found, tail = group.primary.lower().partition(STEM)
    expression = _translate(head) + (r"(?P<stem>.+)" + _translate(tail) if found else "")
    patterns = tuple((pattern.lower(), "part") for pattern in group.parts)
    patterns += tuple((pattern.lower(), "sidecar") for pattern in group.sidecars)
    return CompiledGroup(group, re.compile(f"(?s:{expression})\\Z"), patterns)


def groups_of(offer: ReaderOffer) -> Iterator[Group]:
    """All groups of an offer; its plain side files make one for each suffix."""
    yield from offer.groups
    if offer.sidecars:
        for suffix in offer.suffixes:
            yield Group(STEM + suffix, sidecars=tuple(offer.sidecars))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern without a stem, compiled once."""
    return re.compile(fnmatch.translate(pattern))


class Folder:
    """The files of one folder by lower-case name, for exact and for wildcard look-ups."""

    __slots__ = ("_sorted", "names")

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._sorted: list[str] = []

    def add(self, name: str, path: str) -> None:
        """Note a file; of two names that differ in case only the first is found by patterns."""
        self.names.setdefault(name, path)

    def find(self, pattern: str, stem: str) -> Iterator[str]:
        """Paths that match; costs the names that share the pattern's literal start."""
        before, _, after = pattern.rpartition(STEM)
        start = before + stem if STEM in pattern else ""
        if not _WILD.search(after):
            path = self.names.get(start + after)
            if path is not None:
                yield path
            return
        literal = re.split(_WILD, after, maxsplit=1)[0]
        matches = _compiled(after).match
        for name in starting_with(self._in_order(), start + literal):
            if matches(name[len(start) :]):
                yield self.names[name]

    def _in_order(self) -> list[str]:
        """Sorted names, made once, after the last `add`."""
        if len(self._sorted) != len(self.names):
            self._sorted = sorted(self.names)
        return self._sorted


def starting_with(ordered: Sequence[str], start: str) -> Iterator[str]:
    """Members of a sorted sequence that begin with `start`."""
    for index in range(bisect_left(ordered, start), len(ordered)):
        if not ordered[index].startswith(start):
            return
        yield ordered[index]
