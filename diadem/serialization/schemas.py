"""The JSON Schemas that ship with DIADEM, and why a document is refused by one. Nothing is ever fetched.

A refusal is in words for the person who wrote the document: path, rule, close matches, a valid example.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from diadem.errors import DocumentError
from diadem.model.statement_kinds import KINDS
from diadem.serialization.strict_json import compact
from diadem.terms.fields import close_matches

BASE: Final = "https://diadem-em.org/schemas/"
RECORD: Final = BASE + "record/1.0.0"
DATASET: Final = BASE + "record/1.0.0/dataset"
METADATA: Final = BASE + "record/1.0.0/metadata"
FINDING: Final = BASE + "finding/1.0.0"
REPORT: Final = BASE + "report/1.0.0"
STATEMENT: Final = BASE + "statement/1.0.0"
POLICY: Final = BASE + "policy/1.0.0"
#: Kinds of statement whose predicate has a schema: those that this version writes.
STATEMENT_KINDS: Final = tuple(KINDS)

#: Where each schema lies below `schemas/`.
_FILES: Final[Mapping[str, str]] = {
    RECORD: "record/1.0.0/record.schema.json",
    DATASET: "record/1.0.0/dataset.schema.json",
    METADATA: "record/1.0.0/metadata.schema.json",
    FINDING: "finding/1.0.0/finding.schema.json",
    REPORT: "report/1.0.0/report.schema.json",
    STATEMENT: "statement/1.0.0/statement.schema.json",
    POLICY: "policy/1.0.0/policy.schema.json",
    **{f"{STATEMENT}/{kind}": f"statement/1.0.0/{kind}.schema.json" for kind in STATEMENT_KINDS},
}
#: Keywords whose own message shows a pattern, or a subtree, and not the rule.
_OPAQUE = frozenset({"anyOf", "contains", "maxContains", "minContains", "not", "pattern"})
_CLOSURES: Final = frozenset({"additionalProperties", "unevaluatedProperties"})


def folder() -> Traversable:
    """`schemas/`: inside the package in an installed wheel, beside it in a checkout."""
    package = resources.files("diadem")
    inside = package / "schemas"
    return inside if inside.is_dir() else package / ".." / "schemas"


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema with this `$id`; a shared object, not to be changed. `KeyError` where DIADEM has none such."""
    text = folder().joinpath(*_FILES[name].split("/")).read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def validator(name: str, *, closed: bool = True) -> jsonschema_rs.Draft202012Validator:
    """Compiled validator of a schema: closed, as documents are written.

    Where it is open, keys of a later minor version pass, and everything that is known must still hold.
    """

    def form(address: str) -> Any:
        try:
            return schema(address) if closed else _opened(schema(address))
        except KeyError:
            raise DocumentError(f"the schema '{address}' does not ship with DIADEM and is not fetched") from None

    return jsonschema_rs.Draft202012Validator(form(name), retriever=form, validate_formats=True)


def _opened(node: Any) -> Any:
    """A schema without its closures; an unknown field key must still be a list of assertions."""
    if isinstance(node, list):
        return [_opened(item) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: _opened(item) for key, item in node.items() if key not in _CLOSURES or item is not False}
    if node.get("$id") == DATASET:
        result["properties"]["fields"]["additionalProperties"] = {"$ref": "#/$defs/assertions"}
    return result


# -- refusing ----------------------------------------------------------------------------------------------------------


def check(name: str, document: Any, *, closed: bool = True, advise: bool = False) -> None:
    """Raise `DocumentError` for the first fault that the schema `name` finds; with `advise` also a valid example.

    `closed` refuses keys that this version does not know.
    """
    compiled = validator(name, closed=closed)
    if compiled.is_valid(document):
        return
    found = islice(compiled.iter_errors(document), 50)
    error = min(found, key=lambda error: (-len(error.instance_path), error.message))
    root = schema(name)
    subject = f"dataset {document.get('id')} " if name == DATASET and isinstance(document, dict) else ""
    said, near = worded(root, error)
    advice = [near, _example(described(root, error.instance_path)) if advise else ""]
    raise DocumentError(f"{subject}{said}", next=" ".join(filter(None, advice)) or None)


def worded(root: Mapping[str, Any], error: jsonschema_rs.ValidationError) -> tuple[str, str]:
    """Path and broken rule of one fault that the schema `root` finds; and, for a key, what may have been meant."""
    node = described(root, error.instance_path)[-1]
    return f"{json_path(error.instance_path)}: {_rule(error, node)}", _nearest(error, node)


def _rule(error: jsonschema_rs.ValidationError, node: Mapping[str, Any]) -> str:
    """What is broken: in the schema's own words where the validator's would be a pattern or a whole subtree."""
    keyword = error.schema_path[-1] if error.schema_path else ""
    rule = node.get("description", "")
    if isinstance(error.instance, str) and not error.instance.strip():
        return "the text is empty; leave out what is not known."
    if rule and keyword in _OPAQUE:
        return f"{shortened(compact(error.instance, where='').decode(), 80)} is refused. The rule: {rule}"
    if strange := _unknown(error):
        named = ", ".join(f"'{shortened(key, 80)}'" for key in strange[:3]) + (", …" if len(strange) > 3 else "")
        return f"the {'key' if len(strange) == 1 else 'keys'} {named} {'is' if len(strange) == 1 else 'are'} not known."
    said = shortened(error.message) + "."
    return said if not rule or keyword in {"required", "additionalProperties"} else f"{said} The rule: {rule}"


def _unknown(error: jsonschema_rs.ValidationError) -> list[str]:
    """The keys that the schema does not know, where that is the fault."""
    return list(getattr(error.kind, "unexpected", ())) if isinstance(error.instance, dict) else []


def json_path(path: Sequence[str | int]) -> str:
    """A path as people write it: ``$.people[0].orcid``, ``$.fields['stage.x'][0]``."""
    parts = [f"[{part}]" if isinstance(part, int) else _member(part) for part in path]
    return "$" + "".join(parts)


def _member(name: str) -> str:
    return f".{name}" if re.fullmatch(r"\w+", name) else f"['{name[:80]}']"


def shortened(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def described(root: Mapping[str, Any], path: Sequence[str | int]) -> list[Mapping[str, Any]]:
    """The parts of the schema on the way to what stands at `path`, as far as they are known."""
    nodes = [_target(root, root)]
    for part in path:
        node = nodes[-1]
        below = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        if not isinstance(below, Mapping):
            below = node.get("additionalProperties")
        if not isinstance(below, Mapping):
            break
        nodes.append(_target(below, root))
    return nodes


def _target(node: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The node behind a `$ref` within the document, with what stands beside it."""
    reference = node.get("$ref", "")
    if not reference.startswith("#/$defs/"):
        return node
    rest = {key: value for key, value in node.items() if key != "$ref"}
    return _merged(_target(root["$defs"][reference.removeprefix("#/$defs/")], root), rest)


def _merged(general: Mapping[str, Any], special: Mapping[str, Any]) -> Mapping[str, Any]:
    """Both, level by level; the special one wins."""
    both = {key for key in special if isinstance(special[key], dict) and isinstance(general.get(key), dict)}
    return {**general, **special, **{key: _merged(general[key], special[key]) for key in both}}


def _nearest(error: jsonschema_rs.ValidationError, node: Mapping[str, Any]) -> str:
    """For a key that is not known: the known ones that come close, else all of them if they are few."""
    if not (strange := _unknown(error)):
        return ""
    known = list(node.get("properties", {}))
    near = [name for key in strange for name in close_matches(key, known)]
    if near:
        return f"Did you mean {' or '.join(near[:3])}?"
    return f"Known here: {', '.join(known)}." if len(known) <= 20 else "The schema lists every key."


def _example(nodes: Sequence[Mapping[str, Any]]) -> str:
    """A valid example of the innermost part that has one."""
    examples = next((node["examples"] for node in reversed(nodes) if node.get("examples")), ())
    return "Example: " + compact(examples[0], where="schema").decode() if examples else ""
