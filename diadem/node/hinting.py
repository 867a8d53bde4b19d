"""The hints of a store, made anew by a reindex: what was copied there by hand, or lost them, is found again."""

from __future__ import annotations

from diadem.errors import DiademError
from diadem.package.opening import OpenedPackage
from diadem.store.base import Store


class Hinting:
    """Writes hints into one store until that fails once: a hint is worth no second try, and stops no reindex.

    Parameters
    ----------
    store : Store
        Where.
    name : str
        Its name, for the note.
    notes : list of str
        Told of the failure.
    """

    def __init__(self, store: Store, name: str, notes: list[str]) -> None:
        self._store, self._name, self._notes = store, name, notes
        self._failed = False

    def write(self, opened: OpenedPackage, path: str) -> None:
        """Leave the hints for a package at a path."""
        if self._failed:
            return
        try:
            self._store.write_hints(opened, path)
        except DiademError as error:
            self._failed = True
            self._notes.append(f"the hints in {self._name} could not be written: {error.message}")
