"""What a reindex finds in the stores and the log does not say, or says otherwise, is stated: so it stays known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from diadem.archive.package import Package
from diadem.errors import DiademError, Unreachable
from diadem.model.ids import PackageId
from diadem.model.replicas import MISSING, PRESENT, SUSPECT, ReplicaState
from diadem.model.report import Level
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.following import derive
from diadem.node.ingesting import ingest_draft
from diadem.node.jobs import jobs
from diadem.node.placing import subject
from diadem.node.replay import places_said
from diadem.node.scrubbing import check, note_damage
from diadem.node.taken_in import taken_in
from diadem.package.opening import read_manifest


def state_found(
    context: Context, arrived: Iterable[tuple[str, str, str]], lost: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """State what the stores hold beside what the log says.

    Parameters
    ----------
    context : Context
        The node, its catalogue made anew.
    arrived : iterable of (package, store, path)
        Copies of which the log did not know.
    lost : iterable of (package, store)
        Copies that are damaged or not there.

    Yields
    ------
    str
        What was stated, for people.
    """
    yield from _packages(context)
    yield from _copies(context, arrived)
    yield from _losses(context, lost)


def _packages(context: Context) -> Iterator[str]:
    """State the ingest of packages that lie in a store and that no statement names: somebody copied them there.

    Their bytes are not proven by this: a scrub reads them. While an archive is at work, what is not in the log may be
    its package, which is there a moment before its statement.
    """
    unsaid = [state for state in context.catalogue.package_states() if not state.signed and not state.tombstoned]
    archiving = bool(unsaid) and any(job.kind == "archive" and job.state == "running" for job in jobs(context))
    for state in unsaid:
        for replica in state.replicas:
            if replica.state != PRESENT or replica.adopted:
                continue
            where = f"{replica.path} in {replica.store}"
            if archiving:
                yield f"{where} is not in the log; an archive is at work, so it may be about to be: reindex again"
            elif _state_ingest(context, state.id, replica):
                yield f"{where} was not in the log: somebody copied it there; it is entered, and to be scrubbed"
            break


def _state_ingest(context: Context, package_id: str, replica: ReplicaState) -> bool:
    """State that a package was found; False where somebody else has just stated its ingest."""
    with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
        said = context.ledger.of_subject(PackageId(package_id).hex)
        if taken_in(said) is not None:
            return False
        package = Package(context.stores.open(replica.store).bundle(replica.path))
        source = f"found in the store {replica.store}"
        context.say([ingest_draft(context, package, replica.path, replica.store, None, source, None, {})])
        return True


def _copies(context: Context, arrived: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """State copies that lie where the log has none: copied by hand, or by a run that was killed before it said so.

    Who is writing one just now holds the package's lock until it is stated.
    """
    for package_id, name, path in arrived:
        with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
            said = context.ledger.of_subject(PackageId(package_id).hex)
            if taken_in(said) is None or places_said(package_id, said).get(name) == path:
                continue
            try:
                read_manifest(context.stores.open(name).bundle(path), expected_id=package_id)
            except (DiademError, OSError):  # it was being removed while the stores were read
                derive(context, package_id)
                continue
            context.say([_arrival(context, package_id, name, path)])
            yield f"a copy of {package_id[:19]}… at {path} in {name} was not in the log: it is entered, to be scrubbed"


def _arrival(context: Context, package_id: str, name: str, path: str) -> Draft:
    """That a copy was found: it comes from the store in which it is."""
    return Draft(
        "replicate",
        (subject(package_id),),
        {
            "payload_id": context.catalogue.get(package_id).payload_id,
            "store": name,
            "store_id": context.settings.store(name).id,
            "from": name,
            "proof": "none",
            "path": path,
            "by": context.address,
        },
    )


def _losses(context: Context, lost: Iterable[tuple[str, str]]) -> Iterator[str]:
    """State what is wrong with copies that are not as the log says."""
    for package_id, store in lost:
        with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
            replicas = context.catalogue.replicas(package_id) if context.catalogue.has(package_id) else ()
            for replica in replicas:
                if replica.store == store and replica.state in (MISSING, SUSPECT):
                    with suppress(Unreachable):
                        yield from _state_damage(context, package_id, replica)


def _state_damage(context: Context, package_id: str, replica: ReplicaState) -> Iterator[str]:
    report = check(context, package_id, replica, level=Level.QUICK)
    if not report.ok:
        damage = note_damage(context, package_id, replica, report)
        what = "is not" if damage.state == MISSING else "is damaged"
        yield f"{package_id[:19]}… {what} in {replica.store}, at {replica.path}: diadem repair"
