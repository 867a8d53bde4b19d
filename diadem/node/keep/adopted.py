"""Folders that were adopted where they lie: a copy that people may rename, move and edit, and that we never write.

::

    <node>/adopted/<64 hex of the package id>/bag/…          the sealed tag and metadata files
    <node>/adopted/<64 hex of the package id>/location.json  where the folder is, and how its names were mapped
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from diadem.archive.package import Package
from diadem.catalogue import Catalogue
from diadem.custody import statements
from diadem.errors import DiademError
from diadem.extract.pool import Extractor
from diadem.model.manifest import PackageId, shown_id
from diadem.model.ports import Listener, silent
from diadem.model.replicas import DROPPED, IN_PLACE, PRESENT, PackageState
from diadem.model.report import Level
from diadem.model.statements import Draft
from diadem.node.context import Context
from diadem.node.follow.catalogue_rows import package_entry
from diadem.node.follow.package_log import COPY_MISSING
from diadem.node.keep.folder_comparison import FileState
from diadem.node.keep.rescan import FolderState, Rescan
from diadem.node.keep.rescan import rescan as look_at
from diadem.pack.adopt import Adoption, adopt, adopt_again
from diadem.pack.compose import Options
from diadem.pack.plan import PackPlan
from diadem.store.addresses import local_path
from diadem.store.adopted import AdoptedFolders
from diadem.store.disks import disk_of

#: Changes of one folder that stand in its statement.
_TOLD = 50
_NOWHERE = (FolderState.GONE, FolderState.UNREADABLE)


def folders(context: Context) -> AdoptedFolders:
    """What this node keeps of the folders that it adopted."""
    return AdoptedFolders(context.folder / "adopted")


def adopt_folder(
    context: Context, plan: PackPlan, *, extractor: Extractor, options: Options, listener: Listener
) -> Adoption:
    """Seal a folder where it lies; a package that a store has already keeps its id."""
    names = [one.name for one in context.settings.stores if local_path(one.url) is not None]
    known = [context.stores.open(name) for name in names if context.stores.reachable(name)]
    return adopt(plan, folders(context), extractor=extractor, options=options, listener=listener, known=known)


def where(root: str) -> dict[str, Any]:
    """What a statement says of the place of an adopted folder."""
    place = disk_of(Path(root))
    return {"adopted": True, "path": root, **({"place": place} if place else {})}


def enter_adopted(
    context: Context, fresh: Catalogue, ingest: Callable[[str], Mapping[str, Any] | None], notes: list[str]
) -> Iterator[tuple[str, str | None]]:
    """Enter every adopted folder in a catalogue that is being built; gives the id of each, and where it lies."""
    if not (context.folder / "adopted").is_dir():
        return
    kept = folders(context)
    for package_id in kept.ids():
        try:
            location = kept.location(package_id)
            if not fresh.has(package_id):
                package = Package(kept.bundle(package_id))
                fresh.add_package(package_entry(package, location.path, ingest(package_id)))
        except (DiademError, OSError) as error:
            message = error.message if isinstance(error, DiademError) else str(error)
            notes.append(f"what is noted about the adopted folder {shown_id(package_id)} is damaged: {message}")
        else:
            yield package_id, location.root


# -- looking again -------------------------------------------------------------------------------------------------


def rescan(
    context: Context, *, full: bool = False, look_in: Sequence[Path] = (), listener: Listener = silent
) -> Iterator[Rescan]:
    """Look at every adopted folder: what was renamed is followed, edits and deletions are told, nothing is written.

    What a look finds stands in the log; a copy that was edited no longer counts, until a full look finds it whole.
    A node that was made anew keeps nothing of its adopted folders: what it kept is taken from a copy in a store, and
    every file of these folders is read.
    """
    context.require_writable()
    kept = folders(context)
    again = set(_kept_again(context, kept))
    for package in list(kept.ids()):
        found = look_at(kept, str(package), full=full or str(package) in again, look_in=look_in, listener=listener)
        if found.location != kept.location(found.package):
            kept.relocate(found.location)
        _note(context, found)
        yield found


def _kept_again(context: Context, kept: AdoptedFolders) -> Iterator[str]:
    """Keep what is to be kept of folders that the catalogue knows as adopted, and of which nothing is kept."""
    known = {str(package) for package in kept.ids()}
    for package in list(context.catalogue.package_states()):
        copy = next((one for one in package.replicas if one.adopted and one.state != DROPPED), None)
        if copy is None or package.tombstoned or package.id in known:
            continue
        for other in package.replicas:
            if other.adopted or other.state == DROPPED:
                continue
            with suppress(DiademError, OSError):  # the next copy may be readable
                bundle = context.stores.open(other.store).bundle(other.path)
                adopt_again(bundle, other.path, copy.path, kept)
                yield package.id
                break


def give_up(context: Context, package: PackageState, proofs: Sequence[Mapping[str, str]], reason: str) -> None:
    """State that an adopted folder is a copy no longer, and forget what is kept of it. Nothing in it is touched."""
    draft = statements.drop(
        package.id,
        payload_id=package.payload_id,
        store=statements.StatedStore(IN_PLACE),
        reason=reason,
        proofs=proofs,
        by=context.address,
    )
    context.say([draft])
    folders(context).forget(package.id, package.payload_id)


def forgotten(context: Context, package: PackageState, *, dry_run: bool) -> bool:
    """Forget what is still kept of a folder that the log has given up; whether anything is."""
    kept = folders(context)
    if PackageId(package.id) not in kept.ids() or not any(one.adopted for one in package.replicas):
        return False
    if not dry_run:
        kept.forget(package.id, package.payload_id)
    return True


def _note(context: Context, found: Rescan) -> None:
    package_id = str(found.package)
    if not context.catalogue.has(package_id):
        return
    replica = next((one for one in context.catalogue.replicas(package_id) if one.adopted), None)
    if replica is None:
        return
    if replica.path != found.root:
        context.catalogue.set_replica(
            package_id, IN_PLACE, found.root, state=replica.state, adopted=True, place=disk_of(Path(found.root))
        )
    if found.proven:
        context.say([_draft(package_id, Level.FULL, [package_id], [])])
    elif replica.state == PRESENT and (not found.complete or found.folder in _NOWHERE):
        context.say([_draft(package_id, Level.FULL if found.full else Level.QUICK, [], _findings(found))])


def _findings(found: Rescan) -> list[dict[str, Any]]:
    package = str(found.package)
    if found.folder in _NOWHERE:
        return [statements.copy_fault(package, COPY_MISSING, str(found))]
    return [
        statements.copy_fault(package, f"adopted-{change.state}", path=change.path)
        for change in found.changes
        if change.state in (FileState.EDITED, FileState.MISSING, FileState.UNREADABLE)
    ][:_TOLD]


def _draft(package_id: str, level: Level, proven: list[str], findings: list[dict[str, Any]]) -> Draft:
    return statements.fixity(
        [package_id],
        store=statements.StatedStore(IN_PLACE),
        level=str(level),
        proven=proven,
        checked={"packages": 1},
        findings=findings,
    )
