"""The catalogue follows the log, in the log's order, whoever else writes at the same time.

A process that was killed between the two leaves the catalogue behind; one that was overtaken by another would let it
follow in the wrong order. In both cases the packages concerned are derived anew from all that the log says of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.catalogue import Catalogue
from diadem.custody.entries import Entry
from diadem.custody.ledger import Ledger
from diadem.errors import DiademError
from diadem.model.manifest import PackageId
from diadem.model.statement_kinds import COPY_KINDS
from diadem.node.locks import held
from diadem.node.stores import StoreSet

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.model.ports import Bundle

_REPLACING = "catalogue"
#: Statements that are compared with the catalogue at once.
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Follower:
    """What lets the catalogue of a node follow its log.

    Attributes
    ----------
    folder : Path
        The node's, where its locks and the notes of adopted folders are.
    ledger : Ledger
        What was stated.
    catalogue : Catalogue
        What follows.
    stores : StoreSet
        Where a package is read that the catalogue does not know.
    """

    folder: Path
    ledger: Ledger
    catalogue: Catalogue
    stores: StoreSet

    def follow(self, entries: Sequence[Entry]) -> None:
        """Let the catalogue follow statements that were just appended, all of them or none."""
        from diadem.node.follow.replay import apply

        if not entries:
            return
        self._let_pass()
        with self.catalogue.together():
            overtaken = self._said_later(entries[0])
            again: dict[str, None] = {}
            for entry in entries:
                apply(self.catalogue, entry)
                for package_id in _packages(entry):
                    if package_id in overtaken or (entry.statement.kind in COPY_KINDS and self._is_stale(package_id)):
                        again[package_id] = None
            for package_id in again:
                self.derive(package_id)

    @contextlib.contextmanager
    def replacing(self) -> Iterator[None]:
        """While the catalogue is replaced: whoever has something to follow waits, so that nothing is lost between two.

        What was in the log when this began the new catalogue must know; what comes later, it is told afterwards.
        """
        with held(self.folder, _REPLACING):
            yield

    def _let_pass(self) -> None:
        """Wait while a reindex puts a new catalogue in the place of the old. The lock's file is there while it does."""
        if os.path.lexists(self.folder / "locks" / f"{_REPLACING}.lock"):
            with held(self.folder, _REPLACING):
                return

    def _is_stale(self, package_id: str) -> bool:
        """Whether what the catalogue has of a package that was written somewhere is to be made anew.

        It is not there: a reindex has replaced the catalogue. It counts as deleted: it was archived again. It has no
        owner: its files were found before its ingest was stated. It has no dataset: no copy could be read when it was
        entered.
        """
        return not self.catalogue.is_whole(package_id)

    def _said_later(self, first: Entry) -> set[str]:
        """Packages on which the catalogue has followed a later statement already."""
        named: set[str] = set()
        for epoch, index in self.catalogue.places_after(first.epoch, first.index):
            named.update(_packages(self.ledger.entry(index, epoch=epoch)))
        return named

    def behind(self) -> int:
        """Statements of the log that the catalogue does not know."""
        return max(0, self.ledger.total - self.catalogue.count_statements())

    def catch_up(self) -> int:
        """Enter statements that the catalogue does not know; returns how many packages were looked at again."""
        count = self.behind()
        if not count:
            return 0
        from diadem.node.follow.replay import apply

        packages: dict[str, None] = {}
        for entry in self._missing(count):
            named = _packages(entry)
            packages.update(dict.fromkeys(named))
            if not named:
                apply(self.catalogue, entry)
        for package_id in packages:
            self.derive(package_id)
        return len(packages)

    def read_again(self) -> int:
        """Read packages of which no copy could be read when they were entered; returns how many could be now."""
        unread = self.catalogue.unread()
        for package_id in unread:
            self.derive(package_id)
        return len(unread) - len(self.catalogue.unread()) if unread else 0

    def _missing(self, count: int) -> Iterable[Entry]:
        """Statements that the catalogue does not know, looked for from the end: mostly they are the last ones."""
        found: list[Entry] = []
        for epoch in reversed(self.ledger.epochs):
            stop = self.ledger.size_of(epoch)
            while stop > 0 and len(found) < count:
                start = max(0, stop - _PAGE)
                known = self.catalogue.known_indices(epoch, start, stop)
                if len(known) < stop - start:
                    page = self.ledger.entries(start, stop, epoch=epoch)
                    found += [entry for entry in page if entry.index not in known]
                stop = start
        return sorted(found, key=lambda entry: (entry.epoch, entry.index))

    def derive(self, package_id: str) -> None:
        """Let the catalogue follow every statement on one package, which is read from a store if it is not known.

        The log is read while nobody else can write to the catalogue: what is said meanwhile is followed afterwards.
        """
        from diadem.node.follow.replay import apply

        with self.catalogue.together():
            entries = self.ledger.of_subject(PackageId(package_id).hex)
            deleted = is_deleted(entries)
            if not self.catalogue.has(package_id) if deleted else self._is_stale(package_id):
                self._enter(package_id, entries)
            for entry in entries:
                apply(self.catalogue, entry, only=package_id)
            if not deleted and self._is_stale(package_id):  # it was deleted once, and archived again
                self._enter(package_id, entries)
            self._place_adopted(package_id)

    def _enter(self, package_id: str, entries: Sequence[Entry]) -> None:
        """Enter a package from the first copy that can be read, else as the log says: it is never forgotten."""
        from diadem.node.follow.entries import entry_from_log, package_entry
        from diadem.node.follow.taken_in import taken_in

        ingest = taken_in(entries)
        for entry in entries:
            if entry.statement.kind in COPY_KINDS:
                with contextlib.suppress(DiademError, OSError):
                    package, path = self._opened(package_id, entry.statement.predicate)
                    self.catalogue.add_package(package_entry(package, path, ingest))
                    return
        if ingest is not None and not self.catalogue.has(package_id):
            self.catalogue.add_package(entry_from_log(package_id, ingest, {}))

    def _opened(self, package_id: str, said: Mapping[str, Any]) -> tuple[Package, str]:
        """The copy that a statement names, and its path."""
        from diadem.archive.package import Package
        from diadem.package.examine import open_tag_files
        from diadem.store.adopted import AdoptedFolders

        bundle: Bundle
        if said.get("adopted"):
            kept = AdoptedFolders(self.folder / "adopted")
            bundle, path = kept.bundle(package_id), kept.location(package_id).path
        else:
            path = str(said["path"])
            bundle = self.stores.open(str(said["store"])).bundle(path)
        return Package(bundle, opened=open_tag_files(bundle, expected_id=package_id)), path

    def _place_adopted(self, package_id: str) -> None:
        """An adopted folder may have been renamed since the log said where it is: the node's own note of it counts."""
        from diadem.store.adopted import AdoptedFolders

        if not self.catalogue.has(package_id):
            return
        for replica in self.catalogue.replicas(package_id):
            if replica.adopted:
                with contextlib.suppress(DiademError, OSError):
                    root = AdoptedFolders(self.folder / "adopted").location(package_id).root
                    self.catalogue.set_replica(package_id, replica.store, root, state=replica.state)


def _packages(entry: Entry) -> list[str]:
    return [subject.name for subject in entry.statement.subjects if subject.name.startswith("diadem:")]


def is_deleted(entries: Iterable[Entry]) -> bool:
    """Whether the last that the log says of a package is that it was deleted on purpose."""
    kinds = [entry.statement.kind for entry in entries if entry.statement.kind in (*COPY_KINDS, "tombstone")]
    return kinds[-1:] == ["tombstone"]
