"""The sender's side of a transfer: parts and windows, after every check, from the best copy that can be read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Final, TypeVar

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable
from diadem.model.buffers import fitted
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Bundle
from diadem.model.routes import DIRECT
from diadem.model.transfers import MOVING, OUT, State, Transfer
from diadem.network.desk import Desk
from diadem.network.exchange import BYTES, FileRange, Response, WhileAllowed
from diadem.network.grants import require_read
from diadem.network.limits import PORTION
from diadem.network.tag_parts import LENGTH, tag_files
from diadem.network.windows import Span, WindowPlan
from diadem.node.keep.copies import PackageCopies
from diadem.package.examine import LIMITS, TagFiles, open_tag_files, require_tag_files
from diadem.store.bags import LocalBundle, LocalFile

T = TypeVar("T")

#: Packages whose plan is kept, and windows of which it is known that they were given.
_PLANS: Final = 8
_GIVEN: Final = 4096
#: Seconds after which it is looked anew which copies there are.
_LOOK: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Opened:
    """A package that is being sent: its plan, and the copies that could be read a moment ago, the best first."""

    opened: TagFiles
    plan: WindowPlan
    copies: tuple[Bundle, ...]
    looked: float


@dataclass(frozen=True, slots=True)
class _Asked:
    """Bytes of a window of so many, of these spans; whether it was given before."""

    package: _Opened
    spans: Sequence[Span]
    start: int
    stop: int
    size: int
    again: bool


class _Windows:
    """The blocks of a window, and then those of others, each begun when the one before it is given.

    Each comes with the bytes that it owes: where it ends early the line is cut, for more would stand elsewhere.
    """

    def __init__(self, blocks: Iterator[bytes], owed: int, behind: Iterator[tuple[Iterator[bytes], int]]) -> None:
        self._blocks, self._owed, self._behind = blocks, owed, behind

    def __iter__(self) -> Iterator[bytes]:
        """The blocks themselves."""
        return self

    def __next__(self) -> bytes:
        """The next bytes. Raises `NotFound` and `Refused` where the next window is not given any more.

        Raises `Unreachable` where a window has fewer bytes than it owes.
        """
        while not (data := next(self._blocks, b"")):
            if self._owed:
                raise Unreachable("a file became shorter while it was sent", next="Try again later.")
            self._blocks, self._owed = next(self._behind)
        self._owed -= len(data)
        return data

    def close(self) -> None:
        """Let go of the file that is open."""
        if isinstance(self._blocks, FileRange):
            self._blocks.close()


class Serving:
    """Gives out what was accepted. Safe for many threads.

    Parameters
    ----------
    desk : Desk
        Of the sender.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._plans: dict[str, _Opened] = {}
        self._given: dict[tuple[str, int], None] = {}

    def close(self) -> None:
        """Forget what was opened."""
        with self._opening:
            self._plans.clear()

    def permitted(self, peer: str, transfer_id: str) -> Transfer:
        """The transfer, where its other side may have bytes of it now.

        Raises
        ------
        NotFound
            It may not: unknown, not accepted, ended, revoked; nobody can tell which. No store was touched.
        Refused
            The sender paused it.
        """
        transfer = self._desk.from_peer(transfer_id, peer)
        self._desk.peer(peer)
        if transfer.direction != OUT or transfer.state not in {*MOVING, State.FAILED} or not transfer.acceptance:
            raise NotFound("no such transfer")
        require_read(self._desk.context, transfer.package, to=transfer.recipient, recipient=peer)
        if transfer.paused:
            raise Refused("the sender paused the transfer", next="Continue later: diadem transfer resume")
        return transfer

    def _called_for(self, peer: str, transfer_id: str) -> Transfer:
        """The same, where its bytes may be called for: it was offered to go directly."""
        transfer = self.permitted(peer, transfer_id)
        if DIRECT not in transfer.routes:
            raise NotFound("no such transfer")
        return transfer

    def part(self, peer: str, transfer_id: str, number: int) -> Response:
        """Part 0, the tag manifest; or 1, the other tag files."""
        transfer = self._called_for(peer, transfer_id)
        total, blocks = self.part_of(transfer.package, number)
        self._spend(transfer, -1 - number, 0, total)
        blocks = WhileAllowed(blocks, partial(self._called_for, peer, transfer_id))
        return Response(200, {"content-type": BYTES, "content-length": str(total)}, blocks)

    def part_of(self, package: str, number: int) -> tuple[int, Iterator[bytes]]:
        """Bytes of a part of a package, and the part; the caller has checked who gets it."""
        bundle = self._bundle(package)
        text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
        if number == 0:
            return len(text), iter([text])
        sizes = []
        for _, path in tag_files(text):
            with bundle.open(path) as reader:
                sizes.append((path, reader.size))
        return sum(LENGTH.size + size for _, size in sizes), tag_blocks(bundle, sizes)

    def part_bytes(self, peer: str, transfer_id: str, number: int) -> bytes:
        """The same as bytes, to be pushed."""
        body = self.part(peer, transfer_id, number).body
        return body if isinstance(body, bytes) else b"".join(body)

    def window_pieces(
        self, peer: str, transfer_id: str, number: int, start: int = 0, stop: int | None = None
    ) -> Callable[[], Iterator[bytes]]:
        """What gives the bytes of a window, from the first to the end (exclusive), each time anew: to be pushed.

        They are hashed first, and then sent: read twice, and never held as a whole. Raises as `window`.
        """
        transfer = self._called_for(peer, transfer_id)
        plan = self._open(transfer.package).plan
        if not 0 <= number < len(plan):
            raise NotFound("no such window")
        stop = plan.size(number) if stop is None else stop
        if not 0 <= start < stop <= plan.size(number):
            raise NotFound("no such bytes in the window")
        return partial(_pieces_of, self._asked(transfer, number, start, stop))

    def windows(self, package: str) -> int:
        """How many windows a package has."""
        return len(self._open(package).plan)

    def proven_window(self, package: str, number: int, room: bytearray | None = None) -> bytearray:
        """A whole window, each leaf proven, in `room` where it is given; the caller has checked who gets it.

        Raises
        ------
        StoreError
            No copy gives the bytes.
        """
        found = self._open(package)
        spans, size = found.plan.spans(number), found.plan.size(number)
        for again in (False, True):
            data = _whole(_Asked(found, spans, 0, size, size, again), room)
            if _are_right(found.opened, spans, data):
                return data
        raise StoreError("no copy has these bytes intact", next="Run: diadem scrub, then diadem repair")

    def window(
        self,
        peer: str,
        transfer_id: str,
        number: int,
        range_of: Callable[[int], tuple[int, int]],
        *,
        windows: int = 1,
    ) -> Response:
        """Bytes of a window. Asked for again, its leaves are proven before they go, from another copy if need be.

        Parameters
        ----------
        peer, transfer_id : str
            Who asks, and for what.
        number : int
            The window.
        range_of : callable
            From the bytes that there are to the first one and the end (exclusive) of what is asked for.
        windows : int
            Those that there are, with the ones behind it, as one run of bytes. Before each it is asked again whether
            the peer may have it.

        Raises
        ------
        NotFound
            There is none for this peer.
        Refused
            More would go than was accepted.
        StoreError
            No copy gives the bytes.
        """
        transfer = self._called_for(peer, transfer_id)
        plan = self._open(transfer.package).plan
        if not 0 <= number < len(plan):
            raise NotFound("no such window")
        sizes = [plan.size(one) for one in range(number, min(number + windows, len(plan)))]
        start, stop = range_of(sum(sizes))
        if not 0 <= start < min(stop, sizes[0]) or stop > sum(sizes):
            raise NotFound("no such bytes in the window")
        blocks = self._blocks(transfer, number, start, min(stop, sizes[0]))
        if stop > sizes[0]:
            behind = self._behind(peer, transfer_id, number + 1, stop - sizes[0])
            blocks = _Windows(blocks, sizes[0] - start, behind)
        return Response.blocks(blocks, start, stop, of=sum(sizes))

    def _blocks(self, transfer: Transfer, number: int, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of one window; where nothing can be read that is said at once."""
        asked = self._asked(transfer, number, start, stop)
        if not asked.again and (found := _one_file(asked)) is not None:
            first = asked.spans[0].offset
            return FileRange(found, first + start, first + stop)
        pieces = _pieces_of(asked)
        return chain([next(pieces)], pieces)

    def _behind(self, peer: str, transfer_id: str, number: int, left: int) -> Iterator[tuple[Iterator[bytes], int]]:
        """So many bytes of a window and those behind it, window by window, each while the peer may have it."""
        while left:
            transfer = self._called_for(peer, transfer_id)
            stop = min(left, self._open(transfer.package).plan.size(number))
            yield self._blocks(transfer, number, 0, stop), stop
            number, left = number + 1, left - stop

    def _asked(self, transfer: Transfer, number: int, start: int, stop: int) -> _Asked:
        """What is asked for, counted as given."""
        package = self._open(transfer.package)
        self._spend(transfer, number, start, stop)
        again = self._was_given(transfer.id, number)
        return _Asked(package, package.plan.spans(number), start, stop, package.plan.size(number), again)

    def _spend(self, transfer: Transfer, part: int, start: int, stop: int) -> None:
        self._desk.book.spend(transfer.id, part, start, stop)

    def _was_given(self, transfer: str, number: int) -> bool:
        """Whether a window was given before: then something was wrong with it, or with the way."""
        with self._lock:
            known = (transfer, number) in self._given
            self._given[transfer, number] = None
            while len(self._given) > _GIVEN:
                del self._given[next(iter(self._given))]
            return known

    # -- copies ----------------------------------------------------------------------------------------------------

    def _copies(self, package: str) -> tuple[Bundle, ...]:
        return tuple(bundle for _, bundle in PackageCopies(self._desk.context, package).readable())

    def _sound(self, package: str, read: Callable[[Bundle], T]) -> T:
        """What is read of the first copy whose tag files are those of the package."""
        for bundle in self._copies(package):
            with contextlib.suppress(DiademError, OSError):
                return read(bundle)
        raise StoreError("no copy of the package can be read", next="Connect one of its stores: diadem status")

    def _bundle(self, package: str) -> Bundle:
        def proven(bundle: Bundle) -> Bundle:
            require_tag_files(bundle, expected_id=package)
            return bundle

        return self._sound(package, proven)

    def _open(self, package: str) -> _Opened:
        with self._opening:  # once, however many connections ask at the beginning
            known = self._plans.get(package)
            if known is not None and time.monotonic() - known.looked < _LOOK:
                return known
            if known is not None:
                made = replace(known, copies=self._copies(package), looked=time.monotonic())
            else:
                opened = self._sound(package, lambda bundle: open_tag_files(bundle, expected_id=package))
                made = _Opened(opened, WindowPlan(opened.manifest), self._copies(package), time.monotonic())
            while len(self._plans) >= _PLANS and package not in self._plans:
                del self._plans[next(iter(self._plans))]
            self._plans[package] = made
            return made


def _pieces_of(asked: _Asked) -> Iterator[bytes]:
    """Bytes of a window; asked for again, each leaf is proven."""
    blocks = None if asked.again else _blocks(asked)
    return _pieces(asked) if blocks is None else blocks


def _blocks(asked: _Asked) -> Iterator[bytes] | None:
    """A window of whole small files from a copy on this machine, some at a time; None where there is none.

    What cannot be read ends it early: it is asked for again, and then every leaf is proven, from any copy that has it.
    """
    bundle = next((one for one in asked.package.copies if isinstance(one, LocalBundle)), None)
    if bundle is None or any(span.length != span.entry.size for span in asked.spans):
        return None
    start, stop = asked.start, asked.stop
    return _read(bundle, [one for one in asked.spans if one.at + one.length > start and one.at < stop], start, stop)


def _read(bundle: LocalBundle, spans: Sequence[Span], start: int, stop: int) -> Iterator[bytes]:
    at, held = 0, bytearray()
    while at < len(spans):
        first, end = spans[at].at, at
        while end < len(spans) and spans[end].at - first < PORTION:
            end += 1
        size = spans[end - 1].at + spans[end - 1].length - first
        held = held if len(held) >= size else bytearray(size)  # one for all: new memory costs as much as the reading
        buffer = memoryview(held)[:size]
        bundle.read_files(
            (span.entry.path, buffer[span.at - first : span.at - first + span.length]) for span in spans[at:end]
        )
        yield bytes(buffer[max(0, start - first) : stop - first])
        at = end


def _one_file(asked: _Asked) -> LocalFile | None:
    """The open file of this machine of which a window is a part; None where it is of several, or nothing is here."""
    span, *more = asked.spans
    for bundle in asked.package.copies if not more else ():
        if isinstance(bundle, LocalBundle):
            with contextlib.suppress(DiademError, OSError):
                reader = bundle.open(span.entry.path)
                if reader.size == span.entry.size:
                    return reader
                reader.close()
    return None


def _pieces(asked: _Asked) -> Iterator[bytes]:
    """Bytes of a window, some leaves at a time."""
    held = bytearray()
    for leaf in _leaves(asked.spans, asked.package.opened.manifest.leaf_size):
        begin, end = max(asked.start - leaf.at, 0), min(asked.stop - leaf.at, leaf.length)
        if begin < end:
            held += _leaf(asked.package, leaf, proven=asked.again)[begin:end]
        if len(held) >= PORTION:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _leaves(spans: Sequence[Span], leaf_size: int) -> Iterator[Span]:
    """Each leaf of some spans, as a span of its own."""
    for span in spans:
        for leaf in range(span.leaves):
            at = leaf * leaf_size
            length = min(leaf_size, span.length - at)
            yield Span(span.number, span.entry, span.leaf + leaf, 1, span.offset + at, length, span.at + at)


def _leaf(package: _Opened, span: Span, *, proven: bool) -> bytes:
    """The bytes of a leaf from the first copy that gives them, proven where that is wished; else from any."""
    last = b""
    for bundle in package.copies:
        with contextlib.suppress(DiademError, OSError), bundle.open(span.entry.path) as reader:
            data: bytes = reader.read_at(span.offset, span.length)
            if len(data) == span.length:
                last = data
                if not proven or package.opened.leaves.proves(span.entry, span.leaf, data):
                    return data
    if last:
        return last  # the receiver sees that it is wrong, and says so
    raise StoreError("no copy has these bytes intact", next="Run: diadem scrub, then diadem repair")


def _whole(asked: _Asked, room: bytearray | None) -> bytearray:
    """A whole window, at once; shorter where a file is."""
    data, at = fitted(room, asked.size), 0
    found = _one_file(asked) if not asked.again else None
    if found is not None:
        with found, memoryview(data) as view:
            at = found.readinto_at(asked.spans[0].offset + asked.start, view)
    else:
        for piece in _pieces_of(asked):
            data[at : at + len(piece)] = piece
            at += len(piece)
    del data[at:]
    return data


def _are_right(opened: TagFiles, spans: Sequence[Span], data: bytearray) -> bool:
    """Whether each leaf of a window is the one that the package has."""
    if len(data) != spans[-1].at + spans[-1].length:
        return False
    with memoryview(data) as view:
        leaves = _leaves(spans, opened.manifest.leaf_size)
        return all(
            opened.leaves.proves(leaf.entry, leaf.leaf, view[leaf.at : leaf.at + leaf.length]) for leaf in leaves
        )


def tag_blocks(bundle: Bundle, sizes: list[tuple[str, int]]) -> Iterator[bytes]:
    """Tag files, each behind its length, as `tag_parts` has them."""
    for path, size in sizes:
        yield LENGTH.pack(size)
        with bundle.open(path) as reader:
            for at in range(0, size, PORTION):
                yield reader.read_at(at, PORTION)
