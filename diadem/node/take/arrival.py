"""A package has come in: what is entered in log and catalogue, and what a person is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diadem.archive.package import Package
from diadem.custody import statements
from diadem.errors import Refused
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.plain_text import without_surrogates
from diadem.model.ports import Listener
from diadem.model.replicas import IN_PLACE, PRESENT
from diadem.model.statements import Draft
from diadem.node.archive_state import stores_wanting
from diadem.node.context import Context
from diadem.node.follow.catalogue_rows import package_entry
from diadem.node.keep.copies import Copy, Debt, PackageCopies
from diadem.node.samples.naming import Suggestion
from diadem.pack.pack import Outcome
from diadem.policy.commands import short


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
            copy = copies.copy_draft(
                store, path, payload_id=package.payload_id, source=made["source"], proof=made["proof"], more=more
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
