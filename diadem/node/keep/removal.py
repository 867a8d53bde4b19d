"""Removing what was given up: the statement is in the log before a byte goes, and a note of it outlives a crash.

::

    <node>/jobs/remove-<24 hex of the package id>.note    paths by store that are to go, and how long the log was then

A note is acted on only if the statement followed it; the next run finishes what it says. All of it happens under the
lock of the package.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from diadem.errors import DiademError, IntegrityError, NotFound, Refused
from diadem.model.manifest import TAGMANIFEST, shown_id
from diadem.model.ports import Bundle
from diadem.model.replicas import DROPPED, ReplicaState
from diadem.model.report import Level
from diadem.model.statements import Draft
from diadem.model.times import time_text
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.node.keep.parity import drop_parity
from diadem.node.read_copy import id_at
from diadem.package.verify import verify
from diadem.store.folder import remove_empty
from diadem.store.whole import write_whole


def remove(copies: PackageCopies, replicas: Sequence[ReplicaState], draft: Draft) -> None:
    """Note, state, remove. The note is there before the statement, and is only acted on if the statement is.

    What an earlier removal has left to do, in a store that did not let it, stays in the note.
    """
    context, paths = copies.context, {replica.store: replica.path for replica in replicas}
    note = _note_of(copies)
    note.parent.mkdir(exist_ok=True)
    earlier = _read_note(note) or {"paths": {}, "log": context.ledger.size}
    said: dict[str, Any] = {
        "package": copies.id,
        "kind": draft.kind,
        "paths": {**earlier["paths"], **paths},
        "at": time_text(context.clock()),
        "log": min(int(earlier["log"]), context.ledger.size),
    }
    write_whole(note, json.dumps(said).encode())
    context.say([draft])
    problems = _remove_files(copies, paths)
    _keep(note, said, [name for name in said["paths"] if name in problems or name not in paths])
    for problem in problems.values():
        raise problem


def _remove_files(copies: PackageCopies, paths: Mapping[str, str]) -> dict[str, DiademError]:
    """Remove a package from some stores, each on its own; returns what went wrong where.

    A store that the node has no more was lost, or taken out: nothing is looked for there.
    """
    problems: dict[str, DiademError] = {}
    for name, path in paths.items():
        if name in copies.context.stores.names:
            try:
                _remove_copy(copies, name, path)
            except DiademError as error:
                problems[name] = error
    return problems


def _remove_copy(copies: PackageCopies, name: str, path: str) -> None:
    store = copies.context.stores.open(name)
    drop_parity(store, copies.id)
    with contextlib.suppress(NotFound):  # it is gone already
        bundle = store.bundle(path)
        if _is_another(copies, bundle):
            return
        try:
            store.remove(path)
        except Refused:
            listing = bundle.listing()
            if not store.is_folder or listing.files or listing.irregular:
                raise
            remove_empty(Path(store.url), path)  # somebody has removed what was in it


def _is_another(copies: PackageCopies, bundle: Bundle) -> bool:
    """Whether another package lies there that is not ours to remove; a damaged tag manifest makes none."""
    try:
        found = id_at(bundle)
    except (NotFound, IntegrityError):
        return False
    if found == copies.id:
        return False
    return copies.context.catalogue.has(found) or verify(bundle, level=Level.QUICK, expected_id=found).ok


def require_removable(copies: PackageCopies, replicas: Sequence[ReplicaState]) -> None:
    """Refuse before anything is stated where remains lie that no store takes for a package."""
    for replica in replicas:
        try:
            listing = copies.bundle(replica).listing()
        except NotFound:
            continue
        if (listing.files or listing.irregular) and TAGMANIFEST not in listing.files:
            raise Refused(
                f"the copy in '{replica.store}' has lost its tag manifest, and cannot be told from other files",
                where=replica.path,
                next="Repair it first: diadem repair   (or move the folder away by hand, then: diadem scrub)",
            )


def finish_removals(context: Context) -> list[str]:
    """Finish what a crash interrupted; returns what was done, and what could not be, in words.

    A note without its statement is forgotten: nothing was removed yet.
    """
    done = []
    for note in sorted((context.folder / "jobs").glob("remove-*.note")):
        if (said := _read_note(note)) is not None:
            try:
                copies = PackageCopies(context, said["package"])
                with copies.locked():
                    done += _finish(copies, note)
            except DiademError as error:
                done.append(_unfinished(error))
    return done


def _finish(copies: PackageCopies, note: Path) -> list[str]:
    """Finish one removal, under the lock of its package; what cannot be finished stays in the note."""
    said = _read_note(note)
    if said is None:
        return []
    context = copies.context
    if context.follower.behind():  # a copy that the catalogue still counts may have been given up
        context.follower.derive(copies.id)
    here = {
        store: path
        for store, path in said["paths"].items()
        if store in context.stores.names and is_given_up(copies, store, int(said["log"]))
    }
    problems = _remove_files(copies, here)
    _keep(note, said, problems)
    finished = [store for store in here if store not in problems]
    done = [f"finished the removal of {shown_id(copies.id)} from {', '.join(finished)}"] if finished else []
    return done + [_unfinished(problem) for problem in problems.values()]


def _unfinished(error: DiademError) -> str:
    return f"a removal that was begun cannot be finished: {error.message} ({error.where})"


def _read_note(note: Path) -> dict[str, Any] | None:
    """What a note says; None where there is none, or it was never written whole: then nothing was removed."""
    try:
        said = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) and {"package", "paths", "log"} <= said.keys() else None


def _keep(note: Path, said: Mapping[str, Any], stores: Collection[str]) -> None:
    """Leave in a note what is still to be removed; without that it goes."""
    if not stores:
        note.unlink()
        return
    paths = {name: path for name, path in said["paths"].items() if name in stores}
    write_whole(note, json.dumps({**said, "paths": paths}).encode())


def is_given_up(copies: PackageCopies, store: str, since: int) -> bool:
    """Whether the last that the log says of a copy, since a moment, is that it was given up: it may be back.

    One that counts again is not either: a reindex has found it, and somebody may rely on it by now.
    """
    if any(replica.store == store and replica.state != DROPPED for replica in copies.known()):
        return False
    last = ""
    for entry in copies.log().entries:
        kind, at = entry.statement.kind, str(entry.statement.predicate.get("store", ""))
        if entry.index >= since and (kind == "tombstone" or (kind in ("drop", "ingest", "replicate") and at == store)):
            last = kind
    return last in ("drop", "tombstone")


def _note_of(copies: PackageCopies) -> Path:
    return copies.context.folder / "jobs" / f"remove-{copies.id.hex[:24]}.note"


def finish_earlier(copies: PackageCopies) -> None:
    """What a run that was killed has stated of this package and not done; what cannot be done now stops nothing.

    What the log has given up is no copy, whatever a catalogue that is behind it says.
    """
    copies.context.follower.catch_up()
    _finish(copies, _note_of(copies))
