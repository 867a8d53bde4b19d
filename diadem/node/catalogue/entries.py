"""What is put into the catalogue."""

from __future__ import annotations

import builtins
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from diadem.model.record import Record


@dataclass(frozen=True, slots=True)
class PackageEntry:
    """One package, with all that search and the policy need to know of it.

    Attributes
    ----------
    id, payload_id : str
        ``diadem:<64 hex>``, and 64 hex digits.
    path : str
        Path in a store, as the package was named when it was made: ``2026/20260314-…``.
    title : str
        The session's title, or what stands for it.
    date : date or None
        Day of the session; search lists packages by it. None comes last.
    bytes, files : int
        Size and number of files of the payload.
    owner : str
        Who had it archived.
    ingested_at : datetime or None
        When the `ingest` statement was made, UTC.
    predecessor : str or None
        Id of the package that this one continues.
    omitted : int
        How many things of the source were left out.
    issues : mapping of str to int
        Codes of the datasets' issues, and how often each came.
    record : Record
        The record; its datasets are read once, one after the other.
    tag_files : mapping of str to bytes
        Tag files by bag path, kept so that lost ones can be written again. `diadem/vendor.zip` is kept up to
        `KEPT_VENDOR` bytes.
    traces : frozenset of int
        What its source is recognised by, see `diadem.node.catalogue.traces`.
    """

    id: str
    payload_id: str
    path: str
    title: str
    date: datetime.date | None
    bytes: int
    files: int
    owner: str
    ingested_at: datetime.datetime | None
    record: Record
    predecessor: str | None = None
    omitted: int = 0
    issues: Mapping[str, int] = field(default_factory=dict)
    tag_files: Mapping[str, builtins.bytes] = field(default_factory=dict)
    traces: frozenset[int] = frozenset()
