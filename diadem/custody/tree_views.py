"""Whether several views of one log are views of one tree: rewriting and forking show here.

A view is a checkpoint with what a file proves about its tree. Two trees of one log are the same up to the smaller size,
or the log was rewritten. A consistency proof decides it; without one, the hashes of complete subtrees that both views
imply can still contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from diadem.trust.tree import node_hash


@dataclass(slots=True)
class View:
    """What one file proves about the tree of one epoch: the root that a checkpoint signs, and what follows from it."""

    source: str
    epoch: int
    size: int
    root: bytes
    #: Roots of earlier sizes that the file proves to be in the same tree.
    earlier: dict[int, bytes] = field(default_factory=dict)
    #: Hashes of complete subtrees (first entry, end) that its proofs of inclusion imply.
    subtrees: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def roots(self) -> dict[int, bytes]:
        """Every root that is known of this tree, by size."""
        return {**self.earlier, self.size: self.root}


def implied_subtrees(
    leaf: bytes, index: int, size: int, proof: tuple[bytes, ...]
) -> Iterator[tuple[tuple[int, int], bytes]]:
    """The complete subtrees whose hashes a proof of inclusion implies, if the proof holds."""
    value, inner = leaf, (index ^ (size - 1)).bit_length()
    upper = [bit for bit in range(inner, size.bit_length()) if index >> bit & 1]
    for step, sibling in enumerate(proof):
        level = step if step < inner else upper[step - inner]
        ours = index >> level
        for number, hash_ in ((ours, value), (ours ^ 1, sibling)):
            start, stop = number << level, (number + 1) << level
            if stop <= size:
                yield (start, stop), hash_
        on_the_right = step >= inner or ours & 1
        value = node_hash(sibling, value) if on_the_right else node_hash(value, sibling)


def contradictions(views: Iterable[View]) -> Iterator[tuple[View, View, str]]:
    """Pairs of views, the older first, that cannot be of one tree; and why, in words."""
    ordered = sorted(views, key=lambda view: (view.epoch, view.size))
    for at, view in enumerate(ordered):
        for older in ordered[:at]:
            if older.epoch == view.epoch and (why := _difference(older, view)) is not None:
                yield older, view, why


def _difference(older: View, newer: View) -> str | None:
    """Why two views of one epoch are of two trees."""
    theirs = newer.roots()
    for size, root in older.roots().items():
        if theirs.get(size, root) != root:
            return f"the tree of the first {size} entries is another one"
    for (start, stop), hash_ in older.subtrees.items():
        if newer.subtrees.get((start, stop), hash_) != hash_:
            return f"entry {start} is another one" if stop - start == 1 else f"the entries {start} to {stop - 1} differ"
    return None


def unconnected(views: Iterable[View]) -> Iterator[tuple[View, View]]:
    """Views of an epoch of which nothing proves that the newest one of that epoch begins with them; and that newest."""
    by_epoch: dict[int, list[View]] = {}
    for view in views:
        by_epoch.setdefault(view.epoch, []).append(view)
    for group in by_epoch.values():
        newest = max(group, key=lambda view: view.size)
        reached = _reached(newest, group)
        yield from ((view, newest) for view in group if (view.size, view.root) not in reached)


def _reached(newest: View, group: list[View]) -> set[tuple[int, bytes]]:
    """Trees that the newest one is proven to begin with, by the files' own proofs, one after the other."""
    reached = set(newest.roots().items())
    grew = True
    while grew:
        grew = False
        for view in group:
            if (view.size, view.root) in reached and not reached.issuperset(view.earlier.items()):
                reached.update(view.earlier.items())
                grew = True
    return reached
