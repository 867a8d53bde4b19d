"""What a search has found as tables for notebooks: one HTML element, without scripts and anything from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from diadem.model.display import Cell, Table
from diadem.model.markup import templates
from diadem.model.plain_text import count_text, marked, size_text

_MOST_DOUBTS: Final = 3
#: Pixels of the longest bar.
_LONGEST: Final = 90


def result_html(document: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """A ``div`` of a page of a search, of which `SearchResult.to_dict` gives the document; its texts may be anybody's.

    ``found`` in it is how many rows the page has; `pictures` are data addresses of small ones by id of the package,
    others are passed over.
    """
    rows = document["rows"]
    first, shown = document["offset"], len(rows)
    return _html(
        heading=f"{'' if document['exact'] else 'at least '}{count_text(document['total'], 'package')}",
        query=document["query"],
        part=f", {first + 1:,} to {first + shown:,}" if shown and shown < document["total"] else "",
        table=Table("", [_cells(row, pictures.get(row["id"], "")) for row in rows], shown, most=11),
        hidden=document["found"] - shown,
        **{key: document[key] for key in ("names", "wider", "hint")},
    )


def facets_html(document: Mapping[str, Any]) -> str:
    """A ``div`` of counted values, of which `Facets.to_dict` gives the document, side by side where there is room.

    The term that narrows a search to a value stands behind it, to be copied.
    """
    tables = []
    for facet in document["facets"]:
        most = max(value["packages"] for value in facet["values"])
        rows = [
            {
                facet["name"]: Cell(marked(value["text"], 80)),
                "packages": Cell(f"{value['packages']:,}", "number"),
                "": Cell(str(max(1, round(_LONGEST * value["packages"] / most))), "bar"),
                **({"datasets": Cell(f"{value['datasets']:,}", "number")} if facet["of_datasets"] else {}),
                " ": Cell(value["term"], "term"),
            }
            for value in facet["values"]
        ]
        tables.append(Table("", rows, len(rows) + facet["more"]))
    return _html(heading=document["said"], query=document["query"], part="", facets=tables)


def _html(**values: Any) -> str:
    return templates("notebook", "model").get_template("results.html").render(values)


def _cells(row: Mapping[str, Any], picture: str) -> dict[str, Cell]:
    """What stands in each column."""
    some = row["matching"] < row["datasets"]
    day = f"{row['date']} – {row['until']}" if row.get("until") else row["date"]
    archived = str(row["ingested_at"] or "")[:10]
    unknown = Cell(f"archived {archived}", "whole soft") if archived else Cell("–", "whole")
    title = []
    if some:
        names = ", ".join(one["path"].rpartition("/")[2] for one in row["matched"][:3])
        title.append(("soft", marked(names) + (", …" if row["matching"] > 3 else "")))
    title += [("doubt", f"⚠ {text}") for text in row["warnings"][:_MOST_DOUBTS]]
    if (more := len(row["warnings"]) - _MOST_DOUBTS) > 0:
        title.append(("doubt", f"⚠ and {more:,} more"))
    return {
        "": Cell(picture or "none", "picture"),
        "package": Cell(row["id"][7:19], "code", row["id"]),
        "date": Cell(day, "whole") if row["date"] else unknown,
        "session": Cell(row["title"], below=title),
        **{name: Cell(row[name]) for name in ("instrument", "sample", "operator")},
        "judged": Cell(" ".join(row["quality"]), "badges"),
        "datasets": Cell(f"{row['matching']:,} of {row['datasets']:,}" if some else f"{row['datasets']:,}", "number"),
        "size": Cell(size_text(row["bytes"]), "number"),
        "copies": Cell(str(row["copies"]), below=[("soft", ", ".join(row["stores"]))]),
    }
