"""What every store of packages does in the same way, whatever it lies on; and its hints.

Hints say which package holds a payload. They are never trusted, always checked on use; a reindex makes them anew::

    <store>/.diadem/by-payload/<payload id>/<id>    the path of the package with this payload
    <store>/.diadem/by-tree/<digest>/<payload id>   a payload with these paths and sizes
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from diadem.errors import DiademError, DigestMismatch, UsageError
from diadem.model.manifest import LEAF_SIZE, FileEntry, PackageId, leaf_count
from diadem.model.names import unsafe
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.report import Level
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.store.contract import Added, Pace, Store, Stored, proof_of
from diadem.store.own_files import OwnFiles
from diadem.store.package_copy import NO_YEARS, Contents, contents_of, refuse_path, tree_of

_BY_PAYLOAD = "by-payload"
_BY_TREE = "by-tree"
#: A hint holds one path.
_LIMIT = 4096
#: How a package's name ends: the first digits of its payload's id, perhaps with a number after them.
NAME_ENDING = r"(?P<payload>[0-9a-f]{12})(?:-[0-9]{1,3})?"


class BaseStore(Store):
    """A store over some primitives: those that are abstract here and in `Store`, and its own files."""

    #: How a package that is there already is verified.
    recheck: Level

    def __init__(self, own: OwnFiles) -> None:
        self.own = own
        self.hints = Hints(own, self.stored_at)

    def free(self) -> int | None:
        return None if (space := self.space()) is None else space[0]

    def total(self) -> int | None:
        return None if (space := self.space()) is None else space[1]

    @abstractmethod
    def space(self) -> tuple[int, int] | None:
        """Bytes that are free, and in all; None where nobody says."""

    # -- packages --------------------------------------------------------------------------------------------------

    def packages(self) -> Iterator[Stored]:
        """See `Store.packages`. They lie in two levels: a package, or a year with packages in it."""
        years = []
        for path, stored in self.look(path for path in self.folders("") if path not in NO_YEARS):
            if stored is None:
                years.append(path)
            else:
                yield stored
        for _, stored in self.look(f"{year}/{name}" for year in years for name in self.folders(year)):
            if stored is not None:
                yield stored

    @abstractmethod
    def folders(self, path: str) -> Iterable[str]:
        """Names of the folders directly below a path, sorted; an error of the root says what is wrong with it."""

    def look(self, paths: Iterator[str]) -> Iterator[tuple[str, Stored | None]]:
        """What lies at each path, in order."""
        return ((path, self.stored_at(path)) for path in paths)

    def stored_at(self, path: str) -> Stored | None:
        """The package at a path; None where there is none."""
        return stored(path, self.tagmanifest_at(path))

    @abstractmethod
    def tagmanifest_at(self, path: str) -> bytes | None:
        """The tag manifest of the package at a path; None where there is none, and so no package."""

    def find(self, payload: str) -> Iterator[tuple[PackageId, str]]:
        """Packages that hold a payload, with their path, where the hints are true."""
        return self.hints.find(payload)

    def bundles(self, payload: str) -> Iterator[Bundle]:
        return (self.bundle(path) for _, path in self.hints.find(payload))

    def knows_tree(self, tree: str) -> bool:
        return self.hints.knows_tree(tree)

    def write_hints(self, opened: TagFiles, path: str) -> None:
        refuse_path(path)
        self.hints.renew(opened.payload_id, opened.id, path, tree_of(opened))

    # -- mending ---------------------------------------------------------------------------------------------------

    def replace_leaf(self, path: str, entry: FileEntry, leaf: int, data: bytes, *, leaf_size: int = LEAF_SIZE) -> None:
        if not 0 <= leaf < leaf_count(entry.size, leaf_size):
            raise UsageError(f"the file has no leaf {leaf}", where=entry.path)
        first = leaf * leaf_size
        length = min(leaf_size, entry.size - first)
        if len(data) != length:
            raise DigestMismatch(
                f"what was found for leaf {leaf} is not what was archived; nothing was written",
                where=entry.path,
                leaf=leaf,
                range=(first, first + length),
                next="Look for another copy.",
            )
        self.write_leaf(path, entry, leaf, leaf_size, data)

    @abstractmethod
    def write_leaf(self, path: str, entry: FileEntry, leaf: int, leaf_size: int, data: bytes) -> None:
        """Put a leaf right with data of its length. Raises `Refused` where the file is missing or of another size."""

    # -- adding and removing ---------------------------------------------------------------------------------------

    def add(
        self,
        source: Bundle,
        opened: TagFiles,
        path: str,
        *,
        listener: Listener = silent,
        pace: Pace | None = None,
    ) -> Added:
        cargo = contents_of(source, opened)
        refuse_path(path)
        copies = Copies(self, opened, path)
        if (present := copies.sound()) is not None:
            self.flush_name(present)
            with contextlib.suppress(DiademError):  # it is there, also where nothing can be written
                self.write_hints(opened, present)
            return Added(present, False, proof_of(self.recheck), copies.damaged)
        added = self.receive(source, cargo, path, copies.is_sound, listener=listener, pace=pace)
        return replace(added, damaged=copies.damaged)

    @abstractmethod
    def receive(
        self,
        source: Bundle,
        cargo: Contents,
        path: str,
        is_sound: Callable[[str], bool],
        *,
        listener: Listener,
        pace: Pace | None,
    ) -> Added:
        """Copy, prove and publish a package, unless a sound one is there; errors as of `add`."""

    def flush_name(self, path: str) -> None:
        """Nothing."""

    @abstractmethod
    def is_taken(self, path: str) -> bool:
        """Whether anything lies at the path of a package."""

    def remove(self, path: str) -> None:
        """See `Store.remove`. Hints go first: what a hint names was a package once, and is never swept."""
        refuse_path(path)
        self.require_package(path)
        opened = None
        with contextlib.suppress(DiademError, OSError):
            opened = open_tag_files(self.bundle(path))
        self.drop_hints(opened, path)
        self.erase(path)

    def drop_hints(self, opened: TagFiles | None, path: str) -> None:
        """Remove the hints to a package that is about to be removed."""
        self.hints.drop(opened, path)

    @abstractmethod
    def require_package(self, path: str) -> None:
        """Raise `NotFound` where nothing lies at a path, `Refused` where it is no package."""

    @abstractmethod
    def erase(self, path: str) -> None:
        """Remove a package. At no moment is there half of one; what a kill leaves, `sweep` removes."""

    # -- own files -------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        return self.own.get(key)

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        return self.own.put(key, data, create=create)

    def put_file(self, key: str, source: Path) -> None:
        self.own.put_file(key, source)

    def get_file(self, key: str, target: Path) -> bool:
        return self.own.get_file(key, target)

    def keys(self, prefix: str) -> Iterator[str]:
        return self.own.keys(prefix)

    def delete(self, key: str) -> None:
        self.own.delete(key)


class Copies:
    """Copies of one package that lie in a store already, each judged at most once."""

    def __init__(self, store: BaseStore, opened: TagFiles, path: str) -> None:
        self._store, self._opened, self._path = store, opened, path
        self._judged: dict[str, bool] = {}

    @property
    def damaged(self) -> tuple[str, ...]:
        return tuple(path for path, sound in self._judged.items() if not sound)

    def sound(self) -> str | None:
        return next((path for path in self._candidates() if self.is_sound(path)), None)

    def is_sound(self, path: str) -> bool:
        """Whether exactly this package lies at a path, as far as the store looks."""
        stored = self._store.stored_at(path)
        if stored is None or stored.id != self._opened.id:
            return False
        if path not in self._judged:
            bundle = self._store.bundle(path)
            self._judged[path] = verify(bundle, level=self._store.recheck, expected_id=self._opened.id).ok
        return self._judged[path]

    def _candidates(self) -> Iterator[str]:
        """Where hints say, and where it would lie: hints may be lost."""
        yield from (path for _, path in self._store.find(self._opened.payload_id))
        for path in numbered(self._path):
            if not self._store.is_taken(path):
                return
            yield path


def stored(path: str, tagmanifest: bytes | None) -> Stored | None:
    return None if tagmanifest is None else Stored(PackageId(hashlib.sha256(tagmanifest).hexdigest()), path)


def numbered(path: str) -> Iterator[str]:
    """The path, and those that may be taken in its place: ``path-2``, ``path-3`` … up to 999."""
    yield path
    yield from (f"{path}-{number}" for number in range(2, 1000))


class Hints:
    """The hints of one store."""

    def __init__(self, own: OwnFiles, stored_at: Callable[[str], Stored | None]) -> None:
        self._own, self.stored_at = own, stored_at

    def find(self, payload: str) -> Iterator[tuple[PackageId, str]]:
        """Packages that hold a payload, with their path: those that are there, with the id they are said to have."""
        for name, path in self.of_payload(payload):
            if path and unsafe(path) is None and path.split("/")[0] not in NO_YEARS:
                stored = self.stored_at(path)
                if stored is not None and stored.id.hex == name:
                    yield stored.id, path

    def of_payload(self, payload: str) -> Iterator[tuple[str, str]]:
        """Hints for a payload, true or not: the package's id in hex, and the path that they name."""
        for name, data in self._own.contents(f"{_BY_PAYLOAD}/{payload}", _LIMIT):
            yield name, data.decode("utf-8", "replace").strip()

    def knows_tree(self, tree: str) -> bool:
        """Whether some package has these paths and sizes (see `tree_digest`)."""
        return any(True for _ in self._own.contents(f"{_BY_TREE}/{tree}", _LIMIT))

    def is_named(self, path: str) -> bool:
        """Whether a hint names this path: there was a package once."""
        return any(named == path for like in self._payloads_like(path) for _, named in self.of_payload(like))

    def _payloads_like(self, path: str) -> Iterator[str]:
        """Payloads with hints whose id begins as the name of a package says."""
        match = re.search(rf"{NAME_ENDING}\Z", path)
        yield from (name for name in self._own.folders(_BY_PAYLOAD) if match and name.startswith(match["payload"]))

    def write(self, payload: str, package: PackageId, path: str, tree: str = "") -> None:
        """Leave the hints for a package, over those that are there."""
        self._write(f"{_BY_PAYLOAD}/{payload}/{package.hex}", path)
        if tree:
            self._write(f"{_BY_TREE}/{tree}/{payload}", "")

    def renew(self, payload: str, package: PackageId, path: str, tree: str) -> None:
        """Leave the same hints where they are not there, or wrong: mostly they are right, and reading is cheap."""
        if (package.hex, path) not in self.of_payload(payload):
            self._write(f"{_BY_PAYLOAD}/{payload}/{package.hex}", path)
        if all(name != payload for name, _ in self._own.contents(f"{_BY_TREE}/{tree}", _LIMIT)):
            self._write(f"{_BY_TREE}/{tree}/{payload}", "")

    def _write(self, key: str, content: str) -> None:
        data = content.encode()
        self._own.write(key, (data,), len(data), hint=True)

    def drop(self, opened: TagFiles | None, path: str) -> None:
        """Remove the hints to a place. Where the package is too damaged to say its payload, all that fit its name."""
        for payload in {opened.payload_id} if opened else list(self._payloads_like(path)):
            left = 0
            for name, named in list(self.of_payload(payload)):
                if named == path:
                    self._own.remove(f"{_BY_PAYLOAD}/{payload}/{name}")
                else:
                    left += 1
            if opened is not None and not left:
                self._own.remove(f"{_BY_TREE}/{tree_of(opened)}/{payload}")

    def drop_one(self, payload: str, package: PackageId) -> None:
        self._own.remove(f"{_BY_PAYLOAD}/{payload}/{package.hex}")
