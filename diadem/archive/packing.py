"""Packing: a source becomes a sealed package in a store, without a node."""

from __future__ import annotations

import datetime
import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diadem.archive.describing import Describer
from diadem.archive.ingest import Ingest
from diadem.archive.package import Package
from diadem.archive.plan import PackPlan, omitted_dict, text_of
from diadem.errors import Interrupted, Refused
from diadem.extract.pool import Extractor
from diadem.model.ids import PackageId
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH, FileEntry
from diadem.model.ports import Listener
from diadem.model.report import Level
from diadem.package.crate import crate_json
from diadem.package.page import page_html
from diadem.package.sealing import HashedFile, Sealed, payload_of, seal
from diadem.package.verify import verify
from diadem.package.vendor import vendor_zip
from diadem.store.bundle import LocalBundle
from diadem.store.copying import Copier, SinkFailed
from diadem.store.local_store import LocalStore, Stage, Swept, store_error, translated
from diadem.store.source import Omission
from diadem.trust.hashing import LeafHasher, sha256_hex

#: Room kept for what DIADEM derives, beside the payload: page, crate, record, tag files.
_RESERVE = 16 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """How to pack; see `diadem.pack`."""

    strict: bool = False
    license: str = ""
    software: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What packing did.

    Attributes
    ----------
    package : Package
        The package in the store.
    created : bool
        False where the store held this payload already.
    omissions : sequence of mapping
        What was left out: path, kind, reason.
    issues : mapping of str to int
        Codes of the datasets' issues and how often each came.
    swept : sequence of Swept
        Leftovers of dead writers that were removed.
    seconds : float
        Time taken.
    """

    package: Package
    created: bool
    omissions: Sequence[Mapping[str, str]]
    issues: Mapping[str, int] = field(default_factory=dict)
    swept: Sequence[Swept] = ()
    seconds: float = 0.0


def pack_local(
    plan: PackPlan, store: LocalStore, *, extractor: Extractor, options: Options, listener: Listener
) -> Outcome:
    """Pack into a folder: stage → seal → publish by one rename.

    Raises
    ------
    Refused
        With `strict`, where anything would be left out; `StoreError` where the store cannot be written.
    Interrupted
        On Ctrl-C; nothing is visible.
    """
    started = time.monotonic()
    _refuse_if_strict(plan.tree.omissions, options)
    swept = store.sweep()
    with Copier() as copier, _interruptible(), _sink_errors(store.url):
        present = _already_there(plan, store, copier, listener)
        if present is not None:
            omissions = [omitted_dict(omission) for omission in plan.tree.omissions]
            return Outcome(present, created=False, omissions=omissions, swept=swept, seconds=time.monotonic() - started)
        store.check_space(plan.tree.allocated + _RESERVE)
        stage = store.stage()
        try:
            outcome = _Packing(plan, store, stage, extractor, options, listener).run(copier)
        except BaseException:
            stage.discard()
            raise
    return Outcome(
        outcome.package,
        outcome.created,
        outcome.omissions,
        outcome.issues,
        swept,
        time.monotonic() - started,
    )


def _already_there(plan: PackPlan, store: LocalStore, copier: Copier, listener: Listener) -> Package | None:
    """A tree that looks like an archived one is hashed before anything is copied."""
    if not store.knows_tree(plan.tree_digest):
        return None
    ingest = Ingest(plan.files, place=lambda _: None, root=lambda _: Path(), extractor=None, listener=listener)
    with closing(ingest.run(plan.datasets, copier)) as datasets:
        payload = payload_of(file for ingested in datasets for file in ingested.files)
    found = store.find_payload(payload)
    if found is None or not is_sound(found[1]):
        return None
    return Package(LocalBundle(found[1]))


def is_sound(folder: Path) -> bool:
    """Whether a package that is there already has all its files, sizes and tag files."""
    return verify(LocalBundle(folder), level=Level.QUICK).ok


class _Packing:
    """One package on its way through a stage."""

    def __init__(
        self,
        plan: PackPlan,
        store: LocalStore,
        stage: Stage,
        extractor: Extractor,
        options: Options,
        listener: Listener,
    ) -> None:
        self._plan = plan
        self._store = store
        self._stage = stage
        self._extractor = extractor
        self._options = options
        self._listener = listener
        self._files: list[HashedFile] = []
        self._omissions: list[Omission] = list(plan.tree.omissions)
        self._archived = datetime.datetime.now().astimezone()

    def run(self, copier: Copier) -> Outcome:
        """Copy, read, describe, seal, publish."""
        describer = self._copy_and_read(copier)
        _refuse_if_strict(self._omissions, self._options)
        self._files.append(self._hash_derived(RECORD_PATH, copier))
        facts = describer.facts(
            self._files,
            archived=self._archived.isoformat(timespec="seconds"),
            omissions=[omitted_dict(omission) for omission in self._omissions],
            license_text=self._options.license,
            software=self._options.software,
        )
        for path, data in ((CRATE_PATH, crate_json(facts)), (PAGE_PATH, page_html(facts))):
            self._stage.write(path, data)
            self._files.append(self._derived(path, data))
        sealed = seal(
            self._files,
            vendor=vendor_zip(describer.vendor),
            date=self._archived.date().isoformat(),
            software=self._options.software,
            omitted=len(self._omissions),
        )
        for path, data in sealed.tag_files.items():
            self._stage.write(path, data)
        return self._publish(sealed, describer)

    def _copy_and_read(self, copier: Copier) -> Describer:
        ingest = Ingest(
            self._plan.files,
            place=lambda name: self._stage.target("data/" + name),
            root=lambda _: self._stage.bag / "data",
            extractor=self._extractor,
            listener=self._listener,
        )
        with open(self._stage.target(RECORD_PATH), "wb") as sink:  # noqa: PTH123
            describer = Describer(sink, self._plan.metadata, title=self._plan.tree.title)
            with closing(ingest.run(self._plan.datasets, copier)) as datasets:
                for ingested in datasets:
                    self._files.extend(ingested.files)
                    self._omissions.extend(ingested.omissions)
                    describer.add(ingested)
            describer.finish(
                omissions=[omitted_dict(omission) for omission in self._omissions],
                empty_folders=[text_of(folder) for folder in self._plan.tree.empty_folders],
            )
        return describer

    def _hash_derived(self, path: str, copier: Copier) -> HashedFile:
        target = str(self._stage.bag / path)
        os.chmod(target, 0o444)  # noqa: PTH101
        copied = copier.copy(target, None, lambda _: None)
        return HashedFile(FileEntry(path, copied.size, copied.sha256, copied.mtime_ns), copied.leaves)

    def _derived(self, path: str, data: bytes) -> HashedFile:
        leaves = LeafHasher()
        leaves.update(data)
        moment = int(self._archived.timestamp() * 10**9)
        return HashedFile(FileEntry(path, len(data), sha256_hex(data), moment), leaves.digest())

    def _publish(self, sealed: Sealed, describer: Describer) -> Outcome:
        date = describer.date or self._archived.date().isoformat()
        name = package_name(date, describer.slug, sealed.payload_id)
        with translated(self._store.url):
            self._stage.seal()
        folder, created = self._store.publish(
            self._stage, name, sealed.package_id, sealed.payload_id, self._plan.tree_digest, is_sound
        )
        package = Package(LocalBundle(folder), proven=created)
        omissions = [omitted_dict(omission) for omission in self._omissions]
        return Outcome(package, created, omissions, describer.issues)


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
    plain = unicodedata.normalize("NFKD", slug).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "session"
    return f"{date[:4]}/{date.replace('-', '')}-{plain}-{payload[:12]}"


def _refuse_if_strict(omissions: Sequence[Omission], options: Options) -> None:
    if options.strict and omissions:
        first = omitted_dict(omissions[0])
        raise Refused(
            f"{len(omissions)} things cannot be archived; the first is a {first['kind']}: {first['reason']}",
            where=first["path"],
            next="Remove them, or pack without --strict: they will be listed in the record.",
        )


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("packing was stopped; nothing was archived", next="Run the same command again.") from error


@contextmanager
def _sink_errors(url: str) -> Iterator[None]:
    try:
        yield
    except SinkFailed as error:
        raise store_error(error.cause, url) from error.cause


