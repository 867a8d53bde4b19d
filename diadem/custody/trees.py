"""The tree of a log from the hashes that its file keeps: right edge, roots, and the origin of its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from diadem.trust.keys import PrivateKey
from diadem.trust.note import Checkpoint, sign_checkpoint
from diadem.trust.tree import Frontier, RangeHash


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a log stands: its size, and the right edge of its tree."""

    size: int
    frontier: Frontier


def log_origin(origin: str, epoch: int) -> str:
    """Origin of the checkpoints of one epoch: each epoch is a tree of its own, and needs a name of its own."""
    return f"{origin}/{epoch}"


def edge(hashes: RangeHash, size: int) -> Frontier:
    """The right edge of the tree of the first `size` entries."""
    parts, start = [], 0
    while start < size:
        width = 1 << ((size - start).bit_length() - 1)
        parts.append(hashes(start, start + width))
        start += width
    return Frontier.from_bytes(size.to_bytes(8, "big") + b"".join(parts))


def root_at(hashes: RangeHash, size: int) -> bytes:
    """Root of the tree of the first `size` entries."""
    return edge(hashes, size).root()


def signed_checkpoint(origin: str, epoch: int, frontier: Frontier, key: PrivateKey) -> str:
    """The signed note of a tree as it is now."""
    return sign_checkpoint(Checkpoint(log_origin(origin, epoch), frontier.size, frontier.root()), key)
