"""What is put into the catalogue."""

from __future__ import annotations

import builtins
import datetime
from collections.abc import Mapping, Sequence
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
        Day in its name: the session's, else that of archiving.
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
    record : Record
        The record; its datasets are read once, one after the other.
    tag_files : mapping of str to bytes
        Tag files by bag path, kept so that lost ones can be written again. `diadem/vendor.zip` and
        `diadem/previews.zip` are kept up to `KEPT` bytes.
    traces : frozenset of int
        What its source is recognised by, see `diadem.catalogue.traces`.
    archived : date or None
        Day of archiving, as its bag says: where the name has this one and nothing else tells, the session's is unknown.
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
    tag_files: Mapping[str, builtins.bytes] = field(default_factory=dict)
    traces: frozenset[int] = frozenset()
    archived: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class CopyEntry:
    """A copy of a package that the log says was written.

    Attributes
    ----------
    package_id : str
        ``diadem:<64 hex>``.
    store, path : str
        Where it is.
    at : datetime
        When it was written, UTC.
    level : str
        How writing proved it; "" where it did not.
    statement_id : str or None
        The statement that says so.
    adopted : bool
        Whether it is a person's own folder.
    place : str or None
        Identity of the disk or share, where that is not its store's.
    """

    package_id: str
    store: str
    path: str
    at: datetime.datetime
    level: str = ""
    statement_id: str | None = None
    adopted: bool = False
    place: str | None = None


@dataclass(frozen=True, slots=True)
class StatementEntry:
    """A statement of the log.

    Attributes
    ----------
    epoch, index : int
        Its place in the log.
    statement_id : str
        64 hex digits.
    kind : str
        ``ingest``, ``fixity`` …
    subjects : sequence of str
        SHA-256 of what it is about, 64 hex digits each; of a package its id.
    time : datetime
        When it was made, UTC.
    line : bytes
        The envelope.
    """

    epoch: int
    index: int
    statement_id: str
    kind: str
    subjects: Sequence[str]
    time: datetime.datetime
    line: builtins.bytes
