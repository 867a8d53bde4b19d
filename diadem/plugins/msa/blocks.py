"""The keywords of an EMSA/MAS file: everything before the line ``#SPECTRUM``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from diadem.hooks.fields import Block

#: Bytes that are searched for keywords; those of the standard fill two or three kilobytes.
_LONGEST = 1 << 20
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
#: ``#BEAMKV   -kV``, ``#XPOSITION mm``, ``##RESO (MnKa)``.
_STANDARD = re.compile(r"#\s*([A-Za-z0-9]+)\s*(?:[-\s]\s*([A-Za-zµμ]+)\s*)?\Z")
#: Units that stand in keywords, in lower case; another word belongs to the name of a user's keyword.
_UNITS = frozenset(
    "kv v ua µa μa na pa a nm um µm μm mm cm m mr mrad rad dg deg sr msr ms us µs μs s min h ev kev".split()  # noqa: SIM905
)
#: Keywords that the standard lets go on over several lines.
_SEVERAL = ("TITLE", "COMMENT")


def read(path: str, files: Sequence[str]) -> Iterator[Block]:  # noqa: ARG001 - every cutter is called so
    """Cut the keywords out of a file.

    Parameters
    ----------
    path : str
        The .msa file.
    files : sequence of str
        All files of the dataset: this one.

    Yields
    ------
    Block
        One, where the file has keywords; see `parse` for its tree.
    """
    with Path(path).open("rb") as stream:
        content = stream.read(_LONGEST)
    end = _end(content)
    header = content[:end]
    if tree := parse(_text(header)):
        yield Block("msa-header", tree, header, "text/plain", byte_range=(0, end))


def _end(content: bytes) -> int:
    """Where the data begin."""
    place = 0
    while place < len(content):
        match = _LINE.match(content, place)
        assert match is not None
        line = match[0].strip().upper()
        place = match.end()
        if line.startswith(b"#SPECTRUM") or (line and not line.startswith(b"#")):
            return place if line.startswith(b"#") else match.start()
    return len(content)


def _text(content: bytes) -> str:
    """UTF-8 where it can be, else one byte a character."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def parse(text: str) -> dict[str, Any]:
    """Keywords as a tree.

    Parameters
    ----------
    text : str
        Lines such as ``#BEAMKV   -kV: 120.0``.

    Returns
    -------
    dict
        Texts by keyword, without its ``#`` or ``##``; under ``units`` the units that stand in the keywords. Of a
        keyword that comes twice the last value counts, of a user's and a standard one with one name the standard's.
    """
    tree: dict[str, Any] = {}
    units: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not line.startswith("#") or not colon:
            continue
        name, value = name.strip(), value.strip()
        match = _STANDARD.match(name)
        if match is None or (match[2] or "s").lower() not in _UNITS:
            tree.setdefault(name.lstrip("# "), value)
            continue
        name = match[1].upper()
        units |= {name: match[2]} if match[2] else {}
        before = tree.get(name)
        tree[name] = f"{before}\n{value}" if name in _SEVERAL and before else value
    return {**tree, "units": units} if units else tree
