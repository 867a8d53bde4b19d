"""What goes into an export: the files of the ZIP, each with what opens it, and what the letter tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from diadem.archive.facts import facts_as_corrected
from diadem.archive.restore import empty_folders
from diadem.export.names import target_names
from diadem.export.pages import CHAIN, CORRECTIONS, RAW, README, RECORD, WHOLE, EnclosedFolder, chain_name
from diadem.export.zip import Content
from diadem.model.amendments import Corrections
from diadem.model.effective import corrected, effective_record
from diadem.model.facts import MAX_DESCRIBED, DatasetFacts, PackageFacts
from diadem.model.manifest import CRATE_PATH, MANIFEST, PAGE_PATH, RECORD_PATH, TAGMANIFEST, FileEntry, PackageId
from diadem.model.names import illegal, twin_key
from diadem.model.ports import InMemory
from diadem.model.record import Record
from diadem.node.context import Context
from diadem.node.custody_chains import enclosed_chains
from diadem.node.give.read_copies import PackageReader, readers_of
from diadem.node.give.redact import Redaction, Redactor
from diadem.node.quality.amend import sheet_of
from diadem.node.take.package_chain import Session
from diadem.package.tags import REDACTED_FROM, manifest_text, plain_bag_tags
from diadem.trust.hashing import sha256_hex

#: Files that DIADEM derives, by bag path, and their names beside each other.
_DERIVED = {path: path.removeprefix("data/") for path in (RECORD_PATH, CRATE_PATH, PAGE_PATH)}


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the ZIP; `payload` is its path below `data/` where it is a file of an instrument."""

    name: str
    size: int
    mtime_ns: int
    open: Callable[[], AbstractContextManager[Content]]
    payload: str = ""

    @classmethod
    def of(cls, name: str, data: bytes, moment: datetime) -> Member:
        """A file that is at hand."""
        return cls(name, len(data), int(moment.timestamp()) * 10**9, partial(InMemory, data))


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that goes into a ZIP but the letter.

    `enclosed` are the folders that the letter names, `folders` those that hold nothing, `renamed` files that have
    another name here than they had.
    """

    members: Sequence[Member]
    enclosed: Sequence[EnclosedFolder]
    folders: Sequence[str] = ()
    renamed: Sequence[tuple[str, str]] = ()


class ExportedPackages:
    """The packages of one export, whole or in part, with people or without."""

    def __init__(self, context: Context, session: Session, only: str, *, redact: bool, custody: bool) -> None:
        self._context, self.only = context, only
        if only == RAW:
            self._copies = readers_of(context, session)
        else:
            self._copies = {one.id: PackageReader(context, one.id) for one in session.packages}
        #: Of a session's raw files the newest versions: as `get` counts them, also where a package between is lost.
        self._newest = session.files() if only == RAW else []
        #: What is exported of it, a package after the one that it continues.
        self.session = replace(session, packages=[one for one in session.packages if one.id in self._copies])
        self._moment = context.clock()
        self._folders = self._folder_names()
        self.redactor: Redactor | None = None
        self._facts: dict[PackageId, PackageFacts] = {}
        self._derived: dict[PackageId, dict[str, bytes]] = {}
        #: Whether it says who had the packages: of whole packages alone, from which nobody was taken out.
        self.with_custody = custody and only == WHOLE and not redact
        if redact:
            self._redact()

    @property
    def redaction(self) -> Redaction | None:
        """What was taken out, and what could not be, as far as the files were read."""
        return None if self.redactor is None else self.redactor.account()

    @property
    def damaged(self) -> list[str]:
        """Stores whose copy turned out to be damaged."""
        return sorted({store for copies in self._copies.values() for store in copies.damaged})

    def _folder_names(self) -> dict[PackageId, str]:
        """The name of each package's folder: its own name, as it stands in a store."""
        names: dict[PackageId, str] = {}
        taken = {twin_key(name) for name in (README, CORRECTIONS, CHAIN, MANIFEST)}
        for package in self._copies:
            name = self._context.catalogue.get(package).path.rstrip("/").rpartition("/")[2]
            if illegal(name) or twin_key(name) in taken:
                name = f"diadem-{package.hex[:16]}"
            names[package] = name
            taken.add(twin_key(name))
        return names

    def _redact(self) -> None:
        names = [user.full_name for user in self._context.settings.users if user.full_name]
        self.redactor = redactor = Redactor(list(self._copies.values()), names, paths=self.only == RECORD)
        records: dict[PackageId, Record] = {}
        for one, copies in self._copies.items():  # before anything is written: what one names is in no other
            corrections = self._corrections(one)
            records[one] = effective_record(copies.record(), corrections)
            redactor.learn(records[one], corrections)
        kept = self._kept()
        for one, copies in self._copies.items():
            self._derived[one], self._facts[one] = redactor.derived(copies, records[one])
            if redactor.terms.stand_in(self._folders[one]):
                self._folders[one] = f"session-{copies.package.payload_id[:12]}"
            self._folders[one] += "-redacted"
        if self.only != RECORD:
            for one, copies in self._copies.items():
                redactor.look_through_vendor_blocks(copies, kept[one])

    def _kept(self) -> dict[PackageId, set[str]]:
        """The files of each package that are exported; of a session's raw files only the newest versions."""
        if self.only == RAW:
            kept: dict[PackageId, set[str]] = {one: set() for one in self._copies}
            for file in self._newest:
                kept[file.package].add(file.entry.name)
            return kept
        return {one: {entry.name for entry in copies.package.files} for one, copies in self._copies.items()}

    def _corrections(self, package: PackageId) -> Corrections:
        return self._context.catalogue.corrections(str(package))

    # -- what goes into the ZIP ------------------------------------------------------------------------------------

    def contents(self) -> Contents:
        """Everything but the letter."""
        if self.only == RAW:
            return self._raw_files()
        if self.only == RECORD:
            return self._metadata()
        part = self._sealed if self.redactor is None else self._cleaned
        parts = [part(one, copies) for one, copies in self._copies.items()]
        return Contents([member for members, _ in parts for member in members], [enclosed for _, enclosed in parts])

    def _payload(self, copies: PackageReader, folder: str) -> tuple[list[Member], EnclosedFolder]:
        """The files of the instruments, where they are in a bag."""
        members = [_member(copies, entry, f"{folder}/{entry.path}") for entry in copies.package.files]
        return members, EnclosedFolder(folder, copies.id, len(members), sum(member.size for member in members))

    def _sealed(self, package: PackageId, copies: PackageReader) -> tuple[list[Member], EnclosedFolder]:
        """A package, byte for byte: everything that its tag manifest names, and nothing else."""
        folder = self._folders[package]
        digests, stamp = copies.tag_digests(), int(self._moment.timestamp()) * 10**9
        tags = [
            Member(f"{folder}/{path}", copies.tag_size(path), stamp, partial(copies.tag_file, path, digest))
            for path, digest in digests.items()
        ]
        text = manifest_text((digest, path) for path, digest in digests.items())
        data = [
            Member(f"{folder}/{entry.path}", entry.size, entry.mtime_ns, partial(copies.open, entry))
            for entry in copies.package.manifest
            if entry.path in _DERIVED
        ]
        payload, enclosed = self._payload(copies, folder)
        return [*tags, Member.of(f"{folder}/{TAGMANIFEST}", text, self._moment), *data, *payload], enclosed

    def _cleaned(self, package: PackageId, copies: PackageReader) -> tuple[list[Member], EnclosedFolder]:
        """A package from whose derived files people were taken: an ordinary bag, which says what it was made of."""
        folder, derived = self._folders[package], self._derived[package]
        listed = [(entry.sha256, entry.path, entry.size) for entry in copies.package.files]
        listed += [(sha256_hex(data), path, len(data)) for path, data in derived.items()]
        tags = plain_bag_tags(
            listed,
            date=self._moment.date().isoformat(),
            software=self._context.tools.software,
            more=[(REDACTED_FROM, str(package))],
        )
        own = [Member.of(f"{folder}/{path}", data, self._moment) for path, data in {**tags, **derived}.items()]
        payload, enclosed = self._payload(copies, folder)
        return [*own, *payload], enclosed

    def _metadata(self) -> Contents:
        """Record, crate and page of each package, beside each other, and the list of their digests."""
        members, listed, enclosed = [], [], []
        for package, copies in self._copies.items():
            folder, files = self._folders[package], self._derived.get(package)
            files = files or {path: copies.derived(path) for path in _DERIVED if path in copies.package.manifest}
            named = {f"{folder}/{_DERIVED[path]}": data for path, data in files.items()}
            members += [Member.of(name, data, self._moment) for name, data in named.items()]
            listed += [(sha256_hex(data), name) for name, data in named.items()]
            enclosed.append(EnclosedFolder(folder, str(package), len(named), sum(map(len, named.values()))))
        return Contents([Member.of(MANIFEST, manifest_text(listed), self._moment), *members], enclosed)

    def _raw_files(self) -> Contents:
        """Files under the names that they had, where every system can hold them, and the list of their digests."""
        files, folder = self._newest, self._folders[next(iter(self._copies))]
        names = target_names([file.entry for file in files])
        pairs = list(zip(files, names, strict=True))
        members = [_member(self._copies[file.package], file.entry, f"{folder}/{name}") for file, name in pairs]
        listed = manifest_text((file.entry.sha256, f"{folder}/{name}") for file, name in pairs)
        renamed = [
            (name, file.entry.original_name.decode("utf-8", "backslashreplace"))
            for file, name in pairs
            if name.encode() != file.entry.original_name
        ]
        records = filter(None, (copies.readable_record() for copies in self._copies.values()))
        empty = [name for name in empty_folders(records, names) if not any(map(illegal, name.split("/")))]
        folders = [f"{folder}/{name}" for name in dict.fromkeys(empty)]
        enclosed = EnclosedFolder(folder, " ".join(self._copies), len(members), sum(member.size for member in members))
        return Contents([Member.of(MANIFEST, listed, self._moment), *members], [enclosed], folders, renamed)

    # -- what is said of it ----------------------------------------------------------------------------------------

    def corrected(self) -> list[tuple[str, str, str, str]]:
        """What, what it was, what it is, and who says so, of everything that the owners corrected."""
        return [
            (one.what, one.was, one.now, f"corrected by {one.who}")
            for package, copies in self._copies.items()
            if (record := copies.readable_record()) is not None
            for one in corrected(record, self._corrections(package))
        ]

    def signed(self) -> Iterator[tuple[str, bytes]]:
        """What people and nodes signed: the owners' corrections and what is judged, a sheet a line, and custody.

        Nothing of what people were taken out of.
        """
        if self.redactor is not None:
            return
        found = [sheet_of(self._context, str(one)) for one in self._copies]
        if sheets := b"".join(sheet.to_line() + b"\n" for sheet in found if sheet is not None):
            yield CORRECTIONS, sheets
        for number, chain in enumerate(enclosed_chains(self._context, self._copies) if self.with_custody else (), 1):
            yield chain_name(number), chain

    def doubts(self) -> list[str]:
        """Warnings about the data; about what they were made from without names, for that is not given."""
        somebody = f"somebody@{self._context.settings.name}"
        found = self._context.catalogue.cautions([str(one) for one in self._copies])
        told = [
            (one if not one.way or one.told_by else one.without_names(somebody)).sentence
            for package in self._copies
            for one in found.get(str(package), ())
        ]
        return list(dict.fromkeys(told))

    def facts(self) -> PackageFacts:
        """The session in plain words, of all packages together."""
        kept = self._kept()
        facts = {
            one: self._facts.get(one)
            or facts_as_corrected(copies.package, copies.readable_record(), self._corrections(one))
            for one, copies in self._copies.items()
        }
        if len(facts) == 1:
            return next(iter(facts.values()))
        datasets = [
            dataset if self.only == RAW else replace(dataset, primary=f"{self._folders[one]}/data/{dataset.primary}")
            for one, told in facts.items()
            for dataset in told.datasets
            if dataset.primary in kept[one] or self.only == RECORD
        ]
        return _joined(list(facts.values()), datasets, files=sum(map(len, kept.values())))


def _member(copies: PackageReader, entry: FileEntry, name: str) -> Member:
    return Member(name, entry.size, entry.mtime_ns, partial(copies.open, entry), payload=entry.name)


def _joined(facts: Sequence[PackageFacts], datasets: Sequence[DatasetFacts], *, files: int) -> PackageFacts:
    """One account of several packages; the first tells of the session."""
    people = {str(person.get("name")): person for told in facts for person in told.people}
    return replace(
        facts[0],
        file_count=files,
        total_bytes=sum(told.total_bytes for told in facts),
        dataset_count=len(datasets) + sum(max(0, told.dataset_count - len(told.datasets)) for told in facts),
        datasets=list(datasets)[:MAX_DESCRIBED],
        people=list(people.values()),
        omitted=[item for told in facts for item in told.omitted],
        instruments=list({repr(one): one for told in facts for one in told.instruments}.values()),
        operators=list(dict.fromkeys(name for told in facts for name in told.operators)),
    )
