"""RosettaSciIO's list of readers turned into offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diadem.hooks.offers import ReaderOffer
from diadem.plugins.rosettasciio.formats import FORMATS, LAYOUTS, MORE, Format


def offers() -> Iterator[ReaderOffer]:
    """One offer for each reader; those that share a reader but not its magic number follow their own."""
    from rsciio import IO_PLUGINS

    for specification in IO_PLUGINS:
        name = specification["api"].rpartition(".")[2]
        yield _offer(name, name, specification, FORMATS.get(name, Format()))
        for other, (reader, more) in MORE.items():
            if reader == name:
                yield _offer(other, name, specification, more)


def _offer(name: str, reader: str, specification: dict[str, Any], more: Format) -> ReaderOffer:
    """One offer from the reader's specification and our additions."""
    listed = dict.fromkeys("." + suffix.lower() for suffix in specification["file_extensions"])
    return ReaderOffer(
        name=name,
        suffixes=more.suffixes or tuple(listed),
        load=more.load or f"rsciio.{reader}:file_reader",
        open=more.open,
        describe=more.describe,
        magic=more.magic,
        signature=more.signature,
        groups=more.groups,
        folders=more.folders,
        probe=more.probe,
        layout=LAYOUTS.get(name, ""),
        options=more.options,
        priority=more.priority,
    )
