"""Writes what is made from `fields.toml`, in a checkout: ``python -m diadem.terms.generate``.

The fields in the schema of a dataset, and the page docs/fields.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diadem.terms.crosswalk import NEXUS_UNITS, Leaf, terms
from diadem.terms.fields import Field, all_fields

_ROOT = Path(__file__).parents[2]
SCHEMA, PAGE = _ROOT / "schemas/record/1.0.0/dataset.schema.json", _ROOT / "docs/fields.md"
_BEFORE, _AFTER = '    "fields": {\n', '    "raw": {'
#: A time without a known offset carries none.
_MOMENT = {
    "required": ["offset_status"],
    "if": {"properties": {"offset_status": {"const": "unknown"}}, "required": ["offset_status"]},
    "then": {"properties": {"value": {"not": {"pattern": "(Z|[+-][0-9]{2}:[0-9]{2})$"}}}},
    "else": {"properties": {"value": {"pattern": "(Z|[+-][0-9]{2}:[0-9]{2})$"}}},
}


def schema_of(field: Field) -> dict[str, Any]:
    """The schema of a field's assertions."""
    unit = {"const": field.unit} if field.unit else {"not": {}, "description": "This field has no unit."}
    items: dict[str, Any] = {"properties": {"value": field.schema, "unit": unit}}
    if field.unit and field.unit != "1":
        items["required"] = ["unit"]
    return {
        "x-diadem-label": field.label,
        "x-diadem-meaning": field.meaning,
        **({"x-diadem-note": field.beware} if field.beware else {}),
        "x-diadem-term": list(terms(field)),
        "$ref": "#/$defs/assertions",
        "items": items | (_MOMENT if field.key.startswith("time.acquired_") else {}),
    }


def with_fields(schema: str) -> str:
    """The text of the dataset's schema with the fields as they are now."""
    head, _, rest = schema.partition(_BEFORE)
    _, found, tail = rest.partition(_AFTER)
    if not found:
        raise ValueError(f"{SCHEMA} has no properties 'fields' and 'raw', one after the other")
    fields = [f'        "{key}": {_text(schema_of(all_fields()[key]))}' for key in sorted(all_fields())]
    begin = '      "type": "object",\n      "additionalProperties": false,\n      "properties": {\n'
    return head + _BEFORE + begin + ",\n".join(fields) + "\n      }\n    },\n" + _AFTER + tail


def _text(node: dict[str, Any]) -> str:
    """One keyword a line."""
    lines = [f'          "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in node.items()]
    return "{\n" + ",\n".join(lines) + "\n        }"


def page(text: str) -> str:
    """The text of docs/fields.md with the tables as they are now."""
    head, elsewhere = text.partition("## ")[0], text.partition("## Elsewhere")[2].partition("\n| `")[0]
    lines = [head.removesuffix("\n")]
    groups = dict.fromkeys(key.partition(".")[0] for key in sorted(all_fields()))
    for group in groups:
        lines += [f"## {group}", "", "| field | what it says | what it holds |", "|---|---|---|"]
        lines += [_row(all_fields()[key]) for key in sorted(all_fields()) if key.partition(".")[0] == group]
        lines += [""]
    lines += [f"## Elsewhere{elsewhere}"]
    lines += [_row_elsewhere(all_fields()[key]) for key in sorted(all_fields()) if terms(all_fields()[key])]
    return "\n".join(lines) + "\n"


def _row(field: Field) -> str:
    said = f"**{field.label}.** {field.meaning}"
    said += f" *Beware:* {field.beware}" if field.beware else ""
    bounds = [bounds.why for bounds in (field.plausible, field.plausible_tem) if bounds]
    said += f" *Implausible* outside: {'; '.join(bounds)}." if bounds else ""
    holds = "a text" if field.type == "text" else field.rule.removeprefix("It is ").removesuffix(".") or field.type
    short = f"; short: {', '.join(f'`{alias}`' for alias in field.aliases)}" if field.aliases else ""
    return f"| `{field.key}` | {said} | {holds}{short} |"


def _row_elsewhere(field: Field) -> str:
    category = f", {NEXUS_UNITS[field.unit]}" if field.unit else ""
    nxem = f"`{field.nxem}`{category}" if field.nxem else ""
    emg = f"[{field.emg.rpartition('/')[2]}]({field.emg})" if field.emg else ""
    return f"| `{field.key}` | {emg} | {nxem} | {', '.join(_place(Leaf(field, place)) for place in field.hyperspy)} |"


def _place(leaf: Leaf) -> str:
    said = f"`{leaf.place.path}`" + (f" {leaf.unit}" if leaf.unit not in ("", "1") else "")
    return f"({said})" if leaf.place.way in ("read", "write") else said


if __name__ == "__main__":
    SCHEMA.write_text(with_fields(SCHEMA.read_text("utf-8")), "utf-8", newline="\n")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8", newline="\n")
