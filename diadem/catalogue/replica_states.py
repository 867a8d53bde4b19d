"""Copies of packages in stores: as the log and the checks say, and as the policy judges them."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from sys import intern
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sqlalchemy import ColumnElement, Connection, delete, exists, func, or_, select, update

from diadem.catalogue import database, facet_counts, tables
from diadem.catalogue.fact_rows import select_codes
from diadem.catalogue.package_key import keys_of, require, resolve
from diadem.catalogue.tables import among
from diadem.errors import UsageError
from diadem.model.manifest import PREFIX
from diadem.model.replicas import (
    DROPPED,
    PRESENT,
    PROOFS,
    READING_PROOFS,
    REPLICA_STATES,
    PackageState,
    ReplicaState,
)  # fmt: skip
from diadem.model.statement_kinds import ARRIVAL_KINDS
from diadem.model.times import time_text

#: Packages that are read in one go.
_BATCH: Final = 2000
#: What a replica names while no proof of its bytes counts.
_UNPROVEN: Final = {"proven_at": None, "proven_level": ""}
#: Levels at which leaves and SHA-256 were hashed in one pass over the same bytes.
_WHOLE: Final = ("written", "server", "full")
#: No path begins so: those in stores begin with a year, those of folders at a root.
_BYTES: Final = "bytes:"
_packages, _replicas, _proofs = tables.packages.c, tables.replicas.c, tables.proofs.c
_KEPT = ("store", "path", "state", "adopted", "written_at", "proven_at", "proven_level", "parity", "place")
_REPLICA = tuple(_replicas[name] for name in _KEPT)


@dataclass(frozen=True, slots=True)
class CopyEntry:
    """A copy of a package that the log says was written."""

    package_id: str  # diadem:<64 hex>
    store: str
    path: str
    at: datetime  # UTC
    level: str = ""  # how writing proved it; "" where it did not
    statement_id: str | None = None
    adopted: bool = False  # a person's own folder
    place: str | None = None  # identity of the disk or share, where that is not its store's


# Written


def set_replica(
    connection: Connection,
    package_id: str,
    store: str,
    path: str,
    *,
    state: str,
    adopted: bool | None = None,
    written: datetime | None = None,
    parity: bool | None = None,
    place: str | None = None,
) -> None:
    """Add a replica or change what is known of it; None leaves a value as it is.

    Of one that is damaged or gone no proof counts, and of one that is written anew none from before: what came first
    is told by the order of the calls, for clocks go in steps and backwards. Raises `NotFound`, `UsageError`.
    """
    if state not in REPLICA_STATES:
        raise UsageError(f"'{state}' is not a state of a replica", next=f"One of {', '.join(REPLICA_STATES)}.")
    seq = require(connection, package_id)
    changes = {
        "adopted": adopted,
        "written_at": time_text(written) if written else None,
        "parity": parity,
        "place": place,
    }
    row: dict[str, Any] = {"adopted": False, "written_at": None, "parity": False, "place": None, **_UNPROVEN}
    kept = [_replicas[name] for name in ("state", *row)]
    known = connection.execute(select(*kept).where(_replicas.package == seq, _replicas.store == store)).mappings()
    before = dict(known.first() or {})
    counted = before.pop("state", None) == PRESENT
    row |= before | {name: value for name, value in changes.items() if value is not None}
    row |= {"package": seq, "store": store, "path": path_text(path), "state": state}
    if state != PRESENT or written is not None:
        connection.execute(delete(tables.proofs).where(_proofs.package == seq, _proofs.store == store, _proofs.ok))
        row |= _UNPROVEN
    connection.execute(database.of(connection).upsert(tables.replicas), row)
    if counted != (state == PRESENT):
        facet_counts.touch(connection, [seq])


def add_copies(connection: Connection, copies: Sequence[CopyEntry]) -> None:
    """Enter copies that were written, and how that proved them, as `set_replica` and `add_proof` do one by one.

    Those of which nothing is known yet, which of a catalogue that is built anew are nearly all, go in together. Unknown
    packages are passed over.
    """
    keys = keys_of(connection, [copy.package_id for copy in copies])
    taken: set[tuple[int, str]] = set()
    for table in (tables.replicas, tables.proofs):
        rows = select(table.c.package, table.c.store).where(among(table.c.package, sorted(set(keys.values()))))
        taken |= {(seq, store) for seq, store in connection.execute(rows)}
    new: list[tuple[int, CopyEntry]] = []
    others: list[tuple[int, CopyEntry]] = []
    for copy in copies:
        if (seq := keys.get(copy.package_id.removeprefix(PREFIX))) is None:
            continue
        (others if (seq, copy.store) in taken else new).append((seq, copy))
        taken.add((seq, copy.store))
    database.insert_values(connection, tables.replicas, (_new_replica(seq, copy) for seq, copy in new))
    proofs = (_proof(seq, copy) for seq, copy in new if copy.level in PROOFS)
    database.insert_values(connection, tables.proofs, proofs)
    for seq, copy in others:
        where = (copy.package_id, copy.store, copy.path)
        set_replica(connection, *where, state=PRESENT, adopted=copy.adopted, written=copy.at, place=copy.place)
        if copy.level in PROOFS:
            _write_proof(connection, _proof(seq, copy))
    facet_counts.touch(connection, {seq for seq, _ in new})


def _new_replica(seq: int, copy: CopyEntry) -> dict[str, Any]:
    at = time_text(copy.at)
    proven = {"proven_at": at, "proven_level": copy.level} if copy.level in PROOFS else _UNPROVEN
    return {
        "package": seq,
        "store": copy.store,
        "path": path_text(copy.path),
        "state": PRESENT,
        "adopted": copy.adopted,
        "written_at": at,
        "parity": False,
        "place": copy.place,
        **proven,
    }


def _proof(seq: int, copy: CopyEntry) -> dict[str, Any]:
    return {
        "package": seq,
        "store": copy.store,
        "level": copy.level,
        "ok": True,
        "at": time_text(copy.at),
        "statement_id": copy.statement_id,
    }


def forget_replica(connection: Connection, package_id: str, store: str) -> None:
    """Forget a replica and its proofs. Raises `NotFound` where there is no such package."""
    seq = require(connection, package_id)
    for table in (tables.proofs, tables.replicas):
        connection.execute(delete(table).where(table.c.package == seq, table.c.store == store))
    facet_counts.touch(connection, [seq])


def add_proof(
    connection: Connection,
    package_id: str,
    store: str,
    *,
    level: str,
    at: datetime,
    ok: bool,
    statement_id: str | None = None,
) -> None:
    """Note a check of a replica. Raises `NotFound`."""
    require(connection, package_id)
    add_proofs(connection, [package_id], store, level=level, at=at, ok=ok, statement_id=statement_id)


def add_proofs(
    connection: Connection,
    package_ids: Iterable[str],
    store: str,
    *,
    level: str,
    at: datetime,
    ok: bool,
    statement_id: str | None = None,
) -> int:
    """Note checks of replicas in one store; of each level and outcome the one told last stays. Returns how many.

    They are told in the order of the log. Their times are only shown: a clock may have been years ahead once. Packages
    that are not known are passed over.
    """
    found = keys_of(connection, package_ids).values()
    said = {"store": store, "level": level, "ok": ok, "at": time_text(at), "statement_id": statement_id}
    for seq in found:
        _write_proof(connection, {"package": seq, **said})
    return len(found)


def _write_proof(connection: Connection, row: Mapping[str, Any]) -> None:
    """Note a check; the replica, if there is one, names its last proof, of two in one second the stronger."""
    connection.execute(database.of(connection).upsert(tables.proofs), row)
    if not row["ok"] or row["level"] not in PROOFS:
        return
    same = (_replicas.package == row["package"], _replicas.store == row["store"])
    before = connection.execute(select(_replicas.proven_at, _replicas.proven_level).where(*same)).first()
    if before is not None and (before[0] != row["at"] or _strength(before[1]) <= _strength(row["level"])):
        proven = {"proven_at": row["at"], "proven_level": row["level"]}
        connection.execute(update(tables.replicas).where(*same), proven)


def _strength(level: str) -> int:
    return 2 if level == "full" else 1 if level in READING_PROOFS else 0


# Read


def replicas(connection: Connection, package_id: str) -> tuple[ReplicaState, ...]:
    """Replicas of a package in any state, by store. Raises `NotFound`."""
    return _replicas_of(connection, resolve(connection, package_id))


def _replicas_of(connection: Connection, seq: int) -> tuple[ReplicaState, ...]:
    rows = select(*_REPLICA).where(_replicas.package == seq).order_by(_replicas.store)
    return tuple(_replica(*row) for row in connection.execute(rows))


def _replica(
    store: str,
    path: str,
    state: str,
    adopted: bool,
    written_at: str | None,
    proven_at: str | None,
    proven_level: str,
    parity: bool,
    place: str | None,
) -> ReplicaState:
    return ReplicaState(  # of 100,000 packages a database gives as many strings: few, all alike
        intern(store),
        path_of(path),
        intern(state),
        bool(adopted),
        datetime.fromisoformat(written_at) if written_at else None,
        datetime.fromisoformat(proven_at) if proven_at else None,
        intern(proven_level),
        bool(parity),
        place and intern(place),
    )


def package_state(connection: Connection, package_id: str) -> PackageState:
    """One package with its replicas, as the policy judges it. Raises `NotFound`."""
    seq = resolve(connection, package_id)
    row = connection.execute(select(*_columns(())).where(_packages.seq == seq)).one()
    return _state(row, _replicas_of(connection, seq), ())


def package_states(connection: Connection, required: Sequence[str] = ()) -> Iterator[PackageState]:
    """All packages, those deleted on purpose included, in the order of their keys: 100,000 in a second.

    Of the fields that are `required`, those that a package does not state are its `missing_fields`.
    """
    columns, last = _columns(required), -1
    while True:
        page = select(*columns).where(_packages.seq > last).order_by(_packages.seq).limit(_BATCH)
        rows = connection.execute(page).all()
        if not rows:
            return
        within = select(_replicas.package, *_REPLICA).where(_replicas.package.between(rows[0][0], rows[-1][0]))
        copies: dict[int, list[ReplicaState]] = defaultdict(list)
        for package, *replica in connection.execute(within.order_by(_replicas.package, _replicas.store)).all():
            copies[package].append(_replica(*replica))
        for row in rows:
            yield _state(row, tuple(copies.get(row[0], ())), required)
        last = rows[-1][0]


_NAMES = ("seq", "id", "title", "bytes", "files", "ingested_at", "payload_id", "date")


def _columns(required: Sequence[str]) -> list[ColumnElement[Any]]:
    """The package; whether it is deleted; whether the log names it; and whether it states each of the fields."""
    about = tables.subjects.c
    signed = exists().where(about.sha256 == _packages.id, about.kind.in_(ARRIVAL_KINDS))
    own: list[ColumnElement[Any]] = [_packages[name] for name in _NAMES]
    stated = [_stated(name).label(f"has{number}") for number, name in enumerate(required)]
    return [*own, _packages.tombstone.is_not(None).label("dead"), signed.label("signed"), *stated]


def _stated(key: str) -> ColumnElement[bool]:
    code = select_codes(key).scalar_subquery()
    facts = (tables.numbers, tables.phrases)
    return or_(*(exists().where(table.c.package == _packages.seq, table.c.key == code) for table in facts))


def _state(row: Sequence[Any], replicas: tuple[ReplicaState, ...], required: Sequence[str]) -> PackageState:
    _, digits, title, size, files, ingested_at, payload_id, day, dead, signed, *has = row
    missing = tuple([name for name, there in zip(required, has, strict=True) if not there]) if has else ()
    return PackageState(
        PREFIX + digits,
        title,
        size,
        files,
        datetime.fromisoformat(ingested_at) if ingested_at else None,
        replicas,
        bool(dead),
        payload_id,
        date.fromisoformat(day) if day else None,
        missing,
        bool(signed),
    )


def count_replicas(connection: Connection, store: str) -> int:
    """How many packages a store has, or had until damage was found."""
    statement = select(func.count()).where(_replicas.store == store, _replicas.state != DROPPED)
    return int(connection.scalar(statement) or 0)


def consistent(connection: Connection, package_id: str) -> bool:
    """Whether leaves and SHA-256 of a package were once hashed together, so that leaves alone prove its files."""
    seq = resolve(connection, package_id)
    proven = exists().where(_proofs.package == seq, _proofs.ok.is_(True), _proofs.level.in_(_WHOLE))
    return bool(connection.scalar(select(proven)))


# Paths as text that every database holds: the name of a person's folder may be no UTF-8


def path_text(path: str) -> str:
    """A path as it is kept; bytes that are not UTF-8, which Python has as half characters, are percent-encoded."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return _BYTES + quote_from_bytes(os.fsencode(path))
    return path


def path_of(text: str, *, errors: str = sys.getfilesystemencodeerrors()) -> str:
    """The path again, also where another system has written it: Windows decodes no bytes that are not UTF-8."""
    if not text.startswith(_BYTES):
        return text
    data = unquote_to_bytes(text.removeprefix(_BYTES))
    try:
        return data.decode(sys.getfilesystemencoding(), errors)
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")
