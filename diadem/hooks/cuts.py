"""Blocks as TOML: which tags of TIFF files, and which side files, are a vendor's, and how what stands there is read.

Each ``[[fields.cut]]`` of a family's `formats.toml` is for blocks of a kind. What is neither lines, nor INI, nor XML, a
function of the family reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from diadem.errors import PluginError
from diadem.hooks.fields import Block
from diadem.hooks.forms import pattern_of
from diadem.hooks.manifest import FILE, Document, document, several
from diadem.hooks.targets import target
from diadem.hooks.text import decode, ini, xml
from diadem.hooks.tiff import cut, in_tags

#: Bytes of a side file that are read; those that describe a picture have some kilobytes.
_LARGEST: Final = 1 << 20
_TYPES: Final = {"lines": "text/plain", "ini": "text/plain", "xml": "application/xml"}

Cutter = Callable[[str, Sequence[str]], Iterable[Block]]


def cutter(address: str) -> Cutter:
    """What cuts the blocks of a `FieldsOffer`, by its address.

    Parameters
    ----------
    address : str
        ``module:function``, or ``package/name`` of the `fields` in a package's `formats.toml` that say `cut`.
    """
    package, slash, name = address.partition("/")
    if not slash:
        found: Cutter = target(address)
        return found
    if (family := document(package)) is None:
        raise PluginError(f"the package {package} has no {FILE}")
    for place, one in enumerate(family.content.get("fields", ())):
        if one["name"] == name and "cut" in one:
            return partial(_cut, family, one["cut"], place)
    raise PluginError(f"the {FILE} of {package} does not say what is cut for '{name}'")


def _cut(
    family: Document, said: Sequence[Mapping[str, Any]], place: int, path: str, files: Sequence[str]
) -> Iterator[Block]:
    """Blocks by all statements; one that fails does the others no harm."""
    failed: list[Exception] = []
    for number, one in enumerate(said):
        kind, form = one["block"], one.get("form", "lines")
        contains = (
            pattern_of(family, one["contains"], ("fields", place, "cut", number, "contains"))
            if "contains" in one
            else None
        )
        own = family.named(form, ("fields", place, "cut", number, "form")) if ":" in form else None
        parse = own if own and contains is None else partial(_parsed, one, contains, own)
        try:
            if "tag" in one:
                media_type = one.get("media_type", _TYPES.get(form, "application/octet-stream"))
                yield from cut(path, kind, in_tags(kind, dict.fromkeys(several(one["tag"]), parse), media_type))
            for file in files if "file" in one else ():
                if file.lower().endswith(one["file"]):
                    with Path(file).open("rb") as stream:
                        tree = parse(stream.read(_LARGEST))
                    if tree:
                        yield Block(kind, tree, file=file)
        except Exception as error:  # what a parser raises
            failed.append(error)
    if failed:
        raise failed[0]


def _parsed(
    said: Mapping[str, Any], contains: re.Pattern[str] | None, own: Callable[[bytes], Any] | None, data: bytes
) -> Any:
    """What stands in a tag or file as a tree; None where it is another's."""
    end = data.find(b"\0") if "tag" in said and "coding" not in said else -1
    text = data.decode(said["coding"], "replace") if "coding" in said else decode(data if end < 0 else data[:end])
    if contains is not None and contains.search(text) is None:
        return None
    form = said.get("form", "lines")
    if own is not None:
        return own(data)
    if form == "xml":
        root, tree = xml(data)
        return tree if root == said.get("root", root) and isinstance(tree, dict) else None
    if form == "ini":
        return ini(text)
    if "line" not in said:
        return ini(text).get("", {})
    found: dict[str, str] = {}
    for match in filter(None, (re.fullmatch(said["line"], line.strip()) for line in text.splitlines())):
        found.setdefault(match[1], match[2].strip())
    return found
