"""What results are counted by (instrument, year, sample and others), the term that narrows to a value, the counts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from diadem.catalogue import facts, vocabulary
from diadem.catalogue.words import padded
from diadem.errors import UsageError
from diadem.model.assessments import VERDICTS
from diadem.model.display import Display, pandas_module
from diadem.model.plain_text import count_text

#: Kinds of keys that results can be counted by, beside texts and numbers.
YEAR, STORE, QUALITY = "day", "store", "quality"
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
    """What results are counted by, under its name in a search: ``instrument``, ``stage.holder``, ``year``."""

    name: str
    kind: str
    #: Keys of facts that are asked for by the name.
    keys: tuple[str, ...] = ()
    #: Those of them whose values are listed: ``instrument`` asks for the maker too, and lists models.
    listed: tuple[str, ...] = ()
    #: Of numbers.
    unit: str = ""
    #: Under which its values are kept in the catalogue; 0 where they are not.
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
            return f"{self.name}={_written_number(value, self.unit)}"
        if self.kind in (STORE, QUALITY):
            return f"{self.name}:{_quoted(value)}"
        return f"{self.name}={_quoted(value)}"

    def shown(self, value: str) -> str:
        """A value as people read it."""
        if self.kind != "number":
            return value
        text = _written_number(value, self.unit)
        found = re.match(r"[-+0-9.e]*[0-9]", text)
        end = found.end() if found else 0
        return f"{text[:end]} {text[end:].replace('u', 'µ', 1) if text[end:] != 'u' else 'u'}".strip()


def name_of(value: float | str) -> str:
    """Under which name a fact is counted: of a text its words, of a number its digits; "" where it is not counted."""
    if isinstance(value, str):
        return padded(value) if len(value) <= LONGEST else ""
    return f"{float(value) + 0.0:.{_DIGITS}g}" if math.isfinite(value) else ""


def _quoted(text: str) -> str:
    """A text as one word of a search; a number is quoted, for it would take the word after it for its unit."""
    plain = _UNQUOTABLE.sub(" ", text).strip()
    is_word = re.fullmatch(r"[^\W\d_][\w.@+-]*", plain) and plain.casefold() not in ("and", "or", "not")
    return plain if is_word else f'"{plain}"'


def _written_number(value: str, unit: str) -> str:
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

    Raises `UsageError` where there is no such field, or it is one that nothing can be counted by.
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


@dataclass(frozen=True, slots=True)
class FacetValue(Display):
    """One value, and how many of the packages found have it.

    Attributes
    ----------
    text : str
        The value as people read it: ``Titan 80-300``, ``200 kV``, ``2025``.
    packages : int
        Packages that would be found with `term` added to the search.
    datasets : int
        The datasets that match of these: all that have the value, where datasets differ in it.
    term : str
        What narrows a search to it: ``instrument="Titan 80-300"``.
    """

    text: str
    packages: int
    datasets: int
    term: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"text": self.text, "packages": self.packages, "datasets": self.datasets, "term": self.term}


@dataclass(frozen=True, slots=True)
class Facet(Display):
    """The values of one field, the most frequent first.

    Attributes
    ----------
    name : str
        Of the field, as in a search.
    values : tuple of FacetValue
        The first of them.
    more : int
        How many others there are.
    of_datasets : bool
        Whether the datasets of one package may differ in it.
    """

    _display_keys = (
        "values: text packages datasets term",
        "more",
    )

    def _display_title(self) -> str:
        return self.name

    name: str
    values: tuple[FacetValue, ...]
    more: int
    of_datasets: bool

    def __iter__(self) -> Iterator[FacetValue]:
        """Its values."""
        return iter(self.values)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        values = [value.to_dict() for value in self.values]
        return {"name": self.name, "more": self.more, "of_datasets": self.of_datasets, "values": values}


@dataclass(frozen=True, slots=True)
class Facets(Display):
    """What the packages found by a search have in common, counted by field.

    Attributes
    ----------
    query : str
        What was asked.
    facets : tuple of Facet
        Those asked for, that have any value.
    total : int
        How many packages match, as far as they were counted.
    exact : bool
        Whether all packages that match were counted.
    """

    def _display_title(self) -> str:
        return f"{self.said}{f' for {self.query}' if self.query.strip() else ''}"

    def _display_document(self) -> dict[str, Any]:
        return {facet.name: [f"{value.text} {value.packages:,}" for value in facet.values] for facet in self.facets}

    query: str
    facets: tuple[Facet, ...]
    total: int
    exact: bool

    def __iter__(self) -> Iterator[Facet]:
        """Each facet."""
        return iter(self.facets)

    def __getitem__(self, name: str) -> Facet:
        """The facet of a field. Raises `KeyError` where nothing has a value of it."""
        for facet in self.facets:
            if facet.name == name:
                return facet
        raise KeyError(name)

    @property
    def said(self) -> str:
        """What was counted, in words."""
        if self.exact:
            return count_text(self.total, "package")
        return f"counted in the newest {count_text(self.total, 'package')} that match; there are more"

    def narrowed(self, value: FacetValue) -> str:
        """The search for the packages that have a value."""
        asked = self.query.strip()
        return f"({asked}) {value.term}" if asked else value.term

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {
            "query": self.query,
            "total": self.total,
            "exact": self.exact,
            "said": self.said,
            "facets": [facet.to_dict() for facet in self.facets],
        }

    def to_dataframe(self) -> Any:
        """One row for each value as a pandas DataFrame: ``field``, ``value``, ``packages``, ``datasets``, ``term``.

        Raises
        ------
        UsageError
            pandas is not installed.
        """
        rows = [
            (facet.name, value.text, value.packages, value.datasets, value.term) for facet in self for value in facet
        ]
        frame = pandas_module().DataFrame(rows, columns=["field", "value", "packages", "datasets", "term"])
        frame.attrs.update(query=self.query, total=self.total, exact=self.exact)
        return frame.astype({"packages": "int64", "datasets": "int64"})

    def _repr_html_(self) -> str:
        """For notebooks: a table for each field, with bars."""
        from diadem.notebook.tables import facets_html

        return facets_html(self.to_dict())
