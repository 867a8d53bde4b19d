"""The catalogue follows the log, in the log's order, whoever else writes at the same time.

A process that was killed between the two leaves the catalogue behind; one that was overtaken by another would let it
follow in the wrong order. In both cases the packages concerned are derived anew from all that the log says of them.
Live verbs and a reindex go through one function, `apply`, so that the two cannot differ.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from diadem.catalogue import Catalogue, CopyEntry, DatasetRow, StatementEntry
from diadem.catalogue.packages import Prepared, prepare
from diadem.custody.log import Ledger
from diadem.custody.log_entry import Entry
from diadem.errors import DiademError, DocumentError, Interrupted, NotFound, Refused, StoreError, Unreachable
from diadem.model.assessments import Assessment
from diadem.model.lineage import Derivation
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Succession
from diadem.model.ports import Listener, Progress, silent
from diadem.model.replicas import DROPPED, MISSING, PRESENT, PROOFS, SUSPECT
from diadem.model.sample_statements import Stated, sample_of
from diadem.model.samples import is_sample_id
from diadem.model.statement_kinds import COPY_KINDS
from diadem.model.statements import Subject
from diadem.model.times import read_time
from diadem.node.follow.package_log import COPY_MISSING, PackageLog
from diadem.node.locks import held, held_if_free
from diadem.node.stores import StoreSet
from diadem.serialization.validation import validate_statement

if TYPE_CHECKING:
    from diadem.archive.package import Package
    from diadem.model.ports import Bundle

_REPLACING, _OWED = "catalogue", "catalogue-owed"
#: Statements that are compared with the catalogue at once.
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Follower:
    """What lets the catalogue of a node follow its log; packages that it does not know are read in the stores."""

    #: The node's, where its locks and the notes of adopted folders are.
    folder: Path
    ledger: Ledger
    catalogue: Catalogue
    stores: StoreSet

    def follow(self, entries: Sequence[Entry]) -> None:
        """Let the catalogue follow statements that were just appended, all of them or none."""
        if not entries:
            return
        if os.path.lexists(self.folder / "locks" / f"{_REPLACING}.lock"):  # a reindex puts a new one in its place
            with held(self.folder, _REPLACING):
                pass
        with self.catalogue.together():
            later = self.catalogue.places_after(entries[0].epoch, entries[0].index)
            overtaken = {one for epoch, at in later for one in _packages(self.ledger.entry(at, epoch=epoch))}
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

    def _is_stale(self, package_id: str) -> bool:
        """Whether what the catalogue has of a package that was written somewhere is to be made anew.

        It is not there: a reindex has replaced the catalogue. It counts as deleted: it was archived again. It has no
        owner: its files were found before its ingest was stated. It has no dataset: no copy could be read when it was
        entered.
        """
        return not self.catalogue.is_whole(package_id)

    def behind(self) -> int:
        """Statements of the log that the catalogue does not know."""
        return max(0, self.ledger.total - self.catalogue.count_statements())

    def catch_up(self) -> int:
        """Enter statements that the catalogue does not know; returns how many packages were looked at again.

        Then what a process that was killed still owed, unless another one is at it.
        """
        count = self.behind()
        looked = self._catch_up(count) if count else 0
        self.try_owed(wait=False)
        return looked

    def _catch_up(self, count: int) -> int:
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

    def enter_owed(self, listener: Listener = silent, *, wait: bool = True) -> None:
        """Enter datasets of packages that the catalogue does not have yet; afterwards every search finds them.

        Those of a package whose store is away stay owed; one of which no copy is left becomes one of the unread. Where
        another process is at it, `wait` until it is done; else leave it to that one.
        """
        if not self.catalogue.owed():
            return
        with _alone(self.folder, wait=wait) as alone:
            owed = self.catalogue.owed() if alone else []
            for done, package_id in enumerate(owed):
                listener(Progress("enter", done, len(owed), package_id, unit="packages"))
                try:
                    prepared = self._read(PackageLog(self.ledger, package_id))  # takes long, while others may write
                except Unreachable:
                    continue  # no answer is no answer: they are owed until there is one
                self.catalogue.enter_owed(package_id, prepared)
            if owed:
                listener(Progress("enter", len(owed), len(owed), owed[-1], unit="packages"))

    def try_owed(self, listener: Listener = silent, *, wait: bool = True) -> None:
        """Enter what is owed; where there is no room for it now it stays owed, as status says: all else is here."""
        with contextlib.suppress(Refused, Unreachable):
            self.enter_owed(listener, wait=wait)

    def dataset(self, package_id: str, name: str) -> DatasetRow:
        """A dataset of a package, by name; those that are owed are entered first. Raises as `Catalogue.dataset`."""
        self.try_owed()
        return self.catalogue.dataset(package_id, name)

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
        with self.catalogue.together():
            log = PackageLog(self.ledger, package_id)
            deleted = log.is_deleted()
            if not self.catalogue.has(package_id) if deleted else self._is_stale(package_id):
                self._enter(log)
            for entry in log.entries:
                apply(self.catalogue, entry, only=package_id)
            if not deleted and self._is_stale(package_id):  # it was deleted once, and archived again
                self._enter(log)
            self._place_adopted(package_id)

    def _enter(self, log: PackageLog) -> None:
        """Enter a package from the first copy that can be read, else as the log says: it is never forgotten."""
        from diadem.node.follow.catalogue_rows import entry_from_log

        ingest, prepared = log.ingest(), None
        with contextlib.suppress(Unreachable):
            prepared = self._read(log)
        if prepared is not None:
            self.catalogue.enter([prepared])
        elif ingest is not None and not self.catalogue.has(log.id):
            self.catalogue.add_package(entry_from_log(log.id, ingest, {}))

    def _read(self, log: PackageLog) -> Prepared | None:
        """A package as its first copy that can be read says; None where every copy is gone or unreadable.

        Raises `Unreachable` where one may be read later: its store does not answer, or no copy is stated yet.
        """
        from diadem.node.follow.catalogue_rows import package_entry

        copies = [entry.statement.predicate for entry in log.entries if entry.statement.kind in COPY_KINDS]
        away = not copies
        for said in copies:
            try:
                package, path = self._opened(log.id, said)
                return prepare(package_entry(package, path, log.ingest()))
            except (DiademError, OSError) as error:
                away |= self._may_be_read_later(log, said, error)
        if away:
            raise Unreachable("no copy can be read now", where=log.id)
        return None

    def _may_be_read_later(self, log: PackageLog, said: Mapping[str, Any], error: Exception) -> bool:
        """Whether what hindered reading a copy says nothing of the copy itself."""
        store = str(said["store"])
        if store not in log.places():  # given up, or looked for and not found
            return False
        if isinstance(error, NotFound) and not said.get("adopted") and store in self.stores.names:
            try:
                self.stores.require_there(store)  # a disk that is unplugged has no file either
            except (Unreachable, OSError):
                return True
            return False
        of_copy = isinstance(error, DiademError) and not isinstance(error, Unreachable | StoreError | Interrupted)
        return not of_copy

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


@contextlib.contextmanager
def _alone(folder: Path, *, wait: bool) -> Iterator[bool]:
    """While nobody else enters what is owed; False where somebody does, and is not waited for."""
    if wait:
        with held(folder, _OWED):
            yield True
        return
    with held_if_free(folder, _OWED) as alone:
        yield alone


def apply(catalogue: Catalogue, entry: Entry, *, only: str | None = None) -> None:
    """Let the catalogue follow one statement, with `only` no effects on other packages than that one.

    Packages that it does not know are passed over. Every effect may be applied twice.
    """
    statement, predicate = entry.statement, entry.statement.predicate
    if statement.kind in COPY_KINDS:
        _written(catalogue, [entry], only)
        return
    packages = [one for one in _packages(entry) if only in (None, one)]
    about = sorted(catalogue.known(packages)) if packages else []
    effect = statement.known.effect if statement.known else ""
    if about and effect in _EFFECTS:
        _EFFECTS[effect](catalogue, about, entry)
    if effect == "sample":
        with catalogue.together():  # it is known and followed, or neither
            _note(catalogue, [entry])
            follow_samples(catalogue, [one.name for one in statement.subjects if is_sample_id(one.name)])
        return
    _note(catalogue, [entry])
    if effect == "succession" and predicate.get("successor"):
        succession = Succession(str(predicate["successor"]), entry.place, entry.statement_id)
        catalogue.succeed(str(predicate["name"]), succession)
    if effect in _SAID and _counts(catalogue, entry):
        _SAID[effect](catalogue, about, entry)


def apply_all(catalogue: Catalogue, entries: Iterable[Entry]) -> None:
    """Let the catalogue follow statements in their order: those of copies that follow one another in one go."""
    for writes, run in groupby(entries, key=lambda entry: entry.statement.kind in COPY_KINDS):
        if writes:
            _written(catalogue, list(run))
        else:
            for entry in run:
                apply(catalogue, entry)


def _packages(entry: Entry) -> list[str]:
    return [subject.name for subject in entry.statement.subjects if subject.name.startswith(PREFIX)]


def _note(catalogue: Catalogue, entries: Sequence[Entry]) -> None:
    catalogue.add_statements(
        [
            StatementEntry(
                epoch=entry.epoch,
                index=entry.index,
                statement_id=entry.statement_id,
                kind=entry.statement.kind,
                subjects=[subject.sha256 for subject in entry.statement.subjects],
                time=read_time(str(entry.statement.predicate["time"])),
                line=entry.line,
            )
            for entry in entries
        ]
    )


def _counts(catalogue: Catalogue, entry: Entry) -> bool:
    """Whether a user's statement is understood, and by whom it says."""
    try:
        validate_statement(entry.statement)
    except DocumentError:  # of a later version; custody shows it
        return False
    if entry.statement.kind in ("corrections", "handover"):  # the node's own word
        return True
    return catalogue.speaks_for(entry.signers, str(entry.statement.predicate.get("by", "")))


def _written(catalogue: Catalogue, entries: Sequence[Entry], only: str | None = None) -> None:
    """Copies are there: `ingest` and `replicate`."""
    copies, times = [], dict[str, datetime]()
    for entry in entries:
        said = entry.statement.predicate
        at = read_time(str(said["time"]))
        for package in _packages(entry):
            if only in (None, package):
                copy = CopyEntry(
                    package,
                    str(said["store"]),
                    str(said.get("path", "")),
                    at,
                    level=str(said.get("proof", "")),
                    statement_id=entry.statement_id,
                    adopted=bool(said.get("adopted")),
                    place=str(said["place"]) if said.get("place") else None,
                )
                copies.append(copy)
                if entry.statement.kind == "ingest":
                    times.setdefault(package, at)
    catalogue.note_ingests(times)
    catalogue.add_copies(copies)
    _note(catalogue, entries)


def _checked(catalogue: Catalogue, packages: list[str], entry: Entry) -> None:
    """Copies were read: `fixity`."""
    said, statement_id = entry.statement.predicate, entry.statement_id
    at, store, level = read_time(str(said["time"])), str(said["store"]), str(said["level"])
    proven = set(said.get("proven", ())) & set(packages)
    if level in PROOFS:
        catalogue.add_proofs(sorted(proven), store, level=level, at=at, ok=True, statement_id=statement_id)
    codes: dict[str, set[str]] = {}
    for finding in said.get("findings", ()):
        codes.setdefault(str(finding["package"]), set()).add(str(finding["code"]))
    for package in packages:
        if package in codes:
            state = MISSING if COPY_MISSING in codes[package] else SUSPECT
            _restate(catalogue, package, store, state)
            catalogue.add_proof(package, store, level=level, at=at, ok=False, statement_id=statement_id)
        elif package in proven:
            _restate(catalogue, package, store, PRESENT)


def _received(catalogue: Catalogue, packages: list[str], entry: Entry) -> None:
    """A package came from another node: it was taken in then, unless it was before."""
    catalogue.note_ingests(dict.fromkeys(packages, read_time(str(entry.statement.predicate["time"]))))


def _dropped(catalogue: Catalogue, packages: list[str], entry: Entry) -> None:
    for package in packages:
        _restate(catalogue, package, str(entry.statement.predicate["store"]), DROPPED)


def _deleted(catalogue: Catalogue, packages: list[str], entry: Entry) -> None:
    said = entry.statement.predicate
    for package in packages:
        for replica in catalogue.replicas(package):
            if not replica.adopted:
                _restate(catalogue, package, replica.store, DROPPED)
        catalogue.tombstone(
            package, reason=str(said["reason"]), at=read_time(str(said["time"])), statement_id=entry.statement_id
        )


def _restate(catalogue: Catalogue, package: str, store: str, state: str) -> None:
    """Another state for a copy that is known and was not given up."""
    for replica in catalogue.replicas(package):
        if replica.store == store and replica.state != state and (replica.state != DROPPED or state == DROPPED):
            catalogue.set_replica(package, store, replica.path, state=state)


def _assessed(catalogue: Catalogue, packages: list[str], entry: Entry) -> None:
    """Somebody judged data: it counts in the search."""
    for package in packages:
        catalogue.add_assessment(package, Assessment.of(entry.statement_id, entry.place, entry.statement.predicate))


def _corrected(catalogue: Catalogue, packages: list[str], entry: Entry) -> None:
    """A package came with corrections and judgements, or somebody has corrected it: what is found is what holds now."""
    for package in packages:
        if entry.statement.kind == "corrections":
            catalogue.restate_judgements(package)
        catalogue.restate_record(package)


def _identified(catalogue: Catalogue, packages: list[str], entry: Entry) -> None:
    """A package was given to where it is called something: it is found by that."""
    if entry.statement.predicate.get("identifiers"):
        _corrected(catalogue, packages, entry)


def _derived(catalogue: Catalogue, _: list[str], entry: Entry) -> None:
    """Something was made from packages, some of which may lie elsewhere; what a chain does not show does not count."""
    made = Derivation.of(entry.statement_id, entry.place, entry.statement.predicate)
    shown = {subject.name for subject in entry.statement.subjects}
    if made.result in shown:
        catalogue.add_derivation(replace(made, sources=tuple(one for one in made.sources if one.package in shown)))


#: What is done with packages that the catalogue knows, and with what users say of any, which counts only where the
#: signature is theirs: by the effects of `diadem.model.statement_kinds`. The others stand in `apply`.
_EFFECTS = {
    "copies checked": _checked,
    "package received": _received,
    "copy dropped": _dropped,
    "package deleted": _deleted,
}
_SAID = {"judged": _assessed, "corrected": _corrected, "derived": _derived, "identified": _identified}
#: Every effect that a kind of statement can have.
EFFECTS: Final = frozenset({"copy written", "sample", "succession", *_EFFECTS, *_SAID})


def follow_samples(catalogue: Catalogue, ids: Iterable[str]) -> None:
    """Enter samples anew, from all that the catalogue has of each: in which order it learns of them does not matter."""
    for one in ids:
        sample = sample_of(one, said_of(catalogue, one))
        if sample is not None:
            catalogue.add_sample(sample)


def said_of(catalogue: Catalogue, sample_id: str) -> list[Stated]:
    """Statements on a sample in the order of the log, each signed by whom it says.

    One that a later version wrote, and this one cannot understand, means nothing to it.
    """
    stated = []
    for epoch, index, line in catalogue.sample_statements(Subject.named(sample_id).sha256):
        entry = Entry.from_line(epoch, index, line)
        try:
            validate_statement(entry.statement)
        except DocumentError:
            continue
        if catalogue.speaks_for(entry.signers, str(entry.statement.predicate.get("by", ""))):
            stated.append(Stated(entry.place, entry.statement_id, entry.statement))
    return stated
