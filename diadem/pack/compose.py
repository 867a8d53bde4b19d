"""From a plan to a sealed draft: payload, record, crate, page, tag files, ids."""

from __future__ import annotations

import datetime
import io
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diadem.errors import Refused
from diadem.export.pages import page_html
from diadem.extract.pool import Extractor
from diadem.model.folder_dates import leading_date
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH, FileEntry, PackageId
from diadem.model.ports import Listener
from diadem.model.record import Record
from diadem.pack.describe import Describer
from diadem.pack.ingest import Ingest
from diadem.pack.plan import PackPlan, omitted_dict, text_of
from diadem.package.crate import crate_json
from diadem.package.tags import HashedFile, payload_of, seal
from diadem.package.zips import previews_zip
from diadem.serialization.record_json import read_record
from diadem.store.contract import Draft
from diadem.store.copy import Copier, SourceFailed
from diadem.store.source import Omission
from diadem.store.system import SEALED, SinkFailed, allow, long_path
from diadem.trust.hashing import LeafHasher, sha256_hex

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


#: ``2026-03-14 ``, ``20260314_``: the name has a date of its own.
_LEADING_DATE = re.compile(r"\A(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)[\s_.-]*")


@dataclass(frozen=True, slots=True)
class Options:
    """How to pack; see `diadem.pack`.

    `judge` is called with the finished record, and `still` once the last byte of the source was read, before anything
    is visible; both may raise. `archived` is the moment that the package states, with its zone; default now. The same
    files, read alike by the same software and archived at the same moment, are the same package.
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
    """What is left to be said of a package once its draft is sealed."""

    name: str
    package: PackageId
    payload: str
    omissions: Sequence[Mapping[str, str]]
    issues: Mapping[str, int]
    flagged: Sequence[tuple[str, str]]


def compose(
    plan: PackPlan, draft: Draft, *, extractor: Extractor, options: Options, copier: Copier, listener: Listener
) -> Composition:
    """Hash (and copy) the payload, read it, describe it, and seal the draft."""
    archived = options.archived or datetime.datetime.now().astimezone()
    moment = int(archived.timestamp()) * 10**9  # of what DIADEM derives: nanoseconds, in whole seconds
    record = draft.target(RECORD_PATH)
    ingest = Ingest(plan, draft=draft, extractor=extractor, listener=listener)
    with _RecordFile(record) as file, io.BufferedWriter(file, 1 << 20) as sink:
        describer = Describer(sink, plan.metadata, title=plan.tree.title, files=plan.files)
        files, omissions = ingest.run(copier, describer.add)
        refuse_if_strict(omissions, options)
        left_out = [omitted_dict(omission) for omission in omissions]
        describer.finish(
            omissions=left_out,
            empty_folders=[text_of(folder) for folder in plan.tree.empty_folders],
            continues=options.continues or "",
        )
    if options.judge is not None:
        try:
            written = Path(long_path(record)).read_bytes()
        except OSError as error:
            raise SinkFailed(error) from error
        options.judge(read_record(written))
    if options.still is not None:
        options.still()
    files.append(_hashed_record(record, copier, moment))
    facts = describer.facts(
        files,
        archived=archived.isoformat(timespec="seconds"),
        omissions=left_out,
        license_text=options.license,
        software=options.software,
        continues=options.continues or "",
    )
    for path, data in ((CRATE_PATH, crate_json(facts)), (PAGE_PATH, page_html(facts))):
        draft.write(path, data)
        leaves = LeafHasher()
        leaves.update(data)
        files.append(HashedFile(FileEntry(path, len(data), sha256_hex(data), moment), leaves.digest()))
    sealed = seal(
        files,
        vendor=describer.vendor.close(),
        previews=previews_zip((dataset.id, dataset.preview) for dataset in facts.datasets),
        date=archived.date().isoformat(),
        software=options.software,
        omitted=len(left_out),
        continues=options.continues,
    )
    copier.let_go()  # Windows, and its shares, rename no folder in which a file is open
    draft.seal(sealed)
    # From here on the draft speaks for itself. What is in memory goes: with 100,000 files it is most of the peak.
    name = package_name(describer.date or archived.date().isoformat(), describer.slug, sealed.payload_id)
    return Composition(name, sealed.package_id, sealed.payload_id, left_out, describer.issues, describer.flagged)


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


def _hashed_record(record: str, copier: Copier, moment: int) -> HashedFile:
    try:
        os.utime(long_path(record), ns=(moment, moment))
        allow(long_path(record), SEALED)
        copied = copier.copy(record, None, lambda _: None)
    except OSError as error:
        raise SinkFailed(error) from error
    except SourceFailed as error:  # it lies in the draft
        raise SinkFailed(error.cause) from error
    return HashedFile(FileEntry(RECORD_PATH, copied.size, copied.sha256, copied.mtime_ns), copied.leaves)


def hash_only(
    plan: PackPlan, *, options: Options, copier: Copier, listener: Listener
) -> tuple[str, list[dict[str, str]]]:
    """The payload id of a source and what is left out of it; every byte read and nothing written."""
    files, omissions = Ingest(plan, listener=listener).run(copier)
    refuse_if_strict(omissions, options)
    return payload_of(files), [omitted_dict(omission) for omission in omissions]


def package_name(date: str, slug: str, payload: str) -> str:
    """``<yyyy>/<date>-<slug>-<first 12 hex of the payload id>``."""
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
