"""Names of attributes as people and programs write them, and the unit that stands with a name or a value.

There is no fixed vocabulary: EMD leaves the attributes of `microscope` to the writer. A number counts only where its
unit stands in the name (``BeamVoltage[eV]``, ``camera_length_mm``), beside it (``voltage_units``) or in the value
(``300kV``), or where the writer is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diadem.terms.units import convert

_IN_BRACKETS = re.compile(r"(.*\S)\s*[\[(]\s*([^\])]*?)\s*[\])]\Z")
_AT_THE_END = re.compile(r"(.+)(?:[ _](kV|keV|eV|mm|cm|um|nm|mrad|rad|deg|degrees|ms|us|nA|pA|uA)|_(V|m|s))\Z")
_NUMBER_AND_UNIT = re.compile(r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*([^\s\d.,;].*)?\Z")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute.

    Attributes
    ----------
    key : str
        As written.
    name : str
        Lower case, words parted by blanks, without the unit.
    unit : str
        As written with it, "" without.
    value : object
        The number, where it is one; else as written.
    raw : object
        As written.
    """

    key: str
    name: str
    unit: str
    value: Any
    raw: Any


def attributes(group: Mapping[str, Any]) -> Iterator[Attribute]:
    """Attributes of a group, each with its unit.

    Parameters
    ----------
    group : mapping
        Attributes by name.
    """
    for key, raw in group.items():
        name, unit = _parted(key)
        for companion in (f"{key}_units", f"{key}_unit", f"{key} units", f"{key} unit"):
            unit = unit or str(group.get(companion) or "").strip("[] ")
        value = raw
        if isinstance(raw, str) and (match := _NUMBER_AND_UNIT.match(raw.strip())) and len(raw) < 100:
            value, unit = float(match[1]), unit or (match[2] or "").strip()
        yield Attribute(key, _plain(name), unit, value, raw)


def _parted(key: str) -> tuple[str, str]:
    """A key's name and unit."""
    for pattern in (_IN_BRACKETS, _AT_THE_END):
        match = pattern.match(key.strip()[:200])
        if match is not None:
            return match[1], next((unit for unit in match.groups()[1:] if unit), "")
    return key, ""


def _plain(name: str) -> str:
    """``BeamVoltage`` and ``beam_voltage`` as ``beam voltage``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\s_\-.]+", spaced)).strip().lower()


def quantity(attribute: Attribute, wanted: str, default: str = "") -> tuple[float, str] | None:
    """Number and unit of an attribute.

    Parameters
    ----------
    attribute : Attribute
        The attribute.
    wanted : str
        Unit of the field.
    default : str
        Unit where none is written; "" for none.

    Returns
    -------
    (float, str) or None
        None where it is no number, or there is no unit that can be changed into that of the field.
    """
    value = attribute.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    unit = attribute.unit or default
    if not unit and wanted != "1":
        return None
    return (float(value), unit or "1") if convert(1.0, unit or "1", wanted) is not None else None
