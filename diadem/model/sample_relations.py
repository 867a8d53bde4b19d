"""Which samples are one thing, what each was made from, and what was made from it. Pure, and safe with circles.

A link says that two names mean one thing, and links reach as far as they go: linked with what is linked with it. Made
from a sample is what was made from any name of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from diadem.model.samples import Sample

Step = Callable[[Collection[str]], Iterable[str]]


class Relations(Protocol):
    """One step from some samples to others, by their ids; whoever knows many samples looks them up together."""

    def linked(self, samples: Collection[str]) -> Iterable[str]:
        """Those that somebody has linked with one of them."""

    def parents(self, samples: Collection[str]) -> Iterable[str]:
        """Those from which one of them was made."""

    def parts(self, samples: Collection[str]) -> Iterable[str]:
        """Those that were made from one of them."""


@dataclass(frozen=True, slots=True)
class Family:
    """A sample among its relatives.

    Attributes
    ----------
    same : tuple of str
        The sample itself and those that are the same thing.
    ancestors : tuple of str
        What it was made from, the nearest first, by all their names.
    parts : tuple of str
        What was made from it, the nearest first, by all their names; none that is among `same`.
    circular : bool
        Whether it is said to be made from itself.
    """

    same: tuple[str, ...]
    ancestors: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    circular: bool = False

    def all(self) -> tuple[str, ...]:
        """Everybody, once."""
        return tuple(dict.fromkeys((*self.ancestors, *self.same, *self.parts)))


def same_thing(relations: Relations, sample: str) -> tuple[str, ...]:
    """The sample, and all that links say is the same thing."""
    return tuple(_reached([sample], (relations.linked,)))


def with_parts(relations: Relations, samples: Iterable[str]) -> tuple[str, ...]:
    """Some samples, what is the same thing, and all that was made from it, by any name."""
    return tuple(_reached(samples, (relations.linked, relations.parts)))


def family(relations: Relations, sample: str) -> Family:
    """A sample among its relatives."""
    same = same_thing(relations, sample)
    above = _reached(relations.parents(same), (relations.linked, relations.parents))
    below = _reached(relations.parts(same), (relations.linked, relations.parts))
    return Family(
        same,
        tuple(one for one in above if one not in same),
        tuple(one for one in below if one not in same),
        circular=not above.keys().isdisjoint(same),
    )


def _reached(start: Iterable[str], steps: Iterable[Step]) -> dict[str, None]:
    """All that can be reached, the nearest first; of equally near ones in the order of their ids."""
    found = dict.fromkeys(sorted(set(start)))
    frontier = list(found)
    while frontier:
        fresh = {one for step in steps for one in step(frontier)} - found.keys()
        frontier = sorted(fresh)
        found |= dict.fromkeys(frontier)
    return found


@dataclass(frozen=True)
class KnownSamples:
    """The relations of samples that are at hand.

    Parameters
    ----------
    samples : mapping of str to Sample
        By their ids.
    """

    samples: Mapping[str, Sample] = field(default_factory=dict)

    @cached_property
    def _linked(self) -> Mapping[str, set[str]]:
        """Both ways: it is enough that one of the two says so."""
        found: dict[str, set[str]] = {}
        for sample in self.samples.values():
            for other in sample.linked:
                found.setdefault(sample.id, set()).add(other)
                found.setdefault(other, set()).add(sample.id)
        return found

    @cached_property
    def _parts(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = {}
        for sample in self.samples.values():
            for parent in sample.parents:
                found.setdefault(parent.sample, set()).add(sample.id)
        return found

    def several(self, samples: Iterable[str]) -> list[Sample]:
        """Samples by their ids, those that are not known left out."""
        return [self.samples[one] for one in samples if one in self.samples]

    def linked(self, samples: Collection[str]) -> Iterable[str]:
        """Those that somebody has linked with one of them."""
        return [other for one in samples for other in self._linked.get(one, ())]

    def parents(self, samples: Collection[str]) -> Iterable[str]:
        """Those from which one of them was made."""
        return [parent.sample for sample in self.several(samples) for parent in sample.parents]

    def parts(self, samples: Collection[str]) -> Iterable[str]:
        """Those that were made from one of them."""
        return [part for one in samples for part in self._parts.get(one, ())]
