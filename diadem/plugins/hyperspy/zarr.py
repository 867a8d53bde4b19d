"""Groups of a Zarr store, a folder or an archive: JSON texts, read without the library; versions 2 and 3."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diadem.plugins.hyperspy.tree import LONGEST_LIST, Group

#: Bytes of one JSON text.
_LONGEST = 16 << 20
#: Members of a store.
_MOST_MEMBERS = 1_000_000


class Store:
    """Texts of a store by path.

    Parameters
    ----------
    path : str
        A folder or a zip archive.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._archive = None if self._path.is_dir() else zipfile.ZipFile(self._path)
        self._children: dict[str, dict[str, None]] = {}
        for member in self._members():
            place = member
            while place:
                above, _, last = place.rpartition("/")
                inside = self._children.setdefault(above, {})
                if last in inside:
                    break
                inside[last] = None
                place = above

    def close(self) -> None:
        """Close the archive."""
        if self._archive is not None:
            self._archive.close()

    def _members(self) -> Iterator[str]:
        """Paths of what describes groups and arrays."""
        described = (".zgroup", ".zarray", ".zattrs", "zarr.json")
        if self._archive is not None:
            yield from (name for name in self._archive.namelist()[:_MOST_MEMBERS] if name.endswith(described))
            return
        for kind in described:
            for found in self._path.rglob(kind):
                yield found.relative_to(self._path).as_posix()

    def children(self, path: str) -> list[str]:
        """Names in a group, in the order of the library."""
        return sorted(self._children.get(path, ()))

    def document(self, path: str, name: str) -> Mapping[str, Any]:
        """One JSON text; empty where there is none."""
        if name not in self._children.get(path, ()):
            return {}
        place = f"{path}/{name}".lstrip("/")
        if self._archive is None:
            with (self._path / place).open("rb") as stream:
                data = stream.read(_LONGEST)
        else:
            with self._archive.open(place) as stream:
                data = stream.read(_LONGEST)
        found = json.loads(data)
        return found if isinstance(found, Mapping) else {}

    def array(self, path: str) -> Any:
        """A small array, by the library; None where it cannot be read."""
        shape = self.document(path, ".zarray").get("shape", self.document(path, "zarr.json").get("shape"))
        length = 1
        for size in shape if isinstance(shape, list) else [LONGEST_LIST + 1]:
            length *= size if isinstance(size, int) and size >= 0 else LONGEST_LIST + 1
        return _read(self._path, path) if length <= LONGEST_LIST else None


def _read(store: Path, path: str) -> Any:
    import zarr  # type: ignore[import-untyped]

    kinds = getattr(zarr, "storage", zarr)
    opened = str(store) if store.is_dir() else kinds.ZipStore(str(store), mode="r")
    try:
        return zarr.open(opened, mode="r")[path][...]
    finally:
        if not isinstance(opened, str):
            opened.close()


class ZarrGroup:
    """A group by its path in a store."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path

    def _is_array(self, name: str) -> bool:
        place = f"{self._path}/{name}"
        inside = self._store.children(place)
        if "zarr.json" in inside:
            return self._store.document(place, "zarr.json").get("node_type") == "array"
        return ".zarray" in inside

    def _names(self) -> list[str]:
        return [name for name in self._store.children(self._path) if not name.startswith(".") and name != "zarr.json"]

    def values(self) -> Iterator[tuple[str, Any]]:
        """Attributes and small arrays by name."""
        attributes = self._store.document(self._path, "zarr.json").get("attributes", {})
        if isinstance(attributes, Mapping):
            yield from attributes.items()
        yield from self._store.document(self._path, ".zattrs").items()
        for name in self._names():
            # Other arrays of the metadata are curves and pictures.
            if name.startswith(("_list_", "_tuple_")) and self._is_array(name):
                yield name, self._store.array(f"{self._path}/{name}")

    def groups(self) -> Iterator[tuple[str, Group]]:
        """Groups in it by name."""
        for name in self._names():
            if not self._is_array(name):
                yield name, ZarrGroup(self._store, f"{self._path}/{name}")


def experiments(store: Store) -> Iterator[tuple[str, ZarrGroup]]:
    """Signals in the order of the reader: groups in `Experiments` that have data."""
    for name in store.children("Experiments"):
        if "data" in store.children(f"Experiments/{name}"):
            yield name, ZarrGroup(store, f"Experiments/{name}")
