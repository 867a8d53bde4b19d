"""`diadem search --save`, `--saved`, `--forget`: searches with a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diadem.cli.node_options import opened
from diadem.cli.output import print_json, tell
from diadem.errors import UsageError
from diadem.model.plain_text import count_text


def saved_searches(
    words: Sequence[str],
    query: str,
    *,
    save: str | None,
    saved: bool,
    forget: str | None,
    overwrite: bool,
    at: tuple[str | None, str | None],
    json: bool,
) -> int:
    """Save, list or forget; `at` is the node and who is at work, `words` are the names or, joined, the `query`."""
    if sum((save is not None, saved, forget is not None)) > 1:
        raise UsageError("one of --save, --saved and --forget at a time")
    if forget is not None and words:
        raise UsageError("--forget takes the name alone", next=f"diadem search --forget {forget}")
    with opened(*at) as node:
        if save is not None:
            queries = [node.queries.save(save, query, overwrite=overwrite)]
        elif forget is not None:
            queries = [node.queries.delete(forget)]
        else:
            queries = [node.queries.get(name) for name in words] if words else node.queries.ls()
    documents = [one.to_dict() for one in queries]
    verb = "saved" if save is not None else "forgotten" if forget is not None else ""
    if json:
        print_json({"queries": documents} | ({"done": verb} if verb else {}))
    else:
        _show(documents, verb)
    return 0


def _show(documents: Sequence[dict[str, Any]], verb: str) -> None:
    for one in documents:
        tell(f"{'@' + one['name']:16} {one['query']}   ({one['by']}, {one['saved'][:10]})")
    if verb:
        print(f"{verb:16} {count_text(len(documents), 'search', 'searches')}")
    elif not documents:
        print("no saved searches   (save one: diadem search --save NAME 'QUERY')")
