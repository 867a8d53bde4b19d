"""What every store of packages does in the same way, whatever it lies on."""

from __future__ import annotations

import contextlib
import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from diadem.errors import DiademError
from diadem.model.manifest import PackageId
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.report import Level
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.store.contract import Added, Pace, Store, Stored, proof_of
from diadem.store.hints import Hints
from diadem.store.own_files import OwnFiles
from diadem.store.package_copy import NO_YEARS, Contents, contents_of, refuse_path, tree_of


class BaseStore(Store):
    """A store over some primitives: those that are abstract here and in `Store`, and its own files."""

    #: How a package that is there already is verified.
    recheck: Level

    def __init__(self, own: OwnFiles) -> None:
        self.own = own
        self.hints = Hints(own, self.tagmanifest_at)

    @property
    def recheck_proof(self) -> str:
        """What is told of a package that was there already, and is sound; see `Added.proof`."""
        return proof_of(self.recheck)

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
            with contextlib.suppress(DiademError):  # it is there, also where nothing can be written
                self.write_hints(opened, present)
            return Added(present, False, self.recheck_proof, copies.damaged)
        path, created, proof = self.receive(source, cargo, path, copies, listener=listener, pace=pace)
        return Added(path, created, proof, copies.damaged)

    @abstractmethod
    def receive(
        self,
        source: Bundle,
        cargo: Contents,
        path: str,
        copies: Copies,
        *,
        listener: Listener,
        pace: Pace | None,
    ) -> tuple[str, bool, str]:
        """Copy, prove and publish a package. Gives path, whether it was made, and the proof; errors as of `add`."""

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
        """Paths of those that were found damaged."""
        return tuple(path for path, sound in self._judged.items() if not sound)

    def sound(self) -> str | None:
        """One that is whole."""
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
    """The package with a tag manifest."""
    return None if tagmanifest is None else Stored(PackageId(hashlib.sha256(tagmanifest).hexdigest()), path)


def numbered(path: str) -> Iterator[str]:
    """The path, and those that may be taken in its place: ``path-2``, ``path-3`` … up to 999."""
    yield path
    yield from (f"{path}-{number}" for number in range(2, 1000))
