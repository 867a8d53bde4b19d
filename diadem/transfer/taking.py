"""Taking whole windows in where a package arrives, however they came: each leaf is proven before it is kept."""

from __future__ import annotations

from typing import Final

from diadem.errors import DigestMismatch
from diadem.model.manifest import leaf_count
from diadem.store.arrival import Arrival
from diadem.store.arrival_hashing import Follower
from diadem.transfer.windows import Span, WindowPlan
from diadem.trust.hashing import leaf_digest

_AGAIN: Final = "Send the window again."


def take_window(arrival: Arrival, follower: Follower, spans: list[Span], data: memoryview) -> int:
    """Prove and write what is missing of a window; the bytes of what was here already.

    Raises
    ------
    DigestMismatch
        A leaf is wrong; those before it are kept.
    """
    return sum(_take(arrival, follower, span, data[span.at : span.at + span.length]) for span in spans)


def is_missing(arrival: Arrival, plan: WindowPlan, window: int) -> bool:
    """Whether a leaf of a window is not here."""
    proven = arrival.marks.proven
    return any(
        0 in proven[span.entry.first_leaf + span.leaf : span.entry.first_leaf + span.leaf + span.leaves]
        for span in plan.spans(window)
    )


def wanted_windows(arrival: Arrival, plan: WindowPlan) -> bytearray:
    """A bit for each window of which a leaf is missing, the least significant first."""
    bits = bytearray(-(-len(plan) // 8))
    proven, leaf = arrival.marks.proven, 0
    while (leaf := proven.find(0, leaf)) >= 0:
        window = plan.window_of(leaf)
        bits[window // 8] |= 1 << window % 8
        last = plan.spans(window)[-1]
        leaf = last.entry.first_leaf + last.leaf + last.leaves
    return bits


def numbers_of(bits: bytes | bytearray) -> list[int]:
    """The windows whose bits are set."""
    return [number for number in range(8 * len(bits)) if bits[number // 8] >> number % 8 & 1]


def bits_of(numbers: set[int]) -> bytes:
    """A bit for each of some windows."""
    bits = bytearray(max(numbers, default=-8) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    return bytes(bits)


def _take(arrival: Arrival, follower: Follower, span: Span, data: memoryview) -> int:
    """Prove and write the leaves of a span that are missing; the bytes of those that were here."""
    leaf_size = arrival.manifest.leaf_size
    start, again = span.entry.first_leaf + span.leaf, 0
    if not any(arrival.marks.proven[start : start + span.leaves]):
        wrong = _wrong_leaf(arrival, start, data)
        good = wrong if wrong is not None else leaf_count(len(data), leaf_size)
        if good:
            arrival.put(span.number, span.leaf, data[: good * leaf_size])
            follower.written(span.number, data[: good * leaf_size])
    else:
        wrong = None
        for number in range(span.leaves):
            leaf = data[number * leaf_size : (number + 1) * leaf_size]
            if arrival.marks.proven[start + number]:
                again += len(leaf)
            elif leaf_digest(leaf) == arrival.digest(start + number):
                arrival.put(span.number, span.leaf + number, leaf)
                follower.written(span.number, leaf)
            else:
                wrong = number
    if wrong is not None:
        raise DigestMismatch(
            f"leaf {span.leaf + wrong} came wrong", where=span.entry.path, leaf=span.leaf + wrong, next=_AGAIN
        )
    return again


def _wrong_leaf(arrival: Arrival, start: int, data: memoryview) -> int | None:
    """The first leaf of some that is wrong."""
    leaf_size = arrival.manifest.leaf_size
    for number, at in enumerate(range(0, len(data), leaf_size)):
        if leaf_digest(data[at : at + leaf_size]) != arrival.digest(start + number):
            return number
    return None
