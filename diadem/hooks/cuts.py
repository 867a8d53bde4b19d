"""Blocks as TOML: which tags of TIFF files, and which side files, are a vendor's, and how what stands there is read.

Each ``[[fields.cut]]`` of a family's `formats.toml` is for blocks of a kind. What is neither lines, nor INI, nor XML, a
function of the family reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from diadem.errors import PluginError
from diadem.hooks.fields import Block
from diadem.hooks.manifest import FILE, Document, required, several
from diadem.hooks.offers import target
from diadem.hooks.text import decode, ini, xml
from diadem.hooks.tiff import Parse, cut, in_tags

#: Bytes of a side file that is read; those that describe a picture have some kilobytes, lists of a series megabytes.
_LARGEST: Final = 16 << 20
_TYPES: Final = {"lines": "text/plain", "ini": "text/plain", "xml": "application/xml"}

Cutter = Callable[[str, Sequence[str]], Iterable[Block]]


def cutter(address: str) -> Cutter:
    """What cuts the blocks of a `FieldsOffer`: ``module:function``, or ``package/name`` of `fields` that say `cut`."""
    package, slash, name = address.partition("/")
    if not slash:
        found: Cutter = target(address)
        return found
    family = required(package)
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
        where = ("fields", place, "cut", number)
        try:
            if "look" in one:
                yield from cut(path, one["block"], family.named(one["look"], (*where, "look")))
                continue
            form, parse = one.get("form", "lines"), _parser(family, one, where)
            if "tag" in one:
                media_type = one.get("media_type", _TYPES.get(form, "application/octet-stream"))
                parsers = dict.fromkeys(several(one["tag"]), parse)
                look = in_tags(one["block"], parsers, media_type, flat=one.get("flat", False))
                yield from cut(path, one["block"], look)
                continue
            for file in files:
                if file.lower().endswith(one["file"]):
                    with Path(file).open("rb") as stream:
                        tree = parse(stream.read(_LARGEST))
                    if tree:
                        yield Block(one["block"], tree, file=file)
        except Exception as error:  # what a family's function raises
            failed.append(error)
    if failed:
        raise failed[0]


def _parser(family: Document, said: Mapping[str, Any], where: Sequence[str | int]) -> Parse:
    """What makes a tree of the bytes of a tag or file; None where they are another's."""
    form = said.get("form", "lines")
    own: Parse | None = family.named(form, (*where, "form")) if ":" in form else None
    contains = family.pattern(said.get("contains", ""), (*where, "contains"))
    line = family.pattern(said["line"], (*where, "line")) if "line" in said else None

    def parse(data: bytes) -> Any:
        if "coding" in said:
            text = data.decode(said["coding"], "replace")
        else:  # that of a tag has an end mark
            text = decode(data.split(b"\0", 1)[0] if "tag" in said else data)
        if contains.search(text) is None:
            return None
        if own is not None:
            return own(data)
        if form == "xml":
            root, tree = xml(data)
            return tree if root == said.get("root", root) and isinstance(tree, dict) else None
        if line is None:
            return ini(text) if form == "ini" else ini(text).get("", {})
        found: dict[str, str] = {}
        for match in filter(None, (line.fullmatch(one.strip()) for one in text.splitlines())):
            found.setdefault(match[1], match[2].strip())
        return found

    return parse
