"""The bytes of a package that was offered, as long as its receiver may have them, from the best copy that can be read.

Pull, push, carriers and disks take them here: a `Source` is one transfer by one route. Before each part and window it
is asked whether they may go, and what goes is counted. `Sources` knows the packages that a node sends.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable
from diadem.model.buffers import fitted
from diadem.model.carriers import ObjectName
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Bundle
from diadem.model.routes import DIRECT, DISK
from diadem.model.transfers import MOVING, OUT, State, Transfer
from diadem.network.desk import Desk, desk_of
from diadem.network.exchange import Begun, WhileAllowed, read_blocks
from diadem.network.grants import require_read
from diadem.network.limits import BLOCK
from diadem.network.tag_parts import tag_files, tag_part
from diadem.network.windows import RUN, Span, WindowPlan
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.package.examine import LIMITS, TagFiles, open_tag_files, require_tag_files
from diadem.store.bags import LocalBundle, LocalFile

T = TypeVar("T")

#: Packages whose plan is kept, and windows of which it is known that they were given.
_PLANS: Final = 8
_GIVEN: Final = 4096
#: Seconds after which it is looked anew which copies there are; and for which one waits who asks for a package that is
#: being opened. Who asks over a line would wait for a minute.
_LOOK: Final = 5.0
_PATIENCE: Final = 30.0


class NoMoreAllowed(Refused):
    """All that was accepted was put down, and more is wanted: what lay there was lost or spoilt."""


class Source:
    """One transfer by one route. Safe for many threads.

    Raises, whatever is asked of it, `NotFound` where its receiver may not have it, without a store being touched:
    unknown, not accepted, ended, revoked; nobody can tell which. `Refused` where the sender paused it, or more would
    go than was accepted; `StoreError` where no copy gives the bytes.

    Parameters
    ----------
    sources : Sources
        Of the sender.
    peer, transfer : str
        Who has it, and what.
    route : str
        How it goes. Directly, what is asked for is counted before it goes; by a carrier, what lies there; on a disk
        nothing: it was not accepted yet.
    """

    def __init__(self, sources: Sources, peer: str, transfer: str, route: str) -> None:
        self._sources, self._desk, self._peer, self._id, self._route = sources, sources.desk, peer, transfer, route
        self._package = self.require().package
        self._lock = threading.Lock()
        self._giving = 0

    def require(self) -> Transfer:
        """The transfer, where bytes of it may go now."""
        if self._route == DISK:
            transfer = self._desk.book.get(self._id)
            if transfer.state not in {State.OFFERED, *MOVING}:
                raise Refused(f"the transfer is {transfer.state.word}", next="See: diadem transfer ls")
            return transfer
        transfer = self._desk.from_peer(self._id, self._peer)
        self._desk.peer(self._peer)
        if transfer.direction != OUT or transfer.state not in {*MOVING, State.FAILED} or not transfer.acceptance:
            raise NotFound("no such transfer")
        require_read(self._desk.context, transfer.package, to=transfer.recipient, recipient=self._peer)
        if transfer.paused:
            raise Refused("the sender paused the transfer", next="Continue later: diadem transfer resume")
        if self._route == DIRECT and DIRECT not in transfer.routes:
            raise NotFound("no such transfer")
        return transfer

    def part(self, number: int) -> tuple[int, Iterator[bytes]]:
        """Bytes of part 0, the tag manifest, or 1, the other tag files; and the part, block by block."""
        self.require()
        size, blocks = self._sources.part(self._package, number)
        if self._route == DIRECT:
            self._desk.book.spend(self._id, -1 - number, 0, size)
        return size, WhileAllowed(blocks, self.require)

    def windows(self) -> int:
        """How many windows there are."""
        return len(self._plan())

    def size(self, number: int, windows: int = 1) -> int:
        """Bytes of a window, or of so many from it on, as far as there are. Raises `NotFound` where it is none."""
        plan = self._plan()
        if not 0 <= number < len(plan):
            raise NotFound("no such window")
        return sum(plan.size(one) for one in range(number, min(number + windows, len(plan))))

    def read(self, number: int, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of a window, and of those behind it, from the first to the end (exclusive); the first block is there.

        Asked for again, the leaves of a window are proven before they go, from another copy if need be.

        Raises
        ------
        NotFound
            Also where it has no such bytes.
        StoreError
            No copy has the first of them; where none has others, that comes while they are read.
        """
        if not 0 <= start < min(stop, self.size(number)) or stop > self.size(number, RUN):
            raise NotFound("no such bytes in the window")
        return Begun(self._run(number, start, stop))

    def _run(self, number: int, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            size = self.size(number)
            yield from self.window(number, start, min(stop, size))()
            number, start, stop = number + 1, 0, stop - size

    def window(self, number: int, start: int = 0, stop: int | None = None) -> Callable[[], Iterator[bytes]]:
        """What gives such bytes of one window, each time anew, and counts once: to be hashed first, and then sent."""
        self.require()
        size = self.size(number)
        stop = size if stop is None else stop
        if not 0 <= start < stop <= size:
            raise NotFound("no such bytes in the window")
        self._desk.book.spend(self._id, number, start, stop)
        proven = self._sources.was_given(self._id, number)
        return partial(self._sources.get(self._package).blocks, number, start, stop, proven=proven)

    def proven_window(self, number: int, room: bytearray | None = None) -> bytearray:
        """A whole window, each leaf proven; in `room`, where nobody else looks into that."""
        self.require()
        return self._sources.get(self._package).proven_window(number, room)

    @contextmanager
    def giving(self, name: ObjectName, size: int) -> Iterator[None]:
        """While an object of so many bytes is put down at a carrier: it counts once it lies there, each time anew.

        What other threads put down just now counts beforehand, so that nothing lies there beyond what was accepted.
        Raises `NoMoreAllowed`.
        """
        if self._route == DISK:
            yield
            return
        with self._lock:
            found = self.require()
            if found.moved + self._giving + size > found.ceiling:
                raise NoMoreAllowed(
                    "more bytes would move than were accepted", next="Cancel the transfer, and send it again."
                )
            self._giving += size
        put = False
        try:
            yield
            put = True
        finally:
            with self._lock:  # or another thread would see it counted twice
                self._giving -= size
                if put:
                    self._desk.book.spend(self._id, _number(name), 0, size)

    def gave(self, name: ObjectName, size: int) -> None:
        """Count an object that lies at a carrier though nobody noted that; what counted already, counts no more."""
        if self._route != DISK:
            with self._lock, contextlib.suppress(Refused):  # beyond what was accepted: no more can be put down
                self._desk.book.spend(self._id, _number(name), 0, size, once=True)

    def _plan(self) -> WindowPlan:
        return self._sources.get(self._package).plan


def _number(name: ObjectName) -> int:
    """The part that an object is in the book."""
    part, window, generation = name
    return -((generation << 2 | part) << 32 | window)


class Sources:
    """The packages that a node sends. Safe for many threads.

    Parameters
    ----------
    desk : Desk
        Of the sender.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._lock = threading.Lock()
        self._doors = WeakValueDictionary[str, threading.Lock]()
        self._plans: dict[str, _Package] = {}
        self._given: dict[tuple[str, int], None] = {}

    def close(self) -> None:
        """Forget what was opened."""
        with self._lock:
            self._plans.clear()

    def of(self, peer: str, transfer: str, route: str) -> Source:
        """A transfer by a route. Raises as a `Source` does."""
        return Source(self, peer, transfer, route)

    def part(self, package: str, number: int) -> tuple[int, Iterator[bytes]]:
        """Bytes of a part of a package, and the part; the caller has checked who gets it."""

        def given(bundle: Bundle) -> tuple[int, Iterator[bytes]]:
            require_tag_files(bundle, expected_id=package)
            text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
            return (len(text), iter([text])) if number == 0 else tag_part(bundle, [path for _, path in tag_files(text)])

        return self._sound(package, given)

    def was_given(self, transfer: str, number: int) -> bool:
        """Whether a window was given before: then something was wrong with it, or with the way."""
        with self._lock:
            known = (transfer, number) in self._given
            self._given[transfer, number] = None
            while len(self._given) > _GIVEN:
                del self._given[next(iter(self._given))]
            return known

    def get(self, package: str) -> _Package:
        """A package, opened once, however many connections ask at the beginning.

        A store that hangs keeps nobody waiting for another package, nor who knows this one already.

        Raises
        ------
        Unreachable
            Another thread has been opening it for long.
        """
        with self._lock:
            known, door = self._plans.get(package), self._doors.setdefault(package, threading.Lock())
        if known is not None and time.monotonic() - known.looked < _LOOK:
            return known
        if not door.acquire(timeout=_PATIENCE if known is None else 0):
            if known is not None:  # another thread looks for copies
                return known
            raise Unreachable("the package is being opened, which takes long", next="Try again later.")
        try:
            with self._lock:
                before, known = known, self._plans.get(package)
            if known is not None and known is not before:  # by the one that was waited for
                return known
            if known is not None:
                made = replace(known, copies=self._copies(package), looked=time.monotonic())
            else:
                opened = self._sound(package, lambda bundle: open_tag_files(bundle, expected_id=package))
                made = _Package(opened, WindowPlan(opened.manifest), self._copies(package), time.monotonic())
            with self._lock:
                while len(self._plans) >= _PLANS and package not in self._plans:
                    del self._plans[next(iter(self._plans))]
                self._plans[package] = made
            return made
        finally:
            door.release()

    def _copies(self, package: str) -> tuple[Bundle, ...]:
        return tuple(bundle for _, bundle in PackageCopies(self.desk.context, package).readable())

    def _sound(self, package: str, read: Callable[[Bundle], T]) -> T:
        """What is read of the first copy whose tag files are those of the package."""
        for bundle in self._copies(package):
            with contextlib.suppress(DiademError, OSError):
                return read(bundle)
        raise StoreError("no copy of the package can be read", next="Connect one of its stores: diadem status")


def sources_of(context: Context) -> Sources:
    """What a node sends; one for all its threads."""
    return context.once("sources", lambda: Sources(desk_of(context)))


@dataclass(frozen=True, slots=True)
class _Package:
    """A package that is being sent: its plan, and the copies that could be read a moment ago, the best first."""

    opened: TagFiles
    plan: WindowPlan
    copies: tuple[Bundle, ...]
    looked: float

    def blocks(self, number: int, start: int, stop: int, *, proven: bool) -> Iterator[bytes]:
        """Bytes of a window, some at a time: as they lie in a copy on this machine, or leaf by leaf, each `proven`.

        What is not there in its size comes from another copy, and so does the rest of what fails while it is read, or
        becomes shorter. Raises `StoreError` where no copy has it: what follows never stands where it should be.
        """
        spans = [one for one in self.plan.spans(number) if one.at + one.length > start and one.at < stop]
        local = None if proven else next((one for one in self.copies if isinstance(one, LocalBundle)), None)
        if local is None:
            yield from self._leaf_by_leaf(spans, start, stop, proven=proven)
            return
        for small, some in groupby(spans, lambda span: span.is_whole and span.length <= BLOCK):
            if small:
                yield from self._small_files(local, list(some), start, stop)
                continue
            for span in some:
                at, end = max(start - span.at, 0), min(stop - span.at, span.length)
                if (found := self._file(span)) is not None:
                    with contextlib.suppress(DiademError, OSError):
                        for block in read_blocks(found, span.offset + at, span.offset + end):
                            at += len(block)
                            yield block
                            del block  # it is gone, and the next one is read in its place
                if at < end:  # it cannot be read, or became shorter: what is behind it must not take its place
                    yield from self._leaf_by_leaf([span], span.at + at, stop, proven=False)

    def _small_files(self, bundle: LocalBundle, spans: Sequence[Span], start: int, stop: int) -> Iterator[bytes]:
        """Whole small files of a copy on this machine, some at a time."""
        at, held = 0, bytearray()
        while at < len(spans):
            first, end = spans[at].at, at
            while end < len(spans) and spans[end].at - first < BLOCK:
                end += 1
            size = spans[end - 1].at + spans[end - 1].length - first
            held = (
                held if len(held) >= size else bytearray(size)
            )  # one for all: new memory costs as much as the reading
            buffer = memoryview(held)[:size]
            try:
                bundle.read_files((one.entry.path, buffer[one.at - first :][: one.length]) for one in spans[at:end])
            except (DiademError, OSError):
                yield from self._leaf_by_leaf(spans[at:end], start, stop, proven=False)
            else:
                yield bytes(buffer[max(0, start - first) : stop - first])
            at = end

    def _file(self, span: Span) -> LocalFile | None:
        """The open file of this machine of which a span is; None where it is not here in its size."""
        for bundle in self.copies:
            if isinstance(bundle, LocalBundle):
                with contextlib.suppress(DiademError, OSError):
                    reader = bundle.open(span.entry.path)
                    if reader.size == span.entry.size:
                        return reader
                    reader.close()
        return None

    def _leaf_by_leaf(self, spans: Sequence[Span], start: int, stop: int, *, proven: bool) -> Iterator[bytes]:
        held = bytearray()
        for leaf in _leaves(spans, self.opened.manifest.leaf_size):
            begin, end = max(start - leaf.at, 0), min(stop - leaf.at, leaf.length)
            if begin < end:
                held += self._leaf(leaf, proven=proven)[begin:end]
            if len(held) >= BLOCK:
                yield bytes(held)
                held.clear()
        if held:
            yield bytes(held)

    def _leaf(self, span: Span, *, proven: bool) -> bytes:
        """The bytes of a leaf from the first copy that gives them, proven where that is wished; else from any."""
        last = b""
        for bundle in self.copies:
            with contextlib.suppress(DiademError, OSError), bundle.open(span.entry.path) as reader:
                data: bytes = reader.read_at(span.offset, span.length)
                if len(data) == span.length:
                    last = data
                    if not proven or self.opened.leaves.proves(span.entry, span.leaf, data):
                        return data
        if last:
            return last  # the receiver sees that it is wrong, and says so
        raise StoreError("no copy has these bytes intact", next="Run: diadem scrub, then diadem repair")

    def proven_window(self, number: int, room: bytearray | None) -> bytearray:
        """A whole window, each leaf proven; in `room`, where it is given (`fitted`)."""
        spans = self.plan.spans(number)
        with contextlib.suppress(DiademError, OSError):  # a copy that fails while it is read
            if _are_right(self.opened, spans, data := self._whole(number, room, proven=False)):
                return data
        if _are_right(self.opened, spans, data := self._whole(number, room, proven=True)):
            return data
        raise StoreError("no copy has these bytes intact", next="Run: diadem scrub, then diadem repair")

    def _whole(self, number: int, room: bytearray | None, *, proven: bool) -> bytearray:
        """A whole window, at once; shorter where a file is."""
        (span, *more), size = self.plan.spans(number), self.plan.size(number)
        data, at = fitted(room, size), 0
        if not proven and not more and (found := self._file(span)) is not None:
            with found, memoryview(data) as view:
                at = found.readinto_at(span.offset, view)
        else:
            for piece in self.blocks(number, 0, size, proven=proven):
                data[at : at + len(piece)] = piece
                at += len(piece)
        del data[at:]
        return data


def _leaves(spans: Sequence[Span], leaf_size: int) -> Iterator[Span]:
    """Each leaf of some spans, as a span of its own."""
    for span in spans:
        for leaf in range(span.leaves):
            at = leaf * leaf_size
            length = min(leaf_size, span.length - at)
            yield Span(span.number, span.entry, span.leaf + leaf, 1, span.offset + at, length, span.at + at)


def _are_right(opened: TagFiles, spans: Sequence[Span], data: bytearray) -> bool:
    """Whether each leaf of a window is the one that the package has."""
    if len(data) != spans[-1].at + spans[-1].length:
        return False
    with memoryview(data) as view:
        leaves = _leaves(spans, opened.manifest.leaf_size)
        return all(
            opened.leaves.proves(leaf.entry, leaf.leaf, view[leaf.at : leaf.at + leaf.length]) for leaf in leaves
        )
