"""What of the catalogue is told to somebody who may find a package: rows of a search, judgements, doubts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from diadem.catalogue.results import PackageRow
from diadem.errors import NotFound
from diadem.model.access import USER, Asker, Right, Visible
from diadem.model.lineage import Caution
from diadem.node.access.askers import require, visible
from diadem.node.context import Context
from diadem.node.quality.assess import assessments
from diadem.node.saved_searches import QueryVerbs, expanded

#: Rows that are given at once.
PAGE: Final = 500
#: What is told of warnings about data that somebody may not find.
_DOUBTFUL: Final = "made from data with a warning; ask their owner"


def search(context: Context, asker: Asker, query: str, *, limit: int, offset: int) -> dict[str, Any]:
    """A page of what somebody may find, as `SearchResult.to_dict` gives it.

    Raises
    ------
    UsageError
        The query cannot be understood.
    """
    seen = visible(context, asker)
    colleague = asker.kind == USER and not asker.guest
    text = QueryVerbs(context).expanded(query) if colleague else expanded(query, {})
    found = context.catalogue.search(text, limit=min(limit, PAGE), offset=offset, within=seen)
    rows = tuple(_told(row, asker, seen) for row in found.rows)
    names = found.names if seen.everything else ()  # names of samples are as private as what was recorded of them
    return replace(found, rows=rows, names=names).to_dict()


def facts(context: Context, asker: Asker, package: str) -> dict[str, Any]:
    """What the catalogue knows of a package that somebody may find.

    Returns
    -------
    dict
        ``package``, a row; ``continued_by``, ids; ``amended``, whether its record was corrected; ``assessments`` as
        `Assessments.to_dict` gives them; ``warnings`` as `Caution.to_dict` does.
    """
    row = context.catalogue.get(package)
    seen = visible(context, asker)
    judged = assessments(context, row.id)
    doubts = context.catalogue.cautions([row.id]).get(row.id, [])
    following = context.catalogue.continuations(row.id)
    return {
        "package": _told(row, asker, seen).to_dict(),
        "continued_by": [one for one in following if may_find(context, asker, one)],
        "amended": bool(context.catalogue.corrections(row.id).fields),
        "assessments": judged.to_dict(),
        "warnings": [_doubt(context, asker, one).to_dict() for one in doubts],
    }


def may_find(context: Context, asker: Asker, package: str) -> bool:
    """Whether somebody may find a package."""
    try:
        require(context, asker, Right.LIST, package)
    except NotFound:
        return False
    return True


def _told(row: PackageRow, asker: Asker, seen: Visible) -> PackageRow:
    """A row, to others than its owner without what it says of stores and of other packages."""
    if seen.everything or row.owner == asker.address:
        return row
    session = row.continues or row.id
    return replace(row, stores=(), path="", session=session, warnings=(_DOUBTFUL,) if row.warnings else ())


def _doubt(context: Context, asker: Asker, doubt: Caution) -> Caution:
    """A doubt; about what somebody may not find, without who said it, of which file, and in what words."""
    if not doubt.way or may_find(context, asker, doubt.package):
        return doubt
    said = replace(doubt.assessment, by="somebody", comment="", criterion="", dataset="", signal="", evidence=())
    return replace(doubt, path="", assessment=replace(said, value=None, unit="", plugin="", version=""))
