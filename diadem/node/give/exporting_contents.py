"""What goes into an export: members of the ZIP, each with what opens it; packages, files alone, metadata alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from diadem.export.names import target_names
from diadem.export.pages import CORRECTIONS, README, EnclosedFolder
from diadem.export.zip import Content
from diadem.model.manifest import CRATE_PATH, MANIFEST, PAGE_PATH, RECORD_PATH, TAGMANIFEST, FileEntry, PackageId
from diadem.model.names import illegal, twin_key
from diadem.model.ports import InMemory
from diadem.node.context import Context
from diadem.node.give.reading_copies import Copies
from diadem.node.take.package_chain import EffectiveFile
from diadem.package.tags import REDACTED_FROM, manifest_text, plain_bag_tags
from diadem.trust.hashing import sha256_hex

#: Files that DIADEM derives, by bag path, and their names beside each other.
DERIVED = {path: path.removeprefix("data/") for path in (RECORD_PATH, CRATE_PATH, PAGE_PATH)}


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the ZIP.

    Attributes
    ----------
    name : str
        Path in the ZIP.
    size, mtime_ns : int
        Bytes, and when the original was last changed.
    open : callable
        Gives its content.
    payload : str
        Path below `data/` where it is a file of an instrument, else "".
    """

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

    Attributes
    ----------
    members : sequence of Member
        In the order in which they are written.
    enclosed : sequence of EnclosedFolder
        The folders that the letter names.
    folders : sequence of str
        Folders that hold nothing.
    renamed : sequence of (str, str)
        Files that have another name here than they had.
    """

    members: Sequence[Member]
    enclosed: Sequence[EnclosedFolder]
    folders: Sequence[str] = ()
    renamed: Sequence[tuple[str, str]] = field(default_factory=tuple)

    @property
    def total(self) -> int:
        """Bytes of all members."""
        return sum(member.size for member in self.members)


def folder_names(context: Context, packages: Iterable[PackageId]) -> dict[PackageId, str]:
    """The name of each package's folder: its own name, as it stands in a store."""
    names: dict[PackageId, str] = {}
    taken = {twin_key(name) for name in (README, CORRECTIONS, MANIFEST)}
    for package in packages:
        name = context.catalogue.get(package).path.rstrip("/").rpartition("/")[2]
        if illegal(name) or twin_key(name) in taken:
            name = f"diadem-{package.hex[:16]}"
        names[package] = name
        taken.add(twin_key(name))
    return names


def payload_members(copies: Copies, folder: str) -> list[Member]:
    """The files of the instruments, where they are in a bag."""
    return [_member(copies, entry, f"{folder}/{entry.path}") for entry in copies.package.files]


def _member(copies: Copies, entry: FileEntry, name: str) -> Member:
    return Member(name, entry.size, entry.mtime_ns, partial(copies.open, entry), payload=entry.name)


def whole_package(copies: Copies, folder: str, moment: datetime) -> Contents:
    """A package, byte for byte: everything that its tag manifest names, and nothing else."""
    digests, stamp = copies.tag_digests(), int(moment.timestamp()) * 10**9
    tags = [
        Member(f"{folder}/{path}", copies.tag_size(path), stamp, partial(copies.tag_file, path, digest))
        for path, digest in digests.items()
    ]
    text = manifest_text((digest, path) for path, digest in digests.items())
    data = [
        Member(f"{folder}/{entry.path}", entry.size, entry.mtime_ns, partial(copies.open, entry))
        for entry in copies.package.manifest
        if entry.path in DERIVED
    ]
    payload = payload_members(copies, folder)
    members = [*tags, Member.of(f"{folder}/{TAGMANIFEST}", text, moment), *data, *payload]
    enclosed = EnclosedFolder(folder, copies.id, len(payload), sum(member.size for member in payload))
    return Contents(members, [enclosed])


def cleaned_package(
    copies: Copies, folder: str, derived: dict[str, bytes], *, software: str, moment: datetime
) -> Contents:
    """A package from whose derived files people were taken: an ordinary bag, which says what it was made of."""
    listed = [(entry.sha256, entry.path, entry.size) for entry in copies.package.files]
    listed += [(sha256_hex(data), path, len(data)) for path, data in derived.items()]
    source = [(REDACTED_FROM, str(copies.id))]
    tags = plain_bag_tags(listed, date=moment.date().isoformat(), software=software, more=source)
    own = [Member.of(f"{folder}/{path}", data, moment) for path, data in {**tags, **derived}.items()]
    payload = payload_members(copies, folder)
    enclosed = EnclosedFolder(folder, copies.id, len(payload), sum(member.size for member in payload))
    return Contents([*own, *payload], [enclosed])


def raw_files(
    files: Sequence[EffectiveFile], copies: dict[PackageId, Copies], folder: str, moment: datetime
) -> Contents:
    """Files under the names that they had, where every system can hold them, and the list of their digests."""
    names = target_names([file.entry for file in files])
    members = [
        _member(copies[file.package], file.entry, f"{folder}/{name}") for file, name in zip(files, names, strict=True)
    ]
    listed = manifest_text((file.entry.sha256, member.name) for file, member in zip(files, members, strict=True))
    renamed = [
        (name, file.entry.original_name.decode("utf-8", "backslashreplace"))
        for file, name in zip(files, names, strict=True)
        if name.encode() != file.entry.original_name
    ]
    folders = [f"{folder}/{name}" for name in dict.fromkeys(_empty_folders(copies.values(), names))]
    enclosed = EnclosedFolder(folder, " ".join(copies), len(members), sum(member.size for member in members))
    return Contents([Member.of(MANIFEST, listed, moment), *members], [enclosed], folders, renamed)


def _empty_folders(copies: Iterable[Copies], names: Sequence[str]) -> Iterator[str]:
    files = set(names)
    for one in copies:
        record = one.readable_record()
        for folder in () if record is None else record.empty_dirs:
            parts = folder.split("/")
            above = {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
            if not any(illegal(part) for part in parts) and above.isdisjoint(files):
                yield folder


def metadata_files(derived: dict[str, dict[str, bytes]], packages: dict[str, str], moment: datetime) -> Contents:
    """Record, crate and page of each package, beside each other, and the list of their digests.

    Parameters
    ----------
    derived : dict
        Folder to bag path to content.
    packages : dict
        Folder to package id.
    moment : datetime
        When they were made.
    """
    members, listed, enclosed = [], [], []
    for folder, files in derived.items():
        for path, data in files.items():
            name = f"{folder}/{DERIVED[path]}"
            members.append(Member.of(name, data, moment))
            listed.append((sha256_hex(data), name))
        enclosed.append(EnclosedFolder(folder, packages[folder], len(files), sum(map(len, files.values()))))
    return Contents([Member.of(MANIFEST, manifest_text(listed), moment), *members], enclosed)


def together(parts: Sequence[Contents]) -> Contents:
    """Several packages in one ZIP."""
    return Contents(
        [member for part in parts for member in part.members], [one for part in parts for one in part.enclosed]
    )
