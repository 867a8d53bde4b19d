"""Writing a package off of which nothing is left: looked for in every store just now, and stated for good.

Retention does not stand against it, for nothing is given up: what the log says is that nothing is there. A copy that is
damaged, away or elsewhere is not lost, and a package with one is not written off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from diadem.custody import statements
from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, Progress, silent
from diadem.model.replicas import DROPPED, MISSING, PackageState, ReplicaState
from diadem.node.context import Context
from diadem.node.keep.dropping import Dropped
from diadem.node.keep.mending_parity import drop_parity
from diadem.node.keep.placing import another_package, same_files
from diadem.node.mirrors import require_policy
from diadem.policy.tally import safe_elsewhere

#: What stands against a write-off, and what would help.
_Objection = tuple[str, str]


def write_off(
    context: Context, package_id: str, *, reason: str, dry_run: bool = False, listener: Listener = silent
) -> Dropped:
    """State that a package is lost: a tombstone, after a look into every store that answers.

    Parameters
    ----------
    context : Context
        The node.
    package_id : str
        The package.
    reason : str
        What happened; stands in the log.
    dry_run : bool
        Look, and state nothing.
    listener : Listener
        Told of the look.

    Returns
    -------
    Dropped
        The stores are those in which copies were.

    Raises
    ------
    UsageError
        No reason is given.
    Refused
        A copy is there, or may be: names it; or the policy is lost.
    """
    if not reason.strip():
        raise UsageError("a reason is needed: it is kept in the log", next="--reason 'both disks died'")
    require_policy(context)
    with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
        package = context.catalogue.package_state(package_id)
        for message, advice in _objections(context, package, listener):
            raise Refused(f"the package is not written off: {message}", where=package_id, next=advice)
        stores = [copy.store for copy in package.replicas if copy.state != DROPPED]
        notes = [note] if (note := safe_elsewhere(same_files(context, package_id))) else []
        if not dry_run:
            draft = statements.tombstone(
                package.id,
                payload_id=package.payload_id,
                reason=reason.strip(),
                stores=stores,
                lost=True,
                by=context.address,
            )
            context.say([draft])
            for _, store in context.stores.opened():
                with suppress(DiademError):  # parity alone is worth nothing, and harms nothing
                    drop_parity(store, PackageId(package_id))
    return Dropped(package_id, stores, done=not dry_run, title=package.title, notes=notes)


def _objections(context: Context, package: PackageState, listener: Listener) -> Iterator[_Objection]:
    """What stands against it. Known places first: a store is gone through only where nothing else was found."""
    if package.tombstoned:
        yield "it was deleted or written off already", f"See: diadem custody {PackageId(package.id).hex[:12]}"
    for copy in package.replicas:
        if copy.state != DROPPED:
            yield from _of_copy(context, package.id, copy)
    for settings, store in context.stores.opened():
        for number, stored in enumerate(store.packages()):
            listener(Progress("look", number, 0, f"{settings.name} {stored.path}", unit="packages"))
            if stored.id.hex == PackageId(package.id).hex:
                advice = "Let the node enter it: diadem reindex, then diadem scrub"
                yield f"a copy of it is in '{settings.name}', at {stored.path}", advice


def _of_copy(context: Context, package_id: str, copy: ReplicaState) -> Iterator[_Objection]:
    if copy.adopted:
        if copy.state != MISSING or Path(copy.path).exists():
            yield f"the folder that was adopted is there, at {copy.path}", "Look at it: diadem rescan --full"
    elif copy.store not in context.stores.names:
        if copy.state != MISSING:
            yield f"a copy of it is in '{copy.store}', which is not a store of this node", "Add the store again."
    elif not context.stores.reachable(copy.store):
        yield (
            f"its copy in '{copy.store}' cannot be searched for: {context.stores.why_away(copy.store)}",
            f"Connect it; if that store is gone for good: diadem store rm {copy.store} --lost --reason '...'",
        )
    elif count := _left_of(context, package_id, copy):
        files = "1 file is" if count == 1 else f"{count:,} files are"
        advice = "Save what can be saved: diadem repair. If nothing can, move that folder away, then: diadem scrub"
        yield f"{files} where its copy in '{copy.store}' is, at {copy.path}", advice


def _left_of(context: Context, package_id: str, copy: ReplicaState) -> int:
    """Files at the place of a copy; none where another package lies there."""
    store = context.stores.require_there(copy.store)
    try:
        bundle = store.bundle(copy.path)
        files = bundle.listing().files
    except NotFound:
        return 0
    return 0 if another_package(context, bundle, package_id) else len(files)
