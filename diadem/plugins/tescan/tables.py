"""The column that made an image, and what its ions are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from diadem.hooks.fields import Found, Tree, look_up

#: Instruments with an ion column, by the names that TESCAN sells them under.
_DUAL = re.compile(r"\b(AMBER|SOLARIS|LYRA|FERA|GAIA|XEIA|VELA)", re.IGNORECASE)
_IONS = (
    (re.compile(r"\b(gallium|ga\+?|lmis)\b", re.IGNORECASE), "Ga"),
    (re.compile(r"\b(xenon|xe\+?)\b", re.IGNORECASE), "Xe"),
)


def _place(tree: Tree, section: str) -> str:
    """Key of a section: those of a tag stand below the tag's name."""
    return f"TESCAN/{section}" if "TESCAN" in tree else section


def _columns(tree: Tree) -> list[str]:
    """Sections of columns; a header has the one that made the image."""
    sections = look_up(tree, "TESCAN") if "TESCAN" in tree else tree
    return [name for name in ("SEM", "FIB") if isinstance(sections.get(name), Mapping)]


def has_one_column(tree: Tree) -> bool:
    """Whether the header has the column that made the image, and no other."""
    return len(_columns(tree)) == 1


def ions(tree: Tree) -> Iterator[Found]:
    """Species of an ion column by the names of its source."""
    if _columns(tree) != ["FIB"]:
        return
    place = _place(tree, "FIB")
    section: Mapping[str, Any] = look_up(tree, place)
    for key, raw in section.items():
        if re.search("gun|source|ion|column|species", key, re.IGNORECASE):
            for pattern, ion in _IONS:
                if pattern.search(str(raw)):
                    yield Found("beam.species", ion, f"{place}/{key}", raw, status="derived")
                    return


def kind(tree: Tree) -> Iterator[Found]:
    """An instrument with an ion column by its section or its name; others are scanning electron microscopes."""
    key = f"{_place(tree, 'MAIN')}/Device"
    device = str(look_up(tree, key) or "")
    columns = _columns(tree)
    if "FIB" in columns:
        yield Found("instrument.kind", "fib", _place(tree, "FIB"), "FIB", status="derived")
    elif columns:
        kind = "fib" if _DUAL.search(device) else "sem"
        yield Found("instrument.kind", kind, key, device, status="derived")
