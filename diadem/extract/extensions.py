"""Extensions of a dataset: brought into plain JSON in the worker, judged by their schemas in the parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from diadem.extract.extraction import issue
from diadem.hooks.fields import Extension
from diadem.hooks.offers import NAMESPACE
from diadem.serialization.extensions import ExtensionSchemas
from diadem.serialization.strict_json import compact, depth_exceeds, parse

#: Bytes of JSON that one extension may have; namespaces of a dataset; levels of objects and lists in one another.
MAX_BYTES: Final = 256 << 10
MAX_COUNT: Final = 16
MAX_DEPTH: Final = 32


def plain_extension(item: object, by: Mapping[str, str], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An extension as plain JSON.

    Parameters
    ----------
    item : object
        What a plugin yields, an `Extension` if all is well.
    by : mapping
        The plugin and its version.
    others : sequence of mapping
        Those that the dataset has already.

    Returns
    -------
    dict
        ``namespace, version, data, by``.

    Raises
    ------
    ValueError, DocumentError
        It cannot stand in a record; says why.
    """
    if not isinstance(item, Extension):
        raise ValueError(f"{repr(item)[:80]} is neither a Block of sound parts nor an Extension")  # noqa: TRY004
    if not isinstance(item.namespace, str) or not NAMESPACE.fullmatch(item.namespace):
        raise ValueError(f"{item.namespace!r} is no namespace of an extension; write it as org.example.cl")
    if not isinstance(item.version, str) or not item.version.strip() or len(item.version) > 64:
        raise ValueError(f"the extension '{item.namespace}' has no version")
    if any(other["namespace"] == item.namespace for other in others):
        raise ValueError(f"the dataset has an extension '{item.namespace}' already")
    if len(others) >= MAX_COUNT:
        raise ValueError(f"a dataset has at most {MAX_COUNT} extensions")
    written = compact(item.data, where=item.namespace)
    if len(written) > MAX_BYTES:
        raise ValueError(f"the extension '{item.namespace}' has {len(written)} bytes; {MAX_BYTES} are the most")
    data = parse(written, where=item.namespace, next="")
    if depth_exceeds(data, MAX_DEPTH):
        raise ValueError(f"the extension '{item.namespace}' is nested more than {MAX_DEPTH} deep")
    return {"namespace": item.namespace, "version": item.version, "data": data, "by": dict(by)}


def judge(
    found: Iterable[Mapping[str, Any]], schemas: ExtensionSchemas
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Judge a dataset's extensions.

    Parameters
    ----------
    found : iterable of mapping
        As `plain_extension` gives them.
    schemas : ExtensionSchemas
        Those at hand.

    Returns
    -------
    extensions : dict
        By namespace, as they stand in the record: what no schema is known for is kept, unjudged.
    issues : list of dict
        One for each that breaks its schema, and is left out, with path and rule.
    """
    extensions: dict[str, dict[str, Any]] = {}
    issues: list[dict[str, Any]] = []
    for item in filter(_has_form, found):
        name, version = item["namespace"], item["version"]
        verdict = schemas.judge(name, version, item["data"])
        if verdict.faults:
            message = f"the extension '{name}' breaks version {version} of its schema: {'; '.join(verdict.faults)}"
            issues.append(issue("extension-invalid", message, by=item["by"]))
            continue
        if verdict.broken:
            message = f"version {version} of the schema of '{name}' cannot be used: {verdict.broken}"
            issues.append(issue("extension-unjudged", message, severity="info", by=item["by"]))
        kept = {"version": version, "data": item["data"], "validated": verdict.validated, "by": item["by"]}
        extensions[name] = {**kept, **({"schema": verdict.schema} if verdict.schema else {})}
    return extensions, issues


def _has_form(item: Any) -> bool:
    """Whether a worker's words have the form that ours have; a reader may have taken the worker over."""
    return (
        isinstance(item, Mapping)
        and isinstance(item.get("by"), Mapping)
        and all(isinstance(item.get(key), str) for key in ("namespace", "version"))
        and "data" in item
    )
