"""Entering a package that was just written or found in log and catalogue."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from diadem.archive.package import Package
from diadem.custody import statements
from diadem.errors import Refused
from diadem.model.manifest import PackageId
from diadem.model.replicas import PRESENT
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.follow.catalogue_rows import package_entry
from diadem.node.follow.follow import is_deleted, taken_in
from diadem.node.keep.adopted import IN_PLACE
from diadem.node.keep.copies import PackageCopies
from diadem.pack.pack import Outcome


def enter(
    context: Context,
    package: Package,
    path: str,
    store: str,
    outcome: Outcome,
    source: str,
    predecessor: str | None,
    more: Mapping[str, Any],
    *,
    with_user: bool = True,
) -> bool:
    """Enter package and copy in log and catalogue; whether the log did not have the package, or had it as deleted.

    Without `with_user` the node alone signs.
    """
    with PackageCopies(context, package.id).locked():
        if not outcome.created and store != IN_PLACE:
            _require_there(context, package, path, store)
        said = context.ledger.of_subject(PackageId(package.id).hex)
        ingest = taken_in(said)
        draft = ingest_draft(context, package, path, store, outcome, source, predecessor, more)
        again = is_deleted(said)
        if not context.catalogue.has(package.id):
            context.catalogue.add_package(package_entry(package, path, ingest or {**draft.predicate, "time": None}))
            context.follower.derive(package.id)
        if ingest is None:
            context.say([draft], with_user=with_user)
        elif again or not _has_copy(context, package.id, store, path):
            context.say([_copy_draft(context, package, draft.predicate, more)])
    return again or ingest is None


def _require_there(context: Context, package: Package, path: str, store: str) -> None:
    """Refuse to state a copy that was found in a store, and given up by somebody else since."""
    if not PackageCopies(context, package.id).lies_at(store, path):
        raise Refused(
            f"the copy that was found in '{store}' was removed by somebody else in the meantime",
            where=package.url,
            next="Archive it again: it is then written again.",
        )


def _has_copy(context: Context, package_id: str, store: str, path: str) -> bool:
    """Whether the catalogue counts the copy at this place: where another was damaged, the new one lies beside it."""
    known = context.catalogue.replicas(package_id)
    return any((one.store, one.path, one.state) == (store, path, PRESENT) for one in known)


def _copy_draft(context: Context, package: Package, said: Mapping[str, Any], more: Mapping[str, Any]) -> Draft:
    """A further copy of a package that was taken in before: archived anew from its source, or adopted."""
    return statements.replicate(
        package.id,
        payload_id=said["payload_id"],
        source=said["source"],
        store=said["store"],
        store_id=said.get("store_id", ""),
        path=said["path"],
        proof=said["proof"],
        by=context.address,
        more=more,
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
    return statements.ingest(
        package.id,
        payload_id=package.payload_id,
        files=len(package.files),
        size=sum(entry.size for entry in package.files),
        software=context.tools.software,
        source=os.fsencode(source).decode("utf-8", "backslashreplace"),
        owner=context.address,
        store=store,
        store_id=context.settings.store(store).id if store in context.stores.names else "",
        path=path,
        proof=outcome.proof if outcome else "none",
        omitted=len(outcome.omissions) if outcome else 0,
        predecessor=predecessor,
        more=more,
    )
