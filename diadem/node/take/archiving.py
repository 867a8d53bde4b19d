"""Archiving one session: finished? one session? complete metadata? then packed, stated, catalogued, copied."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from diadem.archive.package import Package
from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.export.zip_bag import packages_in
from diadem.model.manifest import PackageId
from diadem.model.plain_text import quoted
from diadem.model.ports import Listener, silent
from diadem.model.replicas import PRESENT, ReplicaState
from diadem.node.archive_state import stores_wanting
from diadem.node.context import Context
from diadem.node.instruments import with_instruments
from diadem.node.jobs import working
from diadem.node.keep.adopted import IN_PLACE, adopt_folder, folders, where
from diadem.node.keep.copies import UNSEEN, Copy, Debt, PackageCopies
from diadem.node.samples.naming import Suggestion, suggest_for_package, suggest_for_plan
from diadem.node.separation import require_no_secrets
from diadem.node.take.archived import Archived, Wishes
from diadem.node.take.continuation import Extends, Relation, Same, Unrelated, without
from diadem.node.take.continuing import continuing_plan, related
from diadem.node.take.finishing import Looks, refuse_unfinished, wait_until_finished
from diadem.node.take.handed_packages import take_in
from diadem.node.take.ingesting import enter
from diadem.node.take.packing_first import candidates, first_folder, options_for, pack_into_first
from diadem.node.take.relying import Relied, is_gone, relied_on
from diadem.pack.compose import refuse_if_strict
from diadem.pack.pack import Outcome
from diadem.pack.plan import PackPlan, make_plan, omitted_dict
from diadem.package.tags import CONTINUES
from diadem.store.source import Omission
from diadem.trust.hashing import sha256_hex


def archive(context: Context, source: Path, wishes: Wishes, *, listener: Listener = silent) -> Archived:
    """Archive a session: a folder, or one file. A package, or a ZIP of some, is taken in as it is.

    Raises
    ------
    NotFound, UsageError
        There is no source, or nothing in it.
    Refused
        It is not finished; it is several sessions; the policy wants metadata that are missing; something is left out
        and `strict` is wanted; it holds the node, or a store.
    Unreachable
        No store answers.
    """
    started = time.monotonic()
    require_no_secrets(context, [source])
    context.ledger.check_mirrors()
    if not wishes.as_one and (packages := packages_in(source)):
        return take_in(context, source, packages, wishes, listener=listener)[-1]
    require_finished(context, source, wishes, listener)
    if not wishes.as_one:
        require_one_session(context, source, listener)
    with working(context, "archive", str(source), source=str(source)) as job:
        heard = job.listening(listener)
        metadata = with_instruments(context.folder, wishes.metadata)
        readers = tuple(context.tools.readers)
        plan = make_plan([source], store=first_folder(context), metadata=metadata, readers=readers)
        return archive_plan(context, plan, source, wishes, started=started, listener=heard)


def archive_plan(
    context: Context,
    plan: PackPlan,
    source: Path,
    wishes: Wishes,
    *,
    started: float,
    held: bool = False,
    listener: Listener = silent,
) -> Archived:
    """Archive what was planned; see `archive`. Two that archive one folder take turns: the second finds it there.

    With `held` the caller holds the folder's lock, see `turn_of`.
    """
    with nullcontext() if held else context.locked(turn_of(source)):
        try:
            archived = _archived(context, plan, source, wishes, started, listener)
        except NotFound:  # a reindex has replaced the catalogue meanwhile: the log knows what the new one does not yet
            context.follower.catch_up()
            archived = _archived(context, plan, source, wishes, started, listener)
    return replace(archived, suggested=_suggested(context, archived.package.id, source.name))


def turn_of(source: Path) -> str:
    """The lock of a folder that is archived."""
    return f"source-{sha256_hex(os.fsencode(source))[:32]}"


def _suggested(context: Context, package_id: str, folder: str) -> Sequence[Suggestion]:
    """Samples that a session may be of; a catalogue that is just being replaced is not a reason to fail now."""
    try:
        return suggest_for_package(context.catalogue, package_id, folder)
    except DiademError:
        return ()


def _archived(
    context: Context, plan: PackPlan, source: Path, wishes: Wishes, started: float, listener: Listener
) -> Archived:
    if wishes.in_place:
        return _adopt(context, plan, source, wishes, started, listener)
    refuse_if_strict(plan.tree.omissions, options_for(context, wishes, None))
    relation, relied = _related(context, plan, source, wishes, listener)
    if isinstance(relation, Same):
        left_out = [*plan.tree.omissions, *relation.unread.values()]
        refuse_if_strict(left_out, options_for(context, wishes, None))
        return _already(context, relation, relied, left_out, started, listener)
    predecessor = None
    if isinstance(relation, Extends):
        predecessor, plan = relation.predecessor, continuing_plan(context, relation)
    first, path, package = pack_into_first(context, plan, wishes, predecessor, listener)
    outcome = package.outcome
    assert outcome is not None
    if not outcome.created:  # a store had it, which may name another predecessor, or none
        predecessor = next((PackageId(one) for label, one in package.bag_info if label == CONTINUES), None)
    stated = enter(context, package, path, first, outcome, wishes.called or str(source), predecessor, {})
    what = ("continuation" if predecessor else "new") if stated else "already"
    copies = [Copy(first, path, outcome.created, outcome.proof)]
    more, debts = PackageCopies(context, package.id).replicate(stores_wanting(context, package.id), listener=listener)
    owed = [*debts, *_unreachable_debts(context, package.id, debts)]
    return Archived(
        package,
        what,
        [*copies, *more, *relied.made],
        outcome,
        owed,
        predecessor,
        held_by=_held_by(relation, package),
        lost=[one for one in relied.lost if one != package.id],
        seconds=time.monotonic() - started,
    )


def _related(
    context: Context, plan: PackPlan, source: Path, wishes: Wishes, listener: Listener
) -> tuple[Relation, Relied]:
    """How the source relates to what is archived of it and can be relied on."""
    relation = related(context, plan, source, listener)
    if isinstance(relation, Unrelated):
        return relation, Relied()
    relied = relied_on(context, relation, list(candidates(context, wishes)), listener)
    if not relied.lost:
        return relation, relied
    left = without(relation, relied.lost, plan, tuple(context.tools.readers))
    return left, replace(relied, lost=[one for one in relied.lost if one in relation.holders])


def _held_by(relation: Relation, package: Package) -> list[PackageId]:
    """The packages that hold the source together with one that was made of the rest of it."""
    before = relation.holders if isinstance(relation, Extends) else ()
    return [*(one for one in before if one != package.id), PackageId(package.id)]


def _adopt(
    context: Context, plan: PackPlan, source: Path, wishes: Wishes, started: float, listener: Listener
) -> Archived:
    """Seal the folder where it lies, then write the copies that the policy wants besides."""
    with context.tools.extractor() as extractor:
        adoption = adopt_folder(
            context, plan, extractor=extractor, options=options_for(context, wishes, None), listener=listener
        )
    outcome = adoption.outcome
    package = Package(
        folders(context).bundle(adoption.location.package),
        opened=adoption.opened,
        proven=adoption.proven,
        readers=context.tools.readers,
        extractor=context.tools.extractor,
        outcome=outcome,
    )
    where_ = where(adoption.location.root)
    stated = enter(context, package, adoption.location.path, IN_PLACE, outcome, str(source), None, where_)
    copies = [Copy(IN_PLACE, adoption.location.root, outcome.created, outcome.proof)]
    more, debts = PackageCopies(context, package.id).replicate(stores_wanting(context, package.id), listener=listener)
    owed = [*debts, *_unreachable_debts(context, package.id, debts)]
    what = "new" if stated or outcome.created else "already"
    return Archived(
        package,
        what,
        [*copies, *more],
        outcome,
        owed,
        held_by=[PackageId(package.id)],
        seconds=time.monotonic() - started,
    )


def _already(
    context: Context,
    relation: Same,
    relied: Relied,
    left_out: Sequence[Omission],
    started: float,
    listener: Listener,
) -> Archived:
    """What of the source can be archived is; copies that are owed are written nevertheless, of the whole chain."""
    written, debts = list(relied.made), []
    for one in relation.holders:
        more, owed = PackageCopies(context, one).replicate(stores_wanting(context, one), listener=listener)
        written += more
        debts += owed
    outcome = Outcome(created=False, omissions=[omitted_dict(one) for one in left_out], proof="read-back")
    package = PackageCopies(context, relation.package).best()[0].replaced(outcome=outcome)
    places = {(copy.store, copy.path) for copy in written}
    here = [
        Copy(copy.store, copy.path, created=False, proof="earlier" if _answers(context, copy) else UNSEEN)
        for copy in context.catalogue.replicas(package.id)
        if (copy.store, copy.path) not in places and copy.state == PRESENT
    ]
    return Archived(
        package,
        "already",
        [*here, *written],
        outcome,
        [*debts, *_unreachable_debts(context, package.id, debts)],
        held_by=list(relation.holders),
        lost=relied.lost,
        seconds=time.monotonic() - started,
    )


# -- before anything is read ---------------------------------------------------------------------------------------


def require_finished(
    context: Context,
    source: Path,
    wishes: Wishes,
    listener: Listener,
    *,
    parts: Sequence[Path] = (),
    dry_run: bool = False,
) -> None:
    """Refuse a session that is still being written, or wait for its end; `parts` narrows a folder to some files.

    With `dry_run` this look is not remembered.
    """
    if wishes.now:
        return
    quiet, looks = context.policy.archive.quiet, Looks(context.folder / "looks", keeps=not dry_run)
    readers = tuple(context.tools.readers)
    if wishes.wait:
        wait_until_finished(source, quiet, parts=parts, readers=readers, looks=looks, listener=listener)
    else:
        refuse_unfinished(source, quiet, parts=parts, readers=readers, looks=looks)


def require_one_session(context: Context, source: Path, listener: Listener) -> None:
    """Refuse a folder that scans as several sessions, naming them.

    Raises
    ------
    Refused
        With what to do.
    """
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


def _answers(context: Context, copy: ReplicaState) -> bool:
    """Whether a copy can be seen now."""
    return copy.adopted or context.stores.reachable(copy.store)


def _unreachable_debts(context: Context, package_id: str, known: Sequence[Debt]) -> list[Debt]:
    """Copies that are wanted still after everything was tried: on stores that do not answer and had none."""
    named = {debt.store for debt in known}
    named |= {copy.store for copy in context.catalogue.replicas(package_id) if copy.state == PRESENT}
    return [
        Debt(package_id, name, context.stores.why_away(name) or "it does not answer")
        for name in context.stores.names
        if name not in named and not context.stores.reachable(name) and not context.settings.store(name).retired
    ]


def planned(context: Context, source: Path, wishes: Wishes, listener: Listener) -> dict[str, Any]:
    """What archiving a folder would do, and why it would be refused, if its copies are as the catalogue has them.

    Nothing is written.
    """
    require_no_secrets(context, [source])
    if not wishes.as_one and packages_in(source):
        raise UsageError(
            "this is a package, or a ZIP of packages: it is imported as it is",
            where=str(source),
            next=f"What is in it: diadem import {quoted(source)} --dry-run   (to pack it into a new one: --as-one)",
        )
    readers = tuple(context.tools.readers)
    metadata = with_instruments(context.folder, wishes.metadata)
    plan = make_plan([source], store=first_folder(context), metadata=metadata, readers=readers)
    relation = related(context, plan, source, listener)
    if not isinstance(relation, Unrelated):
        gone = [one for one in relation.chain if is_gone(context, one)]
        relation = without(relation, gone, plan, tuple(context.tools.readers))
    whole = plan.to_dict()
    if isinstance(relation, Extends):
        whole = relation.plan.to_dict()
    return {
        **whole,
        "archived": relation.to_dict(),
        "refused": _refusal(context, source, wishes, listener),
        "samples": [one.to_dict() for one in suggest_for_plan(context.catalogue, source.name, wishes.metadata)],
    }


def _refusal(context: Context, source: Path, wishes: Wishes, listener: Listener) -> dict[str, Any] | None:
    """Why archiving a folder now would be refused before anything is read; None where it would not be."""
    try:
        if not wishes.wait:
            require_finished(context, source, wishes, listener, dry_run=True)
        if not wishes.as_one:
            require_one_session(context, source, listener)
    except Refused as error:
        return error.to_dict()
    return None
