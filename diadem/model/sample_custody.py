"""Where a physical sample is, from what people said happened to it; and what of that cannot be. Pure.

The days are claims of people. What contradicts itself is a finding, never an error: two labs may both be sure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from diadem.model.display import Display
from diadem.model.plain_text import date_text
from diadem.model.report import Finding, Severity
from diadem.model.samples import CONSUMED, LOST, MADE, RECEIVED, SENT, Event, Sample

UNKNOWN, AT, UNDER_WAY = "unknown", "at", "under way"
_NEXT: Final = "Ask who stated it; a later statement may say more."


@dataclass(frozen=True, slots=True)
class Whereabouts(Display):
    """Where a sample is now, as far as anybody said.

    Attributes
    ----------
    state : {"unknown", "at", "under way", "consumed", "lost"}
        What became of it last.
    place : str
        Where it is, where it goes, or where it was last; "" for what nobody said.
    from_ : str
        Where it comes from, while it is under way.
    since : str
        The day of the last event, ``YYYY-MM-DD``, or "".
    """

    state: str = UNKNOWN
    place: str = ""
    from_: str = ""
    since: str = ""

    def __str__(self) -> str:
        """``at NMI since 14 March 2026``."""
        day = date_text(self.since)
        if self.state == AT:
            return f"at {self.place or 'an unnamed place'} since {day}"
        if self.state == UNDER_WAY:
            return f"on its way{f' from {self.from_}' if self.from_ else ''} to {self.place} since {day}"
        if self.state in (CONSUMED, LOST):
            return f"{self.state} on {day}{f', at {self.place}' if self.place else ''}"
        return "location unknown"

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"state": self.state, "place": self.place, "from": self.from_, "since": self.since, "words": str(self)}


def history(samples: Iterable[Sample]) -> tuple[Event, ...]:
    """All that happened to one thing that may have several names, by days; those of one day as they were stated."""
    return tuple(sorted((event for one in samples for event in one.events), key=lambda one: (one.date, one.order)))


def followed(events: Sequence[Event]) -> tuple[Whereabouts, tuple[Finding, ...]]:
    """Where the thing is after these events, and what of them cannot be; what was taken back does not count.

    Parameters
    ----------
    events : sequence of Event
        As `history` gives them.
    """
    way = _Way()
    for event in events:
        if event.retracted is None:
            way.take(event)
    return way.now, tuple(way.findings)


@dataclass(slots=True)
class _Way:
    """The thing on its way through the labs."""

    now: Whereabouts = field(default_factory=Whereabouts)
    made: str = ""
    findings: list[Finding] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Follow one event."""
        if self.now.state == CONSUMED or (self.now.state == LOST and event.what != RECEIVED):
            self._note(f"after-{self.now.state}", event, f"although it was {self.now}")
        {MADE: self._made, SENT: self._sent, RECEIVED: self._received}.get(event.what, self._gone)(event)

    def _made(self, event: Event) -> None:
        if self.made:
            self._note("made-twice", event, f"although it was stated as made on {date_text(self.made)}")
        elif self.now.state != UNKNOWN:
            self._note("made-later", event, "after other things had happened to it")
        self.made = self.made or event.date
        if self.now.state == UNKNOWN:
            self.now = Whereabouts(AT, event.to or event.from_, since=event.date)

    def _sent(self, event: Event) -> None:
        if self.now.state == UNDER_WAY:
            self._note("sent-twice", event, f"although it was {self.now}, and nobody had received it")
        else:
            self._compare(event, event.from_)
        start = event.from_ or (self.now.place if self.now.state == AT else "")
        self.now = Whereabouts(UNDER_WAY, event.to, start, event.date)

    def _received(self, event: Event) -> None:
        place = event.to
        if self.now.state == UNDER_WAY:
            if place and not _is_same(place, self.now.place):
                self._note("received-elsewhere", event, f"although it was {self.now}")
            place = place or self.now.place
        elif self.now.state in (AT, UNKNOWN):
            self._note("received-never-sent", event, "but nobody stated that it was sent", Severity.INFO)
        self.now = Whereabouts(AT, place, since=event.date)

    def _gone(self, event: Event) -> None:
        place = event.to or event.from_
        self._compare(event, place)
        known = self.now.place if self.now.state == AT else ""
        self.now = Whereabouts(event.what, place or known, since=event.date)

    def _compare(self, event: Event, place: str) -> None:
        """Tell where something happened at another place than that where the thing was."""
        if place and self.now.state == AT and self.now.place and not _is_same(place, self.now.place):
            self._note("two-places", event, f"although it was {self.now}")

    def _note(self, code: str, event: Event, why: str, severity: Severity = Severity.WARNING) -> None:
        self.findings.append(Finding(severity, code, f"It was {event_text(event)}, {why}.", next=_NEXT))


def event_text(event: Event) -> str:
    """``sent from hu-berlin to NMI on 14 March 2026``."""
    places = [f"{word} {place}" for word, place in (("from", event.from_), (_TO[event.what], event.to)) if place]
    return " ".join([event.what, *places, "on", date_text(event.date)])


_TO: Final = {MADE: "at", SENT: "to", RECEIVED: "at", CONSUMED: "at", LOST: "at"}


def _is_same(one: str, other: str) -> bool:
    """Whether two people mean one place: case and blanks do not count."""
    return one.casefold().split() == other.casefold().split()
