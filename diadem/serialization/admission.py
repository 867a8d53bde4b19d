"""What an instrument file says may be beyond what a record admits; then that part becomes an issue, not a failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diadem.errors import DocumentError
from diadem.serialization.strict_json import compact
from diadem.serialization.validation import validate_dataset

#: Parts that may be left out, and what stands in their place.
_OPTIONAL: Mapping[str, Any] = {"signals": [], "raw": [], "issues": [], "extraction": {}}


def require_admissible(dataset: Mapping[str, Any], *, sealed: bool = True) -> None:
    """Raise `DocumentError` unless the dataset can be written to a record as it is."""
    compact(dataset, where=f"dataset {str(dataset.get('id', '?'))[:64]}")
    validate_dataset(dataset, sealed=sealed)


def admitted(dataset: Mapping[str, Any], *, sealed: bool = True) -> dict[str, Any]:
    """The dataset without what a record does not admit, and an issue for each part left out.

    Parameters
    ----------
    dataset : mapping
        `id` and `files` are ours and must be right; the rest comes from a reader, and is kept as far as it is valid:
        field by field and extension by extension, the other parts whole.
    sealed : bool
        See `validate_dataset`.

    Raises
    ------
    DocumentError
        `id` or `files` are refused.
    """
    try:
        require_admissible(dataset, sealed=sealed)
    except DocumentError:
        return _reduced(dataset, sealed=sealed)
    return dict(dataset)


def _reduced(dataset: Mapping[str, Any], *, sealed: bool) -> dict[str, Any]:
    result = {"id": dataset.get("id"), "files": dataset.get("files"), "fields": {}, **_OPTIONAL}
    require_admissible(result, sealed=sealed)
    refused = []
    for part in _OPTIONAL:
        refused += _tried(result, {part: dataset.get(part, _OPTIONAL[part])}, part)
    for key, stated in dataset.get("fields", {}).items():
        refused += _tried(result, {"fields": {**result["fields"], key: stated}}, f"field '{str(key)[:80]}'")
    for name, stated in dataset.get("extensions", {}).items():
        change = {"extensions": {**result.get("extensions", {}), name: stated}}
        refused += _tried(result, change, f"extension '{str(name)[:80]}'")
    return {**result, "issues": [*result["issues"], *refused]}


def _tried(result: dict[str, Any], change: Mapping[str, Any], part: str) -> list[dict[str, str]]:
    """Take the change if it is admissible, else say so."""
    try:
        require_admissible({**result, **change}, sealed=False)  # the files were judged before
    except DocumentError as error:
        said = str(error).encode("utf-8", "backslashreplace").decode()
        return [{"code": "not-recorded", "message": f"{part} was left out of the record: {said}"}]
    result.update(change)
    return []
