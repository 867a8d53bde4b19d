"""From the statements about a sample to what is known of it. Pure.

Of one member (its name, its maker …) the last that was said counts; an event stays; a link holds until it is undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from diadem.model.samples import (
    CHANGED,
    DEFINED,
    HAPPENINGS,
    LINKED,
    MEMBERS,
    UNLINKED,
    Event,
    Link,
    OtherName,
    Sample,
    is_sample_id,
)
from diadem.model.statements import Statement


def sample_of(sample_id: str, stated: Iterable[tuple[int, Statement]]) -> Sample | None:
    """What statements say of a sample; None where none of them defines it.

    Parameters
    ----------
    sample_id : str
        ``sample:<uuid>``.
    stated : iterable of int and Statement
        Statements that have it as a subject, each with its place in the log; in any order.
    """
    members: dict[str, Any] = {}
    events: list[Event] = []
    links: dict[str | OtherName, Link] = {}
    by = ""
    for order, statement in sorted(stated, key=lambda one: one[0]):
        said = statement.predicate
        what = said.get("event")
        if what in (DEFINED, CHANGED):
            members |= {key: said[key] for key in MEMBERS if key in said}
            by = by or str(said.get("by", ""))
        elif what in HAPPENINGS:
            events.append(_event(sample_id, order, said))
        elif what in (LINKED, UNLINKED) and (link := _link(sample_id, statement)) is not None:
            links.pop(link.key, None)
            if what == LINKED:
                links[link.key] = link
    if not members.get("identifier"):
        return None
    return Sample.of(sample_id, members, events=tuple(events), links=tuple(links.values()), by=by)


def _event(sample_id: str, order: int, said: Mapping[str, Any]) -> Event:
    from_, to, comment, by = (str(said.get(key, "")) for key in ("from", "to", "comment", "by"))
    return Event(str(said["event"]), str(said["date"]), from_, to, comment, by, order, sample_id)


def _link(sample_id: str, statement: Statement) -> Link | None:
    """What one is linked with; None where a statement names nothing that this version knows."""
    said = statement.predicate
    reason, by = str(said.get("reason", "")), str(said.get("by", ""))
    if (other := said.get("other")) is not None:
        return Link(other=OtherName(str(other["name"]), str(other["lab"])), reason=reason, by=by)
    rest = [one.name for one in statement.subjects if one.name != sample_id and is_sample_id(one.name)]
    return Link(sample=rest[0], reason=reason, by=by) if len(rest) == 1 else None
