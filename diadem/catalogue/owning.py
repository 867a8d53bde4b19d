"""Whose packages are, now that some have retired. Every function works in the transaction of its caller.

A package keeps the name of the one for whom it was archived; who has followed is looked up.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from diadem.catalogue import tables
from diadem.model.ownership import Ownership, Succession

_successors, _packages, _subjects = tables.successors.c, tables.packages.c, tables.subjects.c


def successions(connection: Connection) -> dict[str, Succession]:
    """Who retired, by address; they are few."""
    rows = connection.execute(
        select(_successors.name, _successors.successor, _successors.place, _successors.statement_id)
    )
    return {name: Succession(successor, int(place), said) for name, successor, place, said in rows}


def write_succession(connection: Connection, name: str, said: Succession) -> bool:
    """Note who follows somebody; False where that is known already: a name has one successor."""
    if connection.scalar(select(_successors.name).where(_successors.name == name)) is not None:
        return False
    row = {"name": name, "successor": said.successor, "place": said.place, "statement_id": said.statement}
    connection.execute(insert(tables.successors), row)
    return True


def amended_packages(connection: Connection, name: str) -> list[tuple[int, str]]:
    """Keys and ids of packages whose record was amended and that came to somebody's successor, from whomever."""
    known = successions(connection)
    owners = [one for one in known if name in {holder.name for holder in Ownership.of(one, known).holders}]
    joined = tables.packages.join(tables.subjects, _subjects.sha256 == _packages.id)
    rows = select(_packages.seq, _packages.id).select_from(joined).distinct()
    rows = rows.where(
        _subjects.kind.in_(("amendment", "corrections")), _packages.owner.in_(owners), _packages.tombstone.is_(None)
    )
    return [(int(seq), str(digits)) for seq, digits in connection.execute(rows)]
