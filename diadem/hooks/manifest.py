"""A family's `formats.toml`: found and judged without importing the family's code."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from diadem.errors import PluginError
from diadem.hooks.targets import target

FILE: Final = "formats.toml"
#: Where a fault lies in a document: keys and places in lists.
Path = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Document:
    """What a family says of itself.

    Attributes
    ----------
    package : str
        Of the family: ``diadem.plugins.zeiss``.
    place : str
        Of the file, for messages.
    text : str
        As it stands there.
    content : mapping
        The same as TOML.
    read : callable
        Bytes of a file by its place, in a folder or in an archive.
    """

    package: str
    place: str
    text: str
    content: Mapping[str, Any]
    read: Callable[[str], bytes]

    def beside(self, name: str) -> bytes:
        """A file beside this one."""
        return self.read(os.path.join(os.path.dirname(self.place), *name.split("/")))  # noqa: PTH118, PTH120

    def absolute(self, dotted: str) -> str:
        """``module:name`` or ``package/kind``; ``.blocks:read`` and ``/kind`` are in the family's package."""
        return f"{self.package}{dotted}" if dotted.startswith((".", ":", "/")) else dotted

    def named(self, dotted: str, path: Path) -> Any:
        """What a name in the document names, imported now.

        Raises
        ------
        PluginError
            There is no such thing.
        """
        try:
            return target(self.absolute(dotted))
        except Exception as error:  # whatever the module does
            raise self.fault(path, f"'{dotted}' cannot be imported: {type(error).__name__}: {error}") from error

    def fault(self, path: Path, rule: str, *, next: str | None = None) -> PluginError:  # noqa: A002
        """An error that names the file, the line, the key and the rule."""
        key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        where = f"{self.place}, line {_line(self.text, path)}"
        return PluginError(f"{where}: {key}: {rule}" if key else f"{where}: {rule}", next=next)


@cache
def document(package: str) -> Document | None:
    """The document of a family's package; None where it has none.

    Parameters
    ----------
    package : str
        It is found as an import would find it, in a folder or an archive, and not imported.

    Raises
    ------
    PluginError
        The document is no TOML, or not in its language; the message names file, line and rule.
    """
    for place, read in _found(package):
        try:
            text = read(place).decode("utf-8")
            content = tomllib.loads(text)
        except ValueError as error:  # tomllib names line and column
            raise PluginError(f"{place} is no TOML: {error}") from error
        except OSError:
            continue
        found = Document(package, place, text, content, read)
        _require_valid(found)
        return found
    return None


def _found(package: str) -> Iterator[tuple[str, Callable[[str], bytes]]]:
    """Where the file would be in each folder of the package, and what reads it there."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    read: Any = getattr(spec.loader, "get_data", None) if spec is not None else None
    for folder in (spec.submodule_search_locations or ()) if spec is not None and read is not None else ():
        yield os.path.join(folder, FILE), read  # noqa: PTH118 - a place inside an archive is no path


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of the language: inside the package in an installed wheel, beside it in a checkout."""
    package = resources.files("diadem")
    inside = package / "schemas"
    folder = inside if inside.is_dir() else package / ".." / "schemas"
    found: Mapping[str, Any] = json.loads(
        folder.joinpath("formats", "1.0.0", "formats.schema.json").read_text(encoding="utf-8")
    )
    return found


@cache
def _compiled() -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for(dict(schema()))


def _require_valid(found: Document) -> None:
    try:
        if _compiled().is_valid(found.content):
            return
    except (TypeError, ValueError):  # a date is no JSON value
        pass
    import jsonschema

    errors = list(jsonschema.Draft202012Validator(schema()).iter_errors(found.content))
    error = min((_deepest(one) for one in errors), key=lambda one: _line(found.text, list(one.absolute_path)))
    advice = "docs/plugins.md says how the file is written"
    path = list(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        unknown = next(key for key in error.instance if key not in error.schema.get("properties", ()))
        known = ", ".join(sorted(error.schema.get("properties", ())))
        raise found.fault([*path, unknown], f"there is no such key; there are {known}", next=advice)
    raise found.fault(path, error.message[:300], next=advice)


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
