"""Writes what is made from the keys of `diadem.model.policy`, in a checkout: ``python -m diadem.policy.generate``.

The schema of policies, and the tables of docs/policy.md.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from diadem.model.policy import AllowedTransfer, Policy, Scheme, Scrub, key_of
from diadem.serialization import schemas
from diadem.serialization.toml_text import toml_value

_ROOT = Path(__file__).parents[2]
SCHEMA, PAGE = _ROOT / "schemas/policy/1.0.0/policy.schema.json", _ROOT / "docs/policy.md"
_DURATION = {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,3})? ?(s|min|h|hours?|days?|weeks?|months?|years?)$"}
_SIZE = {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,3})? ?(B|kB|MB|GB|TB|PB|KiB|MiB|GiB|TiB)$"}


def schema_document() -> dict[str, Any]:
    """The schema of policies."""
    interval = next(key_of(member).schema["description"] for member in fields(Scrub) if member.name == "interval")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schemas.POLICY,
        "title": "DIADEM policy",
        "description": "What a group wants of its archive: the document in policy.toml. "
        "Everything is optional; what is not said has its default.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            member.name: _table(type(getattr(Policy(), member.name))) | dict(key_of(member).schema)
            for member in fields(Policy)
        },
        "examples": [{"copies": {"minimum": 2, "kinds": {"offsite": 1}}, "scrub": {"interval": "90 days"}}],
        "$defs": {
            "count": {
                "type": "integer",
                "minimum": 0,
                "maximum": 10,
                "description": "Copies on stores of this kind: a whole number from 0 to 10.",
                "examples": [1],
            },
            "scheme": _table(Scheme)
            | {
                "description": "A list of criteria for a purpose: purpose and criteria are both needed.",
                "examples": [{"purpose": "EELS", "criteria": ["thickness", "drift"]}],
            },
            "duration": _DURATION,
            "interval": _DURATION
            | {"x-diadem-least": "1 h", "x-diadem-most": "10 years", "description": interval, "examples": ["365 days"]},
            "size": _SIZE,
            "allowed": _table(AllowedTransfer)
            | {
                "description": "One permission: who may send, to whom, by which route. The receiver is required.",
                "examples": [{"who": "owner", "to": "*@nmi", "route": "direct"}],
            },
        },
    }


def _table(kind: Any) -> dict[str, Any]:
    """The schema of a table; a key that has no default is needed."""
    keys = {member.name: dict(key_of(member).schema) for member in fields(kind)}
    needed = [name for name, schema in keys.items() if "default" not in schema]
    below: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": keys}
    return below | ({"required": needed} if needed else {})


def page(text: str) -> str:
    """The text of docs/policy.md with the tables as they are now."""
    lines = [text.partition("## ")[0].removesuffix("\n")]
    for section in fields(Policy):
        lines += [f"## {section.name}", "", str(key_of(section).schema["description"]), ""]
        lines += ["| key | default | what it says |", "|---|---|---|"]
        for member in fields(type(getattr(Policy(), section.name))):
            schema = key_of(member).schema
            default = toml_value(schema["default"])
            default = "none" if default == "{}" else f"`{default}`"
            lines.append(f"| `{member.name}` | {default} | {schema['description']} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(schema_document(), indent=2, ensure_ascii=False) + "\n", "utf-8", newline="\n")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8", newline="\n")
