"""The copies of a package: read from the best, proven whole, written where the policy still wants one, and stated.

Nothing that is read of a copy is believed before it is proven; a copy is accused only of what was found in it, and a
store that does not answer says nothing of its copies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from diadem.archive.package import Package
from diadem.custody import statements
from diadem.errors import DiademError, IntegrityError, Interrupted, NotFound, StoreError, Unreachable, machine_errors
from diadem.model.display import Display
from diadem.model.manifest import PackageId, shown_id
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.replicas import MISSING, PRESENT, SUSPECT, PackageState, ReplicaState
from diadem.model.report import STRANGER, Finding, Level, Report, Severity
from diadem.node.context import Context
from diadem.node.follow.package_log import COPY_MISSING, PackageLog
from diadem.node.read_copy import CopyRead, package_at, read_copy
from diadem.node.tasks import CopyToRead
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.policy.commands import RESCAN, move_store, repair, short
from diadem.store.adopted import AdoptedFolders
from diadem.store.bags import MemoryBundle
from diadem.store.contract import Added, Pace

#: Findings of one package that stand in its statement.
_TOLD = 50
#: What the tag files of some packages say: a package never changes, and a run over many sessions asks for the newest
#: ones again and again. So many are kept, of so many files at most.
_REMEMBERED: dict[str, TagFiles] = {}
_MOST, _SMALL = 64, 500
_GUARD = threading.Lock()

#: The proof of a copy that was there, in a store that does not answer now.
UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Copy(Display):
    """One copy that was written, or was there.

    Attributes
    ----------
    store, path : str
        Where.
    created : bool
        False where it was there already.
    proof : str
        See `Outcome.proof`; or `UNSEEN`.
    """

    store: str
    path: str
    created: bool
    proof: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"store": self.store, "path": self.path, "created": self.created, "proof": self.proof}


@dataclass(frozen=True, slots=True)
class Debt(Display):
    """A copy that could not be written now; `diadem repair` or the next archive pays it.

    Attributes
    ----------
    package, store, reason : str
        Which copy is owed, and why it is not there.
    """

    package: str
    store: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"package": self.package, "store": self.store, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Damage(Display):
    """A copy that was found damaged.

    Attributes
    ----------
    package, store, path : str
        Which copy.
    state : str
        ``suspect``, or ``missing`` where nothing of it is there.
    report : Report
        What was found: file, leaf, range.
    """

    package: str
    store: str
    path: str
    state: str
    report: Report

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "package": self.package,
            "store": self.store,
            "path": self.path,
            "state": self.state,
            "findings": [finding.to_dict() for finding in self.report.findings],
        }


class PackageCopies:
    """The copies of one package of a node."""

    def __init__(self, context: Context, package_id: str) -> None:
        self.context = context
        self.id = PackageId(package_id)

    def locked(self) -> AbstractContextManager[None]:
        """Wait for, and hold, the lock of the package: who writes, gives up or states copies of it takes turns."""
        return self.context.locked(f"package-{self.id.hex[:32]}")

    # -- which there are -------------------------------------------------------------------------------------------

    def state(self) -> PackageState:
        """The package and its copies as the policy judges them. Raises `NotFound`."""
        return self.context.catalogue.package_state(self.id)

    def known(self) -> Sequence[ReplicaState]:
        """The copies that are known; none where the catalogue does not have the package."""
        return self.context.catalogue.replicas(self.id) if self.context.catalogue.has(self.id) else ()

    def log(self) -> PackageLog:
        """What the log says of the package."""
        return PackageLog(self.context.ledger, self.id)

    def in_order(self) -> list[ReplicaState]:
        """Every copy that is known, the best to read first: present before others, stores before adopted folders."""
        order = {name: number for number, name in enumerate(self.context.stores.names)}
        return sorted(
            self.context.catalogue.replicas(self.id),
            key=lambda copy: (copy.state != PRESENT, copy.adopted, order.get(copy.store, len(order))),
        )

    def now(self, replica: ReplicaState) -> ReplicaState | None:
        """A copy as it is known now; None where it lies there no more."""
        known = self.context.catalogue.replicas(self.id)
        return next((one for one in known if (one.store, one.path) == (replica.store, replica.path)), None)

    def deleted(self) -> str | None:
        """Why the package was deleted; None where it was not, or is not known."""
        try:
            tombstone: Mapping[str, Any] | None = self.context.catalogue.get(self.id).tombstone
        except NotFound:
            return None
        return None if tombstone is None else f"deleted: {tombstone.get('reason') or 'no reason is known'}"

    def require_kept(self) -> None:
        """Raise `NotFound` where the package was deleted."""
        if (gone := self.deleted()) is not None:
            raise NotFound(f"the package was {gone}", where=self.id, next=f"See: diadem custody {short(self.id)}")

    def same_files(self) -> str:
        """The id of another package with the same files of which a copy is proven; "" where there is none."""
        catalogue = self.context.catalogue
        for other in catalogue.of_payload(catalogue.get(self.id).payload_id):
            if other != self.id and any(copy.proven for copy in catalogue.replicas(other)):
                return other
        return ""

    # -- reading ---------------------------------------------------------------------------------------------------

    def bundle(self, replica: ReplicaState) -> Bundle:
        """The files of one copy. Raises `NotFound`, `Unreachable` or `StoreError` where it is not there."""
        if replica.adopted:
            return AdoptedFolders(self.context.folder / "adopted").bundle(self.id)
        return self.context.stores.open(replica.store).bundle(replica.path)

    def readable(self, but: ReplicaState | None = None) -> Iterator[tuple[ReplicaState, Bundle]]:
        """Copies that answer, in order, all `but` one."""
        for replica in self.in_order():
            if but is not None and (replica.store, replica.path) == (but.store, but.path):
                continue
            try:
                bundle = self.bundle(replica)
            except DiademError:
                continue
            yield replica, bundle

    def packages(self, but: ReplicaState | None = None) -> Iterator[tuple[Package, ReplicaState]]:
        """The package in each copy that answers and whose tag files are sound, in order, in all `but` one."""
        readers, extractor = tuple(self.context.tools.readers), self.context.tools.extractor
        for replica, bundle in self.readable(but):
            try:
                opened = open_tag_files(bundle, expected_id=self.id)
            except IntegrityError:
                self._doubt_tag_files(replica)
                continue
            except (DiademError, OSError):
                continue
            yield Package(bundle, opened=opened, readers=readers, extractor=extractor), replica

    def best(self) -> tuple[Package, ReplicaState]:
        """The package in the best of its copies whose tag files are sound.

        Raises
        ------
        Unreachable, NotFound
            No copy can be read, because a store that has one does not answer, or for other reasons; says why for each.
        """
        if (found := next(self.packages(), None)) is not None:
            return found
        self.require_kept()
        stores, known = self.context.stores, self.context.catalogue.replicas(self.id)
        reasons = "; ".join(self._why_not(replica) for replica in known)
        away = [one.store for one in known if one.store in stores.names and stores.why_away(one.store)]
        elsewhere = f"Reconnect {away[0]}; or, if it has moved: {move_store(away[0])}" if away else ""
        raise (Unreachable if away else NotFound)(
            f"no copy of {shown_id(self.id)} can be read ({reasons or 'it has none'})",
            next=elsewhere or "See what is wrong: diadem status",
        )

    def _why_not(self, replica: ReplicaState) -> str:
        stores = self.context.stores
        if replica.store in stores.names:
            why = stores.why_away(replica.store)
        else:
            why = "adopted" if replica.adopted else "no store of this node any more"
        return f"{replica.store}: {why or 'not sound'}{'' if replica.state == PRESENT else ', ' + replica.state}"

    def kept_tag_files(self) -> TagFiles | None:
        """The tag files that the catalogue keeps, where they still give the package's id."""
        if (opened := _REMEMBERED.get(self.id)) is not None:
            return opened
        try:
            opened = open_tag_files(MemoryBundle(self.context.catalogue.tag_files(self.id)), expected_id=self.id)
        except DiademError:
            return None
        if len(opened.manifest.payload) <= _SMALL:
            with _GUARD:
                if len(_REMEMBERED) >= _MOST:
                    del _REMEMBERED[next(iter(_REMEMBERED))]
                _REMEMBERED[self.id] = opened
        return opened

    # -- proving ---------------------------------------------------------------------------------------------------

    def lies_at(self, store: str, path: str) -> bool:
        """Whether the file that gives a package its id is at a place in a store, and gives this one."""
        try:
            return package_at(self.context.stores.open(store).bundle(path)) == self.id
        except (DiademError, OSError):
            return False

    def another_at(self, bundle: Bundle) -> str:
        """The id of another package that the node knows, where it is that one which lies at the place of a copy; or "".

        Raises
        ------
        Unreachable
            The store does not answer: nothing is known of what lies there.
        """
        found = package_at(bundle)
        return found if found and found != self.id and self.context.catalogue.has(found) else ""

    def usual_level(self) -> Level:
        """`leaves` where this node has hashed the whole package, leaves and files together, once; else `full`."""
        return Level.LEAVES if self.context.catalogue.consistent(self.id) else Level.FULL

    def check(
        self,
        replica: ReplicaState,
        *,
        level: Level | None = None,
        pace: Pace | None = None,
        listener: Listener = silent,
    ) -> Report:
        """Read one copy whole. What cannot be read is a finding, never an exception.

        Raises
        ------
        Unreachable
            The store does not answer, or did not while it was read: nothing is said of the copy.
        """
        level = level or self.usual_level()
        if self.context.workers is not None and not replica.adopted:
            settings = self.context.settings.store(replica.store)
            (read,) = self.context.workers.prove(settings, [CopyToRead(self.id, replica, level)])
            if read.report is None:
                raise Unreachable(read.silence, where=settings.url)
        else:
            files = partial(self.bundle, replica)
            try:
                other = self.another_at(files())
            except Unreachable:
                raise
            except (DiademError, OSError):
                other = ""  # what cannot be opened is told below
            if other:  # of another package no more than its id is read
                read = CopyRead(None, found=other)
            else:
                read = read_copy(files, self.id, replica.path, level=level, pace=pace, listener=listener)
        report = self.judged(replica, read)
        assert report is not None
        if not report.ok and not replica.adopted:
            self.context.stores.require_there(replica.store)
        return report

    def judged(self, replica: ReplicaState, read: CopyRead) -> Report | None:
        """What was found; where another package that the node knows lies at the place, the copy is missing."""
        if read.found and self.context.catalogue.has(read.found):
            return self._replaced(replica, read.found)
        return read.report

    def _replaced(self, replica: ReplicaState, other: str) -> Report:
        """That another package lies where a copy was: the copy is missing, and nothing is damaged."""
        message = f"another package is at its place: {shown_id(other)}"
        finding = Finding(Severity.ERROR, COPY_MISSING, message, next="Run: diadem repair")
        return Report(replica.path, Level.QUICK, [finding], self.id)

    # -- writing ---------------------------------------------------------------------------------------------------

    def replicate(
        self, stores: Sequence[str], *, listener: Listener = silent, pace: Pace | None = None, held: bool = False
    ) -> tuple[list[Copy], list[Debt]]:
        """Copy the package into stores; each copy is proven while it is written, stated in the log and catalogued.

        A store that does not answer, or is full, is a debt and stops nothing. A source that turns out to be damaged is
        marked suspect and the next one is tried. With `held` the caller holds the package's lock.
        """
        copies: list[Copy] = []
        debts: list[Debt] = []
        if not stores:
            return copies, debts
        context = self.context
        with nullcontext() if held else self.locked():
            row = context.catalogue.get(self.id)
            here = {one.store: one.path for one in context.catalogue.replicas(self.id) if one.state == PRESENT}
            said = self.log().places()
            for name in stores:
                if name in here and here[name] == said.get(name):  # another process was quicker
                    continue
                try:
                    with machine_errors():
                        added, source = self._add(row.path, name, listener, pace)
                except Interrupted:
                    raise
                except DiademError as error:
                    debts.append(Debt(self.id, name, error.message))
                    continue
                draft = statements.replicate(
                    self.id,
                    payload_id=row.payload_id,
                    source=source,
                    store=context.settings.stated_store(name),
                    path=added.path,
                    proof=added.proof,
                    by=context.address,
                )
                context.say([draft])
                copies.append(Copy(name, added.path, added.created, added.proof))
        return copies, debts

    def _add(self, path: str, name: str, listener: Listener, pace: Pace | None) -> tuple[Added, str]:
        """Write a copy from the first source that is whole; its name."""
        context = self.context
        store = context.stores.require_there(name)
        problem: DiademError | None = None
        for replica, bundle in self.readable():
            if replica.store == name and not replica.adopted:
                continue
            try:
                if context.workers is not None and not replica.adopted:
                    here, there = context.settings.store(replica.store), context.settings.store(name)
                    return context.workers.copy(self.id, here, replica.path, there, path), replica.store
                opened = open_tag_files(bundle, expected_id=self.id)
                return store.add(bundle, opened, path, listener=listener, pace=pace), replica.store
            except IntegrityError as error:  # a damaged source is never copied on, and the next one is tried
                problem = self._blamed(replica, bundle, name, error)
        raise problem or NotFound("no other copy can be read", next="Connect another store.")

    def _blamed(self, replica: ReplicaState, bundle: Bundle, name: str, error: IntegrityError) -> DiademError:
        """Read a source again of which bytes did not arrive as they should: it is accused only of what is found then.

        Returns
        -------
        DiademError
            Why it was not copied; its damage, if there is some, is stated.

        Raises
        ------
        StoreError
            The source is whole: the store to which it was to be copied has bent the bytes.
        """
        context = self.context
        try:
            if other := self.another_at(bundle):
                report = self._replaced(replica, other)
            else:
                report = verify(bundle, level=Level.FULL, expected_id=self.id)
            if report.ok:
                raise StoreError(
                    f"the copy in '{replica.store}' is whole, but did not arrive: {error.message}",
                    where=context.settings.store(name).url,
                    next="Run the same command again; if it happens twice, do not trust this store.",
                ) from error
            if not replica.adopted:
                context.stores.require_there(replica.store)
        except Unreachable as away:  # no answer is no answer
            return away
        if replica.state == PRESENT:  # else it stands in the log already
            self.note_damage(replica, report)
        return error

    # -- stating ---------------------------------------------------------------------------------------------------

    def note_damage(self, replica: ReplicaState, report: Report) -> Damage:
        """State what was found wrong with a copy, and let the copy count no longer."""
        gone = any(finding.code == COPY_MISSING for finding in report.findings)
        errors = [finding for finding in report.findings if finding.severity is Severity.ERROR]
        findings = [
            statements.copy_fault(self.id, one.code, one.message, path=one.path, leaf=one.leaf)
            for one in errors[:_TOLD]
        ]
        self._state_check(replica, str(report.level), dict(report.checked), findings=findings)
        return Damage(self.id, replica.store, replica.path, MISSING if gone else SUSPECT, report)

    def doubt(self, replica: ReplicaState, found: Report | IntegrityError) -> bool:
        """State what was found wrong with a copy while it was read for somebody; whether the copy counted until now.

        An adopted folder that was edited is not damaged. Where nothing can be stated now the catalogue alone notes it:
        what is read is given back all the same.
        """
        if not self._counts(replica):
            return False
        try:
            if isinstance(found, Report):
                self.note_damage(replica, found)
            else:
                self.note_misread(replica, found)
        except (DiademError, OSError):
            self.context.catalogue.set_replica(self.id, replica.store, replica.path, state=SUSPECT)
        return True

    def _counts(self, replica: ReplicaState) -> bool:
        return replica.state == PRESENT and not replica.adopted and self.context.writable

    def _doubt_tag_files(self, replica: ReplicaState) -> None:
        """Look again at a copy whose tag files do not agree, as `scrub` does, and note what is found."""
        if not self._counts(replica):
            return
        with suppress(DiademError, OSError):  # no answer is no answer, and the next copy is read all the same
            report = self.check(replica, level=Level.QUICK)
            now = self.now(replica)  # it may have been dropped or mended meanwhile
            if not report.ok and now is not None and now.written_at == replica.written_at:
                self.doubt(now, report)

    def note_report(self, bundle: Bundle, report: Report) -> Report:
        """Note what was found wrong with the copy of which these are the files; the report with the step that mends.

        To read a large copy takes hours, in which somebody may have mended it: what was wrong is read once more.
        """
        read = next((replica for replica, files in self.readable() if files.url == bundle.url), None)
        if read is None:  # it was dropped meanwhile
            return report
        if read.adopted:
            return report.advised(lambda _: f"See what was edited: {RESCAN}")
        try:
            if other := self.another_at(bundle):
                report = still = self._replaced(read, other)
            else:
                wrong = {finding.path or "" for finding in report.findings}
                still = verify(bundle, level=report.level, expected_id=self.id, only=wrong)
            self.context.stores.require_there(read.store)
        except (DiademError, OSError):  # no answer is no answer
            return report
        if still.ok:
            return report.advised(lambda _: f"It reads right now. Verify again: diadem verify {short(self.id)}")
        self.doubt(read, replace(report, findings=still.findings))
        aside = f"{repair(self.id)} --set-aside"
        return report.advised(lambda one: aside if one.code == STRANGER else repair(self.id))

    def note_misread(self, replica: ReplicaState, error: IntegrityError) -> None:
        """State that a copy which was read to be given out is not what it was."""
        leaf = getattr(error, "leaf", None)
        finding = statements.copy_fault(self.id, error.code, error.message, path=error.where, leaf=leaf)
        self._state_check(replica, str(Level.FULL), {}, findings=[finding])

    def state_proven(self, replica: ReplicaState, report: Report) -> None:
        """State that a copy was read whole and is right."""
        self._state_check(replica, str(report.level), {"packages": 1, **report.checked}, proven=[self.id])

    def _state_check(
        self,
        replica: ReplicaState,
        level: str,
        checked: dict[str, int],
        *,
        proven: Sequence[str] = (),
        findings: Sequence[dict[str, Any]] = (),
    ) -> None:
        draft = statements.fixity(
            [self.id],
            store=self.context.settings.stated_store(replica.store),
            level=level,
            proven=proven,
            checked=checked,
            findings=findings,
        )
        self.context.say([draft])


class CopiesAtHand:
    """The files of a package in its best copy, and in others whose stores are open already.

    The others are opened when all of it goes to another process, and not before: a share may hang.
    """

    def __init__(self, context: Context, package: Package) -> None:
        self._best = package.bundle
        self._others = [
            (store, replica.path)
            for replica in context.catalogue.replicas(package.id)
            if replica.state == PRESENT and not replica.adopted
            if (store := context.stores.at_hand(replica.store)) is not None
        ]

    def __iter__(self) -> Iterator[Bundle]:
        """Those that are there now."""
        yield self._best
        for store, path in self._others:
            with suppress(DiademError, OSError):  # it has gone away since it was opened
                bundle = store.bundle(path)
                if bundle.url != self._best.url:
                    yield bundle

    def __reduce__(self) -> tuple[type[tuple[Bundle, ...]], tuple[tuple[Bundle, ...]]]:
        """As a tuple."""
        return tuple, (tuple(self),)
