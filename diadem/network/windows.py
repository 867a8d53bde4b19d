"""A package as numbered windows, runs of whole consecutive leaves: many files and a huge one move alike. Pure.

Both sides compute the same plan from the manifest alone. Leaves follow each other in the order of the manifest; a
window takes them while it has at most `WINDOW` bytes and `LEAVES` leaves. Nothing is kept but three numbers a file.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from diadem.model.manifest import FileEntry, Manifest, leaf_count

#: Bytes of a window at most.
WINDOW: Final = 16 << 20
#: Leaves of a window at most: many tiny files are still few enough to be held at once.
LEAVES: Final = 4096
#: Windows that are asked for at once at most, one behind the other: a request costs both sides as much as 5 MiB.
RUN: Final = 4


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive leaves of one file in a window.

    Attributes
    ----------
    number : int
        Of the file in the manifest, from 0.
    entry : FileEntry
        The file.
    leaf, leaves : int
        The first leaf within the file, and how many.
    offset, length : int
        Bytes of the file.
    at : int
        Where they begin in the window.
    """

    number: int
    entry: FileEntry
    leaf: int
    leaves: int
    offset: int
    length: int
    at: int

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole file."""
        return self.length == self.entry.size


#: Windows whose spans are kept: one of many small files is asked for again and again while it is under way, and so many
#: are under way where eight connections fetch a run each. With fewer, each would be laid out anew each time.
_RECENT: Final = RUN * 8


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the leaves of one file lie.

    Attributes
    ----------
    first : int
        Window of its first leaf.
    full, tail : int
        How many full leaves it has; bytes of the last one, where that is shorter.
    fit : int
        Full leaves in the first window.
    tail_window : int
        Window of the shorter leaf, or of the last one.
    """

    first: int
    full: int
    tail: int
    fit: int
    tail_window: int


def most_windows(size: int, files: int) -> int:
    """Windows that a package of so many bytes and files has at most, where its manifest is not at hand.

    A window and the first leaf of the next one have more bytes than a window may have, or it is full of leaves.
    """
    return 3 * size // WINDOW + files // LEAVES + 2


class WindowPlan:
    """The windows of a package.

    Parameters
    ----------
    manifest : Manifest
        Of the package.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.leaf_size = manifest.leaf_size
        self._per = max(1, min(WINDOW // self.leaf_size, LEAVES))
        self._window, self._used, self._held = array("Q"), array("Q"), array("Q")
        self._kept = lru_cache(maxsize=_RECENT)(self._spans)
        window = used = held = leaves = 0
        self.bytes = 0
        for entry in manifest.entries:
            if entry.size and self._is_full(used, held, min(entry.size, self.leaf_size)):
                window, used, held = window + 1, 0, 0
            self._window.append(window)
            self._used.append(used)
            self._held.append(held)
            window, used, held = self._after(entry.size, window, used, held)
            leaves += leaf_count(entry.size, self.leaf_size)
            self.bytes += entry.size
        self.leaves = leaves
        self._count = window + 1 if leaves else 0

    def _is_full(self, used: int, held: int, more: int) -> bool:
        """Whether a leaf of so many bytes begins a new window."""
        return bool(held) and (used + more > WINDOW or held >= LEAVES)

    def _fit(self, used: int, held: int, full: int) -> int:
        """Full leaves of a file that its first window takes; one always, where it begins there."""
        return min(max((WINDOW - used) // self.leaf_size, 0 if held else 1), LEAVES - held, full)

    def _after(self, size: int, window: int, used: int, held: int) -> tuple[int, int, int]:
        """Window, bytes and leaves in it, when a file that begins here is placed."""
        full, tail = divmod(size, self.leaf_size)
        fit = self._fit(used, held, full)
        used, held = used + fit * self.leaf_size, held + fit
        if rest := full - fit:
            steps = -(-rest // self._per)
            last = rest - (steps - 1) * self._per
            window, used, held = window + steps, last * self.leaf_size, last
        if tail:
            if self._is_full(used, held, tail):
                window, used, held = window + 1, 0, 0
            used, held = used + tail, held + 1
        return window, used, held

    def __len__(self) -> int:
        """Number of windows."""
        return self._count

    def file_of(self, leaf: int) -> int:
        """The file that a leaf of the package is of."""
        return bisect_right(self.manifest.entries, leaf, key=lambda entry: entry.first_leaf) - 1

    def window_of(self, leaf: int) -> int:
        """The window that a leaf of the package is in."""
        number = self.file_of(leaf)
        return self._window_in(self._layout(number), leaf - self.manifest.entries[number].first_leaf)

    def spans(self, window: int) -> list[Span]:
        """What a window is made of, in order.

        Raises
        ------
        IndexError
            There is no such window.
        """
        if not 0 <= window < self._count:
            raise IndexError(window)
        return self._kept(window)

    def _spans(self, window: int) -> list[Span]:
        found: list[Span] = []
        at = 0
        for number in self._files_in(window):
            span = self._span(number, window, at)
            if span is not None:
                found.append(span)
                at += span.length
        return found

    def size(self, window: int) -> int:
        """Bytes of a window."""
        last = self.spans(window)[-1]
        return last.at + last.length

    def _files_in(self, window: int) -> Iterator[int]:
        """Files that may have leaves in a window: the one that began before it, and those that begin in it."""
        begin, end = bisect_left(self._window, window), bisect_right(self._window, window)
        if begin:
            yield begin - 1
        yield from range(begin, end)

    def _layout(self, number: int) -> _Layout:
        first, used, held = self._window[number], self._used[number], self._held[number]
        size = self.manifest.entries[number].size
        full, tail = divmod(size, self.leaf_size)
        last, _, _ = self._after(size, first, used, held)
        return _Layout(first, full, tail, self._fit(used, held, full), last)

    def _window_in(self, layout: _Layout, leaf: int) -> int:
        """The window of a leaf of a file."""
        if leaf >= layout.full:
            return layout.tail_window
        return layout.first if leaf < layout.fit else layout.first + 1 + (leaf - layout.fit) // self._per

    def _begins(self, layout: _Layout, window: int) -> int:
        """The first leaf of a file that is in a window or after it."""
        if window <= layout.first:
            return 0
        return min(layout.fit + (window - layout.first - 1) * self._per, layout.full)

    def _span(self, number: int, window: int, at: int) -> Span | None:
        entry = self.manifest.entries[number]
        if entry.size <= self.leaf_size:  # most files of most packages
            here = entry.size and self._window[number] == window
            return Span(number, entry, 0, 1, 0, entry.size, at) if here else None
        layout = self._layout(number)
        if not layout.first <= window <= layout.tail_window:
            return None
        count = layout.full + bool(layout.tail)
        begin = self._begins(layout, window)
        end = count if window == layout.tail_window else self._begins(layout, window + 1)
        offset = begin * self.leaf_size
        return Span(number, entry, begin, end - begin, offset, min(end * self.leaf_size, entry.size) - offset, at)


def numbers_of(bits: bytes | bytearray) -> list[int]:
    """The windows whose bits are set."""
    return [number for number in range(8 * len(bits)) if bits[number // 8] >> number % 8 & 1]


def bits_of(numbers: set[int]) -> bytes:
    """A bit for each of some windows."""
    bits = bytearray(max(numbers, default=-8) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    return bytes(bits)


# -- runs of leaves ----------------------------------------------------------------------------------------------------


def missing_windows(plan: WindowPlan, proven: bytearray) -> Iterator[int]:
    """Windows of which a leaf is not proven, in order."""
    leaf = proven.find(0)
    while leaf >= 0:
        window = plan.window_of(leaf)
        yield window
        leaf = proven.find(0, _leaves(plan.spans(window)[-1])[1])


def missing_runs(spans: Sequence[Span], proven: bytearray, leaf_size: int) -> Iterator[list[Span]]:
    """Runs of leaves of a window that are not proven, each by file.

    Parameters
    ----------
    spans : sequence of Span
        Of the window.
    proven : bytearray
        One byte a leaf of the package.
    leaf_size : int
        Bytes of a leaf.
    """
    end, last = _leaves(spans[0])[0], _leaves(spans[-1])[1]
    while (begin := proven.find(0, end, last)) >= 0:
        end = proven.find(1, begin, last)
        end = end if end >= 0 else last
        if (begin, end) == (_leaves(spans[0])[0], last):  # as nearly always: all of it
            yield [*spans]
        else:
            yield [part for span in spans if (part := _within(span, (begin, end), leaf_size)) is not None]


def cut(spans: Sequence[Span], start: int, stop: int, leaf_size: int) -> list[Span]:
    """What bytes of a window are made of; nothing where they are no whole leaves."""
    parts = []
    for span in spans:
        begin, end = max(start - span.at, 0), min(stop - span.at, span.length)
        if begin < end:
            if begin % leaf_size or (end % leaf_size and end != span.length):
                return []
            parts.append(_part(span, begin // leaf_size, leaf_count(end - begin, leaf_size), leaf_size))
    return parts if parts and (parts[0].at, parts[-1].at + parts[-1].length) == (start, stop) else []


def chunks(spans: Sequence[Span], leaf_size: int, room: int) -> Iterator[list[Span]]:
    """The spans in portions that a buffer can hold, cut between leaves."""
    chunk: list[Span] = []
    left = room
    for span in spans:
        if span.length <= left:
            chunk.append(span)
            left -= span.length
            continue
        first = 0
        while first < span.leaves:
            rest = span.length - first * leaf_size
            fits = span.leaves - first if rest <= left else left // leaf_size
            if not fits:
                yield chunk
                chunk, left = [], room
                continue
            part = _part(span, first, fits, leaf_size)
            chunk.append(part)
            left -= part.length
            first += fits
    if chunk:
        yield chunk


def _leaves(span: Span) -> tuple[int, int]:
    """First leaf and end of a span, among those of the package."""
    first = span.entry.first_leaf + span.leaf
    return first, first + span.leaves


def _within(span: Span, run: tuple[int, int], leaf_size: int) -> Span | None:
    """What of a span is in a run of leaves of the package; None where nothing is."""
    first, end = _leaves(span)
    begin, stop = max(first, run[0]), min(end, run[1])
    return _part(span, begin - first, stop - begin, leaf_size) if begin < stop else None


def _part(span: Span, first: int, leaves: int, leaf_size: int) -> Span:
    """Some leaves of a span."""
    if leaves == span.leaves:
        return span
    offset = span.offset + first * leaf_size
    length = min((span.leaf + first + leaves) * leaf_size, span.entry.size) - offset
    return Span(span.number, span.entry, span.leaf + first, leaves, offset, length, span.at + first * leaf_size)
