"""How a package comes in: into the first store that takes it, into log and catalogue, and into the other stores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from diadem.archive.package import Package
from diadem.custody import statements
from diadem.errors import DiademError, PackageError, Refused, StoreError, Unreachable
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.plain_text import without_surrogates
from diadem.model.ports import Bundle, Listener
from diadem.model.replicas import IN_PLACE, PRESENT
from diadem.model.statements import Draft
from diadem.node.archive_state import stores_wanting
from diadem.node.context import Context
from diadem.node.follow.catalogue_rows import package_entry
from diadem.node.keep.copies import Copy, Debt, PackageCopies
from diadem.node.samples.naming import Suggestion
from diadem.node.workers import Workers
from diadem.pack.compose import Options
from diadem.pack.pack import Outcome, Packed, pack
from diadem.pack.plan import PackPlan
from diadem.package.examine import TagFiles, open_tag_files
from diadem.policy.commands import short
from diadem.store.addresses import local_path
from diadem.store.contract import Store

Done = TypeVar("Done")
#: Seconds between looks for what another machine has written.
_PAUSES = (0.2, 0.5, 1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Archived(Display):
    """What archiving did.

    Attributes
    ----------
    package : Package
        The package, in the store that was filled first.
    what : str
        ``new``, ``continuation``, ``taken`` (it was a package) or ``already`` (these files were archived before).
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

    _display_keys = (
        "files",
        "bytes",
        "datasets",
        "seconds",
        "issues",
        "copies: store path proof",
        "debts: store reason",
        "omitted: path kind reason",
    )

    def _display_title(self) -> str:
        return f"{self.what} {short(self.package.id)}"

    def _display_pictures(self) -> Mapping[str, str]:
        return self.package._display_pictures()  # noqa: SLF001

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


# -- into the first store that can take it -------------------------------------------------------------------------


def into_first(context: Context, store: str | None, put: Callable[[str, Store], Done]) -> Done:
    """What putting something into the first store that can take it gives; `put` is given a store's name and the store.

    The wished for alone is tried; else folders, then servers, cold ones last.
    """
    problems: dict[str, DiademError] = {}
    for name in stores_in_order(context, store):
        try:
            return put(name, context.stores.require_there(name))
        except (Unreachable, StoreError) as error:  # it is away, full or failing: the next one is not
            problems[name] = error
    only = next(iter(problems.values())) if len(problems) == 1 else None
    if isinstance(only, StoreError):
        raise only
    reasons = "; ".join(f"{name}: {error.message}" for name, error in problems.items())
    raise Unreachable(
        f"no store can take the package: {reasons or 'the node has none'}",
        next="Connect a store, or add one: diadem store add PLACE",
    )


def stores_in_order(context: Context, store: str | None) -> list[str]:
    """The stores that are tried, in order; see `into_first`."""
    if store:
        return [context.settings.store(store).name]
    usable = [one for one in context.settings.stores if not one.retired]
    return [one.name for one in sorted(usable, key=lambda one: (one.kind == "cold", local_path(one.url) is None))]


def pack_into_first(
    context: Context, plan: PackPlan, options: Options, *, store: str | None, listener: Listener
) -> tuple[str, str, Package]:
    """Pack into the first store that can take it; its name, the path in it, and the package."""
    with context.tools.extractor() as extractor:
        if context.workers is None and any(dataset.offers for dataset in plan.datasets):
            extractor.warm()

        def put(name: str, place: Store) -> tuple[str, str, Package]:
            if context.workers is None:
                packed = pack(plan, place, extractor=extractor, options=options, listener=listener)
            else:
                packed = _pack_there(context, context.workers, name, plan, options)
            bundle, outcome = place.bundle(packed.path), packed.outcome
            package = package_in(context, bundle, outcome, opened=packed.opened, proven=outcome.proven)
            return name, packed.path, package

        return into_first(context, store, put)


def _pack_there(context: Context, workers: Workers, store: str, plan: PackPlan, options: Options) -> Packed:
    """Have a worker pack, and open what it packed: the id is that of the tag files which this machine reads."""
    packed = workers.pack(
        store=context.settings.store(store),
        plan=plan,
        options=replace(options, judge=None, still=None),
        policy=context.policy if options.judge is not None else None,
    )
    return replace(packed, opened=_opened_late(context.stores.open(store).bundle(packed.path), packed.package))


def _opened_late(bundle: Bundle, package_id: str) -> TagFiles:
    """The tag files of a package that another machine has just written: a share may show a new folder seconds later."""
    for pause in _PAUSES:
        try:
            return open_tag_files(bundle, expected_id=package_id)
        except PackageError:
            time.sleep(pause)
    return open_tag_files(bundle, expected_id=package_id)


def package_in(context: Context, bundle: Bundle, outcome: Outcome, *, opened: TagFiles | None, proven: bool) -> Package:
    """A package that has just come into a store or an adopted folder, with what came of it."""
    return Package(
        bundle,
        opened=opened,
        proven=proven,
        readers=context.tools.readers,
        extractor=context.tools.extractor,
        outcome=outcome,
    )


def first_folder(context: Context) -> Path | None:
    """The folder of the first store that is one."""
    for store in context.settings.stores:
        if (folder := local_path(store.url)) is not None:
            return folder
    return None


# -- into log and catalogue, and into the stores that the policy wants besides --------------------------------------


def record_ingest(
    context: Context,
    package: Package,
    path: str,
    store: str,
    source: str,
    *,
    predecessor: str | None = None,
    more: Mapping[str, Any] | None = None,
    with_user: bool = True,
) -> bool:
    """Enter package and copy in log and catalogue; whether the log did not have the package, or had it as deleted.

    The package has an outcome, for it was just written or found. `more` is said besides, as of an adopted folder.
    Without `with_user` the node alone signs.
    """
    copies = PackageCopies(context, package.id)
    with copies.locked():
        if not (package.outcome and package.outcome.created) and store != IN_PLACE:
            _require_there(copies, package, path, store)
        log = copies.log()
        ingest, again = log.ingest(), log.is_deleted()
        draft = ingest_draft(context, package, path, store, source, predecessor=predecessor, more=more or {})
        if not context.catalogue.has(package.id):
            context.catalogue.add_package(package_entry(package, path, ingest or {**draft.predicate, "time": None}))
            context.follower.derive(package.id)
        if ingest is None:
            context.say([draft], with_user=with_user)
        elif again or not any(  # where another copy was damaged, the new one lies beside it
            (one.store, one.path, one.state) == (store, path, PRESENT) for one in context.catalogue.replicas(package.id)
        ):
            # A further copy of a package that was taken in before: archived anew from its source, or adopted.
            made = draft.predicate
            copy = statements.replicate(
                package.id,
                payload_id=made["payload_id"],
                source=made["source"],
                store=context.settings.stated_store(store),
                path=made["path"],
                proof=made["proof"],
                by=context.address,
                more=more,
            )
            context.say([copy])
    return again or ingest is None


def _require_there(copies: PackageCopies, package: Package, path: str, store: str) -> None:
    """Refuse to state a copy that was found in a store, and given up by somebody else since."""
    if not copies.lies_at(store, path):
        raise Refused(
            f"the copy that was found in '{store}' was removed by somebody else in the meantime",
            where=package.url,
            next="Archive it again: it is then written again.",
        )


def with_wanted_copies(context: Context, archived: Archived, listener: Listener) -> Archived:
    """The same, with the copies that the policy wants besides written now, and what no store can take now as owed."""
    copies, debts = write_wanted(context, archived.package.id, listener)
    return replace(archived, copies=[*archived.copies, *copies], debts=debts)


def write_wanted(context: Context, package_id: str, listener: Listener) -> tuple[list[Copy], list[Debt]]:
    """Write the copies of a package that the policy wants besides; what no store can take now is owed."""
    wanting, too_small = stores_wanting(context, package_id)
    copies, debts = PackageCopies(context, package_id).replicate(wanting, listener=listener)
    there = {copy.store for copy in context.catalogue.replicas(package_id) if copy.state == PRESENT}
    for name in context.stores.names:
        if name in there or context.settings.store(name).retired or name in {debt.store for debt in debts}:
            continue
        if not context.stores.reachable(name):
            debts.append(Debt(package_id, name, context.stores.why_away(name) or "it does not answer"))
        elif name in too_small:
            debts.append(Debt(package_id, name, "it has too little space for the package"))
    return copies, debts


def ingest_draft(
    context: Context,
    package: Package,
    path: str,
    store: str,
    source: str,
    *,
    predecessor: str | None = None,
    more: Mapping[str, Any],
) -> Draft:
    """The statement that a package was taken in: what, from where, by whom, where to."""
    outcome = package.outcome
    return statements.ingest(
        package.id,
        payload_id=package.payload_id,
        files=len(package.files),
        size=sum(entry.size for entry in package.files),
        software=context.tools.software,
        source=without_surrogates(source),
        owner=context.address,
        store=context.settings.stated_store(store),
        path=path,
        proof=outcome.proof if outcome else "none",
        omitted=len(outcome.omissions) if outcome else 0,
        predecessor=predecessor,
        more=more,
    )
