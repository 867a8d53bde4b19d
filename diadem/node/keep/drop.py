"""Giving copies up: a drop needs a proof, made now, that enough other copies are whole; a deletion needs retention.

A package is written off where nothing of it is left: there nothing is given up, and the log says that nothing is there.
All this happens under a lock of the package, and looks at it anew under that lock: of two that race, the second finds
what the first has left, and is refused where that is not enough. The statement is in the log before a byte is removed,
and a note of what is to be removed outlives a crash: the next run finishes it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import DiademError, NotFound, Refused, Unreachable, UsageError
from diadem.model.display import Display
from diadem.model.manifest import shown_id
from diadem.model.ports import Listener, Progress, silent
from diadem.model.replicas import DROPPED, IN_PLACE, MISSING, PRESENT, PackageState, ReplicaState
from diadem.model.report import Level
from diadem.model.times import read_time
from diadem.node.context import Context
from diadem.node.keep.adopted import forgotten, give_up
from diadem.node.keep.copies import PackageCopies
from diadem.node.keep.parity import drop_parity
from diadem.node.keep.removal import finish_earlier, is_given_up, remove, require_removable
from diadem.node.mirrors import require_policy
from diadem.policy.commands import short
from diadem.policy.commands import write_off as advise_write_off
from diadem.policy.drop import FreshProof, may_delete, may_drop
from diadem.policy.tally import is_lost, safe_elsewhere

#: What stands against a write-off, and what would help.
_Objection = tuple[str, str]
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
    copies = PackageCopies(context, package_id)
    with copies.locked():
        finish_earlier(copies)
        package = copies.state()
        if is_given_up(copies, store, 0):
            note = f"the copy in '{store}' was dropped already"
            return Dropped(package_id, [], bytes=package.bytes, title=package.title, notes=(note,))
        in_stores = (one for one in package.replicas if one.state != DROPPED and not one.adopted)
        replica = next((one for one in in_stores if one.store == store), None)
        if replica is None:
            raise NotFound(
                f"there is no copy of {shown_id(package.id)} in '{store}'",
                next=f"See: diadem custody {short(copies.id)}",
            )
        require_removable(copies, [replica])
        if below_minimum:
            _require_over(copies, package, store, clock_is_right=clock_is_right)
        proofs = _prove_others(copies, package, store, listener)
        package = copies.state()
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
            store=context.settings.stated_store(store),
            reason=reason,
            proofs=kept,
            by=context.address,
        )
        remove(copies, [replica], draft)
    return Dropped(package_id, [store], kept, bytes=package.bytes, title=package.title)


def _give_up_adopted(context: Context, package_id: str, *, reason: str, dry_run: bool, listener: Listener) -> Dropped:
    """Count an adopted folder as a copy no longer that is gone or was changed; another copy was read whole just now."""
    copies = PackageCopies(context, package_id)
    with copies.locked():
        package = copies.state()
        replica = next((one for one in package.replicas if one.adopted and one.state != DROPPED), None)
        if replica is None and forgotten(context, package, dry_run=dry_run):  # a run was killed before it had forgotten
            note = "the adopted folder was dropped already"
            return Dropped(package_id, [], title=package.title, notes=(note,))
        if replica is None:
            raise NotFound(f"no folder is adopted as a copy of {shown_id(package_id)}", next="See: diadem rescan")
        if replica.state == PRESENT:
            raise Refused(
                "an adopted folder is dropped only if it is gone or was changed",
                where=replica.path,
                next="See what became of it: diadem rescan",
            )
        proofs = [proof.to_dict() for proof in _prove_others(copies, package, IN_PLACE, listener)]
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
    copies = PackageCopies(context, package_id)
    with copies.locked():
        finish_earlier(copies)
        package = copies.state()
        if package.tombstoned:
            note = "it was deleted already"
            return Dropped(package_id, [], bytes=package.bytes, title=package.title, notes=(note,))
        begun, silence = _kept_since(copies, package)
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
                + _if_lost(copies, package),
            )
        if silence and context.policy.retention.years and not clock_is_right:
            raise Refused(
                f"the package is not deleted: its retention is over only if a clock was right: {silence}",
                where=package_id,
                next=f"If it was: diadem delete {short(copies.id)} --clock-is-right --reason '...'   "
                "(if not: set the clock; the package is kept)",
            )
        away = [replica.store for replica in replicas if not context.stores.reachable(replica.store)]
        if away:
            raise Refused(
                f"the copies in {', '.join(away)} cannot be reached now, and would reappear",
                where=package_id,
                next="Connect these stores, then delete.",
            )
        require_removable(copies, replicas)
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
        remove(copies, replicas, draft)
    return Dropped(package_id, stores, bytes=package.bytes, title=package.title)


def _require_over(copies: PackageCopies, package: PackageState, store: str, *, clock_is_right: bool) -> None:
    """Refuse to go below the policy's copies unless the retention is over, and that by no leap of a clock."""
    context = copies.context
    begun, silence = _kept_since(copies, package)
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
            next=f"If it was: diadem drop {short(copies.id)} --store {store} --below-minimum "
            "--clock-is-right --reason '...'   (if not: set the clock; the copy is kept)",
        )


def _kept_since(copies: PackageCopies, package: PackageState) -> tuple[datetime | None, str]:
    """From when the retention counts, and a leap of the clock since; "" where there is none.

    A clock that was behind when the package was archived shortens nothing: it was not before what the log held already.
    A clock that is ahead, or was when others wrote, leaps past what the log says; whether it was right, and nobody
    worked here for so long, a person knows. What is dated later than now was written by such a clock and says nothing;
    what only a later statement contradicts counts, for that one's clock may have been behind.
    """
    if package.ingested_at is None:
        return None, ""
    now, latest, leap = copies.context.clock(), package.ingested_at, ""
    first = next((entry.place for entry in copies.log().entries), None)
    begun = latest if first is None else None
    for entry in copies.context.ledger.all_entries():
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


def _if_lost(copies: PackageCopies, package: PackageState) -> str:
    """What helps where no copy is left, whatever the retention; "" where one is."""
    stores = copies.context.stores
    if not is_lost(package, [name for name in stores.names if not stores.reachable(name)]):
        return ""
    same = safe_elsewhere(copies.same_files())
    return f" No copy of it is left{'; ' + same if same else ''}: {advise_write_off(package.id)}"


def _require_reason(reason: str, example: str = "disk full, two copies elsewhere") -> None:
    if not reason.strip():
        raise UsageError("a reason is needed: it is kept in the log", next=f"--reason '{example}'")


def _prove_others(copies: PackageCopies, package: PackageState, store: str, listener: Listener) -> list[FreshProof]:
    """Read every other present copy whole, and this one too where it is one of the last two."""
    context = copies.context
    present = [replica for replica in package.replicas if replica.state == PRESENT and not replica.adopted]
    readable = [replica for replica in present if context.stores.reachable(replica.store)]
    proofs = []
    for replica in readable:
        if replica.store == store and len(present) > 2:
            continue
        try:
            report = copies.check(replica, level=Level.FULL, listener=listener)
        except Unreachable:
            continue
        if report.ok:
            proofs.append(FreshProof(replica.store, str(report.level), context.clock()))
        else:
            copies.note_damage(replica, report)
    return proofs


# -- writing off -------------------------------------------------------------------------------------------------------


def write_off(
    context: Context, package_id: str, *, reason: str, dry_run: bool = False, listener: Listener = silent
) -> Dropped:
    """State that a package is lost: a tombstone, after a look into every store that answers; its stores had copies.

    Retention does not stand against it, for nothing is given up. A copy that is damaged, away or elsewhere is not lost,
    and a package with one is not written off.

    Raises
    ------
    UsageError
        No reason is given.
    Refused
        A copy is there, or may be: names it; or the policy is lost.
    """
    _require_reason(reason, "both disks died")
    require_policy(context)
    copies = PackageCopies(context, package_id)
    with copies.locked():
        package = copies.state()
        for message, advice in _objections(copies, package, listener):
            raise Refused(f"the package is not written off: {message}", where=package_id, next=advice)
        stores = [copy.store for copy in package.replicas if copy.state != DROPPED]
        notes = [note] if (note := safe_elsewhere(copies.same_files())) else []
        if not dry_run:
            draft = statements.tombstone(
                package_id,
                payload_id=package.payload_id,
                reason=reason.strip(),
                stores=stores,
                lost=True,
                by=context.address,
            )
            context.say([draft])
            for _, store in context.stores.opened():
                with contextlib.suppress(DiademError):  # parity alone is worth nothing, and harms nothing
                    drop_parity(store, copies.id)
    return Dropped(package_id, stores, done=not dry_run, title=package.title, notes=notes)


def _objections(copies: PackageCopies, package: PackageState, listener: Listener) -> Iterator[_Objection]:
    """What stands against it. Known places first: a store is gone through only where nothing else was found."""
    if package.tombstoned:
        yield "it was deleted or written off already", f"See: diadem custody {short(copies.id)}"
    for copy in package.replicas:
        if copy.state != DROPPED:
            yield from _of_copy(copies, copy)
    for settings, store in copies.context.stores.opened():
        for number, stored in enumerate(store.packages()):
            listener(Progress("look", number, 0, f"{settings.name} {stored.path}", unit="packages"))
            if stored.id.hex == copies.id.hex:
                advice = "Let the node enter it: diadem reindex, then diadem scrub"
                yield f"a copy of it is in '{settings.name}', at {stored.path}", advice


def _of_copy(copies: PackageCopies, copy: ReplicaState) -> Iterator[_Objection]:
    stores = copies.context.stores
    if copy.adopted:
        if copy.state != MISSING or Path(copy.path).exists():
            yield f"the folder that was adopted is there, at {copy.path}", "Look at it: diadem rescan --full"
    elif copy.store not in stores.names:
        if copy.state != MISSING:
            yield f"a copy of it is in '{copy.store}', which is not a store of this node", "Add the store again."
    elif not stores.reachable(copy.store):
        yield (
            f"its copy in '{copy.store}' cannot be searched for: {stores.why_away(copy.store)}",
            f"Connect it; if that store is gone for good: diadem store rm {copy.store} --lost --reason '...'",
        )
    elif count := _left_of(copies, copy):
        files = "1 file is" if count == 1 else f"{count:,} files are"
        advice = "Save what can be saved: diadem repair. If nothing can, move that folder away, then: diadem scrub"
        yield f"{files} where its copy in '{copy.store}' is, at {copy.path}", advice


def _left_of(copies: PackageCopies, copy: ReplicaState) -> int:
    """Files at the place of a copy; none where another package lies there."""
    store = copies.context.stores.require_there(copy.store)
    try:
        bundle = store.bundle(copy.path)
        files = bundle.listing().files
    except NotFound:
        return 0
    return 0 if copies.another_at(bundle) else len(files)
