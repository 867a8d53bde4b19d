"""Archiving one session: finished? one session? complete metadata? then packed, stated, catalogued, copied."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.archive.composing import Options, refuse_if_strict
from diadem.archive.outcome import Outcome
from diadem.archive.package import Package
from diadem.archive.packing import pack_local
from diadem.archive.packing_remote import pack_object
from diadem.archive.plan import PackPlan, make_plan, omitted_dict
from diadem.errors import DiademError, Refused, StoreError, Unreachable
from diadem.model.ids import PackageId
from diadem.model.manifest import TAGMANIFEST
from diadem.model.plain_text import quoted
from diadem.model.ports import Listener, silent
from diadem.model.record import Record
from diadem.model.replicas import PRESENT
from diadem.model.statements import Draft
from diadem.node.adopted import IN_PLACE, adopt_folder, where
from diadem.node.apart import require_no_secrets
from diadem.node.context import Context
from diadem.node.continuation import Extends, Relation, Same, Unrelated, without
from diadem.node.continuing import continuing_plan, related
from diadem.node.entries import package_entry
from diadem.node.finishing import Looks, refuse_unfinished, wait_until_finished
from diadem.node.following import derive, is_deleted
from diadem.node.jobs import working
from diadem.node.placing import Copy, Debt, best_package, replicate, subject
from diadem.node.relying import Relied, is_gone, relied_on
from diadem.node.rules.required import require_stated
from diadem.node.sample_suggesting import Suggestion, suggest_for_package, suggest_for_plan
from diadem.node.stores import AWAY
from diadem.node.wanted import wanted_stores
from diadem.package.bagit import CONTINUES
from diadem.package.opening import LIMITS
from diadem.store.local_store import LocalStore
from diadem.store.source import Omission
from diadem.store.urls import local_path
from diadem.trust.hashing import sha256_hex


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to archive.

    Attributes
    ----------
    metadata : mapping, optional
        Session, sample, people, instrument; see `diadem.pack`.
    strict : bool
        Refuse where anything cannot be archived.
    as_one : bool
        One package, even where the folder looks like several sessions.
    wait : bool
        Wait until the session is finished, rather than refuse.
    now : bool
        Archive although it was changed a moment ago.
    in_place : bool
        Adopt the folder where it lies.
    store : str, optional
        Which store is filled first.
    called : str
        What the log calls the source, where its path says nothing; "" for the path.
    """

    metadata: Mapping[str, Any] | None = None
    strict: bool = False
    as_one: bool = False
    wait: bool = False
    now: bool = False
    in_place: bool = False
    store: str | None = None
    called: str = ""


@dataclass(frozen=True, slots=True)
class Archived:
    """What archiving did.

    Attributes
    ----------
    package : Package
        The package, in the store that was filled first.
    what : str
        ``new``, ``continuation`` or ``already`` (these files were archived before).
    predecessor : str or None
        The package that this one continues.
    copies : sequence of Copy
        Every copy of the package, the first included, and copies of other packages of its chain that were written now.
    debts : sequence of Debt
        Copies that the policy wants and that could not be written now.
    outcome : Outcome
        What packing did: omissions, issues, leftovers that were removed.
    held_by : sequence of PackageId
        The packages that together hold the source, the earliest first.
    lost : sequence of PackageId
        Packages that held a part of the source and of which no copy is left: that part was archived again.
    seconds : float
        Time taken.
    suggested : sequence of Suggestion
        Known samples that it may be of.
    """

    package: Package
    what: str
    copies: Sequence[Copy]
    outcome: Outcome
    debts: Sequence[Debt] = ()
    predecessor: str | None = None
    held_by: Sequence[PackageId] = ()
    lost: Sequence[PackageId] = ()
    seconds: float = 0.0
    suggested: Sequence[Suggestion] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; ``package`` has id, payload_id and path as for `diadem pack`."""
        return {
            "package": {"id": self.package.id, "payload_id": self.package.payload_id, "path": self.package.url},
            "what": self.what,
            "created": self.what != "already",
            "predecessor": self.predecessor,
            "held_by": [str(one) for one in self.held_by],
            "lost": [str(one) for one in self.lost],
            "files": len(self.package.files),
            "bytes": sum(entry.size for entry in self.package.files),
            "datasets": len(self.package.record.datasets),
            "copies": [copy.to_dict() for copy in self.copies],
            "debts": [debt.to_dict() for debt in self.debts],
            "omitted": [dict(item) for item in self.outcome.omissions],
            "issues": dict(self.outcome.issues),
            "flagged": [{"path": path, "code": code} for path, code in self.outcome.flagged],
            "swept": [swept.path for swept in self.outcome.swept],
            "samples": [suggestion.to_dict() for suggestion in self.suggested],
            "seconds": round(self.seconds, 3),
        }


def archive(context: Context, source: Path, wishes: Wishes, *, listener: Listener = silent) -> Archived:
    """Archive a session: a folder, or one file.

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
    require_finished(context, source, wishes, listener)
    if not wishes.as_one:
        require_one_session(context, source, listener)
    with working(context, "archive", str(source)) as job:
        heard = job.listening(listener)
        plan = make_plan(
            [source], store=first_folder(context), metadata=wishes.metadata, readers=tuple(context.tools.readers)
        )
        return archive_plan(context, plan, source, wishes, started=started, listener=heard)


def archive_plan(
    context: Context, plan: PackPlan, source: Path, wishes: Wishes, *, started: float, listener: Listener = silent
) -> Archived:
    """Archive what was planned; see `archive`. Two that archive one folder take turns: the second finds it there."""
    with context.locked(f"source-{sha256_hex(os.fsencode(source))[:32]}"):
        archived = _archived(context, plan, source, wishes, started, listener)
    return replace(archived, suggested=_suggested(context, archived.package.id, source.name))


def _suggested(context: Context, package_id: str, folder: str) -> Sequence[Suggestion]:
    """Samples that a session may be of; a catalogue that is just being replaced is no reason to fail now."""
    try:
        return suggest_for_package(context.catalogue, package_id, folder)
    except DiademError:
        return ()


def _archived(
    context: Context, plan: PackPlan, source: Path, wishes: Wishes, started: float, listener: Listener
) -> Archived:
    if wishes.in_place:
        return _adopt(context, plan, source, wishes, started, listener)
    refuse_if_strict(plan.tree.omissions, _options(context, wishes, None))
    relation, relied = _related(context, plan, source, wishes, listener)
    if isinstance(relation, Same):
        left_out = [*plan.tree.omissions, *relation.unread.values()]
        refuse_if_strict(left_out, _options(context, wishes, None))
        return _already(context, relation, relied, left_out, started, listener)
    predecessor = None
    if isinstance(relation, Extends):
        predecessor, plan = relation.predecessor, continuing_plan(context, relation)
    first, outcome = _pack(context, plan, wishes, predecessor, listener)
    package = outcome.package
    if not outcome.created:  # a store had it, which may name another predecessor, or none
        predecessor = next((PackageId(one) for label, one in package.bag_info if label == CONTINUES), None)
    path = _path_in(context, first, package)
    stated = _enter(context, package, path, first, outcome, wishes.called or str(source), predecessor, {})
    what = ("continuation" if predecessor else "new") if stated else "already"
    copies = [Copy(first, path, outcome.created, outcome.proof)]
    more, debts = replicate(context, package.id, wanted_stores(context, package.id), listener=listener)
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
    relied = relied_on(context, relation, list(_candidates(context, wishes)), listener)
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
            context, plan, extractor=extractor, options=_options(context, wishes, None), listener=listener
        )
    outcome = adoption.outcome
    package = outcome.package
    where_ = where(adoption)
    stated = _enter(context, package, adoption.location.path, IN_PLACE, outcome, str(source), None, where_)
    copies = [Copy(IN_PLACE, adoption.location.root, outcome.created, outcome.proof)]
    more, debts = replicate(context, package.id, wanted_stores(context, package.id), listener=listener)
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
        more, owed = replicate(context, one, wanted_stores(context, one), listener=listener)
        written += more
        debts += owed
    package, _ = best_package(context, relation.package)
    omissions = [omitted_dict(one) for one in left_out]
    package.outcome = Outcome(package, created=False, omissions=omissions, proof="read-back")
    places = {(copy.store, copy.path) for copy in written}
    here = [
        Copy(copy.store, copy.path, created=False, proof="earlier")
        for copy in context.catalogue.replicas(package.id)
        if (copy.store, copy.path) not in places and copy.state == PRESENT
    ]
    return Archived(
        package,
        "already",
        [*here, *written],
        package.outcome,
        [*debts, *_unreachable_debts(context, package.id, debts)],
        held_by=list(relation.holders),
        lost=relied.lost,
        seconds=time.monotonic() - started,
    )


# -- before anything is read ---------------------------------------------------------------------------------------


def require_finished(
    context: Context, source: Path, wishes: Wishes, listener: Listener, *, parts: Sequence[Path] = ()
) -> None:
    """Refuse a session that is still being written, or wait for its end; `parts` narrows a folder to some files."""
    if wishes.now:
        return
    quiet, looks = context.policy.archive.quiet, Looks(context.folder / "looks")
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
    if not source.is_dir() or not _has_several_places(source):
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


def _has_several_places(source: Path) -> bool:
    """Whether the source has folders in it: the files of one flat folder are archived together as they lie."""
    with os.scandir(source) as entries:
        return any(entry.is_dir(follow_symlinks=False) for entry in entries)


# -- packing -------------------------------------------------------------------------------------------------------


def _pack(
    context: Context, plan: PackPlan, wishes: Wishes, predecessor: PackageId | None, listener: Listener
) -> tuple[str, Outcome]:
    """Pack into the first store that can take it; returns its name."""
    options = _options(context, wishes, predecessor)
    problems: dict[str, DiademError] = {}
    with context.tools.extractor() as extractor:
        if any(dataset.offers for dataset in plan.datasets):
            extractor.warm()
        for name in _candidates(context, wishes):
            settings = context.settings.store(name)
            try:
                context.stores.require_there(name)
            except AWAY as error:
                problems[name] = error
                continue
            try:
                folder = local_path(settings.url)
                if folder is not None:
                    outcome = pack_local(
                        plan, LocalStore(folder), extractor=extractor, options=options, listener=listener
                    )
                else:
                    outcome = pack_object(
                        plan,
                        settings.url,
                        storage_options=context.stores.options(name),
                        extractor=extractor,
                        options=options,
                        listener=listener,
                    )
            except (Unreachable, StoreError) as error:  # it is away, full or failing: the next one is not
                problems[name] = error
                continue
            outcome.package.outcome = outcome
            outcome.package.readers, outcome.package.extractor = tuple(context.tools.readers), context.tools.extractor
            return name, outcome
    only = next(iter(problems.values())) if len(problems) == 1 else None
    if isinstance(only, StoreError):
        raise only
    reasons = "; ".join(f"{name}: {error.message}" for name, error in problems.items())
    raise Unreachable(
        f"no store can take the package: {reasons or 'the node has none'}",
        next="Connect a store, or add one: diadem store add",
    )


def _options(context: Context, wishes: Wishes, predecessor: PackageId | None) -> Options:
    return Options(
        strict=wishes.strict,
        license=context.policy.archive.license,
        software=context.tools.software,
        continues=predecessor,
        judge=_judge(context),
    )


def _judge(context: Context) -> Callable[[Record], None] | None:
    """What looks at the finished record before anything is published: the metadata that the policy requires."""

    policy = context.policy
    return (lambda record: require_stated(policy, record)) if policy.metadata.required else None


def _candidates(context: Context, wishes: Wishes) -> Iterator[str]:
    """Stores in the order in which they are tried: the wished for, folders, servers; cold ones last."""
    if wishes.store:
        yield context.settings.store(wishes.store).name
        return
    usable = [store for store in context.settings.stores if not store.retired]
    for store in sorted(usable, key=lambda store: (store.kind == "cold", local_path(store.url) is None)):
        yield store.name


def first_folder(context: Context) -> Path | None:
    """The folder of the first store that is one."""
    for store in context.settings.stores:
        if (folder := local_path(store.url)) is not None:
            return folder
    return None


def _path_in(context: Context, store: str, package: Package) -> str:
    """The package's path within its store."""
    root = context.stores.open(store).url.rstrip("/\\")
    if context.stores.open(store).is_folder:
        return os.path.relpath(package.url, root).replace(os.sep, "/")
    return package.url[len(root) + 1 :]


# -- stating -------------------------------------------------------------------------------------------------------


def _enter(
    context: Context,
    package: Package,
    path: str,
    store: str,
    outcome: Outcome,
    source: str,
    predecessor: str | None,
    more: Mapping[str, Any],
) -> bool:
    """Enter package and copy in log and catalogue; whether the log did not have the package, or had it as deleted."""
    with context.locked(f"package-{PackageId(package.id).hex[:32]}"):
        if not outcome.created and store != IN_PLACE:
            _require_there(context, package, path, store)
        said = context.ledger.of_subject(subject(package.id).sha256)
        ingest = next((entry.statement.predicate for entry in said if entry.statement.kind == "ingest"), None)
        draft = ingest_draft(context, package, path, store, outcome, source, predecessor, more)
        again = is_deleted(said)
        if not context.catalogue.has(package.id):
            context.catalogue.add_package(package_entry(package, path, ingest or {**draft.predicate, "time": None}))
            derive(context, package.id)
        if ingest is None:
            context.say([draft], with_user=True)
        elif again or not _has_copy(context, package.id, store, path):
            context.say([_copy_draft(context, package, draft.predicate, more)])
    return again or ingest is None


def _require_there(context: Context, package: Package, path: str, store: str) -> None:
    """Refuse to state a copy that was found in a store, and given up by somebody else since."""
    try:
        found = sha256_hex(context.stores.open(store).bundle(path).read(TAGMANIFEST, LIMITS[TAGMANIFEST]))
    except (DiademError, OSError):
        found = ""
    if found != PackageId(package.id).hex:
        raise Refused(
            f"the copy that was found in '{store}' was removed by somebody else meanwhile",
            where=package.url,
            next="Archive it again: it is written anew.",
        )


def _has_copy(context: Context, package_id: str, store: str, path: str) -> bool:
    """Whether the catalogue counts the copy at this place: where another was damaged, the new one lies beside it."""
    known = context.catalogue.replicas(package_id)
    return any((one.store, one.path, one.state) == (store, path, PRESENT) for one in known)


def _copy_draft(context: Context, package: Package, said: Mapping[str, Any], more: Mapping[str, Any]) -> Draft:
    """A further copy of a package that was taken in before: archived anew from its source, or adopted."""
    kept = ("payload_id", "store", "store_id", "path", "proof")
    return Draft(
        "replicate",
        (subject(package.id),),
        {**{name: said[name] for name in kept if name in said}, "from": said["source"], "by": context.address, **more},
    )


def ingest_draft(
    context: Context,
    package: Package,
    path: str,
    store: str,
    outcome: Outcome | None,
    source: str,
    predecessor: str | None,
    more: Mapping[str, Any],
) -> Draft:
    """The statement that a package was taken in: what, from where, by whom, where to."""
    predicate: dict[str, Any] = {
        "payload_id": package.payload_id,
        "bytes": sum(entry.size for entry in package.files),
        "files": len(package.files),
        "software": context.tools.software,
        "source": os.fsencode(source).decode("utf-8", "backslashreplace"),
        "owner": context.address,
        "store": store,
        "path": path,
        "proof": (outcome.proof if outcome else "none"),
        "omitted": len(outcome.omissions) if outcome else 0,
    }
    if store in context.stores.names:
        predicate["store_id"] = context.settings.store(store).id
    if predecessor:
        predicate["predecessor"] = predecessor
    predicate |= more
    return Draft("ingest", (subject(package.id),), predicate)


def _unreachable_debts(context: Context, package_id: str, known: Sequence[Debt]) -> list[Debt]:
    """Copies that the policy still wants after everything was tried: on stores that do not answer."""
    named = {debt.store for debt in known}
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
    readers = tuple(context.tools.readers)
    plan = make_plan([source], store=first_folder(context), metadata=wishes.metadata, readers=readers)
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
            require_finished(context, source, wishes, listener)
        if not wishes.as_one:
            require_one_session(context, source, listener)
    except Refused as error:
        return error.to_dict()
    return None
