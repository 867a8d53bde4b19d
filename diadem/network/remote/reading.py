"""What a node answers, as values: rows, judgements, doubts. From somebody else, so its form is checked."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from diadem.catalogue.results import DatasetRow, PackageRow, SearchResult, WiderSearch
from diadem.errors import DiademError, DocumentError
from diadem.model.assessments import Assessment, current, disputes
from diadem.model.lineage import Caution
from diadem.model.manifest import PackageId
from diadem.model.times import read_time
from diadem.model.transfers import State, Transfer
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
    assessments : Assessments
        What was said of it.
    warnings : tuple of Caution
        Doubts about it and about what it was made from.
    """

    row: PackageRow
    continued_by: tuple[PackageId, ...]
    amended: bool
    assessments: Assessments
    warnings: tuple[Caution, ...]


def read_facts(document: Mapping[str, Any], url: str) -> PackageFacts:
    """What is told of a package. Raises `DocumentError`."""
    return _read(lambda: _facts(document), url)


def read_result(document: Mapping[str, Any], url: str) -> SearchResult:
    """A page of a search. Raises `DocumentError`."""
    return _read(lambda: _result(document), url)


def read_transfer(document: Any, url: str) -> Transfer:
    """A transfer of which the node tells. Raises `DocumentError`."""
    return _read(lambda: _transfer(document), url)


def _read(read: Callable[[], T], url: str) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, DiademError) as error:
        raise DocumentError(
            "the answer is not what this version of DIADEM understands", where=url, next="Update DIADEM."
        ) from error


def _facts(said: Mapping[str, Any]) -> PackageFacts:
    return PackageFacts(
        row=_row(said["package"]),
        continued_by=tuple(PackageId(one) for one in said["continued_by"]),
        amended=bool(said["amended"]),
        assessments=_assessments(said["assessments"]),
        warnings=tuple(map(_caution, said["warnings"])),
    )


def _result(said: Mapping[str, Any]) -> SearchResult:
    return SearchResult(
        query=str(said["query"]),
        rows=tuple(map(_row, said["rows"])),
        total=int(said["total"]),
        exact=bool(said["exact"]),
        hint=str(said["hint"]),
        names=tuple(map(str, said["names"])),
        offset=int(said["offset"]),
        wider=tuple(
            WiderSearch(str(one["query"]), str(one["left_out"]), int(one["total"]), bool(one["exact"]))
            for one in said.get("wider", ())  # an earlier version does not say
        ),
    )


def _row(said: Mapping[str, Any]) -> PackageRow:
    texts = ("payload_id", "title", "instrument", "sample", "operator", "owner", "path")
    plain: dict[str, Any] = {name: str(said[name]) for name in texts}
    plain |= {name: int(said[name]) for name in ("datasets", "files", "bytes", "matching", "omitted")}
    plain |= {name: tuple(map(str, said[name])) for name in ("formats", "stores", "quality", "warnings")}
    return PackageRow(
        id=str(PackageId(said["id"])),
        session=str(said["session"]),
        continues=None if said["continues"] is None else str(said["continues"]),
        date=datetime.date.fromisoformat(said["date"]) if said["date"] else None,
        until=datetime.date.fromisoformat(said["until"]) if said.get("until") else None,
        ingested_at=read_time(said["ingested_at"]) if said["ingested_at"] else None,
        matched=tuple(DatasetRow(str(one["id"]), str(one["path"])) for one in said["matched"]),
        issues={str(code): int(count) for code, count in said["issues"].items()},
        tombstone=said["tombstone"],
        **plain,
    )


def _assessments(said: Mapping[str, Any]) -> Assessments:
    found = [_assessment(one, order) for order, one in enumerate(said["assessments"])]
    counting = current(found)
    paths = {str(one["dataset"]): str(one["path"]) for one in said["assessments"] if one["path"]}
    return Assessments(str(said["package"]), tuple(found), tuple(counting), tuple(disputes(counting)), paths)


def _assessment(said: Mapping[str, Any], order: int) -> Assessment:
    left_out = ("statement_id", "order", "value", "evidence")
    texts = {name: str(said[name]) for name in Assessment.__dataclass_fields__ if name not in left_out}
    value = None if said["value"] is None else float(said["value"])
    return Assessment(
        statement_id=str(said["statement"]),
        order=order,
        value=value,
        evidence=tuple(map(str, said["evidence"])),
        **texts,
    )


def _caution(said: Mapping[str, Any]) -> Caution:
    return Caution(
        package=str(said["package"]),
        path=str(said["path"]),
        assessment=_assessment(said["assessment"], 0),
        disputed=bool(said["disputed"]),
        way=tuple(map(str, said["way"])),
    )


def _transfer(said: Mapping[str, Any]) -> Transfer:
    texts = ("id", "direction", "package", "payload_id", "title", "peer", "sender", "recipient", "comment", "offer")
    plain: dict[str, Any] = {name: str(said[name]) for name in (*texts, "grant", "error", "next")}
    return Transfer(
        state=State(said["state"]),
        bytes=int(said["bytes"]),
        files=int(said["files"]),
        routes=tuple(map(str, said["routes"])),
        expires=read_time(said["expires"]),
        created=read_time(said["created"]),
        **plain,
    )
