"""Merkle trees of RFC 9162 section 2.1: a log's root, and short proofs that an entry is in it and that it only grew.

Hashes are SHA-256, 32 bytes. Entries are counted from 0. Proofs are lists of hashes in the order of the RFC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from diadem.errors import DocumentError, UsageError

#: Bytes of a hash.
HASH_SIZE: Final = 32
#: Root of the tree without entries: SHA-256 of nothing (RFC 9162 section 2.1.1).
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
#: Entries of the largest tree: what a signed integer of a database holds.
MAX_SIZE: Final = (1 << 63) - 1

#: Gives the hash of the complete subtree over entries `start` to `stop` (exclusive): `stop - start` is a power of two
#: that divides `start`. Nothing else is ever asked of it.
RangeHash = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Hash of an entry: its bytes after 0x00 (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node: those of its two children after 0x01 (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Root of the tree over these leaf hashes."""
    frontier = Frontier()
    for item in leaf_hashes:
        frontier.append(item)
    return frontier.root()


@dataclass(frozen=True, slots=True)
class Subtree:
    """A complete subtree over the entries `start` to `stop` (exclusive), and its hash."""

    start: int
    stop: int
    hash: bytes


class Frontier:
    """The right edge of a growing tree: the hashes of its complete subtrees, largest first, one for each 1 of its size.

    It is all that is needed to append and to know the root; a million entries take 640 bytes.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._hashes: list[bytes] = []

    @property
    def size(self) -> int:
        """Entries in the tree."""
        return self._size

    def append(self, leaf: bytes) -> list[Subtree]:
        """Add the hash of the next entry.

        Returns
        -------
        list of Subtree
            Every subtree that this entry completes, the leaf itself first: what a `RangeHash` may be asked for later.
        """
        _require_hash(leaf)
        stop = self._size + 1
        completed = [Subtree(self._size, stop, leaf)]
        while self._size >> (len(completed) - 1) & 1:
            hash_ = node_hash(self._hashes.pop(), completed[-1].hash)
            completed.append(Subtree(stop - (1 << len(completed)), stop, hash_))
        self._hashes.append(completed[-1].hash)
        self._size = stop
        return completed

    def root(self) -> bytes:
        """Root of the tree as it is now."""
        return _folded(self._hashes) if self._hashes else EMPTY_ROOT

    def to_bytes(self) -> bytes:
        """The size as 8 bytes, most significant first, and the hashes."""
        return self._size.to_bytes(8, "big") + b"".join(self._hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The frontier of what `to_bytes` wrote.

        Raises
        ------
        DocumentError
            The number of hashes does not fit the size.
        """
        size = int.from_bytes(data[:8], "big")
        if len(data) != 8 + HASH_SIZE * size.bit_count() or size > MAX_SIZE:
            raise DocumentError("the edge of the log's tree is not what was written", where="frontier")
        frontier = cls()
        frontier._size = size
        frontier._hashes = [data[at : at + HASH_SIZE] for at in range(8, len(data), HASH_SIZE)]
        return frontier


def inclusion_proof(index: int, hashes: Sequence[bytes] | RangeHash, size: int) -> list[bytes]:
    """Proof that the entry `index` is in the tree of the first `size` entries (RFC 9162 section 2.1.3.1).

    Parameters
    ----------
    index, size : int
        Which entry, and of which tree: 0 ≤ index < size.
    hashes : sequence of bytes, or callable
        The leaf hashes, or what gives the hash of a complete subtree; then O(log² size) of them are asked for.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise UsageError(f"a log of {size} entries has none of index {index}")
    subtree = _subtree_hashes(hashes, size)
    start, stop = 0, size
    proof: list[bytes] = []
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            proof.append(subtree(middle, stop))
            stop = middle
        else:
            proof.append(subtree(start, middle))
            start = middle
    return proof[::-1]


def consistency_proof(first: int, second: int, hashes: Sequence[bytes] | RangeHash) -> list[bytes]:
    """Proof that the tree of `second` entries begins with that of `first` entries (RFC 9162 section 2.1.4.1).

    Parameters
    ----------
    first, second : int
        0 ≤ first ≤ second. The proof is empty where they are equal, and from the empty tree.
    hashes : sequence of bytes, or callable
        As for `inclusion_proof`, of the larger tree.
    """
    if not 0 <= first <= second <= MAX_SIZE:
        raise UsageError(f"a log of {second} entries does not follow one of {first}")
    if first in {0, second}:
        return []
    subtree = _subtree_hashes(hashes, second)
    start, stop, proof = 0, second, []
    while first != stop:
        middle = start + _split(stop - start)
        if first <= middle:
            proof.append(subtree(middle, stop))
            stop = middle
        else:
            proof.append(subtree(start, middle))
            start = middle
    if start:  # else the first tree is itself complete, and the verifier has its root
        proof.append(subtree(start, stop))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that this leaf hash is entry `index` of the tree with this root. Never raises.

    RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size <= MAX_SIZE or not _all_hashes([leaf, root, *proof[:64]]):
        return False
    inner = (index ^ (size - 1)).bit_length()  # levels on which the entry's node has a sibling of its own
    if len(proof) != inner + (index >> inner).bit_count():
        return False
    value = leaf
    for level, sibling in enumerate(proof):
        on_the_right = level >= inner or index >> level & 1
        value = node_hash(sibling, value) if on_the_right else node_hash(value, sibling)
    return value == root


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the second tree begins with the first. Never raises.

    RFC 9162 section 2.1.4.2; the empty tree is the beginning of every tree.
    """
    if not 0 <= first <= second <= MAX_SIZE or not _all_hashes([first_root, second_root, *proof[:130]]):
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    return _consistent(first, second, first_root, second_root, proof)


def _consistent(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """The steps of RFC 9162 section 2.1.4.2, for 0 < first < second."""
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return old == first_root and new == second_root and last == 0


def _subtree_hashes(hashes: Sequence[bytes] | RangeHash, size: int) -> RangeHash:
    """Hashes of any subtree that a proof needs, also of those at the ragged right edge."""
    if callable(hashes):
        complete = hashes
        return lambda start, stop: _folded([complete(*part) for part in _complete_parts(start, stop)])
    leaves = hashes
    if len(leaves) < size:
        raise UsageError(f"{len(leaves)} leaf hashes are given, {size} are needed")
    return lambda start, stop: root_of(leaves[start:stop])


def _complete_parts(start: int, stop: int) -> list[tuple[int, int]]:
    """A subtree of the RFC as complete subtrees, largest first."""
    parts = []
    while start < stop:
        width = 1 << ((stop - start).bit_length() - 1)
        parts.append((start, start + width))
        start += width
    return parts


def _folded(hashes: Sequence[bytes]) -> bytes:
    """The hash of complete subtrees side by side, joined from the right."""
    value = hashes[-1]
    for left in reversed(hashes[:-1]):
        value = node_hash(left, value)
    return value


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _require_hash(value: bytes) -> None:
    if len(value) != HASH_SIZE:
        raise UsageError(f"a hash has {HASH_SIZE} bytes, this one {len(value)}")


def _all_hashes(values: Iterable[bytes]) -> bool:
    return all(isinstance(value, bytes) and len(value) == HASH_SIZE for value in values)
