"""What was said elsewhere of a package that came from there: the sheets with which it came, read as one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from diadem.custody.corrections import CorrectionSheet
from diadem.custody.judgements import Inherited, ProvenJudgements, assessments_called
from diadem.custody.log_entry import Entry
from diadem.model.amendments import Amendment
from diadem.model.assessments import Assessment


class Brought(NamedTuple):
    """A sheet with which a package came: its corrections proven when it was stated, its judgements when asked for."""

    sheet: CorrectionSheet
    names: Mapping[str, str]  # what this node called the nodes in it
    before: bool  # the package had come from the node that signed it
    own: str  # this node's id


def called(sheet: CorrectionSheet, names: Mapping[str, str], taken: Collection[str] = ()) -> dict[str, str]:
    """What the nodes of a sheet, which is proven, are called here, by their ids.

    By `names`; any other as it calls itself, or where somebody else has that name, by the beginning of its id.
    """
    found = {}
    for one in sheet.nodes():
        claimed = one.prove()
        found[one.node] = names.get(one.node) or (one.node[:12] if claimed in taken else claimed)
    return found


def amendments_brought(came: Sequence[Brought]) -> list[Amendment]:
    """What owners at other nodes said: all of it stands before what is said here."""
    found: dict[str, tuple[Entry, dict[str, Any]]] = {}
    for sheet, names, before, _ in came:
        for entry, of in sheet.all():
            user = str(entry.statement.predicate["by"]).rpartition("@")[0]
            by = f"{user}@{names.get(of.node, of.node[:12])}"
            found.setdefault(entry.statement_id, (entry, {"by": by, "node": of.node, "before": before}))
    return [
        Amendment.of(entry.statement_id, number - len(found), entry.statement.predicate, **more)
        for number, (entry, more) in enumerate(found.values())
    ]


def newest_judgements(sheets: Iterable[Brought], *, said: bool = True) -> dict[str, ProvenJudgements]:
    """What each node that a package came from says of its data now, by the node's id: what it knew most lately.

    Unless `said`, without what its people say.
    """
    found: dict[str, ProvenJudgements] = {}
    for brought in sheets:
        for one in brought.sheet.nodes():
            if one.judged is not None and one.node != brought.own:  # it may come back
                proven = one.judgements(said=said)
                if one.node not in found or proven.known > found[one.node].known:
                    found[one.node] = proven
    return found


def assessments_brought(came: Sequence[Brought]) -> list[Assessment]:
    """How other nodes judge a package that came from there."""
    names = _names(came)
    found = [
        one
        for node, proven in reversed(newest_judgements(came).items())  # the nodes that had it first come first
        for one in assessments_called(proven.said, node, names[node])
    ]
    found.sort(key=lambda one: one.time)  # of different logs: before all that is said here
    return [replace(one, order=number - len(found)) for number, one in enumerate(found)]


def doubts_brought(came: Sequence[Brought]) -> list[tuple[str, str, Inherited]]:
    """What other nodes said of its sources when a package came from there: node, its name here, and that."""
    names, newest = _names(came), newest_judgements(came, said=False)
    return [(node, names[node], one) for node, proven in newest.items() for one in proven.inherited]


def _names(came: Iterable[Brought]) -> dict[str, str]:
    """What this node calls the nodes of some sheets: as it did most lately."""
    return {one.node: brought.names.get(one.node, one.node[:12]) for brought in came for one in brought.sheet.nodes()}
