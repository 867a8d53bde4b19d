"""Settings of Direct Electron's cameras, ``<name>_info.txt``: units stand in the names. -1 means not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.text import decode, positive
from diadem.hooks.times import moments
from diadem.terms.dates import c_time, from_epoch

_TIME = "Timestamp (seconds since Epoch)"
_LOCAL = "Local time"
#: Groups and datasets of a DE5 file that are looked at.
_MOST_OBJECTS = 1000
#: One of these is in every such text.
_OWN = ("Server Software Version", "Camera Model")


def parse(data: bytes) -> dict[str, str]:
    """Names and values; none where the text is another's."""
    found: dict[str, str] = {}
    for line in decode(data).splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found.setdefault(name.strip(), value.strip())
    return found if all(name in found for name in _OWN) else {}


def sizes(tree: Tree) -> dict[str, float]:
    """Pixel sizes at the sample in nm, by axis; those that are not known are left out."""
    found = {axis: positive(tree.get(f"Specimen Pixel Size {axis.upper()} (nanometers)")) for axis in "xy"}
    return {axis: size for axis, size in found.items() if size is not None}


def times(tree: Tree) -> Iterator[Found]:
    """Seconds since 1970, and where it stands beside them the same in local time."""
    raw: Any = tree[_TIME]
    instant, said = from_epoch(float(raw)), str(tree.get(_LOCAL, ""))
    local = c_time(said)
    yield from moments("time.acquired_start", _TIME, raw, instant=instant)
    for found in moments("", f"{_LOCAL} + {_TIME}", f"{said}, {raw}", local=local, instant=instant):
        if found.field == "time.utc_offset":
            yield found


def read_de5(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Groups of a DE5 file whose attributes are such settings; nothing of another file.

    Parameters
    ----------
    path : str
        The file.
    files : sequence of str
        All files of the dataset: this one.
    """
    if not path.lower().endswith(".de5"):
        return
    import h5py

    found: list[Block] = []
    visited = 0

    def visit(name: str, item: Any) -> bool | None:
        nonlocal visited
        visited += 1
        if any(mark in item.attrs for mark in _OWN):
            found.append(Block("de-settings", {str(key): _plain(item.attrs[key]) for key in item.attrs}, place=name))
        return True if visited > _MOST_OBJECTS else None

    with h5py.File(path, "r") as file:
        visit("", file)
        file.visititems(visit)
    yield from found


def _plain(value: Any) -> str:
    """An attribute as the text file would have it."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
