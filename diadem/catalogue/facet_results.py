"""How many of the packages found have which instrument, year, sample …: what counting returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from diadem.model.display import Display, pandas_module
from diadem.model.plain_text import count_text


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
