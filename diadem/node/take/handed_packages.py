"""Packages that somebody hands over as folders or ZIPs: proven, landed under their own ids, never packed again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from diadem.custody.corrections import CorrectionSheet
from diadem.custody.statements import HANDED_OVER
from diadem.errors import PackageError, Refused, UsageError
from diadem.export.pages import CORRECTIONS
from diadem.model.manifest import RECORD_PATH, PackageId
from diadem.model.peers import PeerState
from diadem.model.plain_text import quoted, without_surrogates
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.report import Level
from diadem.node.context import Context
from diadem.node.jobs import working
from diadem.node.keep.copies import Copy
from diadem.node.peers.book import peer_book
from diadem.node.quality.amend import brought, came_from
from diadem.node.take.arrival import Archived, into_first, package_in, record_ingest, with_wanted_copies
from diadem.node.take.chains_beside import keep_chains
from diadem.node.take.files_beside import files_beside, names_beside, sheets_in
from diadem.pack.pack import Outcome
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.store.package_copy import place_for

#: Of what lies beside packages, how many names are told.
_NAMED: Final = 4


def require_nothing_beside(path: Path, packages: Sequence[Bundle]) -> None:
    """Refuse packages beside which something else lies: with them, it would seem to be in the archive."""
    if beside := names_beside(path, packages):
        named = ", ".join(map(without_surrogates, beside[:_NAMED]))
        raise Refused(
            f"beside the packages in it lies what is in none of them: {named}{', …' if len(beside) > _NAMED else ''}",
            where=str(path),
            next="Move that into a folder of its own, or the packages: they are archived as they are. To pack it all "
            f"into one new package: diadem archive {quoted(path)} --as-one",
        )


def take_in(
    context: Context,
    path: Path,
    bundles: Sequence[Bundle],
    *,
    metadata: Mapping[str, Any] | None = None,
    in_place: bool = False,
    store: str | None = None,
    listener: Listener = silent,
) -> list[Archived]:
    """Take in packages as they are, each proven whole before anything is written; `path` is where they lie.

    Nothing but the store that is filled first can be wished of a package that is sealed.
    """
    if metadata:
        raise UsageError(
            "this is a package, and a package never changes: no metadata can be given with it",
            where=str(path),
            next='Import it without, then correct it: diadem amend ID --set "sample.name=S-12"',
        )
    if in_place:
        raise UsageError("this is a package: it is copied, not adopted", where=str(path), next="Leave --in-place out.")
    began = time.monotonic()
    source = f"{HANDED_OVER}{path}"
    with working(context, "archive", str(path), source=source) as job:
        heard = job.listening(listener)
        found = [(bundle, open_tag_files(bundle)) for bundle in bundles]
        for bundle, opened in found:
            if RECORD_PATH not in opened.manifest:
                way = f"diadem get {quoted(path)} FOLDER" if len(found) == 1 else "unpack it"
                raise PackageError(
                    "the package has no record, so no search could find it",
                    where=bundle.url,
                    next=f"Archive its files: {way}, then: diadem archive FOLDER",
                )
        for bundle, opened in found:
            report = verify(bundle, level=Level.FULL, expected_id=opened.id, opened=opened, listener=heard)
            report.raise_for_findings()
        beside = list(files_beside(path))
        sheets = sheets_in(beside)
        known = {opened.id: context.catalogue.has(str(opened.id)) for _, opened in found}
        told = list(keep_chains(context, beside, known))  # first: who is cut off here finds no package known later
        taken = [_taken(context, bundle, opened, source, store, sheets, heard) for bundle, opened in found]
        outcome = taken[-1].outcome
        taken[-1] = replace(taken[-1], outcome=replace(outcome, flagged=[*outcome.flagged, *told]))
    ids = [PackageId(one.package.id) for one in taken]
    return [replace(one, held_by=ids, seconds=time.monotonic() - began) for one in taken]


def _taken(
    context: Context,
    bundle: Bundle,
    opened: TagFiles,
    source: str,
    store: str | None,
    sheets: Sequence[CorrectionSheet],
    listener: Listener,
) -> Archived:
    known = context.catalogue.has(str(opened.id))
    place = place_for(Path(bundle.url).name, opened.payload_id, context.clock())
    name, added = into_first(
        context, store, lambda name, there: (name, there.add(bundle, opened, place, listener=listener))
    )
    outcome = Outcome(added.created, proof=added.proof)
    bundle = context.stores.open(name).bundle(added.path)
    package = package_in(context, bundle, outcome, opened=opened, proven=added.created)
    before = str(opened.continues) if opened.continues is not None else None
    stated = record_ingest(context, package, added.path, name, source, predecessor=before)
    if not _correct(context, str(opened.id), sheets, known=known):
        outcome = replace(outcome, flagged=[(CORRECTIONS, "not taken over: this node does not know who signed it")])
    first = Copy(name, added.path, added.created, added.proof)
    archived = Archived(package, "taken" if stated else "already", [first], outcome, predecessor=before)
    return with_wanted_copies(context, archived, listener)


def _correct(context: Context, package: str, sheets: Sequence[CorrectionSheet], *, known: bool) -> bool:
    """State the corrections that came with a package; whether all of them were taken over.

    Of a package that was here, a node that is not a confirmed peer says nothing new, unless it came from there: else
    anybody could correct what others gave.
    """
    peers = {peer.id: peer for peer in peer_book(context).ls()}
    names = {node: peer.name for node, peer in peers.items()}
    believed = True
    for sheet in (one for one in sheets if one.package == package):
        peer = peers.get(sheet.node)
        confirmed = peer is not None and peer.state is PeerState.CONFIRMED
        before = came_from(context, package)
        said = brought(context, package, sheet, names, before=before in ("", sheet.node))
        if said is not None and known and not confirmed and sheet.node != before:
            believed = False
        elif said is not None:
            context.say([said])
    return believed
