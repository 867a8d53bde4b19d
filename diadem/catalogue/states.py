"""Packages and replicas as the policy judges them. 100,000 packages are read in a second, so each step counts here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from sys import intern
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select

from diadem.catalogue import tables
from diadem.catalogue.paths import read as read_path
from diadem.model.manifest import PREFIX
from diadem.model.replicas import DROPPED, PackageState, ReplicaState
from diadem.model.statement_kinds import ARRIVAL_KINDS

#: Packages that are read in one go.
_BATCH: Final = 2000
_packages = tables.packages.c
_replicas = tables.replicas.c
_KEPT = ("store", "path", "state", "adopted", "written_at", "proven_at", "proven_level", "parity", "place")
_REPLICA = tuple(_replicas[name] for name in _KEPT)


def replicas_of(connection: Connection, seq: int) -> list[ReplicaState]:
    """All replicas of a package, in any state, by store."""
    statement = select(*_REPLICA).where(_replicas.package == seq).order_by(_replicas.store)
    return [_replica(*row) for row in connection.execute(statement)]


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
        read_path(path),
        intern(state),
        bool(adopted),
        datetime.fromisoformat(written_at) if written_at else None,
        datetime.fromisoformat(proven_at) if proven_at else None,
        intern(proven_level),
        bool(parity),
        place and intern(place),
    )


def package_state(connection: Connection, seq: int) -> PackageState:
    """What the policy judges, of one package."""
    row = connection.execute(select(*_columns(())).where(_packages.seq == seq)).one()
    return _state(row, tuple(replicas_of(connection, seq)), ())


def package_states(connection: Connection, required: Sequence[str]) -> Iterator[PackageState]:
    """The same of all packages, in the order of their keys."""
    columns, last = _columns(required), -1
    while True:
        page = select(*columns).where(_packages.seq > last).order_by(_packages.seq).limit(_BATCH)
        rows = connection.execute(page).all()
        if not rows:
            return
        copies = _copies(connection, rows[0][0], rows[-1][0])
        for row in rows:
            yield _state(row, tuple(copies.get(row[0], ())), required)
        last = rows[-1][0]


def _copies(connection: Connection, first: int, last: int) -> dict[int, list[ReplicaState]]:
    """Replicas of the packages from one key to another."""
    within = select(_replicas.package, *_REPLICA).where(_replicas.package.between(first, last))
    found: dict[int, list[ReplicaState]] = defaultdict(list)
    for package, *replica in connection.execute(within.order_by(_replicas.package, _replicas.store)).all():
        found[package].append(_replica(*replica))
    return found


_NAMES = ("seq", "id", "title", "bytes", "files", "ingested_at", "payload_id", "date")


def _columns(required: Sequence[str]) -> list[ColumnElement[Any]]:
    """The package; whether it is deleted; whether the log names it; and whether it states each of the fields."""
    about = tables.subjects.c
    signed = exists().where(about.sha256 == _packages.id, about.kind.in_(ARRIVAL_KINDS))
    own: list[ColumnElement[Any]] = [_packages[name] for name in _NAMES]
    stated = [_stated(name).label(f"has{number}") for number, name in enumerate(required)]
    return [*own, _packages.tombstone.is_not(None).label("dead"), signed.label("signed"), *stated]


def _stated(key: str) -> ColumnElement[bool]:
    code = select(tables.keys.c.code).where(tables.keys.c.name == key).scalar_subquery()
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
    """Packages that a store has, or had until damage was found."""
    statement = select(func.count()).where(_replicas.store == store, _replicas.state != DROPPED)
    return int(connection.scalar(statement) or 0)


def was_proven(connection: Connection, seq: int, levels: Sequence[str]) -> bool:
    """Whether a copy of a package was proven by one of these levels, ever."""
    proofs = tables.proofs.c
    statement = select(exists().where(proofs.package == seq, proofs.ok.is_(True), proofs.level.in_(levels)))
    return bool(connection.scalar(statement))
