"""What results are counted by: instrument, year, sample and others; and the term that narrows to a value. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from diadem.catalogue import facts, vocabulary
from diadem.catalogue.words import padded
from diadem.errors import UsageError
from diadem.model.assessments import VERDICTS

#: Kinds of keys that results can be counted by, beside texts and numbers.
YEAR, STORE, QUALITY = "day", "store", "quality"
COUNTABLE: Final = ("text", "number", YEAR, STORE, QUALITY)
#: What stands for packages and datasets that nobody has judged, and where judgements differ.
DISPUTED, UNJUDGED = "disputed", "none"
QUALITIES: Final = (*VERDICTS, DISPUTED, UNJUDGED)
#: Letters of a text that can be a value: nobody picks a longer one from a list.
LONGEST: Final = 200
#: Digits in which two numbers agree that are one value. Numbers that agree so differ by less than those that a search
#: takes for equal.
_DIGITS: Final = 7
_PREFIXES: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))
_PREFIXED: Final = frozenset({"V", "A", "eV", "m", "s", "rad", "Pa"})
#: What a search takes for something else, inside a quoted text too.
_UNQUOTABLE: Final = re.compile(r"[\"“”„*\s]+")


@dataclass(frozen=True, slots=True)
class FacetField:
    """What results are counted by.

    Attributes
    ----------
    name : str
        As in a search: ``instrument``, ``stage.holder``, ``year``.
    kind : str
        One of `COUNTABLE`.
    keys : tuple of str
        Keys of facts that are asked for by the name.
    listed : tuple of str
        Those of them whose values are listed: ``instrument`` asks for the maker too, and lists models.
    unit : str
        Of numbers.
    number : int
        Under which its values are kept in the catalogue; 0 where they are not.
    """

    name: str
    kind: str
    keys: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    unit: str = ""
    number: int = 0

    @property
    def of_datasets(self) -> bool:
        """Whether the datasets of a package may differ in it."""
        return self.kind in ("text", "number", QUALITY) and self.name != facts.OWNER

    def term(self, value: str) -> str:
        """The part of a search that finds what has a value; see `FacetField.shown`."""
        if self.kind == YEAR:
            return f"year:{value}"
        if self.kind == "number":
            return f"{self.name}={written_number(value, self.unit)}"
        if self.kind in (STORE, QUALITY):
            return f"{self.name}:{quoted(value)}"
        return f"{self.name}={quoted(value)}"

    def shown(self, value: str) -> str:
        """A value as people read it."""
        if self.kind != "number":
            return value
        text = written_number(value, self.unit)
        found = re.match(r"[-+0-9.e]*[0-9]", text)
        end = found.end() if found else 0
        return f"{text[:end]} {text[end:].replace('u', 'µ', 1) if text[end:] != 'u' else 'u'}".strip()


def name_of(value: float | str) -> str:
    """Under which name a fact is counted: of a text its words, of a number its digits; "" where it is not counted."""
    if isinstance(value, str):
        return padded(value) if len(value) <= LONGEST else ""
    return f"{float(value) + 0.0:.{_DIGITS}g}" if math.isfinite(value) else ""


def quoted(text: str) -> str:
    """A text as one word of a search; a number is quoted, for it would take the word after it for its unit."""
    plain = _UNQUOTABLE.sub(" ", text).strip()
    is_word = re.fullmatch(r"[^\W\d_][\w.@+-]*", plain) and plain.casefold() not in _JOINING
    return plain if is_word else f'"{plain}"'


_JOINING: Final = ("and", "or", "not")


def written_number(value: str, unit: str) -> str:
    """A number of the field as a search understands it: ``200kV``."""
    number = float(value)
    if unit in ("", "1"):
        return value
    if unit not in _PREFIXED or number == 0:
        return f"{value}{unit}"
    scale, prefix = next((pair for pair in _PREFIXES if abs(number) >= pair[0]), _PREFIXES[-1])
    return f"{number / scale:.{_DIGITS}g}{prefix}{unit}"


@cache
def kept_fields() -> Mapping[str, FacetField]:
    """Fields by which all packages are counted already, by name.

    The numbers stand in catalogues: they are never given to another field.
    """
    listed: Mapping[str, tuple[str, ...]] = {
        "instrument": ("instrument.name", "instrument.model"),
        "format": (facts.FORMAT,),
    }
    names = {
        "year": 1, "instrument": 2, "sample": 3, "person": 4, "format": 5, "kind": 6, "technique": 7, "detector": 8,
        "voltage": 9, "owner": 10, "store": 11, "quality": 12, "element": 13, "project": 14, "issue": 15,
    }  # fmt: skip
    made = {"year": FacetField("year", YEAR, number=1)}
    for name, number in names.items():
        key = vocabulary.find(name)
        if key is not None and name != "year":
            keys = key.of if key.kind in ("text", "number") else ()
            made[name] = FacetField(name, key.kind, keys, listed.get(name, keys), key.unit, number)
    return MappingProxyType(made)


#: By what is counted where nobody says.
DEFAULT: Final = (
    "year", "instrument", "voltage", "technique", "kind", "detector", "format", "sample", "person", "owner", "store",
    "quality",
)  # fmt: skip


def fields_of(names: Sequence[str] | None) -> list[FacetField]:
    """The fields of some names; the default ones for None.

    Raises
    ------
    UsageError
        There is no such field, or it is one that nothing can be counted by.
    """
    chosen = DEFAULT if names is None else [names] if isinstance(names, str) else names
    return [_field(name) for name in dict.fromkeys(chosen)]


def _field(name: str) -> FacetField:
    folded = name.strip().casefold()
    if folded in kept_fields():
        return kept_fields()[folded]
    key = vocabulary.find(folded)
    if key is None:
        near = vocabulary.near(folded)
        advice = f"Did you mean {' or '.join(near)}?" if near else f"For example: {', '.join(DEFAULT)}."
        raise UsageError(f"there is no field '{name}' to count by", next=advice)
    known = [field for field in kept_fields().values() if field.kind == key.kind and field.keys == key.of]
    if known:
        return known[0]
    if key.kind not in ("text", "number"):
        raise UsageError(
            f"results cannot be counted by '{name}'", next=f"By texts and numbers: {', '.join(DEFAULT)}, stage.holder."
        )
    return FacetField(key.name, key.kind, key.of, key.of, key.unit)
