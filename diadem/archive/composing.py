"""From a plan to all that a package holds but its payload: record, crate, page, tag files, ids."""

from __future__ import annotations

import datetime
import io
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diadem.archive.describing import Describer
from diadem.archive.ingest import Ingest
from diadem.archive.plan import PackPlan, omitted_dict, text_of
from diadem.errors import Refused, UsageError
from diadem.export.pages import page_html
from diadem.extract.pool import Extractor
from diadem.extract.survey import DatasetPlan
from diadem.model.folder_dates import leading_date
from diadem.model.ids import PackageId
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH, FileEntry
from diadem.model.ports import Listener
from diadem.model.record import Record
from diadem.package.crate import crate_json
from diadem.package.seal import HashedFile, Sealed, payload_of, seal
from diadem.serialization.record_json import read_record
from diadem.store.copying import Copier, SourceFailed
from diadem.store.local_errors import SinkFailed
from diadem.store.source import Omission
from diadem.store.system import SEALED, allow, long_path
from diadem.trust.hashing import LeafHasher, sha256_hex

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


#: ``2026-03-14 ``, ``20260314_``: the name has a date of its own.
_LEADING_DATE = re.compile(r"\A(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)[\s_.-]*")


@dataclass(frozen=True, slots=True)
class Options:
    """How to pack; see `diadem.pack`.

    Attributes
    ----------
    strict : bool
        Refuse where anything cannot be archived.
    license, software : str
        As they will be shown.
    continues : PackageId, optional
        The package to which this one adds; see `diadem.node.continuation`.
    judge : callable, optional
        Called with the finished record before anything is visible; may raise.
    still : callable, optional
        Called when the last byte of the source was read, before anything is visible; may raise.
    archived : datetime, optional
        The moment that the package states, with its zone; default now, by the clock of this machine. The same files,
        read alike by the same software and archived at the same moment, are the same package.
    """

    strict: bool = False
    license: str = ""
    software: str = ""
    continues: PackageId | None = None
    judge: Callable[[Record], None] | None = None
    still: Callable[[], None] | None = None
    archived: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Composition:
    """A package, but for the bytes of its payload.

    Attributes
    ----------
    name : str
        ``<yyyy>/<date>-<slug>-<first 12 hex of the payload id>``.
    sealed : Sealed
        Ids, manifest, leaves and tag files.
    derived : mapping of str to bytes
        Crate and page by bag path. The record is where `compose` was told to write it.
    omissions : sequence of mapping
        path, kind, reason.
    issues : mapping of str to int
        Codes of the datasets' issues.
    flagged : sequence of (path, code)
        The first datasets with issues.
    """

    name: str
    sealed: Sealed
    derived: Mapping[str, bytes]
    omissions: Sequence[Mapping[str, str]]
    issues: Mapping[str, int]
    flagged: Sequence[tuple[str, str]]


def compose(
    plan: PackPlan,
    *,
    place: Callable[[str], str | None],
    root: Callable[[DatasetPlan], Path],
    record: str,
    extractor: Extractor,
    options: Options,
    copier: Copier,
    listener: Listener,
) -> Composition:
    """Hash (and copy) the payload, read it, describe it, seal it.

    Parameters
    ----------
    plan : PackPlan
        The source.
    place, root : callable
        See `Ingest`.
    record : str
        Path of the file that the record is written to; it must not exist.
    extractor, options, copier, listener
        The workers, how to pack, who copies, who is told.

    Raises
    ------
    Refused
        With `strict`, where anything is left out.
    """
    archived = options.archived or datetime.datetime.now().astimezone()
    files: list[HashedFile] = []
    omissions: list[Omission] = list(plan.tree.omissions)
    ingest = Ingest(plan.files, place=place, root=root, extractor=extractor, listener=listener)
    with _RecordFile(record) as file, io.BufferedWriter(file, 1 << 20) as sink:
        describer = Describer(sink, plan.metadata, title=plan.tree.title, files=plan.files)
        with closing(ingest.run(plan.datasets, copier)) as datasets:
            for ingested in datasets:
                files.extend(ingested.files)
                omissions.extend(ingested.omissions)
                describer.add(ingested)
        refuse_if_empty(files, omissions)
        refuse_if_strict(omissions, options)
        left_out = [omitted_dict(omission) for omission in omissions]
        describer.finish(
            omissions=left_out,
            empty_folders=[text_of(folder) for folder in plan.tree.empty_folders],
            continues=options.continues or "",
        )
    if options.judge is not None:
        options.judge(read_record(_read_back(record)))
    if options.still is not None:
        options.still()
    files.append(_hash_record(record, copier, _moment_of(archived)))
    return _seal(files, describer, archived, left_out, options)


class _RecordFile(io.FileIO):
    """A new file whose failures are those of the store, not of anything else that happens while it is open."""

    def __init__(self, path: str) -> None:
        try:
            super().__init__(long_path(path), "x")
        except OSError as error:
            raise SinkFailed(error) from error

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            raise SinkFailed(error) from error


def _read_back(record: str) -> bytes:
    try:
        return Path(long_path(record)).read_bytes()
    except OSError as error:
        raise SinkFailed(error) from error


def _seal(
    files: list[HashedFile],
    describer: Describer,
    archived: datetime.datetime,
    left_out: Sequence[Mapping[str, str]],
    options: Options,
) -> Composition:
    facts = describer.facts(
        files,
        archived=archived.isoformat(timespec="seconds"),
        omissions=left_out,
        license_text=options.license,
        software=options.software,
        continues=options.continues or "",
    )
    derived = {CRATE_PATH: crate_json(facts), PAGE_PATH: page_html(facts)}
    files.extend(_derived(path, data, archived) for path, data in derived.items())
    sealed = seal(
        files,
        vendor=describer.vendor.close(),
        date=archived.date().isoformat(),
        software=options.software,
        omitted=len(left_out),
        continues=options.continues,
    )
    name = package_name(describer.date or archived.date().isoformat(), describer.slug, sealed.payload_id)
    return Composition(name, sealed, derived, left_out, describer.issues, describer.flagged)


def _hash_record(record: str, copier: Copier, moment: int) -> HashedFile:
    try:
        os.utime(long_path(record), ns=(moment, moment))
        allow(long_path(record), SEALED)
        copied = copier.copy(record, None, lambda _: None)
    except OSError as error:
        raise SinkFailed(error) from error
    except SourceFailed as error:  # it lies in the stage
        raise SinkFailed(error.cause) from error
    return HashedFile(FileEntry(RECORD_PATH, copied.size, copied.sha256, copied.mtime_ns), copied.leaves)


def _derived(path: str, data: bytes, archived: datetime.datetime) -> HashedFile:
    leaves = LeafHasher()
    leaves.update(data)
    return HashedFile(FileEntry(path, len(data), sha256_hex(data), _moment_of(archived)), leaves.digest())


def _moment_of(archived: datetime.datetime) -> int:
    """The modification time of what DIADEM derives, nanoseconds since 1970 UTC, in whole seconds."""
    return int(archived.timestamp()) * 10**9


def hash_only(plan: PackPlan, copier: Copier, listener: Listener) -> tuple[str, list[Omission]]:
    """The payload id of a source and what is left out of it; every byte read and nothing written."""
    files: list[HashedFile] = []
    omissions = list(plan.tree.omissions)
    ingest = Ingest(plan.files, place=lambda _: None, root=lambda _: Path(), extractor=None, listener=listener)
    with closing(ingest.run(plan.datasets, copier)) as datasets:
        for ingested in datasets:
            files.extend(ingested.files)
            omissions.extend(ingested.omissions)
    refuse_if_empty(files, omissions)
    return payload_of(files), omissions


def refuse_if_empty(files: Sequence[HashedFile], omissions: Sequence[Omission]) -> None:
    """Raise `UsageError` where no file could be had: a package of nothing would look like an archive."""
    if not files:
        first = omitted_dict(omissions[0])
        raise UsageError(
            f"no file can be archived; the first of {len(omissions)} is {first['kind']}: {first['reason']}",
            where=first["path"],
            next="Make the files readable.",
        )


def package_name(date: str, slug: str, payload: str) -> str:
    """``<yyyy>/<date>-<slug>-<first 12 hex of the payload id>``.

    Parameters
    ----------
    date : str
        ``YYYY-MM-DD``.
    slug : str
        Any text; cut to its letters and digits.
    payload : str
        Payload id.
    """
    if leading_date(slug) == datetime.date.fromisoformat(date):  # another date stays: somebody wrote it
        slug = _LEADING_DATE.sub("", slug) or slug
    plain = unicodedata.normalize("NFKD", slug).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "session"
    return f"{date[:4]}/{date.replace('-', '')}-{plain}-{payload[:12]}"


def refuse_if_strict(omissions: Sequence[Omission], options: Options) -> None:
    """Raise `Refused` where something is left out and the user wants all or nothing."""
    if options.strict and omissions:
        items = [omitted_dict(omission) for omission in omissions]
        named = ", ".join(f"{item['path']} ({item['kind']})" for item in items[:5]) + (", …" if len(items) > 5 else "")
        raise Refused(
            f"{len(omissions)} things cannot be archived: {named}",
            where=items[0]["path"],
            next="Remove them, or pack without --strict: they will be listed in the record.",
        )
