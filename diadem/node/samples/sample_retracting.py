"""Which of the things that were said to have happened to a sample somebody wants to take back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.sample_custody import event_text
from diadem.model.samples import HAPPENINGS, Event, Sample

_ID = re.compile(r"(?:statement:)?([0-9a-f]{8,64})\Z")


def event_meant(sample: Sample, events: Sequence[Event], what: str, *, date: str, by: str) -> Event:
    """The one event that is meant.

    Parameters
    ----------
    sample : Sample
        What it is called in messages.
    events : sequence of Event
        All that happened to the thing, under any of its names.
    what : str
        ``sent``, ``received`` …, or the beginning of the statement's id, 8 digits or more.
    date : str
        The day, or "" for any.
    by : str
        Who wants to take it back: ``alice@hu-berlin``.

    Raises
    ------
    UsageError
        The word is none, or several events are meant: names them.
    NotFound
        Nothing like it was stated, or it was retracted already.
    Refused
        Somebody else has stated it.
    """
    named = _ID.match(what.strip().lower())
    if named is None and what not in HAPPENINGS:
        raise UsageError(
            f"'{what}' is not an event of a sample", next=f"Write {', '.join(HAPPENINGS)}; or a statement's id."
        )
    said = [one for one in events if (one.statement.startswith(named[1]) if named else one.what == what)]
    found = [one for one in said if one.retracted is None and date in ("", one.date)]
    own = [one for one in found if one.by == by]
    if not found:
        raise _nothing(sample, said, date)
    if not own:
        raise Refused(
            f"{found[0].by} has stated that {sample.identifier} was {event_text(found[0])}, and only they can"
            " retract it",
            where=sample.id,
            next="State what you know: contradictions are shown.",
        )
    if len(own) > 1:
        told = "; ".join(f"{event_text(one)} [{one.statement[:12]}]" for one in own)
        raise UsageError(f"{len(own)} events are meant: {told}", next="Name the day with --date, or the statement.")
    return own[0]


def _nothing(sample: Sample, said: Sequence[Event], date: str) -> NotFound:
    taken = [one for one in said if one.retracted is not None and date in ("", one.date)]
    if taken and taken[0].retracted is not None:
        message = f"that {sample.identifier} was {event_text(taken[0])} was retracted already"
    else:
        message = f"nobody has stated that of {sample.identifier}" + (f" on {date}" if date else "")
    return NotFound(message, where=sample.id, next=f"See: diadem sample show {sample.identifier}")
