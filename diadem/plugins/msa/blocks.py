"""EMSA/MAS files opened, and what keywords mean that is no table.

Keywords stand before the line ``#SPECTRUM``, with the units of the standard or with one of their own: ``#BEAMKV -kV``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from diadem.hooks.fields import AMBIGUOUS, Block, Found, Tree
from diadem.hooks.formats import Files, Opened
from diadem.hooks.text import decode
from diadem.hooks.times import moments
from diadem.terms.dates import clock, dates, moments_of

#: Bytes that are searched for keywords; those of the standard fill two or three kilobytes.
_LONGEST = 1 << 20
#: Data begin behind the line ``#SPECTRUM``, or with the first that is no keyword's.
_DATA = re.compile(
    rb"(?:\A|(?<=[\r\n]))(?:[^\S\r\n]*#SPECTRUM[^\r\n]*(?:\r\n|\r|\n|\Z)|(?=[^\S\r\n]*[^#\s]))", re.IGNORECASE
)
#: ``#BEAMKV   -kV``, ``#XPOSITION mm``, ``##RESO (MnKa)``.
_STANDARD = re.compile(r"#\s*([A-Za-z0-9]+)\s*(?:[-\s]\s*([A-Za-zµμ]+)\s*)?\Z")
#: Units that stand in keywords, in lower case; another word belongs to the name of a user's keyword.
_UNITS = frozenset(
    "kv v ua µa μa na pa a nm um µm μm mm cm m mr mrad rad dg deg sr msr ms us µs μs s min h ev kev".split()  # noqa: SIM905
)
#: Keywords that the standard lets go on over several lines.
_SEVERAL = ("TITLE", "COMMENT")


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a spectrum: its numbers are text, which the reader reads.

    The block is all that stands before the data.
    """
    content = files[files.entry].read_at(0, _LONGEST)
    data = _DATA.search(content)
    end = data.end() if data else len(content)
    tree = parse(decode(content[:end]))
    blocks = [Block("msa-header", tree, content[:end], "text/plain", byte_range=(0, end))] if tree else []
    return Opened(files.signals(), blocks)


def parse(text: str) -> dict[str, Any]:
    """Texts by keyword, without its ``#`` or ``##``; under ``units`` the units that stand in the keywords.

    Of a keyword that comes twice the last value counts, of a user's and a standard one with one name the standard's.
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


# -- what keywords mean ------------------------------------------------------------------------------------------------


def number(raw: Any) -> float:
    """A number as writers put it: ``50.``, ``2.0 E-06``, ``1,5``; not ``1,000``, which may be one or a thousand."""
    text = re.sub(r"\s+(?=[Ee][+-]?\d)", "", str(raw).strip())
    if re.fullmatch(r"[+-]?\d+,(\d{1,2}|\d{4,})", text):
        text = text.replace(",", ".")
    return float(text)


def measured(raw: Any) -> float | None:
    """A number above zero."""
    value = number(raw)
    return value if value > 0 else None


def dispersion(tree: Tree) -> Iterator[Found]:
    """XPERCHAN of a loss spectrum, whose unit may stand in brackets; energies may be counted downwards."""
    units = re.search(r"\b(k?eV)\b", str(tree.get("XUNITS", "")), re.IGNORECASE)
    if units is not None:
        unit = "keV" if units[1].lower() == "kev" else "eV"
        yield Found("eels.dispersion", abs(number(tree["XPERCHAN"])), "XPERCHAN", tree["XPERCHAN"], unit)


def acquired(tree: Tree) -> Iterator[Found]:
    """DATE and TIME, by the clock of the computer; a day alone where there is no time."""
    day, hour = str(tree.get("DATE", "")), str(tree.get("TIME", ""))
    if clock(hour) is not None:
        yield from moments("time.acquired_start", "DATE + TIME", f"{day} {hour}", local=moments_of(day, hour))
        return
    possible = [found.isoformat() for found in dates(day)]
    status = AMBIGUOUS if len(possible) > 1 else "stated"
    if possible:
        yield Found("time.acquired_start", " or ".join(possible), "DATE", day, status=status, offset_status="unknown")
