"""A plugin's `formats.toml`: found, judged by its JSON Schema and turned into offers without importing the plugin."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import pkgutil
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from diadem.errors import PluginError
from diadem.hooks.hdf5 import shows
from diadem.hooks.offers import (
    CarrierOffer,
    CheckOffer,
    ExporterOffer,
    FieldsOffer,
    Group,
    Magic,
    PreviewOffer,
    ReaderOffer,
    SchemaOffer,
    target,
)

FILE: Final = "formats.toml"
#: Where a fault lies in a document: keys and places in lists.
Path = Sequence[str | int]
Said = Mapping[str, Any]

#: Magic numbers of what many formats are kept in. HDF5 allows a user block of 0, 512, 1024 … bytes before its own.
CONTAINERS: Final[Mapping[str, Sequence[Magic]]] = {
    "hdf5": tuple(Magic(offset, b"\x89HDF\r\n\x1a\n") for offset in (0, 512, 1024, 2048)),
    "tiff": tuple(Magic(0, data) for data in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "zip": (Magic(0, b"PK\x03\x04"), Magic(0, b"PK\x05\x06")),
}
_ADVICE: Final = "docs/plugins.md says how the file is written"
#: Bytes at the beginning of a file that patterns of a probe are tried on.
_HEAD: Final = 1 << 16
#: Keys of a format that name functions.
_FUNCTIONS: Final = frozenset({"open", "load", "probe"})


@dataclass(frozen=True, slots=True)
class Document:
    """What a plugin says of itself: of which package, at which place, as text and as TOML.

    `read` gives the bytes of a file by its place, in a folder or in an archive. `judged` takes what is said and cannot
    be, for who asks; then nothing of the plugin is imported.
    """

    package: str
    place: str
    text: str
    content: Said
    read: Callable[[str], bytes]
    judged: list[PluginError] | None = None

    def beside(self, name: str) -> bytes:
        """A file beside this one."""
        return self.read(os.path.join(os.path.dirname(self.place), *name.split("/")))  # noqa: PTH118, PTH120

    def absolute(self, dotted: str) -> str:
        """``module:name`` or ``package/kind``; ``.blocks:read`` and ``/kind`` are in the plugin's package."""
        return f"{self.package}{dotted}" if dotted.startswith((".", ":", "/")) else dotted

    def named(self, dotted: str, path: Path) -> Any:
        """What a name in the document names, imported now; raises `PluginError` where there is no such thing."""
        if self.judged is not None:  # whether it is there is told otherwise
            return str
        try:
            return target(self.absolute(dotted))
        except Exception as error:  # whatever the module does
            raise self.fault(path, f"'{dotted}' cannot be imported: {type(error).__name__}: {error}") from error

    def pattern(self, text: str, path: Path) -> re.Pattern[str]:
        """A regular expression as it is written; raises `PluginError` where it is none."""
        try:
            return re.compile(text, re.IGNORECASE | re.DOTALL)
        except re.error as error:
            raise self.fault(path, f"{text!r} is not a regular expression: {error}") from error

    def doubt(self, path: Path, rule: str) -> None:
        """Note what cannot be, and keeps nothing else from being read."""
        if self.judged is not None:
            self.judged.append(self.fault(path, rule))

    def fault(self, path: Path, rule: str, *, next: str | None = None) -> PluginError:  # noqa: A002
        """An error that names the file, the line, the key and the rule."""
        key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        where = f"{self.place}, line {_line(self.text, path)}"
        return PluginError(f"{where}: {key}: {rule}" if key else f"{where}: {rule}", next=next)


@cache
def document(package: str) -> Document | None:
    """The document of a package, None where it has none; found as an import would find it, and not imported.

    Raises `PluginError` where it is no TOML, or not in its language; the message names file, line and rule.
    """
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        place = os.path.join(folder, FILE)  # noqa: PTH118 - a place inside an archive is no path
        # A package without code has no loader of its own, or one that reads no data.
        loader = spec.loader if hasattr(spec.loader, "get_data") else pkgutil.get_importer(folder)
        read = getattr(loader, "get_data", lambda place: pathlib.Path(place).read_bytes())
        try:
            text = read(place).decode("utf-8")
            content = tomllib.loads(text)
        except ValueError as error:  # tomllib names line and column
            raise PluginError(f"{place} is not valid TOML: {error}") from error
        except OSError:
            continue
        found = Document(package, place, text, content, read)
        _require_valid(found)
        return found
    return None


def required(package: str) -> Document:
    """The same of a package that must have one."""
    if (found := document(package)) is None:
        raise PluginError(f"the package {package} has no {FILE}")
    return found


@cache
def schema() -> Said:
    """The JSON Schema of the language: inside the package in an installed wheel, beside it in a checkout."""
    package = resources.files("diadem")
    inside = package / "schemas"
    folder = inside if inside.is_dir() else package / ".." / "schemas"
    found: Said = json.loads(folder.joinpath("formats", "1.0.0", "formats.schema.json").read_text(encoding="utf-8"))
    return found


@cache
def _compiled() -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for(dict(schema()))


def _require_valid(found: Document) -> None:
    """Judge a document by the compiled schema; what it refuses, by the validator whose messages name path and rule."""
    try:
        if _compiled().is_valid(found.content):
            return
    except (TypeError, ValueError):  # a date is no JSON value
        pass
    import jsonschema

    errors = list(jsonschema.Draft202012Validator(schema()).iter_errors(found.content))
    error = min((_deepest(one) for one in errors), key=lambda one: _line(found.text, list(one.absolute_path)))
    path = list(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        unknown = next(key for key in error.instance if key not in error.schema.get("properties", ()))
        known = ", ".join(sorted(error.schema.get("properties", ())))
        raise found.fault([*path, unknown], f"there is no such key; there are {known}", next=_ADVICE)
    raise found.fault(path, error.message[:300], next=_ADVICE)


def _deepest(error: Any) -> Any:
    """Of what may be written in several ways, the fault of the way that was meant: the one that got furthest."""
    while error.context:
        error = max(error.context, key=lambda one: (len(one.absolute_path), one.validator != "type"))
    return error


def _line(text: str, path: Path) -> int:
    """Number of the line of a key: tomllib does not tell."""
    lines = text.splitlines()
    at = 0
    names: list[str] = []
    for step in path:
        if isinstance(step, int):
            header = f"[[{'.'.join(names)}]]"
            headers = [number for number, line in enumerate(lines) if number >= at and line.strip().startswith(header)]
            at = headers[step] if step < len(headers) else at
        else:
            names.append(step)
            key = re.compile(rf"""(?:^|[\s.{{,\["']){re.escape(step)}["']?\s*(?:=|\.|\]|$)""")
            at = next((number for number, line in enumerate(lines) if number >= at and key.search(line)), at)
    return at + 1


def several(said: Any) -> Sequence[Any]:
    """What may stand alone or in a list, as a list."""
    return said if isinstance(said, list) else [said]


# -- what it offers ------------------------------------------------------------------------------------------------


def offering(package: str) -> Document | None:
    """The document of a package that offers something by it; None where it does not."""
    found = document(package)
    return found if found is not None and any(key in found.content for key in (*_MAKERS, "python")) else None


def offers(found: Document) -> Iterator[Any]:
    """What a document offers, and a `PluginError` that names file and line for each offer that is none."""
    for section, make in _MAKERS.items():
        for place, said in enumerate(found.content.get(section, ())):
            try:
                yield make(found, said)
            except (PluginError, OSError, ValueError) as error:
                yield found.fault((section, place), getattr(error, "message", str(error)))


def _format(found: Document, said: Said) -> ReaderOffer:
    made = _tuples(said)
    made |= {name: found.absolute(said[name]) for name in _FUNCTIONS & said.keys() if isinstance(said[name], str)}
    if isinstance(probe := said.get("probe"), Mapping):
        made["probe"] = f"{found.package}/{said['name']}"
        for pattern in several(probe.get("matches", [])):
            found.pattern(pattern, ("probe", "matches"))
    container = CONTAINERS.get(made.pop("container", ""), ())
    made["magic"] = (*map(_magic, said.get("magic", ())), *container)
    if "signature" in said:
        made["signature"] = said["signature"].encode("latin-1")
    made["groups"] = tuple(Group(**_tuples(group)) for group in said.get("groups", ()))
    return ReaderOffer(**{"suffixes": (), **made})


def prober(address: str) -> Callable[[str], bool]:
    """What knows a file by looking into it: ``module:function``, or ``package/format``, whose document says how."""
    package, slash, name = address.partition("/")
    if not slash:
        found: Callable[[str], bool] = target(address)
        return found
    family = document(package)
    said = next(one["probe"] for one in (family.content if family else {})["format"] if one["name"] == name)
    patterns = [re.compile(one.encode("latin-1"), re.DOTALL) for one in several(said.get("matches", []))]

    def probe(path: str) -> bool:
        if "holds" in said:
            return shows(path, lambda root: all(one in root for one in several(said["holds"])))
        with open(path, "rb") as stream:  # noqa: PTH123 - as it was given
            head = stream.read(_HEAD)
        return all(pattern.search(head) for pattern in patterns)

    return probe


def _tuples(said: Said) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}


def _magic(said: Any) -> Magic:
    if isinstance(said, str):
        return Magic(0, said.encode("latin-1"))
    return Magic(said.get("at", 0), bytes.fromhex(said["hex"]) if "hex" in said else said["text"].encode("latin-1"))


def _metadata(found: Document, said: Said) -> FieldsOffer:
    kinds = (kind for one in found.content.get("table", ()) for kind in several(one["block"]))
    own = {kind: f"{found.package}/{kind}" for kind in kinds}
    tables = {kind: found.absolute(address) for kind, address in said.get("tables", own).items()}
    blocks = f"{found.package}/{said['name']}" if "cut" in said else found.absolute(said.get("blocks", ""))
    return FieldsOffer(said["name"], tuple(said["formats"]), tables, blocks)


def _schema(found: Document, said: Said) -> SchemaOffer:
    versions = {name: json.loads(found.beside(file)) for name, file in said["versions"].items()}
    return SchemaOffer(said["namespace"], versions)


#: Sections of a document that offer something.
_MAKERS: Final[Mapping[str, Callable[[Document, Said], Any]]] = {
    "format": _format,
    "fields": _metadata,
    "schema": _schema,
    "preview": lambda found, said: PreviewOffer(**{**_tuples(said), "draw": found.absolute(said["draw"])}),
    "check": lambda found, said: CheckOffer(**{**_tuples(said), "check": found.absolute(said["check"])}),
    "carrier": lambda found, said: CarrierOffer(said["scheme"], found.absolute(said["connect"])),
    "exporter": lambda found, said: ExporterOffer(**{**_tuples(said), "export": found.absolute(said["export"])}),
}
