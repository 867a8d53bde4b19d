"""What a node answers, as values: rows, judgements, doubts. From somebody else, so its form is checked.

Each is read straight into its class. A node may be of a later version, and say more than is known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from msgspec import field as member
from msgspec import to_builtins

from diadem.catalogue.results import PackageRow, SearchResult
from diadem.errors import DocumentError, UsageError
from diadem.model.assessments import Assessment, current, disputes
from diadem.model.documents import Document, document_of
from diadem.model.lineage import Caution
from diadem.model.manifest import PackageId
from diadem.model.transfers import Transfer
from diadem.node.quality.assess import Assessments

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What a node tells of a package.

    Attributes
    ----------
    row : PackageRow
        As a search finds it.
    continued_by : tuple of PackageId
        Packages that add to it.
    amended : bool
        Whether its record was corrected.
    corrections : tuple of dict
        What was corrected, as `diadem.archive.overview.Overview` has it.
    assessments : Assessments
        What was said of it.
    warnings : tuple of Caution
        Doubts about it and about what it was made from.
    """

    row: PackageRow
    continued_by: tuple[PackageId, ...]
    amended: bool
    corrections: tuple[dict[str, Any], ...]
    assessments: Assessments
    warnings: tuple[Caution, ...]


class _Judged(Document, frozen=True, forbid_unknown_fields=False):
    """All assessments of a package, each with the ``path`` of its dataset."""

    package: str
    assessments: tuple[dict[str, Any], ...]


class _Doubt(Document, frozen=True, forbid_unknown_fields=False):
    """A `Caution` as it is told."""

    package: str
    path: str
    assessment: dict[str, Any]
    disputed: bool
    way: tuple[str, ...]


class _Correction(Document, frozen=True, forbid_unknown_fields=False):
    """What a field was, and what it is."""

    field: str
    was: list[str]
    by: str
    value: str = member(name="is")
    dataset: str = ""
    path: str = ""
    time: str = ""
    reason: str = ""


class _Facts(Document, frozen=True, forbid_unknown_fields=False):
    """`PackageFacts` as they are told."""

    package: PackageRow
    continued_by: tuple[PackageId, ...]
    amended: bool
    assessments: _Judged
    warnings: tuple[_Doubt, ...]
    corrections: tuple[_Correction, ...] = ()  # nodes of earlier versions do not tell


def read_facts(document: Mapping[str, Any], url: str) -> PackageFacts:
    """What is told of a package. Raises `DocumentError`."""
    said = _read(_Facts, document, url)
    told = said.assessments.assessments
    judged = tuple(_assessment(one, order, url) for order, one in enumerate(told))
    counting = tuple(current(judged))
    paths = {one.dataset: str(more["path"]) for one, more in zip(judged, told, strict=True) if more.get("path")}
    return PackageFacts(
        row=_named(said.package, url),
        continued_by=said.continued_by,
        amended=said.amended,
        corrections=tuple(to_builtins(one) for one in said.corrections),
        assessments=Assessments(said.assessments.package, judged, counting, tuple(disputes(counting)), paths),
        warnings=tuple(
            Caution(one.package, one.path, _assessment(one.assessment, 0, url), one.disputed, one.way)
            for one in said.warnings
        ),
    )


def read_result(document: Mapping[str, Any], url: str) -> SearchResult:
    """A page of a search. Raises `DocumentError`."""
    said = _read(SearchResult, document, url)
    return replace(said, rows=tuple(_named(row, url) for row in said.rows))


def read_transfer(document: Any, url: str) -> Transfer:
    """A transfer of which the node tells. Raises `DocumentError`."""
    said = _read(Transfer, document, url)
    _require_zone(url, said.expires, said.created)
    return said


def _assessment(said: Mapping[str, Any], order: int, url: str) -> Assessment:
    return _read(Assessment, {**said, "statement_id": said.get("statement"), "order": order}, url)


def _named(row: PackageRow, url: str) -> PackageRow:
    """The row, whose id is one."""
    _require_zone(url, row.ingested_at)
    try:
        return replace(row, id=str(PackageId(row.id)))
    except UsageError as error:
        raise _odd(error.message, url) from None


def _require_zone(url: str, *moments: datetime | None) -> None:
    if any(moment is not None and moment.tzinfo is None for moment in moments):
        raise _odd("a moment has no time zone", url)


def _read(kind: type[T], document: Any, url: str) -> T:
    found: T = document_of(kind, document, fault=lambda words, at="": _odd(f"{at}: {words}" if at else words, url))
    return found


def _odd(words: str, url: str) -> DocumentError:
    return DocumentError(
        f"the answer is not what this version of DIADEM understands: {words}", where=url, next="Update DIADEM."
    )
