"""The log's tree: the vectors of Certificate Transparency, the recursive definition of the RFC, and forged proofs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError, UsageError
from diadem.trust.tree import (
    EMPTY_ROOT,
    Frontier,
    Subtree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

PROPERTY = settings(max_examples=50, derandomize=True, deadline=None)

#: Entries, roots of the first 0 to 8 of them, and proofs of the Certificate Transparency tests
#: (github.com/transparency-dev/merkle, testonly/constants.go and testonly/reference_test.go).
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = [
    (0, 1, []),
    (0, 2, [_A]),
    (1, 2, [ROOTS[1]]),
    (2, 3, [ROOTS[2]]),
    (1, 5, [ROOTS[1], _B, _D]),
    (0, 8, [_A, _B, _C]),
    (5, 8, [_D, _E, ROOTS[4]]),
]
CONSISTENCY = [(1, 1, []), (1, 8, [_A, _B, _C]), (2, 5, [_B, _D]), (6, 8, [_F, _E, ROOTS[4]])]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
MANY = [leaf_hash(index.to_bytes(4, "big")) for index in range(300)]


def _hashes(texts: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


def test_the_tree_without_entries_has_the_hash_of_nothing() -> None:
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT == Frontier().root()


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, proof: list[str]) -> None:
    assert inclusion_proof(index, LEAVES, size) == _hashes(proof)
    assert verify_inclusion(LEAVES[index], index, size, _hashes(proof), bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(first: int, second: int, proof: list[str]) -> None:
    assert consistency_proof(first, second, LEAVES) == _hashes(proof)
    old, new = bytes.fromhex(ROOTS[first]), bytes.fromhex(ROOTS[second])
    assert verify_consistency(first, second, old, new, _hashes(proof))


# -- against the definitions of RFC 9162, written as they stand there ------------------------------------------------


def _k(size: int) -> int:
    return max(1 << bit for bit in range(size.bit_length()) if 1 << bit < size)


def _mth(leaves: Sequence[bytes]) -> bytes:
    """Section 2.1.1, of leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = _k(len(leaves))
    return hashlib.sha256(b"\1" + _mth(leaves[:k]) + _mth(leaves[k:])).digest()


def _path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = _k(len(leaves))
    if m < k:
        return [*_path(m, leaves[:k]), _mth(leaves[k:])]
    return [*_path(m - k, leaves[k:]), _mth(leaves[:k])]


def _subproof(m: int, leaves: Sequence[bytes], complete: bool) -> list[bytes]:
    """Section 2.1.4.1."""
    n = len(leaves)
    if m == n:
        return [] if complete else [_mth(leaves)]
    k = _k(n)
    if m <= k:
        return [*_subproof(m, leaves[:k], complete), _mth(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], False), _mth(leaves[:k])]


@pytest.mark.parametrize("size", range(1, 34))
def test_every_proof_of_a_small_tree_is_that_of_the_definition(size: int) -> None:
    leaves, root = MANY[:size], _mth(MANY[:size])
    assert root_of(leaves) == root
    for index in range(size):
        proof = inclusion_proof(index, leaves, size)
        assert proof == _path(index, leaves)
        assert verify_inclusion(leaves[index], index, size, proof, root)
    for first in range(1, size + 1):
        proof = consistency_proof(first, size, leaves)
        assert proof == _subproof(first, leaves, True)
        assert verify_consistency(first, size, _mth(leaves[:first]), root, proof)


class Stored:
    """What a log keeps: the complete subtrees that appending gave. Anything else that is asked for is an error."""

    def __init__(self, size: int) -> None:
        self.frontier = Frontier()
        self.kept: dict[tuple[int, int], bytes] = {}
        for leaf in MANY[:size]:
            for subtree in self.frontier.append(leaf):
                self.kept[subtree.start, subtree.stop] = subtree.hash

    def __call__(self, start: int, stop: int) -> bytes:
        return self.kept[start, stop]


@PROPERTY
@given(st.integers(1, 300).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_proofs_from_stored_subtrees_are_the_same(case: tuple[int, int]) -> None:
    size, index = case
    stored = Stored(300)
    assert inclusion_proof(index, stored, size) == inclusion_proof(index, MANY, size) == _path(index, MANY[:size])
    assert consistency_proof(index, size, stored) == consistency_proof(index, size, MANY)


def test_appending_tells_every_subtree_that_is_complete() -> None:
    stored = Stored(300)
    expected = {(start, start + (1 << k)) for k in range(9) for start in range(0, 300 - (1 << k) + 1, 1 << k)}
    assert set(stored.kept) == expected
    assert all(_mth(MANY[start:stop]) == hash_ for (start, stop), hash_ in stored.kept.items())
    assert len(stored.kept) < 2 * 300


# -- the frontier ----------------------------------------------------------------------------------------------------


@PROPERTY
@given(st.integers(0, 300), st.integers(0, 20))
def test_a_frontier_goes_on_where_it_was_kept(size: int, more: int) -> None:
    more = min(more, 300 - size)
    frontier = Frontier()
    for leaf in MANY[:size]:
        frontier.append(leaf)
    kept = frontier.to_bytes()
    assert len(kept) == 8 + 32 * size.bit_count()
    again = Frontier.from_bytes(kept)
    for leaf in MANY[size : size + more]:
        again.append(leaf)
    assert again.size == size + more
    assert again.root() == _mth(MANY[: size + more])
    assert frontier.to_bytes() == kept


def test_appending_completes_what_the_size_says() -> None:
    frontier = Frontier()
    assert frontier.append(MANY[0]) == [Subtree(0, 1, MANY[0])]
    pair = frontier.append(MANY[1])
    assert pair == [Subtree(1, 2, MANY[1]), Subtree(0, 2, node_hash(MANY[0], MANY[1]))]
    assert len(frontier.append(MANY[2])) == 1
    assert [subtree.stop - subtree.start for subtree in frontier.append(MANY[3])] == [1, 2, 4]


@PROPERTY
@given(st.binary(max_size=120))
def test_garbage_is_no_frontier_or_writes_itself(data: bytes) -> None:
    try:
        frontier = Frontier.from_bytes(data)
    except DocumentError:
        return
    assert frontier.to_bytes() == data


@pytest.mark.parametrize("data", [b"", b"\0" * 7, b"\0" * 9, b"\0" * 7 + b"\1", b"\x80" + b"\0" * 7 + b"x" * 32])
def test_a_frontier_that_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        Frontier.from_bytes(data)


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match="32 bytes"):
        Frontier().append(b"short")


# -- proofs that prove nothing ---------------------------------------------------------------------------------------


CASES = st.integers(2, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1), st.randoms()))


@PROPERTY
@given(CASES)
def test_a_changed_inclusion_proof_is_refused(case: tuple[int, int, Random]) -> None:
    size, index, random = case
    root, proof = root_of(MANY[:size]), inclusion_proof(index, MANY, size)
    assert verify_inclusion(MANY[index], index, size, proof, root)
    other = random.choice([value for value in range(size) if value != index])
    assert not verify_inclusion(MANY[index], other, size, proof, root)
    assert not verify_inclusion(MANY[other], index, size, proof, root)
    assert not verify_inclusion(MANY[index], index, size, [*proof, MANY[0]], root)
    assert not verify_inclusion(MANY[index], index, size, [MANY[0], *proof], root)
    assert not verify_inclusion(MANY[index], index, size, proof[:-1], root)
    assert not verify_inclusion(MANY[index], index, size, proof, root_of(MANY[: size - 1]))
    for at in range(len(proof)):
        assert not verify_inclusion(MANY[index], index, size, [*proof[:at], b"\0" * 32, *proof[at + 1 :]], root)


@PROPERTY
@given(CASES)
def test_a_changed_consistency_proof_is_refused(case: tuple[int, int, Random]) -> None:
    second, first, random = case
    first = max(first, 1)
    old, new, proof = root_of(MANY[:first]), root_of(MANY[:second]), consistency_proof(first, second, MANY)
    assert verify_consistency(first, second, old, new, proof)
    changed = root_of([*MANY[: random.randrange(first)], b"\1" * 32, *MANY[first:second]])
    assert not verify_consistency(first, second, changed, new, proof)
    assert not verify_consistency(first, second, old, changed, proof)
    assert not verify_consistency(first, second, old, new, [*proof, MANY[0]])
    assert not verify_consistency(second, first, new, old, proof)
    assert not verify_consistency(first, second + 1, old, new, [*proof, MANY[0]])
    if proof:
        assert not verify_consistency(first, second, old, new, proof[:-1])
        at = random.randrange(len(proof))
        assert not verify_consistency(first, second, old, new, [*proof[:at], b"\0" * 32, *proof[at + 1 :]])


def test_a_log_that_was_rewritten_has_no_proof() -> None:
    rewritten = [*MANY[:5], leaf_hash(b"another"), *MANY[6:20]]
    old, new = root_of(MANY[:10]), root_of(rewritten)
    for leaves in (MANY[:20], rewritten):
        assert not verify_consistency(10, 20, old, new, consistency_proof(10, 20, leaves))


def test_the_empty_tree_is_the_beginning_of_every_tree() -> None:
    assert consistency_proof(0, 8, LEAVES) == []
    assert verify_consistency(0, 8, EMPTY_ROOT, root_of(LEAVES), [])
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    assert not verify_consistency(0, 8, root_of(LEAVES), root_of(LEAVES), [])
    assert not verify_consistency(0, 8, EMPTY_ROOT, root_of(LEAVES), [MANY[0]])
    assert not verify_consistency(8, 8, root_of(LEAVES), root_of(MANY[:8]), [])
    assert not verify_consistency(8, 8, root_of(LEAVES), root_of(LEAVES), [MANY[0]])


def test_a_node_is_not_taken_for_an_entry() -> None:
    inner = node_hash(LEAVES[0], LEAVES[1])
    assert root_of([inner, node_hash(LEAVES[2], LEAVES[3])]) == root_of(LEAVES[:4])  # of hashes, which prove nothing
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != inner  # of entries, the first byte tells


@PROPERTY
@given(
    st.binary(max_size=40),
    st.integers(-(2**70), 2**70),
    st.integers(-(2**70), 2**70),
    st.lists(st.binary(max_size=40), max_size=5),
    st.binary(max_size=40),
)
def test_verification_never_raises(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    assert not verify_inclusion(leaf, index, size, proof, root)
    if index != size:
        assert not verify_consistency(index, size, leaf, root, proof)


def test_an_endless_proof_ends() -> None:
    endless = [b"\0" * 32] * 1_000_000
    assert not verify_inclusion(MANY[0], 0, 2**62, endless, MANY[1])
    assert not verify_consistency(3, 2**62, MANY[0], MANY[1], endless)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (8, 8), (-1, 8), (0, 9), (3, 2**70)])
def test_entries_that_are_not_there_have_no_proof(index: int, size: int) -> None:
    with pytest.raises(UsageError):
        inclusion_proof(index, LEAVES, size)


@pytest.mark.parametrize(("first", "second"), [(-1, 8), (5, 4), (1, 9)])
def test_trees_that_are_not_there_have_no_proof(first: int, second: int) -> None:
    with pytest.raises(UsageError):
        consistency_proof(first, second, LEAVES)


def test_a_proof_of_a_million_entries_asks_for_few_hashes() -> None:
    asked: list[tuple[int, int]] = []

    def hash_of(start: int, stop: int) -> bytes:
        width = stop - start
        assert width & (width - 1) == 0
        assert start % width == 0
        asked.append((start, stop))
        return hashlib.sha256(f"{start}-{stop}".encode()).digest()

    assert len(inclusion_proof(777_777, hash_of, 1_000_000)) == 20
    assert len(asked) < 40
    asked.sort()
    assert all(left[1] <= right[0] for left, right in pairwise(asked))
