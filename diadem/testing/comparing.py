"""What two readings of one dataset have in common, and where they first differ."""

from __future__ import annotations

import json
from typing import Any

from diadem.extract.extraction import Extraction
from diadem.extract.survey import DatasetPlan


def stated_by(found: Extraction) -> dict[str, Any]:
    """What an extraction says of the content: signals, fields, extensions."""
    return {"signals": found.signals, "fields": found.fields, "extensions": found.extensions}


def dataset_of(plan: DatasetPlan, found: Extraction) -> dict[str, Any]:
    """The dataset as a record would hold it, its bytes left aside."""
    files: list[dict[str, Any]] = [
        {"id": file.id, "path": file.path, "role": file.role, "bytes": file.size, "sha256": "0" * 64}
        for file in plan.files
    ]
    files[0].update(format=found.format, format_evidence=list(found.evidence))
    about = {"id": plan.id, "files": files, "raw": [], "issues": found.issues, "extraction": found.extraction}
    return {**about, **stated_by(found)}


def difference(one: Any, other: Any, path: str = "") -> str:
    """Where two JSON values first differ, and how; "" where they do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in (*one, *(key for key in other if key not in one)):
            if key not in one or key not in other:
                return f"{path}/{key} is there only {'at first' if key in one else 'then'}"
            if found := difference(one[key], other[key], f"{path}/{key}"):
                return found
        return ""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return next(filter(None, (difference(a, b, f"{path}/{place}") for place, (a, b) in pairs)), "")
    return "" if one == other else f"{path or 'it'} is {_brief(one)}, then {_brief(other)}"


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"
