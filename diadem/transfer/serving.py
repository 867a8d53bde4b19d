"""The sender's side of a transfer: parts and windows, after every check, from the best copy that can be read."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from diadem.errors import DiademError, NotFound, Refused, StoreError
from diadem.model.manifest import DIGEST_SIZE, TAGMANIFEST
from diadem.model.ports import Bundle
from diadem.model.transfers import MOVING, OUT, State, Transfer
from diadem.node.placing import readable_copies
from diadem.package.opening import LIMITS, OpenedPackage, read_manifest
from diadem.store.bundle import LocalBundle
from diadem.transfer.desk import Desk
from diadem.transfer.exchange import BYTES, FileRange, Response
from diadem.transfer.tag_parts import LENGTH, tag_files
from diadem.transfer.windows import Span, WindowPlan
from diadem.trust.hashing import leaf_digest

#: Packages whose plan is kept, and windows of which it is known that they were given.
_PLANS: Final = 8
_GIVEN: Final = 4096
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Opened:
    """A package that is being sent."""

    opened: OpenedPackage
    plan: WindowPlan


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
        self._plans: dict[str, _Opened] = {}
        self._given: dict[tuple[str, int], None] = {}

    def close(self) -> None:
        """Forget what was opened."""
        with self._lock:
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
        self._desk.network.access.require_read(transfer.package, to=transfer.recipient, recipient=peer)
        if transfer.paused:
            raise Refused("the sender paused the transfer", next="Go on later: diadem transfers resume")
        return transfer

    def part(self, peer: str, transfer_id: str, number: int) -> Response:
        """Part 0, the tag manifest; or 1, the other tag files."""
        transfer = self.permitted(peer, transfer_id)
        bundle = self._bundle(transfer.package)
        text = bundle.read(TAGMANIFEST, LIMITS[TAGMANIFEST])
        if number == 0:
            self._spend(transfer, -1, 0, len(text))
            return Response(200, {"content-type": BYTES}, text)
        sizes = []
        for _, path in tag_files(text):
            with bundle.open(path) as reader:
                sizes.append((path, reader.size))
        total = sum(LENGTH.size + size for _, size in sizes)
        self._spend(transfer, -2, 0, total)
        return Response(200, {"content-type": BYTES, "content-length": str(total)}, _tag_blocks(bundle, sizes))

    def part_bytes(self, peer: str, transfer_id: str, number: int) -> bytes:
        """The same as bytes, to be pushed."""
        body = self.part(peer, transfer_id, number).body
        assert not isinstance(body, FileRange)
        return body if isinstance(body, bytes) else b"".join(body)

    def window_bytes(self, peer: str, transfer_id: str, number: int) -> bytearray:
        """A whole window as bytes, to be pushed. Raises as `window`."""
        transfer = self.permitted(peer, transfer_id)
        package = self._open(transfer.package)
        size = package.plan.size(number)
        self._spend(transfer, number, 0, size)
        again = self._was_given(transfer.id, number)
        data, at = bytearray(size), 0
        for piece in self._pieces(transfer.package, package, number, (0, size), proven=again):
            data[at : at + len(piece)] = piece
            at += len(piece)
        return data

    def size(self, peer: str, transfer_id: str, number: int) -> int:
        """Bytes of a window. Raises as `window`."""
        plan = self._open(self.permitted(peer, transfer_id).package).plan
        if not 0 <= number < len(plan):
            raise NotFound("no such window")
        return plan.size(number)

    def window(self, peer: str, transfer_id: str, number: int, start: int, stop: int) -> Response:
        """Bytes of a window. Asked for again, its leaves are proven before they go, from another copy if need be.

        Raises
        ------
        NotFound
            There is none for this peer.
        Refused
            More would go than was accepted.
        StoreError
            No copy gives the bytes.
        """
        transfer = self.permitted(peer, transfer_id)
        package = self._open(transfer.package)
        if not 0 <= number < len(package.plan):
            raise NotFound("no such window")
        spans = package.plan.spans(number)
        size = spans[-1].at + spans[-1].length
        if not 0 <= start < stop <= size:
            raise NotFound("no such bytes in the window")
        self._spend(transfer, number, start, stop)
        again = self._was_given(transfer.id, number)
        if len(spans) == 1 and not again:
            with contextlib.suppress(DiademError, OSError):
                return self._file_range(transfer.package, spans[0], start, stop)
        pieces = self._pieces(transfer.package, package, number, (start, stop), proven=again)
        return _ranged(chain([next(pieces)], pieces), start, stop, size)  # where nothing can be read: said at once

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

    def _bundle(self, package: str) -> Bundle:
        """The first copy whose tag files are those of the package."""
        for _, bundle in readable_copies(self._desk.context, package):
            with contextlib.suppress(DiademError, OSError):
                read_manifest(bundle, expected_id=package)
                found: Bundle = bundle
                return found
        raise StoreError("no copy of the package can be read", next="Connect one of its stores: diadem status")

    def _open(self, package: str) -> _Opened:
        with self._lock:
            if (known := self._plans.get(package)) is not None:
                return known
        opened = read_manifest(self._bundle(package), expected_id=package)
        made = _Opened(opened, WindowPlan(opened.manifest))
        with self._lock:
            while len(self._plans) >= _PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[package] = made
        return made

    def _file_range(self, package: str, span: Span, start: int, stop: int) -> Response:
        """A window that is part of one file of this machine: sent without passing through Python."""
        for _, bundle in readable_copies(self._desk.context, package):
            if isinstance(bundle, LocalBundle):
                with bundle.open(span.entry.path) as reader:
                    if reader.size != span.entry.size:
                        continue
                path = Path(bundle.url, *span.entry.path.split("/"))
                return Response.file(path, span.offset + start, span.offset + stop, of=span.length)
        raise NotFound("no copy on this machine")

    def _pieces(
        self, package: str, found: _Opened, number: int, wanted: tuple[int, int], *, proven: bool
    ) -> Iterator[bytes]:
        """These bytes of a window, some leaves at a time."""
        start, stop = wanted
        held = bytearray()
        for leaf in _leaves(found, number):
            begin, end = max(start - leaf.at, 0), min(stop - leaf.at, leaf.length)
            if begin >= end:
                continue
            held += self._leaf(package, found.opened, leaf, proven=proven)[begin:end]
            if len(held) >= _BLOCK:
                yield bytes(held)
                held.clear()
        if held:
            yield bytes(held)

    def _leaf(self, package: str, opened: OpenedPackage, span: Span, *, proven: bool) -> bytes:
        """The bytes of a leaf from the first copy that gives them, proven where that is wished; else from any."""
        last = b""
        for _, bundle in readable_copies(self._desk.context, package):
            with contextlib.suppress(DiademError, OSError), bundle.open(span.entry.path) as reader:
                data: bytes = reader.read_at(span.offset, span.length)
                if len(data) == span.length:
                    last = data
                    if not proven or _is_right(opened, span, data):
                        return data
        if last:
            return last  # the receiver sees that it is wrong, and says so
        raise StoreError("no copy gives these bytes", next="Run: diadem scrub, then diadem repair")


def _leaves(found: _Opened, number: int) -> Iterator[Span]:
    """The leaves of a window, each as a span of its own."""
    leaf_size = found.opened.manifest.leaf_size
    for span in found.plan.spans(number):
        for leaf in range(span.leaves):
            at = leaf * leaf_size
            length = min(leaf_size, span.length - at)
            yield Span(span.number, span.entry, span.leaf + leaf, 1, span.offset + at, length, span.at + at)


def _is_right(opened: OpenedPackage, leaf: Span, data: bytes) -> bool:
    first = (leaf.entry.first_leaf + leaf.leaf) * DIGEST_SIZE
    return opened.leaves[first : first + DIGEST_SIZE] == leaf_digest(data)


def _ranged(pieces: Iterator[bytes], start: int, stop: int, size: int) -> Response:
    """Some bytes of so many, told as HTTP wants it."""
    named = {"content-type": BYTES, "content-length": str(stop - start)}
    if (start, stop) == (0, size):
        return Response(200, named, pieces)
    return Response(206, named | {"content-range": f"bytes {start}-{stop - 1}/{size}"}, pieces)


def _tag_blocks(bundle: Bundle, sizes: list[tuple[str, int]]) -> Iterator[bytes]:
    for path, size in sizes:
        yield LENGTH.pack(size)
        with bundle.open(path) as reader:
            for at in range(0, size, _BLOCK):
                yield reader.read_at(at, _BLOCK)
