"""Parity of the copies in a folder store: written, looked for, looked at. Other stores have none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from diadem.errors import DiademError, Refused
from diadem.model.manifest import PackageId
from diadem.model.ports import Listener, RangeReader, silent
from diadem.model.report import Finding, Level, Report, Severity
from diadem.package.examine import TagFiles
from diadem.store.contract import Pace, Store
from diadem.store.own_files import open_parity, remove_parity, write_parity

if TYPE_CHECKING:
    from diadem.package.parity.rebuild import Parity


def make_parity(
    store: Store, path: str, opened: TagFiles, *, listener: Listener = silent, pace: Pace | None = None
) -> int:
    """Write the parity of a copy in a folder store beside it, or write it anew; the bytes written.

    Raises
    ------
    DigestMismatch
        The copy is damaged: there is no parity of damage.
    Refused, StoreError
        The store is not a folder; it cannot be written to.
    """
    if not store.is_folder:
        raise Refused("only a store in a folder can hold parity", where=store.url, next="Keep another copy instead.")
    from diadem.package.parity.build import build

    blocks = build(store.bundle(path), opened, listener=listener, pace=None if pace is None else pace.wait)
    return write_parity(Path(store.url), opened.id, blocks)


@contextmanager
def parity_of(store: Store, package: PackageId) -> Iterator[Parity | None]:
    """The parity of a package in a store, opened; None where there is none that can be used."""
    file = parity = None
    try:
        file = open_parity(Path(store.url), package) if store.is_folder else None
        parity = None if file is None else _opened(file)
    except DiademError:
        parity = None
    try:
        yield parity if parity is not None and parity.package == package else None
    finally:
        if file is not None:
            file.close()


def check_parity(store: Store, package: PackageId, *, listener: Listener = silent) -> Report | None:
    """Read the parity of a package from end to end and say what is damaged in it; None if there is none.

    What is damaged is not mended but written anew by `make_parity`, once the copy itself verifies.
    """
    if not store.is_folder:
        return None
    try:
        file = open_parity(Path(store.url), package)
        if file is None:
            return None
        with file:
            parity = _opened(file)
            if parity.package != package:
                return _bad(package, f"it is the parity of {parity.package}")
            return parity.check(listener=listener)
    except DiademError as error:
        return _bad(package, error.message)


def _opened(file: RangeReader) -> Parity:
    from diadem.package.parity.rebuild import Parity

    return Parity(file)


def _bad(package: PackageId, message: str) -> Report:
    advice = "Write the parity file again from the package, once that verifies."
    finding = Finding(Severity.ERROR, "parity-unusable", f"the parity file: {message}", next=advice)
    return Report(str(package), Level.FULL, (finding,), str(package))


def drop_parity(store: Store, package: PackageId) -> bool:
    """Remove the parity of a package that has left a store; whether there was one."""
    return store.is_folder and remove_parity(Path(store.url), package)
