"""The key of a package: one number, by which packages lie in the order in which they are listed; and how it is found.

It is made of the day and the first digits of the id: greater for a later day, and within a day for an id that comes
earlier. So packages listed by falling keys come newest first.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from diadem.catalogue import tables
from diadem.catalogue.tables import among_texts
from diadem.errors import NotFound, UsageError
from diadem.model.manifest import PREFIX, PackageId

#: Bits of the number that come from the id; with the day before them, up to the year 9999, they are 63.
ID_BITS = 41
_DIGITS = 11
_END = (1 << 63) - 1
#: The shortest beginning of an id that is accepted, and the most candidates that an error names.
SHORTEST, _CANDIDATES = 8, 5
#: Hex digits of a whole id, which is looked up, not searched.
_WHOLE = 64
_PREFIX = re.compile(r"(?:diadem:)?([0-9a-f]{8,64})\Z")
_packages = tables.packages.c


@dataclass(frozen=True, slots=True)
class Stretch:
    """Packages that follow one another, as those of some days do: keys from `low` on, and below `high`."""

    low: int = 0
    high: int = _END

    def cut(self, low: int, high: int) -> Self:
        """What lies between two keys of it."""
        return type(self)(max(self.low, low), min(self.high, high))

    def has(self, key: ColumnElement[int]) -> ColumnElement[bool]:
        """Whether a package lies in it."""
        return and_(key >= self.low, key < self.high)


EVERYTHING: Final = Stretch()


def package_key(date: datetime.date | None, package_id: str) -> int:
    """The key of a package; without a date it comes last."""
    first = int(PackageId(package_id).hex[:_DIGITS], 16) >> (4 * _DIGITS - ID_BITS)
    return (day_number(date) << ID_BITS) + ((1 << ID_BITS) - 1 - first)


def free_key(connection: Connection, key: int, hex_id: str) -> int:
    """The key, or the next one that no other package has: 41 bits of two ids of one day may be equal."""
    while connection.scalar(select(_packages.id).where(_packages.seq == key)) not in (None, hex_id):
        key += 1
    return key


def day_number(date: datetime.date | None) -> int:
    """Days since 1 January of the year 1, which is 1; 0 for none."""
    return 0 if date is None else date.toordinal()


def days_between(first: datetime.date | None, end: datetime.date | None) -> Stretch:
    """Packages of the days from `first` to before `end`. None: no limit, but a date."""
    low = (1 if first is None else first.toordinal()) << ID_BITS
    return Stretch(low, _END if end is None else end.toordinal() << ID_BITS)


def find(connection: Connection, package_id: str) -> int | None:
    """The key of a package that is known, by its whole id."""
    found: int | None = connection.scalar(select(_packages.seq).where(_packages.id == package_id.removeprefix(PREFIX)))
    return found


def require(connection: Connection, package_id: str) -> int:
    """The same, where there must be one. Raises `NotFound`."""
    found = find(connection, PackageId(package_id).hex)
    if found is None:
        raise NotFound(f"the catalogue has no package {package_id}", next="Run: diadem reindex")
    return found


def keys_of(connection: Connection, package_ids: Iterable[str]) -> dict[str, int]:
    """Keys of those of many packages that are known, by the digits of their ids."""
    digits = [one.removeprefix(PREFIX) for one in package_ids]
    rows = select(_packages.id, _packages.seq).where(among_texts(_packages.id, digits))
    return dict(connection.execute(rows).all())


def resolve(connection: Connection, id_or_prefix: str) -> int:
    """The key of a package, by its id, payload id, or the beginning of one.

    Raises `NotFound`; or `UsageError` where it is not an id, or begins several: the message names them.
    """
    match = _PREFIX.match(id_or_prefix.strip().lower().rstrip("….").strip())
    if match is None:
        raise UsageError(
            f"'{id_or_prefix}' is not a package id",
            next=f"Write {PREFIX} and at least {SHORTEST} hex digits of it: diadem search shows them.",
        )
    if len(match[1]) == _WHOLE and (key := find(connection, match[1])):
        return int(key)
    found = connection.execute(
        select(_packages.seq, _packages.id).where(begins(match[1])).order_by(_packages.id).limit(_CANDIDATES + 1)
    ).all()
    if not found:
        raise NotFound(f"the catalogue has no package {id_or_prefix}", next="Look for it with diadem search.")
    if len(found) > 1:
        named = ", ".join(PREFIX + row.id[:16] + "…" for row in found[:_CANDIDATES])
        more = " and others" if len(found) > _CANDIDATES else ""
        raise UsageError(f"{id_or_prefix} begins several ids: {named}{more}", next="Write more digits.")
    return int(found[0].seq)


def hex_of(connection: Connection, id_or_prefix: str) -> str:
    """The whole id of a package, 64 hex digits. Raises as `resolve`."""
    found = select(_packages.id).where(_packages.seq == resolve(connection, id_or_prefix))
    return str(connection.scalar(found))


def begins(digits: str) -> ColumnElement[bool]:
    """Whether id or payload id of a package begins so."""
    after = digits + "g"  # the letter after f
    return or_(*(column.between(digits, after) for column in (_packages.id, _packages.payload_id)))
