"""Where copies go: to the stores that the policy still wants, from the copy that is best to read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from diadem.archive.package import Package
from diadem.custody import statements
from diadem.errors import DiademError, IntegrityError, Interrupted, NotFound, StoreError, Unreachable, machine_errors
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.replicas import PRESENT, ReplicaState
from diadem.model.report import Finding, Level, Report, Severity
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.follow.replay import COPY_MISSING, places_said
from diadem.node.keep.proving import package_at
from diadem.node.tasks import CopyTask
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.policy.commands import move_store
from diadem.store.adopted import AdoptedFolders
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


def readable_copies(context: Context, package_id: str) -> Iterator[tuple[ReplicaState, Any]]:
    """Copies of a package that answer, the best to read first: present before suspect, folders before servers."""
    order = {name: number for number, name in enumerate(context.stores.names)}
    replicas = sorted(
        context.catalogue.replicas(package_id),
        key=lambda replica: (replica.state != PRESENT, replica.adopted, order.get(replica.store, 99)),
    )
    for replica in replicas:
        try:
            bundle = bundle_of(context, package_id, replica)
        except DiademError:
            continue
        yield replica, bundle


def bundle_of(context: Context, package_id: str, replica: ReplicaState) -> Any:
    """The files of one copy.

    Raises
    ------
    NotFound, Unreachable, StoreError
        It is not there.
    """
    if replica.adopted:
        return AdoptedFolders(context.folder / "adopted").bundle(package_id)
    return context.stores.open(replica.store).bundle(replica.path)


def best_package(context: Context, package_id: str) -> tuple[Package, ReplicaState]:
    """A package in the best of its copies whose tag files are sound.

    Raises
    ------
    Unreachable, NotFound
        No copy can be read, because a store that has one does not answer, or for other reasons; says why for each.
    """
    for replica, bundle in readable_copies(context, package_id):
        try:
            package = Package(
                bundle,
                opened=open_tag_files(bundle, expected_id=package_id),
                readers=tuple(context.tools.readers),
                extractor=context.tools.extractor,
            )
        except (DiademError, OSError):
            continue
        return package, replica
    require_kept(context, PackageId(package_id))
    known = context.catalogue.replicas(package_id)
    reasons = "; ".join(_why_not(context, replica) for replica in known)
    away = [one.store for one in known if one.store in context.stores.names and context.stores.why_away(one.store)]
    elsewhere = f"Reconnect {away[0]}; or, if it has moved: {move_store(away[0])}" if away else ""
    raise (Unreachable if away else NotFound)(
        f"no copy of {package_id[:19]}… can be read ({reasons or 'it has none'})",
        next=elsewhere or "See what is wrong: diadem status",
    )


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


def deleted(context: Context, package: PackageId) -> str | None:
    """Why a package was deleted; None where it was not, or is not known."""
    try:
        tombstone: Mapping[str, Any] | None = context.catalogue.get(package).tombstone
    except NotFound:
        return None
    return None if tombstone is None else f"deleted: {tombstone.get('reason') or 'no reason is known'}"


def require_kept(context: Context, package: PackageId) -> None:
    """Raise `NotFound` where a package was deleted."""
    if (gone := deleted(context, package)) is not None:
        raise NotFound(f"the package was {gone}", where=str(package), next=f"See: diadem custody {package[:19]}")


def _why_not(context: Context, replica: ReplicaState) -> str:
    """Why a copy could not be read, in a few words."""
    if replica.store in context.stores.names:
        why = context.stores.why_away(replica.store)
    else:
        why = "adopted" if replica.adopted else "no store of this node any more"
    return f"{replica.store}: {why or 'not sound'}{'' if replica.state == PRESENT else ', ' + replica.state}"


def replicate(
    context: Context,
    package_id: str,
    stores: Sequence[str],
    *,
    listener: Listener = silent,
    pace: Pace | None = None,
    held: bool = False,
) -> tuple[list[Copy], list[Debt]]:
    """Copy a package into stores; each copy is proven while it is written, stated in the log and catalogued.

    A store that does not answer, or is full, is a debt and stops nothing. A source that turns out to be damaged is
    marked suspect and the next one is tried. With `held` the caller holds the package's lock.
    """
    if not stores:
        return [], []
    with nullcontext() if held else context.locked(f"package-{PackageId(package_id).hex[:32]}"):
        return _replicate(context, package_id, stores, listener, pace)


def _replicate(
    context: Context, package_id: str, stores: Sequence[str], listener: Listener, pace: Pace | None
) -> tuple[list[Copy], list[Debt]]:
    copies: list[Copy] = []
    debts: list[Debt] = []
    row = context.catalogue.get(package_id)
    here = {one.store: one.path for one in context.catalogue.replicas(package_id) if one.state == PRESENT}
    said = places_said(package_id, context.ledger.of_subject(PackageId(package_id).hex))
    for name in stores:
        if name in here and here[name] == said.get(name):  # another process was quicker
            continue
        try:
            with machine_errors():
                added, source = _add(context, package_id, row.path, name, listener, pace)
        except Interrupted:
            raise
        except DiademError as error:
            debts.append(Debt(package_id, name, error.message))
            continue
        context.say([_replicate_draft(context, row, source, name, added)])
        copies.append(Copy(name, added.path, added.created, added.proof))
    return copies, debts


def _add(
    context: Context, package_id: str, path: str, name: str, listener: Listener, pace: Pace | None
) -> tuple[Added, str]:
    store = context.stores.require_there(name)
    problem: DiademError | None = None
    for replica, bundle in readable_copies(context, package_id):
        if replica.store == name and not replica.adopted:
            continue
        try:
            if context.workers is not None and not replica.adopted:
                here, there = context.settings.store(replica.store), context.settings.store(name)
                return context.workers.copy(CopyTask(package_id, here, replica.path, there, path)), replica.store
            opened = open_tag_files(bundle, expected_id=package_id)
            return store.add(bundle, opened, path, listener=listener, pace=pace), replica.store
        except IntegrityError as error:  # a damaged source is never copied on, and the next one is tried
            problem = _blamed(context, package_id, replica, bundle, name, error)
    raise problem or NotFound("no other copy can be read", next="Connect another store.")


def _blamed(
    context: Context, package_id: str, replica: ReplicaState, bundle: Bundle, name: str, error: IntegrityError
) -> DiademError:
    """Read a source again of which bytes did not arrive as they should be; it is accused only of what is found then.

    Returns
    -------
    DiademError
        Why it was not copied; its damage, if there is some, is stated.

    Raises
    ------
    StoreError
        The source is whole: the store to which it was to be copied has bent the bytes.
    """
    try:
        other = another_package(context, bundle, package_id)
        report = (
            not_there(replica, package_id, other) if other else verify(bundle, level=Level.FULL, expected_id=package_id)
        )
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
        context.say([damage_found(context, package_id, replica, report)])
    return error


def another_package(context: Context, bundle: Bundle, package_id: str) -> str:
    """The id of another package that the node knows, where it is that one which lies at the place of a copy; or "".

    Raises
    ------
    Unreachable
        The store does not answer: nothing is known of what lies there.
    """
    found = package_at(bundle)
    return found if found and found != package_id and context.catalogue.has(found) else ""


def same_files(context: Context, package_id: str) -> str:
    """The id of another package with the same files of which a copy is proven; "" where there is none."""
    for other in context.catalogue.of_payload(context.catalogue.get(package_id).payload_id):
        if other != package_id and any(copy.proven for copy in context.catalogue.replicas(other)):
            return other
    return ""


def not_there(replica: ReplicaState, package_id: str, other: str) -> Report:
    """That another package lies where a copy was: the copy is missing, and nothing is damaged."""
    message = f"another package is at its place: {other[:19]}…"
    finding = Finding(Severity.ERROR, COPY_MISSING, message, next="Run: diadem repair")
    return Report(replica.path, Level.QUICK, [finding], package_id)


def damage_found(context: Context, package_id: str, replica: ReplicaState, report: Report) -> Draft:
    """What a verification found wrong with a copy."""
    errors = [finding for finding in report.findings if finding.severity is Severity.ERROR]
    findings = [
        statements.copy_fault(package_id, finding.code, finding.message, path=finding.path, leaf=finding.leaf)
        for finding in errors[:_TOLD]
    ]
    return _fixity(context, package_id, replica, str(report.level), dict(report.checked), findings)


def damage_draft(context: Context, package_id: str, replica: ReplicaState, error: IntegrityError) -> Draft:
    """That a copy which was read to be copied is not what it was."""
    leaf = getattr(error, "leaf", None)
    finding = statements.copy_fault(package_id, error.code, error.message, path=error.where, leaf=leaf)
    return _fixity(context, package_id, replica, str(Level.FULL), {}, [finding])


def _fixity(
    context: Context,
    package_id: str,
    replica: ReplicaState,
    level: str,
    checked: dict[str, int],
    findings: list[dict[str, Any]],
) -> Draft:
    store_id = "" if replica.adopted else context.settings.store(replica.store).id
    return statements.fixity(
        [package_id], store=replica.store, store_id=store_id, level=level, checked=checked, findings=findings
    )


def _replicate_draft(context: Context, row: Any, source: str, name: str, added: Added) -> Draft:
    return statements.replicate(
        row.id,
        payload_id=row.payload_id,
        source=source,
        store=name,
        store_id=context.settings.store(name).id,
        path=added.path,
        proof=added.proof,
        by=context.address,
    )


def opened_from_catalogue(context: Context, package_id: str) -> TagFiles | None:
    """The tag files that the catalogue keeps, where they still give the package's id."""
    from diadem.store.bags import MemoryBundle

    if (opened := _REMEMBERED.get(package_id)) is not None:
        return opened
    try:
        opened = open_tag_files(MemoryBundle(context.catalogue.tag_files(package_id)), expected_id=package_id)
    except DiademError:
        return None
    if len(opened.manifest.payload) <= _SMALL:
        with _GUARD:
            if len(_REMEMBERED) >= _MOST:
                del _REMEMBERED[next(iter(_REMEMBERED))]
            _REMEMBERED[package_id] = opened
    return opened


def state_proven(context: Context, package_id: str, replica: ReplicaState, report: Report) -> None:
    """State that a copy was read whole and is right."""
    draft = statements.fixity(
        [package_id],
        store=replica.store,
        store_id=context.settings.store(replica.store).id,
        level=str(report.level),
        proven=[package_id],
        checked={"packages": 1, **report.checked},
    )
    context.say([draft])
