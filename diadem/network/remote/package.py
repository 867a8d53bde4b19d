"""A package on another node: its files read by ranges, itself, and the session that it is of, to be given back.

Nothing that comes is believed: the tag manifest must be the package's id, the tag files what it lists; whoever reads a
file proves its leaves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from diadem.archive.package import Package
from diadem.archive.restore import Piece, restore_pieces, sealed_records
from diadem.errors import DigestMismatch, IntegrityError, NotFound, PackageError, Unreachable, UsageError
from diadem.model.manifest import TAGMANIFEST, VENDOR_PATH, PackageId
from diadem.model.ports import Bundle, Listener, Listing, RangeReader
from diadem.model.progress_bar import progress_bar
from diadem.model.report import Level, Report
from diadem.network.client import Answer, PeerClient
from diadem.network.tag_parts import LENGTH, limit_of, tag_files
from diadem.node.give.restore import RestoredSession
from diadem.node.take.package_chain import ArchivedPackage, Session, chain_of
from diadem.package.examine import TagFiles, open_tag_files
from diadem.store.bags import MemoryBundle

_WHOLE: Final = re.compile(r"bytes 0-0/([0-9]{1,15})", re.ASCII)
_AGAIN: Final = "Tell the node's operator: diadem scrub"


class HttpBundle(Bundle):
    """A package on a node that is asked over HTTP.

    Raises `NotFound` where it is not there, or not for us; `IntegrityError` and `PackageError` for another, or none.
    """

    def __init__(self, client: PeerClient, package_id: PackageId, url: str) -> None:
        self._client = client
        self._path = f"packages/{package_id.hex}"
        self._url = f"{url}/diadem/v1/{self._path}"
        self._listed: list[tuple[str, str]] = []
        self._tags = MemoryBundle(self._received(package_id), self._url)
        self.opened: TagFiles = open_tag_files(self, expected_id=package_id)
        self._numbers = {entry.path: number for number, entry in enumerate(self.opened.manifest)}

    @property
    def url(self) -> str:
        """The package's address."""
        return self._url

    def listing(self) -> Listing:
        """Everything that the package has; what of it the node has is found out when it is read."""
        sizes = dict(self._tags.listing().files)
        if any(path == VENDOR_PATH for _, path in self._listed):
            sizes[VENDOR_PATH] = self._vendor_size()
        return Listing(sizes | {entry.path: entry.size for entry in self.opened.manifest}, {})

    def exists(self, path: str) -> bool:
        """Whether the package has a file."""
        return self._tags.exists(path) or path in self._numbers or any(path == name for _, name in self._listed)

    def open(self, path: str) -> RangeReader:
        """Random access to a file. Raises `NotFound`."""
        if self._tags.exists(path):
            return self._tags.open(path)
        if path in self._numbers:
            number, size = self._numbers[path], self.opened.manifest[path].size
            return HttpReader(self._client, f"{self._path}/files/{number}", size, path)
        if path == VENDOR_PATH and self.exists(path):
            return HttpReader(self._client, self._vendor_place(), self._vendor_size(), path)
        raise NotFound("is not in the package", where=f"{self._url}/{path}")

    # -- the tag files ---------------------------------------------------------------------------------------------

    def _received(self, package_id: PackageId) -> Mapping[str, bytes]:
        """The tag manifest, which is the package's id, and the files that it lists but the large one."""
        with self._client.stream(f"{self._path}/tags") as stream:
            text = self._next(stream, TAGMANIFEST)
            if hashlib.sha256(text).hexdigest() != package_id.hex:
                raise IntegrityError(f"what came is not {package_id[:19]}…", where=self._url, next=_AGAIN)
            self._listed = tag_files(text)
            files = {TAGMANIFEST: text}
            for digest, path in self._listed:
                if path == VENDOR_PATH:
                    continue
                files[path] = data = self._next(stream, path)
                if hashlib.sha256(data).hexdigest() != digest:
                    raise DigestMismatch("the tag file is not what the tag manifest lists", where=path, next=_AGAIN)
        return files

    def _next(self, stream: Answer, path: str) -> bytes:
        (size,) = LENGTH.unpack(_exactly(stream, LENGTH.size, self._url))
        if size > limit_of(path):
            raise PackageError(f"{size:,} bytes are more than a tag file may have", where=path, next="Do not trust it.")
        return _exactly(stream, size, self._url)

    def _vendor_place(self) -> str:
        number = next(at for at, (_, path) in enumerate(self._listed) if path == VENDOR_PATH)
        return f"{self._path}/tags/{number}"

    def _vendor_size(self) -> int:
        with self._client.stream(self._vendor_place(), range=(0, 1)) as stream:
            stream.read(1)
            found = _WHOLE.fullmatch(stream.headers.get("content-range", ""))
        return int(found[1]) if found else stream.length


def _exactly(stream: Answer, size: int, url: str) -> bytes:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        found = stream.readinto(view[at:])
        if not found:
            raise Unreachable("the answer ended too early", where=url, next="Try again later.")
        at += found
    return bytes(data)


class HttpReader(RangeReader):
    """One file, read by ranges; any number of threads may use it, and nothing is held open."""

    size = 0

    def __init__(self, client: PeerClient, path: str, size: int, name: str) -> None:
        self._client, self._path, self.size, self._name = client, path, size, name

    def readinto_at(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` with one ranged request. Raises `Unreachable`, and `NotFound` where we may read it no more."""
        wanted = max(0, min(len(buffer), self.size - offset))
        if not wanted:
            return 0
        with self._client.stream(self._path, range=(offset, offset + wanted)) as stream:
            if stream.length != wanted:
                raise IntegrityError(
                    f"{stream.length:,} of {wanted:,} bytes were there", where=self._name, next="Verify the package."
                )
            at = 0
            while found := stream.readinto(buffer[at:wanted]):
                at += found
        return at


# -- the package, and its session ---------------------------------------------------------------------------------


class RemotePackage(Package):
    """A package on another node; see `diadem.Package`."""

    def verify(
        self, *, level: Level | str | None = None, workers: int | None = None, listener: Listener = progress_bar
    ) -> Report:
        """Read and prove all of it; see `diadem.verify`. No quick level: sizes are only the node's claim."""
        if level is not None and Level(level) is Level.QUICK:
            raise UsageError("a package on another node is proven by its bytes", next="Use leaves or full.")
        return super().verify(level=level, workers=workers, listener=listener)

    def archived(self) -> ArchivedPackage:
        """The package as a chain needs it."""
        return ArchivedPackage.of(self._opened)


class RemoteChain:
    """The packages of a node, as a chain of them is followed.

    Parameters
    ----------
    get : callable
        Opens a package. Raises `NotFound` for one that is not there, or not for us.
    continued_by : callable
        Ids of the packages that add to one.
    """

    def __init__(
        self, get: Callable[[PackageId], RemotePackage], continued_by: Callable[[PackageId], Iterable[PackageId]]
    ) -> None:
        self._get, self.continued_by = get, continued_by
        self.opened: dict[PackageId, RemotePackage] = {}

    def get(self, package: PackageId) -> ArchivedPackage | None:
        """A package, or None where we cannot have it."""
        if package not in self.opened:
            try:
                self.opened[package] = self._get(package)
            except NotFound:
                return None
        return self.opened[package].archived()


def restore(
    known: RemoteChain,
    package: PackageId,
    folder: Path,
    *,
    chain: bool,
    only: Sequence[str] | str = (),
    listener: Listener,
) -> RestoredSession:
    """Give back the session of a package, or the package alone; with `only` those files of it.

    Raises
    ------
    NotFound
        The package is not there, or not for us; or no file is called as `only` says.
    Refused
        The folder has content.
    DigestMismatch
        Bytes came that are not what was archived; nothing is left behind.
    """
    found = chain_of(package, known.get, known.continued_by)
    if not found:
        raise NotFound("the package cannot be read", where=package, next="Ask its owner: diadem grant ID --to YOU")
    whole = Session.of(found, lambda _: None, absent="it is not there, or not for you")
    session = whole if chain else whole.alone(package)
    pieces = [Piece(file.entry, partial(known.opened[file.package].open, file.entry.name)) for file in session.files()]
    ids = [one.id for one in session.packages]
    given = [known.opened[one] for one in ids]
    restored = restore_pieces(pieces, lambda: sealed_records(given), folder, only=only, listener=listener)
    return RestoredSession.of(restored, session, ids, ())
