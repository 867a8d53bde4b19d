"""Blocks cut out of TIFF tags: one for each tag's bytes, and one tree for each page that begins a signal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diadem.hooks.fields import Block
from diadem.hooks.tiff import NAMES, NotTiff, Page, Tiff, pages_of, signals_of

#: Bytes of a vendor's tags in one file; frames beyond keep theirs in the file only.
MAX_TOTAL = 64 << 20

#: From a tag's bytes to its tree; None is "not mine".
Parse = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Vendor:
    """What one family looks for in the tags of a TIFF file.

    Attributes
    ----------
    kind : str
        Of the blocks.
    parse : mapping of int to callable
        Code of each of the vendor's tags, and what makes a tree of its bytes.
    more : callable, optional
        Given the open file and a page; further entries of the page's tree.
    media_type : str
        Of the tags' bytes.
    """

    kind: str
    parse: Mapping[int, Parse]
    more: Callable[[Tiff, Page], Mapping[str, Any]] | None = None
    media_type: str = "application/octet-stream"


def cut(path: str, vendor: Vendor) -> Iterator[Block]:
    """Blocks of a vendor in a TIFF file; none where it has none of the vendor's tags.

    Parameters
    ----------
    path : str
        The file.
    vendor : Vendor
        What to look for.

    Yields
    ------
    Block
        Each tag's bytes, on every page; and a tree of the vendor's tags and the plain ones for each page that begins a
        signal, or, where none of those has a tag, for the first page with one.

    Raises
    ------
    Exception
        What a parser raises, after the bytes of all pages.
    """
    try:
        file = Tiff.open(path)
    except NotTiff:
        return
    with file:
        pages = pages_of(path)
        found: list[tuple[Page, dict[str, Any]]] = []
        failed: list[Exception] = []
        left = MAX_TOTAL
        for page in pages:
            left -= sum(page.tags[code].end - page.tags[code].start for code in vendor.parse if code in page.tags)
            if left < 0:
                break
            tree: dict[str, Any] = {}
            yield from _tags(file, page, vendor, tree, failed)
            if tree:
                found.append((page, tree))
        more = vendor.more
        whole = [(page, {**tree, **(more(file, page) if more else {})}) for page, tree in found]
        yield from trees(path, file, len(pages), whole, vendor.kind)
    if failed:
        raise failed[0]


def _tags(file: Tiff, page: Page, vendor: Vendor, tree: dict[str, Any], failed: list[Exception]) -> Iterator[Block]:
    """Bytes of the vendor's tags of one page, and what they say in `tree`."""
    for code, parse in vendor.parse.items():
        tag = page.tags.get(code)
        data = b"" if tag is None else file.data(tag)
        if tag is None or not data:
            continue
        try:
            parsed = parse(data)
        except Exception as error:  # the bytes are kept whatever becomes of them
            failed.append(error)
            parsed = {}
        if parsed is None:
            continue
        name = NAMES.get(code, str(code))
        if parsed:
            tree[name] = parsed
        place = f"page {page.number + 1}/{name}"
        yield Block(vendor.kind, {}, data, vendor.media_type, place, byte_range=(tag.start, tag.end))


def trees(
    path: str, file: Tiff, pages: int, found: Sequence[tuple[Page, Mapping[str, Any]]], kind: str
) -> Iterator[Block]:
    """Trees of the pages that describe signals, with the plain tags of these pages.

    Parameters
    ----------
    path, file
        The file.
    pages : int
        How many it has.
    found : sequence of (Page, mapping)
        Pages with tags of the vendor, and what these say.
    kind : str
        Of the blocks.
    """
    if not found:
        return
    try:
        numbers = signals_of(path, pages)
    except Exception:  # tifffile sees no series in a damaged file; the tags are what they are
        numbers = {}
    firsts = [item for item in found if item[0].offset in numbers] or found[:1]
    for page, tree in firsts:
        number = numbers.get(page.offset)
        signals = () if number is None or len(set(numbers.values())) < 2 else (number,)
        yield Block(kind, {**file.plain(page), **tree}, place=f"page {page.number + 1}", signals=signals)
