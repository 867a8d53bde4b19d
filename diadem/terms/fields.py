"""The dictionary of the record's fields, as `fields.toml` beside this module has it.

Read once, when something is first asked of it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from diadem.errors import UsageError
from diadem.terms.dates import is_moment

_GLOSSARY = "https://purls.helmholtz-metadaten.de/emg/"
#: Parts of a record whose fields stand at its head, too.
_HEADS = ("instrument", "sample", "session")


class UnknownField(UsageError, KeyError):
    """A key that is not in the closed list of fields. Also a `KeyError`."""

    code = "unknown-field"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Within which a field's magnitude lies on any instrument, and why."""

    least: float
    most: float
    why: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where HyperSpy has a field; the head of `fields.toml` says what its attributes mean."""

    path: str
    unit: str = ""
    signal: str = ""
    way: str = ""
    tagged: bool = False
    weak: bool = False
    default: float | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the record; the head of `fields.toml` says what its attributes mean.

    `least`, `above` and `most` are None where nothing limits it, `unit` "" for texts, times and lists; `emg` is a whole
    address; `head` is section and name at the head of the record, or empty.
    """

    key: str
    label: str
    meaning: str
    beware: str
    type: str
    unit: str
    least: float | None
    above: float | None
    most: float | None
    words: tuple[str, ...]
    aliases: tuple[str, ...]
    emg: str
    nxem: str
    hyperspy: tuple[Place, ...]
    plausible: Bounds | None
    plausible_tem: Bounds | None
    head: tuple[str, str] | tuple[()]

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of one value."""
        if self.type == "word":
            return {"enum": list(self.words)}
        if not self.unit:
            shared: dict[str, Any] = _document()["types"][self.type]
            return shared
        limits = {"exclusiveMinimum": self.above, "minimum": self.least, "maximum": self.most}
        return {"type": self.type, **{name: limit for name, limit in limits.items() if limit is not None}}

    @property
    def rule(self) -> str:
        """What it can hold, in words, as far as it can be said so."""
        if self.words or "description" in self.schema:
            return str(self.schema.get("description") or f"It is one of {', '.join(self.words[:20])}.")
        limits = {"more than": self.above, "at least": self.least, "at most": self.most}
        within = " and ".join(f"{words} {limit:g}" for words, limit in limits.items() if limit is not None)
        unit = f", in {self.unit}" if self.unit != "1" else ""
        return f"It is {within}{unit}." if within else ""

    def admits(self, value: Any) -> bool:
        """Whether the field can hold a value: its type, range and pattern, and a day that the calendar has."""
        return bool(_validator(self.key).is_valid(value)) and (self.type != "time" or is_moment(value))


@cache
def all_fields() -> Mapping[str, Field]:
    """Every field of this version by its key, in the order of the file."""
    groups = {name: group for name, group in _document().items() if name not in ("first", "makers", "types")}
    stated = {f"{group}.{name}": told for group, fields in groups.items() for name, told in fields.items()}
    return MappingProxyType({key: _field(key, told) for key, told in stated.items()})


def field(key: str) -> Field:
    """One field. Raises `UnknownField`, which names those that come close."""
    require_known(key, all_fields())
    return all_fields()[key]


@cache
def field_keys() -> frozenset[str]:
    """Every key that a record of this version may have."""
    return frozenset(all_fields())


def is_field(key: str) -> bool:
    """Whether a record may have such a field."""
    return key in all_fields()


def is_time(key: str) -> bool:
    """Whether it is a field whose values are moments."""
    return is_field(key) and field(key).type == "time"


@cache
def head_names(section: str) -> dict[str, str]:
    """Names of a section at the head of a record, ``preparation``, to the fields that they state."""
    return {known.head[1]: known.key for known in all_fields().values() if known.head and known.head[0] == section}


def chemical_symbols() -> tuple[str, ...]:
    """Symbols of the elements by atomic number: hydrogen first, to oganesson."""
    return tuple(_document()["types"]["elements"]["items"]["enum"])


def symbols_of(numbers: Iterable[int], *, last: int = 118) -> list[str]:
    """Symbols of atomic numbers, each once; none where one of them is no element up to `last`."""
    found = list(numbers)
    if not all(0 < number <= last for number in found):
        return []
    return list(dict.fromkeys(chemical_symbols()[number - 1] for number in found))


def symbols_among(names: Iterable[object]) -> list[str]:
    """Chemical symbols in their order, each once; none where one of the names is no symbol."""
    found = list(dict.fromkeys(map(str, names)))
    return found if set(found) <= set(chemical_symbols()) else []


def ion_of(source: object) -> str:
    """Ion of a source by what it is called, "" where that says nothing; liquid metal ion sources are of gallium.

    Of a text that names both it is gallium.
    """
    ions = {"Ga": r"\b(gallium|ga\+?|lmis)\b", "Xe": r"\b(xenon|xe\+?)\b"}
    return next((ion for ion, words in ions.items() if re.search(words, str(source), re.IGNORECASE)), "")


def maker_in(model: str) -> str:
    """The maker whose name, or whose way of naming models, stands in the name of a model; else ""."""
    makers = _document()["makers"].items()
    return next((maker for maker, words in makers if re.search(rf"(?i)(?<![^\W_])({words})(?![^\W_])", model)), "")


def looked_for_first() -> tuple[str, ...]:
    """Keys of what a person looks for first, in that order."""
    return tuple(_document()["first"])


def require_known(key: str, known: Collection[str]) -> None:
    """Raise `UnknownField` for a key outside `known`, naming close matches."""
    if key not in known:
        near = close_matches(key, known)
        advice = f"Did you mean {' or '.join(near)}?" if near else "docs/fields.md lists every field."
        raise UnknownField(f"there is no field '{key}'", next=advice)


def close_matches(key: str, known: Collection[str]) -> list[str]:
    """Up to three known keys that resemble `key`, or end in the same word."""
    last = key.rpartition(".")[2].lower()
    same_ending = sorted(name for name in known if name.rpartition(".")[2] == last)
    near = get_close_matches(key.lower(), sorted(known), n=3, cutoff=0.75)
    return list(dict.fromkeys([*near, *same_ending]))[:3]


@cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(resources.files("diadem.terms").joinpath("fields.toml").read_text("utf-8"))


def _field(key: str, told: Mapping[str, Any]) -> Field:
    """A field of the file; a key of it that this version does not know raises `TypeError`."""
    group, _, name = key.partition(".")
    plausible = dict(told.get("plausible", {}))
    tem = plausible.pop("tem", None)
    empty = dict.fromkeys(("least", "above", "most")) | dict.fromkeys(("beware", "unit", "emg", "nxem"), "")
    made = {
        "words": tuple(told.get("words", ())),
        "aliases": tuple(told.get("aliases", ())),
        "emg": _GLOSSARY + told["emg"] if "emg" in told else "",
        "hyperspy": tuple(Place(**place) for place in told.get("hyperspy", ())),
        "plausible": Bounds(**plausible) if plausible else None,
        "plausible_tem": Bounds(**tem) if tem else None,
        "head": (group, told.get("head", name)) if group in _HEADS else (),
    }
    return Field(**{**empty, **told, "key": key, **made})


@cache
def _validator(key: str) -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for(field(key).schema, validate_formats=True)
