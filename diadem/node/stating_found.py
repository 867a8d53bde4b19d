"""What a reindex finds in the stores and the log does not say, or says otherwise, is stated: so it stays known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from diadem.custody import statements
from diadem.errors import DiademError, Unreachable
from diadem.model.manifest import PackageId
from diadem.model.replicas import MISSING, PRESENT, SUSPECT, ReplicaState
from diadem.model.report import Level
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.follow.replay import places_said
from diadem.node.interrupted_archives import Unlisted
from diadem.node.jobs import JobState, jobs, looked_after
from diadem.package.tags import CONTINUES, OMITTED


def finish_archives(context: Context, found: Iterable[Unlisted], killed: Sequence[JobState]) -> Iterator[str]:
    """State the ingest of packages that killed archives left, in the name of who archived it where that is known.

    Every byte is read first; the user's signature is there where the key opens without asking. Of which source or
    user nobody can tell is stated by the node alone, as something that was found. What cannot be stated stops nothing.

    Parameters
    ----------
    context : Context
        The node.
    found : iterable of Unlisted
        See `unlisted`.
    killed : sequence of JobState
        What wrote them; they are not looked at again where all that they left is stated.

    Yields
    ------
    str
        What was done, for people.
    """
    finished = all(context.stores.reachable(name) for name in context.stores.names)
    for one in found:
        try:
            note, well = _finish_archive(context, one)
        except DiademError as error:
            note, well = f"{one.path} in {one.store} is in no log and was not entered: {error.message}", False
        finished = finished and well
        if note:
            yield note
    if finished:
        for job in killed:
            looked_after(context, job)


def _finish_archive(context: Context, one: Unlisted) -> tuple[str, bool]:
    """State what a killed archive left: what is to be told, "" where nothing, and whether nothing is left to do."""
    from diadem.archive.package import Package
    from diadem.node.take.arrival import record_ingest
    from diadem.pack.pack import Outcome
    from diadem.package.verify import verify

    bundle = context.stores.open(one.store).bundle(one.path)
    report = verify(bundle, level=Level.FULL, expected_id=one.package)
    if not report.ok:
        return f"{one.path} in {one.store} is in no log and is not whole: archive {one.job.words} again", False
    known = {user.name for user in context.settings.users if not user.successor}
    package, job = Package(bundle, outcome=Outcome(created=False, proof="read-back")), one.job
    info = dict(package.bag_info)
    before = str(PackageId(info[CONTINUES])) if CONTINUES in info else None
    left_out = {"omitted": int(info[OMITTED])} if info.get(OMITTED, "").isdecimal() else {}
    sure = bool(job.source) and job.user in known
    owner, source = (context.as_user(job.user), job.source) if sure else (context, _found_in(one.store))
    if not record_ingest(
        owner, package, one.path, one.store, source, predecessor=before, more=left_out, with_user=sure
    ):
        return "", True
    return f"{one.path} in {one.store} is in the log now: the archive of {job.words} was killed before", True


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
    from diadem.node.keep.adopted import IN_PLACE

    unsaid = [state for state in context.catalogue.package_states() if not state.signed and not state.tombstoned]
    archiving = bool(unsaid) and any(job.kind == "archive" and job.state == "running" for job in jobs(context))
    for state in unsaid:
        for replica in state.replicas:
            if replica.state != PRESENT or replica.adopted:
                continue
            in_place = replica.store == IN_PLACE
            place = f"the adopted folder {replica.path}" if in_place else f"{replica.path} in {replica.store}"
            if archiving:
                yield f"{place} is not in the log; an archive is at work, so it may be about to be: reindex again"
            elif not _state_ingest(context, state.id, replica):
                pass
            elif in_place:
                yield f"{place} was not in the log: its archive was killed; it is entered; read it: diadem rescan"
            else:
                yield f"{place} was not in the log: somebody copied it there; it is entered, and to be scrubbed"
            break


def _state_ingest(context: Context, package_id: str, replica: ReplicaState) -> bool:
    """State that a package was found; False where somebody else has just stated its ingest."""
    from diadem.archive.package import Package
    from diadem.node.follow.taken_in import taken_in
    from diadem.node.keep.adopted import IN_PLACE, folders, where
    from diadem.node.take.arrival import ingest_draft

    with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
        said = context.ledger.of_subject(PackageId(package_id).hex)
        if taken_in(said) is not None:
            return False
        if replica.store == IN_PLACE:
            package, source, more = Package(folders(context).bundle(package_id)), replica.path, where(replica.path)
        else:
            package = Package(context.stores.open(replica.store).bundle(replica.path))
            source, more = _found_in(replica.store), {}
        context.say([ingest_draft(context, package, replica.path, replica.store, source, more=more)])
        return True


def _found_in(store: str) -> str:
    """The source of a package of which only its place is known."""
    return f"found in the store {store}"


def _copies(context: Context, arrived: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """State copies that lie where the log has none: copied by hand, or by a run that was killed before it said so.

    Who is writing one just now holds the package's lock until it is stated.
    """
    from diadem.node.follow.taken_in import taken_in
    from diadem.package.examine import open_tag_files

    for package_id, name, path in arrived:
        with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
            said = context.ledger.of_subject(PackageId(package_id).hex)
            if taken_in(said) is None or places_said(package_id, said).get(name) == path:
                continue
            try:
                open_tag_files(context.stores.open(name).bundle(path), expected_id=package_id)
            except (DiademError, OSError):  # it was being removed while the stores were read
                context.follower.derive(package_id)
                continue
            context.say([_arrival(context, package_id, name, path)])
            yield f"a copy of {package_id[:19]}… at {path} in {name} was not in the log: it is entered, to be scrubbed"


def _arrival(context: Context, package_id: str, name: str, path: str) -> Draft:
    """That a copy was found: it comes from the store in which it is."""
    return statements.replicate(
        package_id,
        payload_id=context.catalogue.get(package_id).payload_id,
        source=name,
        store=name,
        store_id=context.settings.store(name).id,
        path=path,
        proof="none",
        by=context.address,
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
    from diadem.node.keep.scrubbing import check, note_damage

    report = check(context, package_id, replica, level=Level.QUICK)
    if not report.ok:
        damage = note_damage(context, package_id, replica, report)
        what = "is not" if damage.state == MISSING else "is damaged"
        command = "diadem rescan" if replica.adopted else "diadem repair"
        yield f"{package_id[:19]}… {what} in {replica.store}, at {replica.path}: {command}"
