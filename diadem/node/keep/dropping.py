"""Giving copies up: a drop needs a proof, made now, that enough other copies are whole; a deletion needs retention.

Both happen under a lock of the package, and look at it anew under that lock: of two that race, the second finds what
the first has left, and is refused where that is not enough. The statement is in the log before a byte is removed, and a
note of what is to be removed outlives a crash: the next run finishes it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import DiademError, IntegrityError, NotFound, Refused, Unreachable, UsageError
from diadem.model.display import Display
from diadem.model.manifest import TAGMANIFEST, PackageId
from diadem.model.ports import Bundle, Listener, silent
from diadem.model.replicas import DROPPED, PRESENT, PackageState, ReplicaState
from diadem.model.report import Level
from diadem.model.statements import Draft
from diadem.model.times import read_time, time_text
from diadem.node.context import Context
from diadem.node.keep.adopted import IN_PLACE, forgotten, give_up
from diadem.node.keep.mending_parity import drop_parity
from diadem.node.keep.placing import bundle_of, same_files
from diadem.node.keep.scrubbing import check, note_damage
from diadem.node.mirrors import require_policy
from diadem.package.examine import LIMITS
from diadem.package.verify import verify
from diadem.policy.commands import write_off
from diadem.policy.dropping import FreshProof, may_delete, may_drop
from diadem.policy.tally import is_lost, safe_elsewhere
from diadem.store.folder import remove_empty
from diadem.store.whole import write_whole
from diadem.trust.hashing import sha256_hex

#: A log that says nothing for longer is not enough to say that so much time has passed.
_SILENCE: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Dropped(Display):
    """What was given up, or would be.

    Attributes
    ----------
    package : str
        Its id.
    stores : sequence of str
        Where there is no copy any more; none where all was given up before.
    proofs : sequence of mapping
        The copies that remain, and when each was proven: store, level, at.
    done : bool
        False for a dry run.
    bytes : int
        What becomes free.
    """

    package: str
    stores: Sequence[str]
    proofs: Sequence[dict[str, str]] = ()
    done: bool = True
    bytes: int = 0
    title: str = ""
    notes: Sequence[str] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "package": self.package,
            "title": self.title,
            "stores": list(self.stores),
            "proofs": list(self.proofs),
            "done": self.done,
            "bytes": self.bytes,
            "notes": list(self.notes),
        }


def drop(
    context: Context,
    package_id: str,
    store: str,
    *,
    reason: str,
    below_minimum: bool = False,
    clock_is_right: bool = False,
    dry_run: bool = False,
    listener: Listener = silent,
) -> Dropped:
    """Remove one copy, after every other copy that the removal relies on was read whole just now.

    Raises
    ------
    NotFound
        There is no such copy.
    Refused
        Too few other copies are proven; says which, and what to do. Or there shall be fewer than the policy wants while
        the retention runs, or is over only by a clock that may be wrong.
    """
    _require_reason(reason)
    if store != IN_PLACE:
        context.settings.store(store)
    require_policy(context)
    context.require_keys()
    if store == IN_PLACE:
        return _give_up_adopted(context, package_id, reason=reason, dry_run=dry_run, listener=listener)
    with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
        _finish_earlier(context, package_id)
        package = context.catalogue.package_state(package_id)
        if _is_given_up(context, package_id, store, 0):
            note = f"the copy in '{store}' was dropped already"
            return Dropped(package_id, [], bytes=package.bytes, title=package.title, notes=(note,))
        replica = _replica(package, store)
        _require_removable(context, package_id, [replica])
        if below_minimum:
            _require_over(context, package, store, clock_is_right=clock_is_right)
        proofs = _prove_others(context, package, store, listener)
        package = context.catalogue.package_state(package_id)
        verdict = may_drop(
            context.policy,
            package,
            store,
            context.clock(),
            proofs,
            stores=context.stores.states(),
            reason=reason,
            below_policy=below_minimum,
        )
        if not verdict.allowed:
            raise Refused(
                f"the copy in '{store}' is not dropped: {'; '.join(verdict.reasons)}",
                where=package_id,
                next=verdict.next or "Write and prove another copy first: diadem repair",
            )
        kept = [proof.to_dict() for proof in proofs]
        if dry_run:
            return Dropped(package_id, [store], kept, done=False, bytes=package.bytes, title=package.title)
        draft = statements.drop(
            package_id,
            payload_id=package.payload_id,
            store=store,
            store_id=context.settings.store(store).id,
            reason=reason,
            proofs=kept,
            by=context.address,
        )
        _remove(context, package_id, [replica], draft)
    return Dropped(package_id, [store], kept, bytes=package.bytes, title=package.title)


def _give_up_adopted(context: Context, package_id: str, *, reason: str, dry_run: bool, listener: Listener) -> Dropped:
    """Count an adopted folder as a copy no longer that is gone or was changed; another copy was read whole just now."""
    with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
        package = context.catalogue.package_state(package_id)
        replica = next((one for one in package.replicas if one.adopted and one.state != DROPPED), None)
        if replica is None and forgotten(context, package, dry_run=dry_run):  # a run was killed before it had forgotten
            note = "the adopted folder was dropped already"
            return Dropped(package_id, [], title=package.title, notes=(note,))
        if replica is None:
            raise NotFound(f"no folder is adopted as a copy of {package_id[:19]}…", next="See: diadem rescan")
        if replica.state == PRESENT:
            raise Refused(
                "an adopted folder is dropped only if it is gone or was changed",
                where=replica.path,
                next="See what became of it: diadem rescan",
            )
        proofs = [proof.to_dict() for proof in _prove_others(context, package, IN_PLACE, listener)]
        if not proofs:
            raise Refused(
                "no other copy was just read whole and found right",
                where=package_id,
                next="Connect a store that has one, or put the folder back: diadem status",
            )
        if not dry_run:
            give_up(context, package, proofs, reason)
    return Dropped(package_id, [IN_PLACE], proofs, done=not dry_run, title=package.title)


def delete(
    context: Context, package_id: str, *, reason: str, clock_is_right: bool = False, dry_run: bool = False
) -> Dropped:
    """Delete a package from every store, once its retention is over; a signed tombstone remains.

    Raises
    ------
    Refused
        Its retention is not over, or only by a clock that may be wrong; or a store that has a copy does not answer.
    """
    _require_reason(reason)
    require_policy(context)
    context.require_keys()
    with context.locked(f"package-{PackageId(package_id).hex[:32]}"):
        _finish_earlier(context, package_id)
        package = context.catalogue.package_state(package_id)
        if package.tombstoned:
            note = "it was deleted already"
            return Dropped(package_id, [], bytes=package.bytes, title=package.title, notes=(note,))
        begun, silence = _kept_since(context, package)
        replicas = [
            replica
            for replica in package.replicas
            if replica.state != DROPPED and not replica.adopted and replica.store in context.stores.names
        ]
        verdict = may_delete(context.policy, replace(package, ingested_at=begun), context.clock(), reason=reason)
        if not verdict.allowed:
            raise Refused(
                f"the package is not deleted: {'; '.join(verdict.reasons)}",
                where=package_id,
                next=(verdict.next or "Change [retention] in policy.toml if the group agrees.")
                + _if_lost(context, package),
            )
        if silence and context.policy.retention.years and not clock_is_right:
            raise Refused(
                f"the package is not deleted: its retention is over only if a clock was right: {silence}",
                where=package_id,
                next=f"If it was: diadem delete {PackageId(package_id).hex[:12]} --clock-is-right --reason '...'   "
                "(if not: set the clock; the package is kept)",
            )
        away = [replica.store for replica in replicas if not context.stores.reachable(replica.store)]
        if away:
            raise Refused(
                f"the copies in {', '.join(away)} cannot be reached now, and would reappear",
                where=package_id,
                next="Connect these stores, then delete.",
            )
        _require_removable(context, package_id, replicas)
        stores = [replica.store for replica in replicas]
        if dry_run:
            return Dropped(package_id, stores, done=False, bytes=package.bytes, title=package.title)
        draft = statements.tombstone(
            package_id,
            payload_id=package.payload_id,
            reason=reason,
            retention=f"{context.policy.retention.years:g} years",
            stores=stores,
            by=context.address,
        )
        _remove(context, package_id, replicas, draft)
    return Dropped(package_id, stores, bytes=package.bytes, title=package.title)


def _require_over(context: Context, package: PackageState, store: str, *, clock_is_right: bool) -> None:
    """Refuse to go below the policy's copies unless the retention is over, and that by no leap of a clock."""
    begun, silence = _kept_since(context, package)
    ends = context.policy.retention.ends(begun) if begun is not None else None
    if ends is None or ends > context.clock():
        until = f"the policy keeps the package until {ends:%Y-%m-%d}" if ends else "nobody knows when it was archived"
        raise Refused(
            f"the copy in '{store}' is not dropped: only after the retention may fewer copies remain, and {until}",
            where=package.id,
            next="Drop it without --below-minimum, where enough copies remain.",
        )
    if silence and context.policy.retention.years and not clock_is_right:
        raise Refused(
            f"the copy in '{store}' is not dropped: the retention is over only if a clock was right: {silence}",
            where=package.id,
            next=f"If it was: diadem drop {PackageId(package.id).hex[:12]} --store {store} --below-minimum "
            "--clock-is-right --reason '...'   (if not: set the clock; the copy is kept)",
        )


def _kept_since(context: Context, package: PackageState) -> tuple[datetime | None, str]:
    """From when the retention counts, and a leap of the clock since; "" where there is none.

    A clock that was behind when the package was archived shortens nothing: it was not before what the log held already.
    A clock that is ahead, or was when others wrote, leaps past what the log says; whether it was right, and nobody
    worked here for so long, a person knows. What is dated later than now was written by such a clock and says nothing;
    what only a later statement contradicts counts, for that one's clock may have been behind.
    """
    if package.ingested_at is None:
        return None, ""
    now, latest, leap = context.clock(), package.ingested_at, ""
    first = next((entry.place for entry in context.ledger.of_subject(PackageId(package.id).hex)), None)
    begun = latest if first is None else None
    for entry in context.ledger.all_entries():
        at = read_time(str(entry.statement.predicate["time"]))
        if begun is None and entry.place >= (first or 0):
            begun = latest
        elif begun is not None and latest + _SILENCE < at <= now:
            leap = f"the log says nothing between {latest:%Y-%m-%d} and {at:%Y-%m-%d}"
        if at <= now:
            latest = max(latest, at)
    if now - latest > _SILENCE:
        leap = f"the log says nothing between {latest:%Y-%m-%d} and today, {now:%Y-%m-%d}"
    return begun or latest, leap


def _if_lost(context: Context, package: PackageState) -> str:
    """What helps where no copy is left, whatever the retention; "" where one is."""
    if not is_lost(package, [name for name in context.stores.names if not context.stores.reachable(name)]):
        return ""
    same = safe_elsewhere(same_files(context, package.id))
    return f" No copy of it is left{'; ' + same if same else ''}: {write_off(package.id)}"


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError("a reason is needed: it is kept in the log", next="--reason 'disk full, two copies elsewhere'")


def _replica(package: PackageState, store: str) -> ReplicaState:
    for replica in package.replicas:
        if replica.store == store and replica.state != DROPPED and not replica.adopted:
            return replica
    raise NotFound(
        f"there is no copy of {package.id[:19]}… in '{store}'",
        next=f"See: diadem custody {PackageId(package.id).hex[:12]}",
    )


def _prove_others(context: Context, package: PackageState, store: str, listener: Listener) -> list[FreshProof]:
    """Read every other present copy whole, and this one too where it is one of the last two."""
    present = [replica for replica in package.replicas if replica.state == PRESENT and not replica.adopted]
    readable = [replica for replica in present if context.stores.reachable(replica.store)]
    proofs = []
    for replica in readable:
        if replica.store == store and len(present) > 2:
            continue
        try:
            report = check(context, package.id, replica, level=Level.FULL, listener=listener)
        except Unreachable:
            continue
        if report.ok:
            proofs.append(FreshProof(replica.store, str(report.level), context.clock()))
        else:
            note_damage(context, package.id, replica, report)
    return proofs


# -- removing ------------------------------------------------------------------------------------------------------


def _remove(context: Context, package_id: str, replicas: Sequence[ReplicaState], draft: Draft) -> None:
    """Note, state, remove. The note is there before the statement, and is only acted on if the statement is.

    What an earlier removal has left to do, in a store that did not let it, stays in the note.
    """
    paths = {replica.store: replica.path for replica in replicas}
    note = _note_of(context, package_id)
    note.parent.mkdir(exist_ok=True)
    earlier = _read_note(note) or {"paths": {}, "log": context.ledger.size}
    said: dict[str, Any] = {
        "package": package_id,
        "kind": draft.kind,
        "paths": {**earlier["paths"], **paths},
        "at": time_text(context.clock()),
        "log": min(int(earlier["log"]), context.ledger.size),
    }
    write_whole(note, json.dumps(said).encode())
    context.say([draft])
    problems = _remove_files(context, package_id, paths)
    _keep(note, said, [name for name in said["paths"] if name in problems or name not in paths])
    for problem in problems.values():
        raise problem


def _remove_files(context: Context, package_id: str, paths: Mapping[str, str]) -> dict[str, DiademError]:
    """Remove a package from some stores, each on its own; returns what went wrong where.

    A store that the node has no more was lost, or taken out: nothing is looked for there.
    """
    problems: dict[str, DiademError] = {}
    for name, path in paths.items():
        if name in context.stores.names:
            try:
                _remove_copy(context, package_id, name, path)
            except DiademError as error:
                problems[name] = error
    return problems


def _remove_copy(context: Context, package_id: str, name: str, path: str) -> None:
    store = context.stores.open(name)
    drop_parity(store, PackageId(package_id))
    with contextlib.suppress(NotFound):  # it is gone already
        bundle = store.bundle(path)
        if _is_another(context, bundle, package_id):
            return
        try:
            store.remove(path)
        except Refused:
            listing = bundle.listing()
            if not store.is_folder or listing.files or listing.irregular:
                raise
            remove_empty(Path(store.url), path)  # somebody has removed what was in it


def _is_another(context: Context, bundle: Bundle, package_id: str) -> bool:
    """Whether another package lies there that is not ours to remove; a damaged tag manifest makes none."""
    try:
        found = sha256_hex(bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST]))
    except (NotFound, IntegrityError):
        return False
    if found == PackageId(package_id).hex:
        return False
    if context.catalogue.has("diadem:" + found):
        return True
    return verify(bundle, level=Level.QUICK, expected_id="diadem:" + found).ok


def _require_removable(context: Context, package_id: str, replicas: Sequence[ReplicaState]) -> None:
    """Refuse before anything is stated where remains lie that no store takes for a package."""
    for replica in replicas:
        try:
            listing = bundle_of(context, package_id, replica).listing()
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
                with context.locked(f"package-{PackageId(said['package']).hex[:32]}"):
                    done += _finish(context, note)
            except DiademError as error:
                done.append(_unfinished(error))
    return done


def _finish(context: Context, note: Path) -> list[str]:
    """Finish one removal, under the lock of its package; what cannot be finished stays in the note."""
    said = _read_note(note)
    if said is None:
        return []
    package_id = str(said["package"])
    if context.follower.behind():  # a copy that the catalogue still counts may have been given up
        context.follower.derive(package_id)
    here = {
        store: path
        for store, path in said["paths"].items()
        if store in context.stores.names and _is_given_up(context, package_id, store, int(said["log"]))
    }
    problems = _remove_files(context, package_id, here)
    _keep(note, said, problems)
    finished = [store for store in here if store not in problems]
    done = [f"finished the removal of {package_id[:19]}… from {', '.join(finished)}"] if finished else []
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


def _is_given_up(context: Context, package_id: str, store: str, since: int) -> bool:
    """Whether the last that the log says of a copy, since a moment, is that it was given up: it may be back.

    One that counts again is not either: a reindex has found it, and somebody may rely on it by now.
    """
    known = context.catalogue.replicas(package_id) if context.catalogue.has(package_id) else ()
    if any(replica.store == store and replica.state != DROPPED for replica in known):
        return False
    last = ""
    for entry in context.ledger.of_subject(PackageId(package_id).hex):
        kind, at = entry.statement.kind, str(entry.statement.predicate.get("store", ""))
        if entry.index >= since and (kind == "tombstone" or (kind in ("drop", "ingest", "replicate") and at == store)):
            last = kind
    return last in ("drop", "tombstone")


def _note_of(context: Context, package_id: str) -> Path:
    return context.folder / "jobs" / f"remove-{PackageId(package_id).hex[:24]}.note"


def _finish_earlier(context: Context, package_id: str) -> None:
    """What a run that was killed has stated of this package and not done; what cannot be done now stops nothing.

    What the log has given up is no copy, whatever a catalogue that is behind it says.
    """
    context.follower.catch_up()
    _finish(context, _note_of(context, package_id))
