"""What of Renishaw's WDF files is not data: settings wherever they lie, and the header's times.

The times of the header are Windows FILETIMEs, but nothing in the file tells whether the program writes the computer's
time or universal time into them: they are kept as local times of an unknown offset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up
from diadem.hooks.times import moments
from diadem.terms.dates import iso

_HEADER = "WDF1_1"
#: Dictionaries inside one another that are searched.
_DEEPEST = 12


def exposure(tree: Tree) -> Iterator[Found]:
    """Exposure of one accumulation, wherever the scan's settings lie."""
    for key, value in _named("Exposure Time", tree.get("WXDM_0"), "WXDM_0", 0):
        yield Found("camera.exposure", value, key, value, "ms")
        return


def _named(name: str, tree: Any, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, Mapping) or depth > _DEEPEST:
        return
    if name in tree:
        yield f"{place}/{name}", tree[name]
    for key, inner in tree.items():
        yield from _named(name, inner, f"{place}/{key}", depth + 1)


def software(tree: Tree) -> Iterator[Found]:
    name, version = (str(look_up(tree, f"{_HEADER}/{key}") or "") for key in ("app_name", "app_version"))
    if name:
        key = f"{_HEADER}/app_name + {_HEADER}/app_version"
        yield Found("instrument.software", f"{name} {version.replace('-', '.')}".strip(), key, f"{name} {version}")


def times(tree: Tree) -> Iterator[Found]:
    """Start and end: FILETIMEs, which nothing says to be of the computer's time or of universal time."""
    for name, field in (("time_start", "time.acquired_start"), ("time_end", "time.acquired_end")):
        if (raw := look_up(tree, f"{_HEADER}/{name}")) is not None and (local := iso(str(raw).replace("#", "T"))):
            yield from moments(field, f"{_HEADER}/{name}", raw, local=local)
