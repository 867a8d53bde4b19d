"""From the statements about a sample to what is known of it. Pure.

Of one member (its name, its maker …) the last that was said counts; an event stays, and counts unless it was taken
back; a link holds until it is undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from diadem.model.samples import (
    CHANGED,
    DEFINED,
    HAPPENINGS,
    LINKED,
    MEMBERS,
    RETRACTED,
    UNLINKED,
    Event,
    Link,
    OtherName,
    Retraction,
    Sample,
    is_sample_id,
)
from diadem.model.statements import Statement


class Stated(NamedTuple):
    """A statement about samples: its place in the log, its id (64 hex digits), and what it says."""

    order: int
    id: str
    statement: Statement


def sample_of(sample_id: str, stated: Iterable[Stated]) -> Sample | None:
    """What statements say of a sample; None where none of them defines it.

    Parameters
    ----------
    sample_id : str
        ``sample:<uuid>``.
    stated : iterable of Stated
        Statements that have it as a subject; in any order.
    """
    members: dict[str, Any] = {}
    events: list[Event] = []
    retracted: dict[str, list[Retraction]] = {}
    links: dict[str | OtherName, Link] = {}
    by = ""
    for one in sorted(stated, key=lambda one: one.order):
        said, statement = one.statement.predicate, one.statement
        what = said.get("event")
        if what in (DEFINED, CHANGED):
            members |= {key: said[key] for key in MEMBERS if key in said}
            by = by or str(said.get("by", ""))
        elif what in HAPPENINGS:
            events.append(_event(sample_id, one))
        elif what == RETRACTED:
            taken = Retraction(str(said.get("by", "")), str(said.get("reason", "")), one.id)
            retracted.setdefault(str(said.get("retracts", "")), []).append(taken)
        elif what in (LINKED, UNLINKED) and (link := _link(sample_id, statement)) is not None:
            links.pop(link.key, None)
            if what == LINKED:
                links[link.key] = link
    if not members.get("identifier"):
        return None
    told = tuple(_struck(event, retracted.get(event.statement, ())) for event in events)
    return Sample.of(sample_id, members, events=told, links=tuple(links.values()), by=by)


def _event(sample_id: str, one: Stated) -> Event:
    said: Mapping[str, Any] = one.statement.predicate
    from_, to, comment, by = (str(said.get(key, "")) for key in ("from", "to", "comment", "by"))
    return Event(str(said["event"]), str(said["date"]), from_, to, comment, by, one.order, sample_id, one.id)


def _struck(event: Event, retractions: Iterable[Retraction]) -> Event:
    """The event, taken back where the one who stated it has said so: nobody takes back what another has said."""
    own = [one for one in retractions if one.by == event.by]
    return replace(event, retracted=own[0]) if own else event


def _link(sample_id: str, statement: Statement) -> Link | None:
    """What one is linked with; None where a statement names nothing that this version knows."""
    said = statement.predicate
    reason, by = str(said.get("reason", "")), str(said.get("by", ""))
    if (other := said.get("other")) is not None:
        return Link(other=OtherName(str(other["name"]), str(other["lab"])), reason=reason, by=by)
    rest = [one.name for one in statement.subjects if one.name != sample_id and is_sample_id(one.name)]
    return Link(sample=rest[0], reason=reason, by=by) if len(rest) == 1 else None
