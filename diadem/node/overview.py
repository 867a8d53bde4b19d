"""A package at a glance, as its node knows it: what its record says, what is said of it, and where its copies lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diadem.archive.overview import ARCHIVED, NAME, Overview, SessionDays, correction_facts, overview
from diadem.model.effective import corrected
from diadem.model.record import Record
from diadem.model.replicas import DROPPED
from diadem.node.context import Context
from diadem.node.quality.assess import assessments
from diadem.store.addresses import local_path

if TYPE_CHECKING:
    from diadem.archive.package import Package


def node_overview(context: Context, package: Package) -> Overview:
    """What a node tells of a package that was got from it. Raises what reading it raises."""
    catalogue = context.catalogue
    row = catalogue.get(package.id)
    seen = overview(
        package,
        corrections=corrections(context, package.id, package.sealed_record),
        title=row.title,
        owner=row.owner,
        continued_by=tuple(catalogue.continuations(package.id)),
        identifiers=tuple(catalogue.identifiers(package.id)),
        copies=tuple(_copies(context, package.id)),
        judgements=tuple(assessments(context, package.id).to_dict()["assessments"]),
        at_node=True,
    )
    if (row.date, row.until) == (seen.days.first, seen.days.last):
        return seen
    # A package of an earlier version lies by a date that it does not state itself; search goes by the same.
    source = seen.days.source if row.date is None or seen.days.source != ARCHIVED else NAME
    return replace(seen, days=SessionDays(row.date, row.until, source))


def corrections(context: Context, package: str, sealed: Record) -> tuple[dict[str, Any], ...]:
    """What its owners corrected: of each field what it was, what it is, and who says so."""
    return tuple(map(correction_facts, corrected(sealed, context.catalogue.corrections(package))))


def _copies(context: Context, package: str) -> Iterator[dict[str, Any]]:
    """Each copy with its whole place, and why it cannot be seen now, if so."""
    stores = context.stores
    for one in context.catalogue.replicas(package):
        if one.state == DROPPED:
            continue
        known = one.store in stores.names and not one.adopted
        place = one.path
        if known:
            url = context.settings.store(one.store).url
            folder = local_path(url)
            place = (
                str(folder.joinpath(*one.path.split("/"))) if folder is not None else f"{url.rstrip('/')}/{one.path}"
            )
        away = stores.why_away(one.store) if known else ""
        yield {**one.to_dict(), "place": place, "away": away, "kept_at": one.place, "path": one.path}
