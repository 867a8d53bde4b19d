"""Reading packages of a store for a catalogue that is built anew: what takes long, and needs nothing of the node.

What is given and found is plain data, so that it may be done by any process that sees the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.archive.package import Package
from diadem.catalogue import Prepared, prepare
from diadem.errors import DiademError
from diadem.model.report import Level
from diadem.node.follow.catalogue_rows import package_entry
from diadem.package.examine import open_tag_files
from diadem.package.verify import verify
from diadem.store.contract import Store


@dataclass(frozen=True, slots=True)
class Sought:
    """A package to read.

    Attributes
    ----------
    path : str
        Where it lies in the store.
    made_at : str
        The path that it was made with.
    said : mapping or None
        The predicate of its `ingest` statement; None where the log has none.
    wanted : bool
        Whether its record is to be read; else only whether it is there.
    """

    path: str
    made_at: str
    said: Mapping[str, Any] | None
    wanted: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of a package.

    Attributes
    ----------
    path : str
        Where it lies.
    id : str
        Its id; "" where it cannot be read.
    prepared : Prepared or None
        What the catalogue keeps of it, where that was wanted.
    fault : str
        Why it cannot be read.
    unhinted : str
        Why its hints could not be written.
    """

    path: str
    id: str = ""
    prepared: Prepared | None = None
    fault: str = ""
    unhinted: str = ""


def read_packages(store: Store, packages: Sequence[Sought]) -> list[Found]:
    """Read packages, and write their hints anew: what was copied there by hand, or lost them, is found again.

    A hint is worth no second try, and stops nothing.
    """
    found = []
    hints = True
    for sought in packages:
        one = _read(store, sought, hints=hints)
        hints = hints and not one.unhinted
        found.append(one)
    return found


def _read(store: Store, sought: Sought, *, hints: bool) -> Found:
    try:
        bundle = store.bundle(sought.path)
        opened = open_tag_files(bundle)
        package = Package(bundle, opened=opened)
        if sought.said is None:  # one damaged line of a tag manifest makes another id: no package
            verify(bundle, level=Level.QUICK, expected_id=package.id).raise_for_findings()
        prepared = prepare(package_entry(package, sought.made_at, sought.said)) if sought.wanted else None
    except DiademError as error:
        return Found(sought.path, fault=error.message)
    except OSError as error:
        return Found(sought.path, fault=str(error))
    if not hints:
        return Found(sought.path, package.id, prepared)
    try:
        store.write_hints(opened, sought.path)
    except DiademError as error:
        return Found(sought.path, package.id, prepared, unhinted=error.message)
    return Found(sought.path, package.id, prepared)
