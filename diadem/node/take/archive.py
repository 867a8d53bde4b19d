"""Archiving one session: finished? one session? complete metadata? then packed, stated, catalogued, copied."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.export.zip_bag import packages_in
from diadem.model.manifest import INDEX_PATH, PackageId
from diadem.model.plain_text import quoted
from diadem.model.ports import Listener, silent
from diadem.model.replicas import IN_PLACE, PRESENT
from diadem.node.context import Context
from diadem.node.instruments import with_instruments
from diadem.node.jobs import working
from diadem.node.keep.adopted import adopt_folder, folders, where
from diadem.node.keep.copies import UNSEEN, Copy, PackageCopies
from diadem.node.samples.naming import Suggestion, suggest_for_package, suggest_for_plan
from diadem.node.separation import require_no_secrets
from diadem.node.take.arrival import (
    Archived,
    first_folder,
    pack_into_first,
    package_in,
    record_ingest,
    stores_in_order,
    with_wanted_copies,
    write_wanted,
)
from diadem.node.take.continuation import ChainCheck, Extends, Same, Unrelated, related_as_known, related_to_kept
from diadem.node.take.handed_packages import require_nothing_beside, take_in
from diadem.node.take.quiet import EarlierLooks, FinishWaiter
from diadem.pack.compose import Options, refuse_if_strict
from diadem.pack.pack import Outcome
from diadem.pack.plan import PackPlan, make_plan, omitted_dict
from diadem.package.tags import BAGIT, CONTINUES
from diadem.policy.required import require_stated
from diadem.store.source import Omission
from diadem.trust.hashing import sha256_hex


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """How to archive; see `Node.archive`.

    `source_label` is what the log calls a source whose path says nothing. `check_unchanged` is called when the last
    byte was read and nothing is visible yet, and raises where the source has changed meanwhile.
    """

    metadata: Mapping[str, Any] | None = None
    strict: bool = False
    as_one: bool = False
    wait: bool = False
    now: bool = False
    in_place: bool = False
    store: str | None = None
    source_label: str = ""
    check_unchanged: Callable[[], None] | None = None


def archive(
    context: Context,
    source: Path,
    options: ArchiveOptions,
    *,
    files: Sequence[Path] = (),
    listener: Listener = silent,
) -> Archived:
    """Archive a session: a folder, or one file, or some `files` of one folder, of which `source` names them all.

    A package, or a ZIP or unpacked export of some and nothing else, is taken in as it is.
    """
    started = time.monotonic()
    require_no_secrets(context, files or [source])
    context.ledger.mirrors.check()
    if not options.as_one and (packages := packages_in(source)):
        require_nothing_beside(source, packages)
        return take_in(
            context,
            source,
            packages,
            metadata=options.metadata,
            in_place=options.in_place,
            store=options.store,
            listener=listener,
        )[-1]
    require_finished(context, source, options, listener, parts=files)
    if not options.as_one:
        _require_one_session(context, source, listener)
    with working(context, "archive", str(source), source=str(source)) as job:
        heard = job.listening(listener)
        plan = _plan_of(context, files or [source], options)
        if not options.as_one:
            _require_no_package(plan, source)
        return archive_plan(context, plan, source, options, started=started, listener=heard)


def _plan_of(context: Context, sources: Sequence[Path], options: ArchiveOptions) -> PackPlan:
    metadata = with_instruments(context.folder, options.metadata)
    return make_plan(sources, store=first_folder(context), metadata=metadata, readers=tuple(context.tools.readers))


def archive_plan(
    context: Context,
    plan: PackPlan,
    source: Path,
    options: ArchiveOptions,
    *,
    started: float,
    already_locked: bool = False,
    listener: Listener = silent,
) -> Archived:
    """Archive what was planned. Two that archive one folder take turns: the second finds it there.

    With `already_locked` the caller holds the folder's lock, see `source_lock`.
    """
    with nullcontext() if already_locked else context.locked(source_lock(source)):
        try:
            archived = _archived(context, plan, source, options, listener)
        except NotFound:  # a reindex has replaced the catalogue meanwhile: the log knows what the new one does not yet
            context.follower.catch_up()
            archived = _archived(context, plan, source, options, listener)
    suggested: Sequence[Suggestion] = ()
    with suppress(DiademError):  # a catalogue that is just being replaced is not a reason to fail now
        suggested = suggest_for_package(context.catalogue, archived.package.id, source.name)
    return replace(archived, suggested=suggested, seconds=time.monotonic() - started)


def source_lock(source: Path) -> str:
    """The lock of a folder that is archived."""
    return f"source-{sha256_hex(os.fsencode(source))[:32]}"


def _archived(context: Context, plan: PackPlan, source: Path, options: ArchiveOptions, listener: Listener) -> Archived:
    policy = context.policy
    packing = Options(
        strict=options.strict,
        license=policy.archive.license,
        software=context.tools.software,
        judge=(lambda record: require_stated(policy, record)) if policy.metadata.required else None,
        still=options.check_unchanged,
        archived=context.clock().astimezone(),
    )
    if options.in_place:
        return _adopted(context, plan, source, packing, listener)
    refuse_if_strict(plan.tree.omissions, packing)
    stores = stores_in_order(context, options.store)
    label = options.source_label or str(source)
    relation, chain = related_to_kept(context, plan, source, stores, listener)
    stated = not isinstance(relation, Unrelated) and _stated_late(context, relation.holders, label)
    if isinstance(relation, Same):
        left_out = [*plan.tree.omissions, *relation.unread.values()]
        refuse_if_strict(left_out, packing)
        found = _already(context, relation, chain, left_out, listener)
        return replace(found, what="new") if stated else found
    predecessor: PackageId | None = None
    before: Sequence[PackageId] = ()
    if isinstance(relation, Extends):
        predecessor, before, plan = relation.predecessor, tuple(relation.holders), relation.plan
    packing = replace(packing, continues=predecessor, archived=context.clock().astimezone())  # comparing took its time
    name, path, package = pack_into_first(context, plan, packing, store=options.store, listener=listener)
    outcome = package.outcome
    assert outcome is not None
    if not outcome.created:  # a store had it, which may name another predecessor, or none
        predecessor = next((PackageId(one) for label, one in package.bag_info if label == CONTINUES), None)
    stated = record_ingest(context, package, path, name, label, predecessor=predecessor)
    archived = Archived(
        package,
        ("continuation" if predecessor else "new") if stated else "already",
        [Copy(name, path, outcome.created, outcome.proof)],
        outcome,
        predecessor=predecessor,
        held_by=[*(one for one in before if one != package.id), PackageId(package.id)],
        lost=[one for one in chain.lost if one != package.id],
    )
    archived = with_wanted_copies(context, archived, listener)
    return replace(archived, copies=[*archived.copies, *chain.made])


def _adopted(context: Context, plan: PackPlan, source: Path, packing: Options, listener: Listener) -> Archived:
    """Seal a folder where it lies, and copy it where the policy wants it."""
    with context.tools.extractor() as extractor:
        adoption = adopt_folder(context, plan, extractor=extractor, options=packing, listener=listener)
    root, outcome = adoption.location.root, adoption.outcome
    bundle = folders(context).bundle(adoption.location.package)
    package = package_in(context, bundle, outcome, opened=adoption.opened, proven=adoption.proven)
    stated = record_ingest(context, package, adoption.location.path, IN_PLACE, str(source), more=where(root))
    archived = Archived(
        package,
        "new" if stated or outcome.created else "already",
        [Copy(IN_PLACE, root, outcome.created, outcome.proof)],
        outcome,
        held_by=[PackageId(package.id)],
    )
    return with_wanted_copies(context, archived, listener)


def _stated_late(context: Context, holders: Iterable[PackageId], label: str) -> bool:
    """State the ingest of what a killed archive has left, and a reindex has entered without a word; whether any was.

    It was compared with the source, byte by byte.
    """
    unsaid = [one for one in holders if PackageCopies(context, one).log().ingest() is None]
    for one in unsaid:
        package, copy = PackageCopies(context, one).best()
        before = next((PackageId(named) for tag, named in package.bag_info if tag == CONTINUES), None)
        package = package.replaced(outcome=Outcome(created=False, proof="read-back"))
        more = where(copy.path) if copy.adopted else None
        record_ingest(context, package, copy.path, copy.store, label, predecessor=before, more=more)
    return bool(unsaid)


def _already(
    context: Context, relation: Same, chain: ChainCheck, left_out: Sequence[Omission], listener: Listener
) -> Archived:
    """What of the source can be archived is; copies that are owed are written nevertheless, of the whole chain."""
    written, debts = list(chain.made), []
    for one in relation.holders:
        more, owed = write_wanted(context, one, listener)
        written += more
        debts += owed
    outcome = Outcome(created=False, omissions=[omitted_dict(one) for one in left_out], proof="read-back")
    package = PackageCopies(context, relation.package).best()[0].replaced(outcome=outcome)
    places = {(copy.store, copy.path) for copy in written}
    here = [
        Copy(
            copy.store,
            copy.path,
            created=False,
            proof="earlier" if copy.adopted or context.stores.reachable(copy.store) else UNSEEN,
        )
        for copy in context.catalogue.replicas(package.id)
        if (copy.store, copy.path) not in places and copy.state == PRESENT
    ]
    return Archived(
        package,
        "already",
        [*here, *written],
        outcome,
        debts,
        held_by=list(relation.holders),
        lost=chain.lost,
    )


# -- before anything is read ---------------------------------------------------------------------------------------


def require_finished(
    context: Context,
    source: Path,
    options: ArchiveOptions,
    listener: Listener,
    *,
    parts: Iterable[Path] = (),
    dry_run: bool = False,
) -> None:
    """Refuse a session that is still being written, or wait for its end; `parts` narrows a folder to some files.

    With `dry_run` this look is not remembered.
    """
    if options.now:
        return
    waiter = FinishWaiter(
        source,
        context.policy.archive.quiet,
        parts=tuple(parts),
        readers=tuple(context.tools.readers),
        looks=EarlierLooks(context.folder / "looks", keeps=not dry_run),
    )
    if options.wait:
        waiter.wait(listener)
    else:
        waiter.require_finished()


def _require_one_session(context: Context, source: Path, listener: Listener) -> None:
    """Refuse a folder that scans as several sessions, naming them, with what to do."""
    if not source.is_dir() or not has_several_places(source):
        return
    scan = context.tools.scan(source, listener=listener)
    sessions = [session for session in scan.sessions if session.archive]
    if len(sessions) > 1:
        named = ", ".join(f"{session.date or 'undated'} {session.title}".strip() for session in sessions[:4])
        raise Refused(
            f"this folder looks like {len(sessions)} sessions: {named}{', …' if len(sessions) > 4 else ''}",
            where=str(source),
            next=f"Archive each on its own: diadem archive {quoted(source)} --split   (or as one package: --as-one; "
            f"to look first: diadem scan {quoted(source)} --plan plan.xlsx)",
        )


def has_several_places(source: Path) -> bool:
    """Whether the source has folders in it: the files of one flat folder are archived together as they lie."""
    with os.scandir(source) as entries:
        return any(entry.is_dir(follow_symlinks=False) for entry in entries)


def _require_no_package(plan: PackPlan, source: Path) -> None:
    """Refuse to pack a package, or a ZIP or TAR of some, into another: no search would find it by its id."""
    for name, file in plan.files.items():
        root = name.removesuffix("/" + INDEX_PATH)
        if root != name and f"{root}/{BAGIT}" in plan.files:
            place = Path(file.path).parent.parent
        elif name.lower().endswith((".zip", ".tar")) and _holds_packages(Path(file.path)):
            place = Path(file.path)
        else:
            continue
        raise Refused(
            "there is a package in it, and a package is never packed into another",
            where=str(place),
            next=f"Import it: diadem import {quoted(place)}   Then archive the rest without it. (To pack all of "
            f"it into one new package all the same: diadem archive {quoted(source)} --as-one)",
        )


def _holds_packages(path: Path) -> bool:
    try:
        return bool(packages_in(path))
    except (DiademError, OSError):  # it is made to write elsewhere, or cannot be read: as a file it does no harm
        return False


def planned(context: Context, source: Path, options: ArchiveOptions, listener: Listener) -> dict[str, Any]:
    """What archiving a folder would do, and why it would be refused, if its copies are as the catalogue has them.

    Nothing is written.
    """
    require_no_secrets(context, [source])
    if not options.as_one and packages_in(source):
        raise UsageError(
            "this is a package, or a ZIP of packages: it is imported as it is",
            where=str(source),
            next=f"What is in it: diadem import {quoted(source)} --dry-run   (to pack it into a new one: --as-one)",
        )
    plan = _plan_of(context, [source], options)
    relation = related_as_known(context, plan, source, listener)
    refused = None
    try:
        if not options.wait:
            require_finished(context, source, options, listener, dry_run=True)
        if not options.as_one:
            _require_one_session(context, source, listener)
            _require_no_package(plan, source)
    except Refused as error:
        refused = error.to_dict()
    return {
        **(relation.plan if isinstance(relation, Extends) else plan).to_dict(),
        "archived": relation.to_dict(),
        "refused": refused,
        "samples": [one.to_dict() for one in suggest_for_plan(context.catalogue, source.name, options.metadata)],
    }
