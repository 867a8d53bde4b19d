"""`diadem search --facets`: how many of the packages found have which instrument, year, sample."""

from __future__ import annotations

from typing import Any

from diadem.cli.node_options import opened
from diadem.cli.output import print_json, tell
from diadem.model.plain_text import count_text

#: Columns of a value; a longer one loses its end.
_WIDE = 32


def count_by(query: str, *, by: str | None, top: int, node: str | None, json: bool) -> int:
    """Count, and print."""
    fields = [name.strip() for name in by.split(",") if name.strip()] if by is not None else None
    with opened(node) as found:
        counted = found.facets(query, fields, top=top)
    if json:
        print_json(counted.to_dict())
    else:
        _show(counted.to_dict())
    return 0


def _show(document: dict[str, Any]) -> None:
    for facet in document["facets"]:
        print(facet["name"])
        for value in facet["values"]:
            tell(_line(value, of_datasets=facet["of_datasets"]))
        if facet["more"]:
            print(f"  and {facet['more']:,} more")
    print(document["said"] + ("" if document["total"] else ": nothing matches"))


def _line(value: dict[str, Any], *, of_datasets: bool) -> str:
    """A value, its packages and datasets, and what narrows a search to it."""
    text = value["text"] if len(value["text"]) <= _WIDE else value["text"][: _WIDE - 1] + "…"
    datasets = count_text(value["datasets"], "dataset") if of_datasets else ""
    return f"  {text:{_WIDE}} {count_text(value['packages'], 'package'):>14} {datasets:>16}   {value['term']}"
