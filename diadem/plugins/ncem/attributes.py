"""Attributes of EMD's groups, and what they state: numbers with the unit that stands with a name or a value, and names.

EMD 0.1 and 0.2 (https://emdatasets.com/format) have groups `microscope`, `user`, `sample` and `comments` at the root.
Prismatic and py4DSTEM before 0.13 have them below ``metadata/metadata_0``; py4DSTEM since then writes dictionaries, one
dataset for each key, below ``metadatabundle`` (EMD 1.0). `names.toml` says what people and programs call them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

import h5py

from diadem.hooks import hdf5
from diadem.hooks.fields import Block, Found, Tree
from diadem.hooks.text import quantity
from diadem.terms.fields import all_fields
from diadem.terms.units import convert

_KNOWN = ("microscope", "user", "sample", "comments", "calibration")
#: Groups of a file, arrays of a group, and attributes in all that are looked at.
_MOST_GROUPS, _MOST_ARRAYS, _MOST_VALUES = 20_000, 1024, 20_000
_IN_BRACKETS = re.compile(r"(.*\S)\s*[\[(]\s*([^\])]*?)\s*[\])]\Z")
_AT_THE_END = re.compile(r"(.+)(?:[ _](kV|keV|eV|mm|cm|um|nm|mrad|rad|deg|degrees|ms|us|nA|pA|uA)|_(V|m|s))\Z")
_GROUPS = ("microscope", "user", "sample")
#: Below this a high tension without a unit is no number of volts.
_LEAST_VOLTS = 1000
_MOST_SPOTS = 11


def blocks(root: Any) -> Iterator[Block]:
    """Blocks: each set of known groups, each dictionary, Prismatic's parameters, the attributes of everything."""
    groups = _paths(root)
    for place in ("", *groups):
        inside = {name: hdf5.child(root[place or "/"], name) for name in _KNOWN}
        known = {name: hdf5.attributes(item) for name, item in inside.items() if isinstance(item, h5py.Group)}
        if any(known.values()):
            yield Block("ncem-groups", known, place=place)
    for place in groups:
        group = root[place]
        if place.endswith("/simulation_parameters"):
            yield Block("prismatic-parameters", hdf5.attributes(group), place=place)
        elif hdf5.plain(group.attrs.get("emd_group_type")) == "metadata":
            # Dictionaries within it are mappings.
            within = {name: hdf5.values(inner) for name, inner in hdf5.groups(group).items()}
            yield Block("py4dstem-dictionary", {**hdf5.values(group), **within}, place=place)
    yield Block("ncem-attributes", _all(root, groups), place="attributes")


def _paths(root: Any) -> list[str]:
    """Paths of groups; those that hard links lead to, each once."""
    found: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Group):
            found.append(name)
        return True if len(found) >= _MOST_GROUPS else None

    root.visititems(visit)
    return found


def _all(root: Any, groups: Sequence[str]) -> dict[str, Any]:
    """Attributes of the root and all groups, and of the data in them, by path."""
    tree: dict[str, Any] = {}
    left = hdf5.Left(_MOST_VALUES)
    for place in ("", *groups):
        group = root[place or "/"]
        inside = islice(hdf5.children(group), _MOST_ARRAYS)
        data = [(f"{place}/{name}".lstrip("/"), item) for name, item in inside if isinstance(item, h5py.Dataset)]
        for path, item in [(place or "/", group), *data]:
            if not left:
                return tree
            if found := hdf5.attributes(item, left):
                tree[path] = found
    return tree


# -- what attributes state ---------------------------------------------------------------------------------------------


@cache
def _names() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(resources.files(__package__).joinpath("names.toml").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: as written, by its name in lower case without the unit, and as a number where it is one."""

    key: str
    name: str
    unit: str
    value: Any
    raw: Any

    def number(self, wanted: str, default: str = "") -> tuple[float, str] | None:
        """Number and unit, `default` where none is written; None where it cannot be changed into that of the field."""
        unit = self.unit or default or ("1" if wanted == "1" else "")
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)) or not unit:
            return None
        return (float(self.value), unit) if convert(1.0, unit, wanted) is not None else None


def attributes(group: Mapping[str, Any]) -> Iterator[Attribute]:
    """Attributes of a group, each with its unit."""
    for key, raw in group.items():
        match = next((found for form in (_IN_BRACKETS, _AT_THE_END) if (found := form.match(key.strip()[:200]))), None)
        name = match[1] if match else key
        unit = next(filter(None, match.groups()[1:]), "") if match else ""
        for companion in (f"{key}_units", f"{key}_unit", f"{key} units", f"{key} unit"):
            unit = unit or str(group.get(companion) or "").strip("[] ")
        value = raw
        if isinstance(raw, str) and len(raw) < 100 and (written := quantity(raw)) is not None:
            value, unit = written[0], unit or written[1]
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)  # BeamVoltage
        yield Attribute(key, " ".join(re.split(r"[\s_\-.]+", spaced)).strip().lower(), unit, value, raw)


def _named(found: Sequence[Attribute], names: Sequence[str]) -> Iterator[Attribute]:
    """Attributes of these names, those of the first name first."""
    for name in names:
        yield from (attribute for attribute in found if attribute.name == name)


def quantities(content: Tree) -> Iterator[Found]:
    """Numbers of a group, or of a dictionary of py4DSTEM."""
    found = list(attributes(content))
    bare = {attribute.name: attribute.value for attribute in found if attribute.unit == ""}
    tension = bare.get("high tension")
    # Both together stand in the groups that NCEM's acquisition programs write.
    known = isinstance(tension, (int, float)) and tension >= _LEAST_VOLTS and "spot size" in bare
    for field, said in _names()["numbers"].items():
        wanted = all_fields()[field].unit
        for attribute in _named(found, said["names"]):
            number = attribute.number(wanted, said.get("ncem", "") if known else "")
            if number is not None and _is_measured(field, wanted, number[0], attribute):
                yield Found(field, number[0], attribute.key, attribute.raw, number[1])
                break


def _is_measured(field: str, unit: str, value: float, attribute: Attribute) -> bool:
    """Whether a number is none that stands where nobody has measured."""
    if field == "beam.spot_index":
        return not attribute.unit and 1 <= value <= _MOST_SPOTS
    return value > 0 if unit == "1" else value != 0 or field.startswith("stage.")


def texts(tree: Tree) -> Iterator[Found]:
    """Names of the microscope, of people and samples."""
    for group in _GROUPS:
        if not isinstance(content := tree.get(group), Mapping):
            continue
        found = list(attributes(content))
        for field, names in _names()[group].items():
            for attribute in _named(found, names):
                if isinstance(attribute.raw, str) and attribute.raw.strip():
                    yield Found(field, attribute.raw, f"{group}/{attribute.key}", attribute.raw)
                    break
