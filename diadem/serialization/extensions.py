"""Judging extensions by the schemas that plugins offer. Schemas refer to each other by `$id`; nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from diadem.errors import DocumentError
from diadem.serialization import schemas
from diadem.serialization.schemas import worded

#: Faults of one extension that are told.
_MOST_FAULTS: Final = 5
#: How an address begins; RFC 3986.
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the schemas say of an extension: `validated` only where one for namespace and version is known, and holds.

    `schema` is its `$id`; `faults` are path and broken rule of each, empty where nothing is known against the data;
    `broken` is why the schema cannot be used.
    """

    validated: bool
    schema: str = ""
    faults: tuple[str, ...] = ()
    broken: str = ""


class ExtensionSchemas:
    """The schemas at hand, by namespace and version, compiled when they are first needed."""

    def __init__(self, offered: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None) -> None:
        self._schemas = {
            (name, number): found for name, all_ in (offered or {}).items() for number, found in all_.items()
        }
        self._by_id = {str(found["$id"]).rstrip("#"): found for found in self._schemas.values() if "$id" in found}
        self._compiled: dict[tuple[str, str], Any] = {}

    def judge(self, namespace: str, version: str, data: Any) -> Verdict:
        """Judge the data of one extension, plain JSON values."""
        known = self._schemas.get((namespace, version))
        if known is None:
            return Verdict(False)
        name = str(known.get("$id", ""))
        name = name if _ADDRESS.match(name) else ""
        try:
            compiled = self._validator(namespace, version)
            faults = tuple(_told(known, error) for error in islice(compiled.iter_errors(data), _MOST_FAULTS))
        except Exception as error:  # a schema that is none, or refers to what nobody offers
            return Verdict(False, broken=_reason(error))
        return Verdict(not faults, name, faults)

    def broken(self) -> Iterator[tuple[str, str, str]]:
        """Namespace, version and reason for each schema that cannot be used."""
        for namespace, version in self._schemas:
            try:
                self._validator(namespace, version)
            except Exception as error:
                yield namespace, version, _reason(error)

    def _validator(self, namespace: str, version: str) -> Any:
        key = (namespace, version)
        if key not in self._compiled:
            self._compiled[key] = jsonschema_rs.validator_for(
                dict(self._schemas[key]), retriever=self._known, validate_formats=True
            )
        return self._compiled[key]

    def _known(self, address: str) -> Any:
        """A schema that lies here; any other is refused."""
        found = self._by_id.get(address.rstrip("#"))
        if found is not None:
            return found
        try:
            return schemas.schema(address)
        except KeyError:
            raise DocumentError(f"no plugin offers the schema '{address}', and nothing is fetched") from None


def judged(said: Mapping[str, Any], known: ExtensionSchemas) -> dict[str, Any]:
    """The extensions that a person gives with `--meta`, by namespace, each marked with what the schemas say of it.

    They are of the form that the metadata schema asks for. Raises `DocumentError` where the data break the schema of
    their namespace and version.
    """
    marked = {}
    for namespace, extension in said.items():
        verdict = known.judge(namespace, extension["version"], extension["data"])
        if verdict.faults:
            where = f"$.extensions['{namespace}'].data"
            raise DocumentError(
                f"{where} is not valid by version {extension['version']} of its schema: {'; '.join(verdict.faults)}",
                next="Correct it, or name the version of the schema that it follows.",
            )
        named = {"schema": verdict.schema} if verdict.schema and "schema" not in extension else {}
        marked[namespace] = {**extension, **named, "validated": verdict.validated}
    return marked


def _told(schema: Mapping[str, Any], error: Any) -> str:
    """One fault: where, what is wrong, what may have been meant, and which rule of the schema."""
    return f"{' '.join(filter(None, worded(schema, error)))} (rule: {'/'.join(map(str, error.schema_path))})"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}"
