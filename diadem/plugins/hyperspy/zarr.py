"""Zarr stores, folders or archives, of versions 2 and 3: groups are JSON texts, read without the library.

A store names the code that decodes its arrays, and one of the names is ``pickle``, which runs what a stranger wrote: so
every name is looked at before the library is called.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from math import prod
from pathlib import Path
from typing import Any

from diadem.errors import ReaderError

#: Items of an array that are values; longer ones are data.
LONGEST_LIST = 4096
#: Bytes of one JSON text.
_LONGEST = 16 << 20
#: Members of a store.
_MOST_MEMBERS = 1_000_000
_DESCRIBED = (".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json")
#: Codecs that compute and do nothing else: those of numcodecs (Zarr 2, and Zarr 3 by ``numcodecs.…``) …
_CODECS = frozenset(
    {
        "adler32", "astype", "base64", "bitround", "blosc", "bz2", "categorize", "crc32", "crc32c", "delta",
        "fixedscaleoffset", "fletcher32", "gzip", "jenkins_lookup3", "json2", "lz4", "lzma", "msgpack2", "packbits",
        "quantize", "shuffle", "vlen-array", "vlen-bytes", "vlen-utf8", "zlib", "zstd",
    }
)  # fmt: skip
#: … and those of Zarr 3 itself.
_CODECS_3 = frozenset(
    {"blosc", "bytes", "crc32c", "endian", "gzip", "sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8", "zstd"}
)


class Store:
    """Texts of a store by path: of a folder or a zip archive."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._archive = None if self._path.is_dir() else zipfile.ZipFile(self._path)
        self._children: dict[str, dict[str, None]] = {}
        self._known = False
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
        if self._archive is not None:
            yield from (name for name in self._archive.namelist()[:_MOST_MEMBERS] if name.endswith(_DESCRIBED))
            return
        for folder, _, names in os.walk(self._path):
            for name in names:
                if name.lower() in _DESCRIBED:  # some file systems know a file by either name
                    yield (Path(folder) / name).relative_to(self._path).as_posix()

    def children(self, path: str) -> list[str]:
        """Names in a group, in the order of the library."""
        return sorted(self._children.get(path, ()))

    def document(self, path: str, name: str) -> Mapping[str, Any]:
        """One JSON text; empty where there is none."""
        if name not in self._children.get(path, ()):
            return {}
        place = f"{path}/{name}".lstrip("/")
        with self._archive.open(place) if self._archive else (self._path / place).open("rb") as stream:
            found = json.loads(stream.read(_LONGEST))
        return found if isinstance(found, Mapping) else {}

    def require_known_codecs(self) -> None:
        """Raise `ReaderError` where an array names code to decode it by that is none of the known codecs."""
        if self._known:
            return
        if self._archive is not None and len(self._archive.namelist()) > _MOST_MEMBERS:
            raise ReaderError(f"it has more than {_MOST_MEMBERS:,} members", where=self._path.name)
        for place in list(self._children):
            for name in [one for one in self._children[place] if one.lower() in _DESCRIBED]:
                for codec, key in _codecs_of(self.document(place, name)):
                    _require_known(codec, key, f"{place}/{name}".lstrip("/"))
        self._known = True  # a store has thousands of small arrays, each of which is asked for

    def array(self, path: str) -> Any:
        """A small array, by the library; None where it cannot be read."""
        shape = self.document(path, ".zarray").get("shape", self.document(path, "zarr.json").get("shape"))
        known = isinstance(shape, list) and all(isinstance(size, int) and size >= 0 for size in shape)
        if not known or prod(shape) > LONGEST_LIST:
            return None
        self.require_known_codecs()
        import zarr  # type: ignore[import-untyped]

        if self._archive is None:
            return zarr.open(str(self._path), mode="r")[path][...]
        with closing(getattr(zarr, "storage", zarr).ZipStore(str(self._path), mode="r")) as opened:
            return zarr.open(opened, mode="r")[path][...]


def _codecs_of(document: Mapping[str, Any], deepest: int = 4) -> Iterator[tuple[Any, str]]:
    """What a text names as codecs, and by which key: of an array, of what is in its shards, of all that it repeats."""
    yield document.get("compressor"), "id"
    yield from ((codec, "id") for codec in _listed(document.get("filters")))
    for codec in [*_listed(document.get("codecs")), *_listed(document.get("storage_transformers"))]:
        yield codec, "name"
        said = codec.get("configuration") if isinstance(codec, Mapping) else None
        inside: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
        for key in {"codecs", "index_codecs"} & set(inside):
            yield from _codecs_of({"codecs": inside[key]}, deepest - 1) if deepest else [(key, "name")]
    repeated = document if "zarr_consolidated_format" in document else document.get("consolidated_metadata")
    arrays = repeated.get("metadata") if isinstance(repeated, Mapping) else None
    for array in arrays.values() if isinstance(arrays, Mapping) else ():
        if isinstance(array, Mapping):
            yield from _codecs_of(array, deepest - 1) if deepest else [("consolidated", "name")]


def _listed(found: Any) -> list[Any]:
    """The items of a list; anything that is none, but for nothing, is itself the item that nobody knows."""
    return found if isinstance(found, list) else [] if found is None else [found]


def _require_known(codec: Any, key: str, where: str) -> None:
    """Raise `ReaderError` for what is none of the known codecs."""
    if codec is None:
        return
    name = codec.get(key) if isinstance(codec, Mapping) else codec
    plain = name.removeprefix("numcodecs.") if isinstance(name, str) and key == "name" else name
    if not isinstance(plain, str) or plain not in (_CODECS if key == "id" else _CODECS | _CODECS_3):
        raise ReaderError(
            f"its arrays need the decoder {str(name)[:60]!r}, which is not known to be harmless",
            where=where,
            next="Save it again with another compressor, if you know where it comes from.",
        )


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

    def groups(self) -> Iterator[tuple[str, ZarrGroup]]:
        """Groups in it by name."""
        for name in self._names():
            if not self._is_array(name):
                yield name, ZarrGroup(self._store, f"{self._path}/{name}")
