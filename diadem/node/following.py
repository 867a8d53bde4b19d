"""Bringing the catalogue up to the log: after a crash between the two, and one package at a time."""

from __future__ import annotations

import contextlib

from diadem.archive.package import Package
from diadem.errors import DiademError
from diadem.model.ids import PackageId
from diadem.node.context import Context
from diadem.node.entries import package_entry
from diadem.node.replay import apply


def behind(context: Context) -> int:
    """Statements of the log that the catalogue does not know."""
    return max(0, context.ledger.total - context.catalogue.count_statements())


def catch_up(context: Context) -> int:
    """Enter statements that the catalogue does not know; returns how many packages were looked at anew.

    A process that was killed between log and catalogue leaves the catalogue behind. Each package concerned is derived
    anew from all its statements, in their order, under its lock.
    """
    if not behind(context):
        return 0
    known = context.catalogue.known_statements()
    packages: dict[str, None] = {}
    for entry in context.ledger.all_entries():
        if entry.statement_id not in known:
            named = [subject.name for subject in entry.statement.subjects if subject.name.startswith("diadem:")]
            packages.update(dict.fromkeys(named))
            if not named:
                apply(context.catalogue, entry)
    for package_id in packages:
        with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
            derive(context, package_id)
    return len(packages)


def derive(context: Context, package_id: str) -> None:
    """Let the catalogue follow every statement on one package, which is read from a store if it is not known."""
    entries = context.ledger.of_subject(PackageId(package_id).hex)
    if not context.catalogue.has(package_id):
        for entry in entries:
            said = entry.statement.predicate
            if entry.statement.kind in ("ingest", "replicate"):
                with contextlib.suppress(DiademError, OSError):
                    bundle = context.stores.open(str(said["store"])).bundle(str(said["path"]))
                    ingest = next((one.statement.predicate for one in entries if one.statement.kind == "ingest"), None)
                    context.catalogue.add_package(package_entry(Package(bundle), str(said["path"]), ingest))
                    break
    for entry in entries:
        apply(context.catalogue, entry, only=package_id)
