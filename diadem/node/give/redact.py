"""An export without people: what is taken out of the derived files, and where it still stands in the others."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final

from diadem.archive.facts import facts_of
from diadem.errors import DocumentError
from diadem.export.pages import page_html
from diadem.export.redact import Cleaner, learn_from
from diadem.export.search import HEAD_SIZE, FileSearch, Search, compression_of
from diadem.export.terms import Terms
from diadem.export.zip import Content
from diadem.model.amendments import Corrections
from diadem.model.display import Display
from diadem.model.facts import PackageFacts
from diadem.model.manifest import CRATE_PATH, PAGE_PATH, RECORD_PATH, VENDOR_PATH
from diadem.model.record import Record, understood
from diadem.model.vendor import TREE
from diadem.node.give.read_copies import PackageReader
from diadem.package.crate import crate_json
from diadem.package.zips import LARGEST, member_bytes
from diadem.serialization.record_json import read_record
from diadem.serialization.strict_json import parse
from diadem.serialization.zip_list import UNREADABLE, open_zip

#: Bytes of a vendor's block that are looked through; larger ones are data.
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Remaining(Display):
    """Something that was taken out of the derived files and is still in another.

    Attributes
    ----------
    path : str
        The file, below `data/`.
    text : str
        What stands there.
    place : str
        Where: its name, a byte, or a block of the vendor's metadata.
    """

    path: str
    text: str
    place: str

    def to_dict(self) -> dict[str, str]:
        """A JSON object."""
        return {"path": self.path, "text": self.text, "place": self.place}


@dataclass(frozen=True, slots=True)
class Redaction(Display):
    """What was taken out, and what could not be.

    Attributes
    ----------
    removed : mapping of str to int
        What was taken out of the record, by kind, and how often.
    remaining : sequence of Remaining
        What is still in files of the instruments.
    unsearched : mapping of str to str
        Files in which it cannot be seen, and why.
    unsought : mapping of str to str
        Texts that were not looked for, and why.
    """

    removed: Mapping[str, int]
    remaining: Sequence[Remaining] = ()
    unsearched: Mapping[str, str] = field(default_factory=dict)
    unsought: Mapping[str, str] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing remains, as far as every file could be searched."""
        return not self.remaining and not self.unsearched

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "clean": self.clean,
            "removed": dict(self.removed),
            "remaining": [one.to_dict() for one in self.remaining],
            "unsearched": dict(self.unsearched),
            "unsought": dict(self.unsought),
        }


class Redactor:
    """Takes people out of packages, and keeps the account: all that one of them names is taken out of every one.

    Paths in the records are cleaned too with `paths`: where the files do not go along.
    """

    def __init__(self, packages: Sequence[PackageReader], names: Sequence[str], *, paths: bool) -> None:
        self.terms = Terms()
        self.removed: Counter[str] = Counter()
        self._paths = paths
        self._remaining: dict[tuple[str, str], Remaining] = {}
        self._unsearched: dict[str, str] = {}
        for name in names:
            self.terms.add(name)
        for copies in packages:
            record = copies.record()
            learn_from(record, self.terms)
            trees = {digest for digest, _, _, media_type in _blocks_of(record) if media_type == TREE}
            with _vendor_blocks(copies) as blocks:
                for digest, data in blocks:
                    self._learn_block(data, tree=digest in trees)
        self._search = Search(self.terms)

    def _learn_block(self, data: bytes, *, tree: bool) -> None:
        if not tree:
            return self.terms.learn_text(data.replace(b"\0", b"").decode("utf-8", "replace"))
        try:
            return self.terms.learn(parse(data, where=VENDOR_PATH))
        except DocumentError:
            return self.terms.learn_text(data.decode("utf-8", "replace"))

    # -- derived files ---------------------------------------------------------------------------------------------

    def learn(self, record: Record, corrections: Corrections) -> None:
        """Learn what the record of a package says now that it is corrected, and who corrected it."""
        learn_from(record, self.terms)
        for one in corrections.amendments:
            self.terms.add(one.by)
        self._search = Search(self.terms)

    def derived(self, copies: PackageReader, record: Record) -> tuple[dict[str, bytes], PackageFacts]:
        """Record, crate and page of a package, made anew of the record as it holds now; and what they tell."""
        cleaner = Cleaner(self.terms, paths=self._paths)
        data = cleaner.record(record)
        self.removed += cleaner.removed
        record = read_record(data)
        facts = facts_of(copies.package, record)
        said = f"A copy of {copies.id} from which names of people, computers and places on disks were removed."
        facts = replace(
            facts,
            name=self.terms.cleaned(facts.name),
            license=self.terms.cleaned(facts.license),
            description=f"{facts.description}\n\n{said}".strip(),
        )
        return {
            RECORD_PATH: data,
            CRATE_PATH: crate_json(facts),
            PAGE_PATH: page_html(facts, cleaned=True),
        }, facts

    # -- the others ------------------------------------------------------------------------------------------------

    def look_through_vendor_blocks(self, copies: PackageReader, kept: set[str]) -> None:
        """See in which of the files that go along the vendor's metadata name somebody, compressed or not."""
        places: dict[str, list[tuple[str, str]]] = {}
        for digest, path, place, _ in _blocks_of(copies.record()):
            if path in kept:
                places.setdefault(digest, []).append((path, place))
        with _vendor_blocks(copies) as blocks:
            for digest, data in blocks:
                if named := places.get(digest):
                    search = self._search.file()
                    for start in range(0, len(data), _PIECE):
                        search.feed(data[start : start + _PIECE])
                    for found in search.finish():
                        for path, place in named:
                            self._note(path, found.text, f"vendor metadata: {place}")

    def watch(self, path: str, content: Content) -> Watched:
        """The content of a file, by its path below `data/`, looked through while it is read."""
        if self.terms.stand_in(path):
            self._note(path, "", "its name")
        return Watched(self, self._search.file, path, content)

    def account_for(self, path: str, head: bytes, search: FileSearch) -> None:
        """A file was read to its end."""
        for found in search.finish():
            self._remaining.pop((path, found.text), None)  # the place in the file says more than the block's
            self._note(path, found.text, f"byte {found.at:,} ({found.encoding})")
        if len(self.terms) and (reason := compression_of(head, path)) is not None:
            self._unsearched[path] = reason

    def _note(self, path: str, text: str, place: str) -> None:
        self._remaining.setdefault((path, text), Remaining(path, text, place))

    def account(self) -> Redaction:
        """What was taken out, and what could not be."""
        order = sorted(self._remaining.values(), key=lambda one: (one.path, one.place))
        removed = {kind: count for kind, count in sorted(self.removed.items()) if count}
        return Redaction(removed, order, dict(sorted(self._unsearched.items())), self.terms.unsought)


class Watched:
    """A file that is read from its beginning to its end and looked through on the way."""

    def __init__(self, redactor: Redactor, search: Callable[[], FileSearch], path: str, content: Content) -> None:
        self._redactor, self._new, self._path, self._content = redactor, search, path, content
        self._search = search()
        self._at, self._head = 0, b""

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._content.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes at a place; a run from the beginning is looked through."""
        data = self._content.read_at(offset, length)
        if offset == 0:
            self._search, self._at, self._head = self._new(), 0, data[:HEAD_SIZE]
        if offset == self._at:
            for start in range(0, len(data), _PIECE):
                self._search.feed(data[start : start + _PIECE])
            self._at += len(data)
        return data

    def finish(self) -> None:
        """Note what was found."""
        self._redactor.account_for(self._path, self._head, self._search)


def _blocks_of(record: Record) -> Iterator[tuple[str, str, str, str]]:
    """Digest, file, place and media type of every block that a record names."""
    for _, dataset in understood(record.datasets):
        files = {str(file["id"]): str(file["path"]) for file in dataset.document["files"]}
        for entry in dataset.raw:
            path = files.get(str(entry.get("file")), dataset.path)
            yield str(entry["sha256"]), path, str(entry.get("place", "")), str(entry["media_type"])


@contextmanager
def _vendor_blocks(copies: PackageReader) -> Iterator[Iterator[tuple[str, bytes]]]:
    """Every block of a package's vendor metadata, by its digest: from a temporary file, one in memory at a time."""
    digest = copies.tag_digests().get(VENDOR_PATH)
    if digest is None:
        yield iter(())
        return
    with tempfile.TemporaryFile() as spool:
        with copies.tag_file(VENDOR_PATH, digest) as source:
            for offset in range(0, source.size, _PIECE):
                spool.write(source.read_at(offset, min(_PIECE, source.size - offset)))
        yield _members(spool)  # type: ignore[arg-type,unused-ignore]


def _members(spool: BinaryIO) -> Iterator[tuple[str, bytes]]:
    try:
        with open_zip(spool) as archive:
            for info in archive.infolist():
                if info.file_size <= LARGEST:
                    yield info.filename, member_bytes(archive, info)
    except UNREADABLE as error:
        raise DocumentError(f"the vendor metadata cannot be read: {error}", where=VENDOR_PATH) from error
