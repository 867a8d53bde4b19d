"""What a family's `formats.toml` offers, and whether that is there, without importing the family's code."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from diadem.errors import PluginError
from diadem.hooks.manifest import Document, Path, document, several
from diadem.hooks.offers import (
    CheckOffer,
    FieldsOffer,
    Group,
    Magic,
    PreviewOffer,
    ReaderOffer,
    SchemaOffer,
    TransportOffer,
)
from diadem.hooks.targets import target

#: Keys of a document that offer something, by the hook that offers the same.
OFFERING: Final = {
    "diadem_readers": "format",
    "diadem_fields": "fields",
    "diadem_schemas": "schema",
    "diadem_previews": "preview",
    "diadem_checks": "check",
    "diadem_transports": "carrier",
}
#: Keys whose texts are ``module:name``.
_TARGETS: Final = frozenset(
    {"open", "load", "describe", "layout", "probe", "blocks", "draw", "check", "connect", "python", "read", "when"}
)
#: As the schema has them; a regular expression in a condition may hold a colon, too.
_TARGET: Final = re.compile(r"(?:not )?[A-Za-z_.][\w.]*:[A-Za-z_]\w*")


#: Magic numbers of what many formats are kept in. HDF5 allows a user block of 0, 512, 1024 … bytes before its own.
CONTAINERS: Final[Mapping[str, Sequence[Magic]]] = {
    "hdf5": tuple(Magic(offset, b"\x89HDF\r\n\x1a\n") for offset in (0, 512, 1024, 2048)),
    "tiff": tuple(Magic(0, data) for data in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "zip": (Magic(0, b"PK\x03\x04"), Magic(0, b"PK\x05\x06")),
}


def family(package: str) -> Document | None:
    """The document of a package that offers something by it; None where it does not."""
    found = document(package)
    return found if found is not None and any(key in found.content for key in (*OFFERING.values(), "python")) else None


def offers(found: Document, hook: str) -> Iterator[Any]:
    """What a document offers of the kind that a hook offers.

    Raises
    ------
    PluginError
        An offer is none; the message names file and line.
    """
    key = OFFERING[hook]
    for place, said in enumerate(found.content.get(key, ())):
        try:
            yield _MAKERS[key](found, said)
        except (PluginError, OSError, ValueError) as error:
            raise found.fault((key, place), getattr(error, "message", str(error))) from error


def fields_of(package: str) -> Sequence[FieldsOffer]:
    """What a family offers of metadata, by its document or, where it has none, by its hook."""
    found = family(package)
    return list(offers(found, "diadem_fields") if found is not None else target(f"{package}:diadem_fields")())


def _format(found: Document, said: Mapping[str, Any]) -> ReaderOffer:
    made = _tuples(said)
    made |= {name: found.absolute(said[name]) for name in _TARGETS & said.keys()}
    container = CONTAINERS.get(made.pop("container", ""), ())
    made["magic"] = (*map(_magic, said.get("magic", ())), *container)
    if "signature" in said:
        made["signature"] = said["signature"].encode("latin-1")
    made["groups"] = tuple(Group(**_tuples(group)) for group in said.get("groups", ()))
    return ReaderOffer(**{"suffixes": (), **made})


def _tuples(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}


def _magic(said: Any) -> Magic:
    if isinstance(said, str):
        return Magic(0, said.encode("latin-1"))
    return Magic(said.get("at", 0), bytes.fromhex(said["hex"]) if "hex" in said else said["text"].encode("latin-1"))


def _metadata(found: Document, said: Mapping[str, Any]) -> FieldsOffer:
    kinds = (kind for one in found.content.get("table", ()) for kind in several(one["block"]))
    own = {kind: f"{found.package}/{kind}" for kind in kinds}
    tables = {kind: found.absolute(address) for kind, address in said.get("tables", own).items()}
    blocks = found.absolute(said["blocks"]) if "blocks" in said else ""
    return FieldsOffer(said["name"], tuple(said["formats"]), tables, blocks)


def _schema(found: Document, said: Mapping[str, Any]) -> SchemaOffer:
    versions = {name: json.loads(found.beside(file)) for name, file in said["versions"].items()}
    return SchemaOffer(said["namespace"], versions)


_MAKERS: Final[Mapping[str, Any]] = {
    "format": _format,
    "fields": _metadata,
    "schema": _schema,
    "preview": lambda found, said: PreviewOffer(
        said["name"], tuple(said["formats"]), found.absolute(said["draw"]), said.get("priority", 0)
    ),
    "check": lambda found, said: CheckOffer(
        said["name"], tuple(said["formats"]), found.absolute(said["check"]), said.get("when", "extract")
    ),
    "carrier": lambda found, said: TransportOffer(said["scheme"], found.absolute(said["connect"])),
}


def lies(found: Document) -> Iterator[PluginError]:
    """What a document names that is not there: modules, and names in them, by their source."""
    for path, dotted in _named(found.content, ()):
        module, _, name = found.absolute(dotted).partition(":")
        try:
            spec = importlib.util.find_spec(module)
        except Exception as error:  # the import of a package above it
            yield found.fault(path, f"'{dotted}' cannot be looked for: {type(error).__name__}: {error}")
            continue
        if spec is None:
            yield found.fault(path, f"there is no module '{module}'")
        elif (names := _names(spec)) is not None and name not in names:
            yield found.fault(path, f"there is no '{name}' in '{module}'")


def _named(said: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every ``module:name`` in a document, and where it stands."""
    for key, value in said.items() if isinstance(said, Mapping) else enumerate(said if isinstance(said, list) else ()):
        if isinstance(value, str):
            steps = {step for step in (*path[:1], *path[-1:], key) if isinstance(step, str)}
            if _TARGETS & steps and _TARGET.fullmatch(value):
                yield (*path, key), value.removeprefix("not ").strip()
        else:
            yield from _named(value, (*path, key))


def _names(spec: Any) -> set[str] | None:
    """Names at the top of a module; None where its source cannot tell."""
    try:
        source = spec.loader.get_source(spec.name)
        tree = ast.parse(source)
    except Exception:  # compiled, or no Python of ours
        return None
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return None if "*" in found else found
