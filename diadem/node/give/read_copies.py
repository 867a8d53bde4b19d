"""A package read from all of its copies at once: each piece from the first copy in which it is what was archived.

A leaf that is damaged in one copy comes from the next, so that giving a file back never waits for a repair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress

from diadem.archive.package import Package
from diadem.archive.verified_file import VerifiedFile
from diadem.errors import DiademError, DocumentError, IntegrityError, NotFound, Unreachable
from diadem.model.manifest import RECORD_PATH, TAGMANIFEST, FileEntry, PackageId
from diadem.model.ports import RangeReader
from diadem.model.record import Record
from diadem.model.replicas import ReplicaState
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.node.take.package_chain import Session
from diadem.package.examine import LIMITS
from diadem.package.tags import parse_manifest
from diadem.serialization.record_json import read_record, require_size
from diadem.trust.hashing import sha256_hex

_BLOCK = 4 << 20


class PackageReader:
    """The copies of a package, the best first; further ones are opened when they are needed.

    `NotFound` where no copy can be read.
    """

    def __init__(self, context: Context, package_id: str) -> None:
        self._copies = PackageCopies(context, package_id)
        self.id = self._copies.id
        self.package, first = self._copies.best()
        self._opened: list[tuple[Package, ReplicaState]] = [(self.package, first)]
        self._further = self._copies.packages(but=first)
        #: Stores whose copy was found to be damaged while it was read.
        self.doubted: set[str] = set()

    @property
    def best(self) -> tuple[Package, ReplicaState]:
        """The copy that is read first."""
        return self._opened[0]

    def __iter__(self) -> Iterator[tuple[Package, ReplicaState]]:
        """Every copy that can be opened."""
        number = 0
        while True:
            if number == len(self._opened):
                found = next(self._further, None)
                if found is None:
                    return
                self._opened.append(found)
            yield self._opened[number]
            number += 1

    def doubt(self, replica: ReplicaState, error: Exception) -> None:
        """State that a copy is damaged; see `PackageCopies.doubt`."""
        if not isinstance(error, IntegrityError) or replica.store in self.doubted:
            return
        if self._copies.doubt(replica, error):
            self.doubted.add(replica.store)

    @property
    def damaged(self) -> list[str]:
        """Stores whose copy was found to be damaged while it was read."""
        return sorted(self.doubted)

    def open(self, entry: FileEntry) -> CopiedFile:
        """A file of the manifest, to be read from its beginning or at any place."""
        return CopiedFile(self, entry)

    def derived(self, path: str) -> bytes:
        """A file that DIADEM derived, whole.

        Raises `NotFound` where the package has none, `DocumentError` where it is larger than any that DIADEM writes.
        """
        entry = self.package.stored(path)
        require_size(entry.size, where=path)
        with self.open(entry) as file:
            return file.read()

    def record(self) -> Record:
        """The sealed record. Raises `NotFound` where there is none, `DocumentError` where it is of a later version."""
        return read_record(self.derived(RECORD_PATH))

    def readable_record(self) -> Record | None:
        """The same, for who can do without: None where there is none, or one of a later version."""
        if RECORD_PATH in self.package.manifest:
            with suppress(DocumentError):
                return self.record()
        return None

    def tag_digests(self) -> dict[str, str]:
        """The SHA-256 of every tag file, as the tag manifest lists them; proven against the id."""
        text = self.package.bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
        if sha256_hex(text) != self.id.hex:
            raise IntegrityError("the tag manifest was changed just now", where=self.package.url, next="diadem scrub")
        return {path: digest for digest, path in parse_manifest(text, TAGMANIFEST)}

    def tag_size(self, path: str) -> int:
        """Bytes of a tag file, as one of the copies has it."""
        for package, _ in self:
            with suppress(DiademError, OSError), package.bundle.open(path) as reader:
                return reader.size
        return 0

    def tag_file(self, path: str, digest: str) -> CheckedFile:
        """A tag file that was read whole and has this SHA-256, and must have it when it is read again."""
        for package, replica in self:
            try:
                file = CheckedFile(package.bundle.open(path), path, digest)
            except (DiademError, OSError):
                continue
            try:
                file.check()
            except IntegrityError as error:
                file.close()
                self.doubt(replica, error)
                continue
            return file
        raise IntegrityError("the tag file is damaged in every copy", where=path, next="Mend it: diadem repair")


def readers_of(context: Context, session: Session) -> dict[PackageId, PackageReader]:
    """The packages of a session. One may be lost whose files are in later ones: changed, or archived again."""
    needed = {file.package for file in session.files()}
    found: dict[PackageId, PackageReader] = {}
    for one in session.packages:
        try:
            found[one.id] = PackageReader(context, one.id)
        except NotFound:
            if one.id in needed:
                raise
    return found


class CheckedFile(AbstractContextManager["CheckedFile"]):
    """A file without leaves: whoever reads it from its beginning to its end learns whether it is what it should be."""

    def __init__(self, reader: RangeReader, path: str, digest: str) -> None:
        self._reader, self._path, self._expected = reader, path, digest
        self._hash, self._at = hashlib.sha256(), 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._reader.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes at a place. The last of a run from the beginning raises `IntegrityError` where the whole is wrong."""
        try:
            data = self._reader.read_at(offset, length)
        except OSError as error:
            raise IntegrityError(f"the tag file cannot be read: {error.strerror}", where=self._path) from error
        if offset == 0:
            self._hash, self._at = hashlib.sha256(), 0
        if offset == self._at:
            self._hash.update(data)
            self._at += len(data)
            if self._at >= self.size and self._hash.hexdigest() != self._expected:
                raise IntegrityError("the tag file is not what the tag manifest lists", where=self._path)
        return data

    def check(self) -> None:
        """Read it whole."""
        for offset in range(0, max(self.size, 1), _BLOCK):
            self.read_at(offset, min(_BLOCK, self.size - offset))

    def close(self) -> None:
        """Release the file."""
        self._reader.close()

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class CopiedFile(RangeReader):
    """One file of a package, from whichever copies."""

    def __init__(self, copies: PackageReader, entry: FileEntry) -> None:
        self._copies, self._entry = copies, entry
        self._files: dict[int, VerifiedFile] = {}
        self._at = 0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._entry.size

    def read_at(self, offset: int, length: int) -> bytes:
        """Proven bytes."""
        length = max(0, min(length, self.size - offset))
        try:
            return self._from_first(offset, length)
        except (DiademError, OSError):
            return b"".join(self._from_any(*piece) for piece in self._by_leaf(offset, length))

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """The same into a buffer."""
        data = self.read_at(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _from_first(self, offset: int, length: int) -> bytes:
        package, replica = self._copies.best
        try:
            return self._file(0, package).read_at(offset, length)
        except (DiademError, OSError) as error:
            self._copies.doubt(replica, error)
            raise

    def _by_leaf(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Places and lengths of a stretch, cut where leaves end: each may be whole in another copy."""
        leaf = self._copies.package.manifest.leaf_size
        end = offset + length
        while offset < end:
            stop = min(end, (offset // leaf + 1) * leaf)
            yield offset, stop - offset
            offset = stop
        if not length:
            yield offset, 0

    def _from_any(self, offset: int, length: int) -> bytes:
        problem: Exception | None = None
        for number, (package, replica) in enumerate(self._copies):
            try:
                return self._file(number, package).read_at(offset, length)
            except (DiademError, OSError) as error:
                self._copies.doubt(replica, error)
                problem = problem or error
        raise self._unreadable(problem)

    def read(self, length: int = -1) -> bytes:
        """The next bytes; empty at the end."""
        data = self.read_at(self._at, self.size - self._at if length < 0 else min(length, self.size - self._at))
        self._at += len(data)
        return data

    def _file(self, number: int, package: Package) -> VerifiedFile:
        if number not in self._files:
            self._files[number] = package.open_stored(self._entry.path)
        return self._files[number]

    def _unreadable(self, problem: Exception | None) -> DiademError:
        if isinstance(problem, IntegrityError | NotFound | Unreachable):
            problem.next = "No copy of it is whole now. Connect another store, or mend it: diadem repair"
            return problem
        return IntegrityError(f"it cannot be read in any copy: {problem}", where=self._entry.path, next="diadem status")

    def close(self) -> None:
        """Release the files."""
        for file in self._files.values():
            file.close()
