"""What a NeXus file says of its entries by the base classes of the standard (NXentry, NXuser, NXsample, NXinstrument).

https://manual.nexusformat.org/classes/base_classes: times are ISO 8601, and quantities have an attribute `units`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks.fields import Block

#: Entries, and items of a group, that are looked at; characters of a text.
_ENTRIES, _ITEMS, _LONGEST = 16, 200, 2000
_CLASSES = ("NXuser", "NXsample", "NXinstrument")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001
    """Texts of every entry and of the groups of people, samples and instruments in it.

    Parameters
    ----------
    path : str
        A NeXus file.
    files : sequence of str
        Not needed.
    """
    import h5py

    with h5py.File(path, "r") as file:
        entries = [name for name in list(file)[:_ENTRIES] if _class(_local(file, name)) == "NXentry"]
        trees = [(name, _entry(file[name])) for name in entries]
    for name, tree in trees:
        if tree and len(trees) == 1:
            yield Block("nexus-entry", tree, place=name)
        elif tree:
            yield Block("nexus-entries", tree, place=name)  # which signals are whose is not known


def _entry(group: Any) -> dict[str, Any]:
    tree = _texts(group)
    for name in list(group)[:_ITEMS]:
        item = _local(group, name)
        if (kind := _class(item)) in _CLASSES and (inner := _texts(item)):
            tree.setdefault(kind, inner)
    return tree


def _local(group: Any, name: str) -> Any:
    """An item that lies in this file; None for links to others and for what is broken."""
    import h5py

    link = group.get(name, getlink=True)
    return None if isinstance(link, h5py.ExternalLink) else group.get(name)


def _class(item: Any) -> str:
    value = item.attrs.get("NX_class", "") if item is not None else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _texts(group: Any) -> dict[str, Any]:
    """Short texts of a group."""
    import h5py

    found = {}
    for name in list(group)[:_ITEMS]:
        item = _local(group, name)
        if isinstance(item, h5py.Dataset) and item.shape in ((), (1,)) and item.dtype.kind in "SO":
            value = item[()] if item.shape == () else item[0]
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            if isinstance(text, str) and len(text) <= _LONGEST:
                found[name] = text
    return found
