"""The documents of `schemas/examples`: whole, or as a JSON patch (RFC 6902) of one that is whole."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parents[2] / "schemas" / "examples"
#: By kind of document and name. A case is a ``document``, or a ``patch`` ``of`` a valid one.
VALID: Mapping[str, Mapping[str, Any]] = json.loads((_FOLDER / "valid.json").read_text("utf-8"))
#: The same; each with what its refusal ``says``: a piece of the message.
INVALID: Mapping[str, Mapping[str, Any]] = json.loads((_FOLDER / "invalid.json").read_text("utf-8"))


def names(cases: Mapping[str, Mapping[str, Any]], kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Kind and name of the cases of some kinds."""
    return [(kind, name) for kind in kinds for name in cases[kind]]


def valid(kind: str, name: str) -> Any:
    """A valid document, a new one at each call."""
    case = VALID[kind][name]
    return copy.deepcopy(case["document"]) if "document" in case else patched(valid(kind, case["of"]), case["patch"])


def invalid(kind: str, name: str) -> Any:
    """A document that must be refused."""
    case = INVALID[kind][name]
    return patched(valid(kind, case["of"]), case["patch"])


def patched(document: Any, patch: Iterable[Mapping[str, Any]]) -> Any:
    """A document after its patch; of RFC 6902 what the examples need: add, remove, replace."""
    for change in patch:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in change["path"].split("/")[1:]]
        place = document
        for step in steps[:-1]:
            place = place[int(step) if isinstance(place, list) else step]
        key = int(steps[-1]) if isinstance(place, list) else steps[-1]
        value = copy.deepcopy(change.get("value"))
        match change["op"]:
            case "add" if isinstance(place, list):
                place.insert(key, value)
            case "add":
                place[key] = value
            case "replace":
                assert place[key] != value, f"{change} changes nothing"
                place[key] = value
            case "remove":
                del place[key]
            case other:
                raise ValueError(f"the examples know no {other}")
    return document
