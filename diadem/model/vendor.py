"""A vendor's own metadata, as it was kept beside the fields made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from diadem.model.display import Display

#: Media type of a parsed tree: typed JSON, see `diadem.serialization.typed_json`.
TREE = "application/vnd.diadem.tree+json"


class VendorSource(Protocol):
    """Where the blocks of a record are kept."""

    def read(self, digest: str) -> bytes:
        """The block with this SHA-256, proven. Raises `IntegrityError`."""

    def parsed(self, data: bytes) -> Any:
        """The tree that typed JSON stands for."""


@dataclass(frozen=True, slots=True)
class VendorBlock(Display):
    """One block of a vendor's metadata.

    Attributes
    ----------
    path : str
        What it is: a tag path in the file, a part's name.
    file : str
        Id of the file that it comes from.
    media_type : str
        Of `data`; "" where only the parsed tree is kept.
    data : bytes
        As it stands in the file; empty where only the parsed tree is kept.
    tree : object
        The same parsed: nested dictionaries and lists of texts, numbers, bytes, NumPy values; None where nobody could.
    byte_range : (int, int) or None
        Where `data` stands in the file, in one piece.
    """

    path: str
    file: str
    media_type: str
    data: bytes
    tree: Any
    byte_range: tuple[int, int] | None = None

    def _display_document(self) -> Mapping[str, Any]:
        keys = len(self.tree) if isinstance(self.tree, Mapping | list) else None
        return {"path": self.path, "file": self.file, "media_type": self.media_type, "bytes": len(self.data) or None,
                "entries": keys}  # fmt: skip


def blocks_of(raw: Sequence[Mapping[str, Any]], source: VendorSource) -> Iterator[VendorBlock]:
    """Blocks of a dataset, each with the tree that was parsed from it.

    Parameters
    ----------
    raw : sequence of mapping
        The dataset's entries: a block's bytes, its tree after it.
    source : VendorSource
        Where they are kept.
    """
    waiting: Mapping[str, Any] | None = None
    for entry in raw:
        if entry["media_type"] == TREE:
            belongs = waiting is not None and _subject(waiting) == _subject(entry)
            yield _block(waiting if belongs else None, entry, source)
            if waiting is not None and not belongs:
                yield _block(waiting, None, source)
            waiting = None
            continue
        if waiting is not None:
            yield _block(waiting, None, source)
        waiting = entry
    if waiting is not None:
        yield _block(waiting, None, source)


def tree_of(blocks: Sequence[VendorBlock]) -> dict[str, Any]:
    """Blocks of a record as one tree; a block that nobody could parse is its text."""
    tree: dict[str, Any] = {}
    for block in blocks:
        name = block.path or "metadata"
        while name in tree:
            name += " (another)"
        tree[name] = block.tree if block.tree is not None else block.data
    return tree


def _subject(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    return entry.get("place"), entry.get("file")


def _block(data: Mapping[str, Any] | None, tree: Mapping[str, Any] | None, source: VendorSource) -> VendorBlock:
    about = data or tree
    assert about is not None
    span = about.get("byte_range")
    return VendorBlock(
        path=about.get("place", about["path"]),
        file=about.get("file", ""),
        media_type="" if data is None else data["media_type"],
        data=b"" if data is None else source.read(data["sha256"]),
        tree=None if tree is None else source.parsed(source.read(tree["sha256"])),
        byte_range=None if span is None else (span[0], span[1]),
    )
