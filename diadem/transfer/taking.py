"""Taking leaves in where a package arrives, however they came: each is proven before it is kept."""

from __future__ import annotations

from typing import Final, NamedTuple

from diadem.errors import DigestMismatch
from diadem.transfer.arrival import Arrival
from diadem.transfer.arrival_hashes import Follower
from diadem.transfer.windows import Span, WindowPlan
from diadem.trust.hashing import leaf_digest

_AGAIN: Final = "Send the window again."


class Taken(NamedTuple):
    """What became of the leaves of a span.

    Attributes
    ----------
    kept, again : int
        Bytes that were missing and are here now, and of leaves that were here already.
    wrong : tuple of int
        Leaves of the file that are not what the package says.
    """

    kept: int
    again: int
    wrong: tuple[int, ...]


def take_span(arrival: Arrival, follower: Follower, span: Span, data: memoryview) -> Taken:
    """Prove the leaves of a span, and write those that are right and missing, as many at once as lie together."""
    leaf_size, proven = arrival.manifest.leaf_size, arrival.marks.proven
    start, again, run, runs, wrong = span.entry.first_leaf + span.leaf, 0, 0, [], []
    for number in range(span.leaves):
        leaf = data[number * leaf_size : (number + 1) * leaf_size]
        here = proven[start + number]
        if not here and leaf_digest(leaf) == arrival.digest(start + number):
            continue
        if here:
            again += len(leaf)
        else:
            wrong.append(span.leaf + number)
        runs.append((run, number))
        run = number + 1
    runs.append((run, span.leaves))
    kept = 0
    for first, end in runs:
        if part := data[first * leaf_size : end * leaf_size]:
            arrival.put(span.number, span.leaf + first, part)
            follower.written(span.number, part)
            kept += len(part)
    return Taken(kept, again, tuple(wrong))


def take_window(arrival: Arrival, follower: Follower, spans: list[Span], data: memoryview) -> int:
    """Prove and write what is missing of a window; the bytes of what was here already.

    Raises
    ------
    DigestMismatch
        A leaf is wrong; what is right of its file is kept, and of those before it.
    """
    again = 0
    for span in spans:
        taken = take_span(arrival, follower, span, data[span.at : span.at + span.length])
        if taken.wrong:
            leaf = taken.wrong[0]
            raise DigestMismatch(f"leaf {leaf} came wrong", where=span.entry.path, leaf=leaf, next=_AGAIN)
        again += taken.again
    return again


def is_missing(arrival: Arrival, plan: WindowPlan, window: int) -> bool:
    """Whether a leaf of a window is not here."""
    proven = arrival.marks.proven
    return any(
        0 in proven[span.entry.first_leaf + span.leaf : span.entry.first_leaf + span.leaf + span.leaves]
        for span in plan.spans(window)
    )


def numbers_of(bits: bytes | bytearray) -> list[int]:
    """The windows whose bits are set."""
    return [number for number in range(8 * len(bits)) if bits[number // 8] >> number % 8 & 1]


def bits_of(numbers: set[int]) -> bytes:
    """A bit for each of some windows."""
    bits = bytearray(max(numbers, default=-8) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    return bytes(bits)
