"""Why a document is refused, in words for the person who wrote it: path, rule, close matches, a valid example."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import jsonschema_rs

from diadem.errors import DocumentError
from diadem.serialization import schemas
from diadem.serialization.strict_json import compact
from diadem.terms.fields import close_matches

#: Keywords whose own message shows a pattern, or a subtree, and not the rule.
_OPAQUE = frozenset({"anyOf", "contains", "maxContains", "minContains", "not", "pattern"})
#: Of these the ones that count items: what stands beside them says how many, not what the items mean.
_COUNTS = frozenset({"contains", "maxContains", "minContains"})


def check(name: str, document: Any, *, closed: bool = True, advise: bool = False) -> None:
    """Raise `DocumentError` for the first fault that the schema `name` finds; with `advise` also a valid example.

    `closed` refuses keys that this version does not know.
    """
    compiled = schemas.validator(name) if closed else schemas.reading_validator(name)
    if compiled.is_valid(document):
        return
    found = islice(compiled.iter_errors(document), 50)
    error = min(found, key=lambda error: (-len(error.instance_path), error.message))
    root = schemas.schema(name)
    subject = f"dataset {document.get('id')} " if name == schemas.DATASET and isinstance(document, dict) else ""
    said, near = worded(root, error)
    advice = [near, _example(described(root, error.instance_path)) if advise else ""]
    raise DocumentError(f"{subject}{said}", next=" ".join(filter(None, advice)) or None)


def worded(root: Mapping[str, Any], error: jsonschema_rs.ValidationError) -> tuple[str, str]:
    """Path and broken rule of one fault that the schema `root` finds; and, for a key, what may have been meant."""
    node = described(root, error.instance_path)[-1]
    return f"{json_path(error.instance_path)}: {_rule(error, node, root)}", _nearest(error, node)


def _rule(error: jsonschema_rs.ValidationError, node: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """What is broken: in the schema's own words where the validator's would be a pattern or a whole subtree."""
    keyword = error.schema_path[-1] if error.schema_path else ""
    rule = node.get("description", "")
    if isinstance(error.instance, str) and not error.instance.strip():
        return "the text is empty; leave out what is not known."
    if keyword in _COUNTS:
        rule = _said_beside(error.schema_path, root) or rule
    if rule and keyword in _OPAQUE:
        return f"{shortened(compact(error.instance, where='').decode(), 80)} is refused. The rule: {rule}"
    if strange := _unknown(error):
        named = ", ".join(f"'{shortened(key, 80)}'" for key in strange[:3]) + (", …" if len(strange) > 3 else "")
        return f"the {'key' if len(strange) == 1 else 'keys'} {named} {'is' if len(strange) == 1 else 'are'} not known."
    said = shortened(error.message) + "."
    return said if not rule or keyword in {"required", "additionalProperties"} else f"{said} The rule: {rule}"


def _said_beside(path: Sequence[str | int], root: Mapping[str, Any]) -> str:
    """The description beside the broken keyword."""
    node: Any = root
    try:
        for step in path[:-1]:
            node = _target(node, root) if step == "$ref" else node[step]
    except (KeyError, IndexError, TypeError):  # the keyword stands in another document
        return ""
    return str(node.get("description", "")) if isinstance(node, dict) else ""


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
