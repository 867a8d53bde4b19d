"""Counts of what a search has found as tables for notebooks: one HTML element, without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from diadem.model.display import STYLE
from diadem.model.plain_text import escaped

#: Pixels of the longest bar.
_LONGEST: Final = 90


def facets_html(document: Mapping[str, Any]) -> str:
    """HTML of counted values, a table for each field, side by side where there is room.

    Parameters
    ----------
    document : mapping
        As `Facets.to_dict` gives it. Its texts may be anybody's.

    Returns
    -------
    str
        A ``div``. The term that narrows a search to a value stands behind it, to be copied.
    """
    query = f" for <code>{escaped(document['query'])}</code>" if document["query"].strip() else ""
    tables = "".join(_table(facet) for facet in document["facets"])
    return (
        f'<div class="diadem">{STYLE}<p><strong>{escaped(document["said"])}</strong>{query}</p>'
        f'<div style="display:flex;flex-wrap:wrap;gap:12px 32px;align-items:flex-start">{tables}</div></div>'
    )


def _table(facet: Mapping[str, Any]) -> str:
    most = max(value["packages"] for value in facet["values"])
    head = f'<th>{escaped(facet["name"])}</th><th class="number">packages</th><th></th>'
    datasets = '<th class="number">datasets</th>' if facet["of_datasets"] else ""
    rows = "".join(_row(value, most, of_datasets=facet["of_datasets"]) for value in facet["values"])
    more = f'<tr><td class="soft" colspan="5">and {facet["more"]:,} more</td></tr>' if facet["more"] else ""
    return f"<table><tr>{head}{datasets}<th></th></tr>{rows}{more}</table>"


def _row(value: Mapping[str, Any], most: int, *, of_datasets: bool) -> str:
    width = max(1, round(_LONGEST * value["packages"] / most))
    datasets = f'<td class="number">{value["datasets"]:,}</td>' if of_datasets else ""
    return (
        f'<tr><td><bdi>{escaped(value["text"], 80)}</bdi></td><td class="number">{value["packages"]:,}</td>'
        f'<td><span class="bar" style="width:{width}px"></span></td>{datasets}'
        f'<td><code class="soft">{escaped(value["term"])}</code></td></tr>'
    )
