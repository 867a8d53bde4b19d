"""Pushing an accepted package to a receiver that cannot reach this node: the windows that it still wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from diadem.errors import DocumentError, IntegrityError, Interrupted, Refused
from diadem.model import canonical
from diadem.model.ports import Listener, Progress
from diadem.model.transfers import MOVING, OUT, State, Transfer
from diadem.transfer.desk import Desk
from diadem.transfer.network import Link
from diadem.transfer.serving import Serving
from diadem.trust.base64_text import from_base64

#: Connections at once, and how often a window is sent again that the receiver finds wrong.
CONNECTIONS: Final = 4
_TRIES: Final = 3
_ROUNDS: Final = 3
_ANSWER: Final = 16 << 20


def push_package(
    desk: Desk, serving: Serving, transfer_id: str, *, listener: Listener, stop: threading.Event | None = None
) -> Transfer:
    """Send everything that the receiver still wants of an accepted package; it says itself when it is received.

    Raises
    ------
    Unreachable
        It does not answer; what is there stays there.
    NotFound, Refused
        It takes nothing more, or it is over.
    IntegrityError
        It finds a window wrong again and again: names it.
    """
    transfer = desk.book.get(transfer_id)
    if transfer.direction != OUT or transfer.state not in MOVING:
        raise Refused(f"the transfer is {transfer.state}: nothing is to be sent", next="See: diadem transfers ls")
    link = desk.network.link(transfer.peer)
    if transfer.error:  # it is tried anew
        desk.book.change(transfer.id, error="", next="")
    push = _Push(serving, transfer, link, listener, stop or threading.Event())
    for _ in range(_ROUNDS):
        if not push.round():
            break
    if transfer.state is State.ACCEPTED and desk.book.get(transfer.id).state is State.ACCEPTED:
        desk.book.step(transfer.id, State.TRANSFERRING, desk.now)
    return desk.book.get(transfer.id)


class _Push:
    """One run of one transfer."""

    def __init__(
        self, serving: Serving, transfer: Transfer, link: Link, listener: Listener, stop: threading.Event
    ) -> None:
        self._serving, self._transfer, self._link = serving, transfer, link
        self._listener, self._stop = listener, stop
        self._lock = threading.Lock()
        self._fault: BaseException | None = None

    def round(self) -> bool:
        """Send what is wanted now; whether there was something."""
        parts, wanted = self._have()
        if not parts:
            for number in (0, 1):
                data = self._serving.part_bytes(self._transfer.peer, self._transfer.id, number)
                self._link.put_part(self._transfer.id, number, data)
            _, wanted = self._have()
        if not wanted:
            return False
        self._send(wanted)
        return True

    def _have(self) -> tuple[bool, list[int]]:
        """Whether the tag files are there; the windows that are wanted."""
        found = canonical.decode(self._link.have(self._transfer.id), where="have", limit=_ANSWER)
        try:
            count, bits = int(found["windows"]), from_base64(found["wanted"])
            parts = bool(found["parts"])
        except (KeyError, TypeError, ValueError):
            raise DocumentError("the receiver's answer cannot be understood", where="have") from None
        return parts, [number for number in range(min(count, 8 * len(bits))) if bits[number // 8] >> number % 8 & 1]

    def _send(self, wanted: list[int]) -> None:
        queue, total = iter(wanted), len(wanted)
        threads = [threading.Thread(target=self._work, args=(queue, total), daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
                    if self._stop.is_set():
                        self._fail(Interrupted("stopped; what is there stays there"))
        except BaseException as error:
            self._fail(error)
            raise
        if self._fault is not None:
            raise self._fault

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._fault = self._fault or error

    def _work(self, queue: Iterator[int], total: int) -> None:
        try:
            while (number := self._next(queue)) is not None:
                self._put(number)
                self._listener(Progress("push", number + 1, total, unit="windows"))
        except BaseException as error:
            self._fail(error)

    def _next(self, queue: Iterator[int]) -> int | None:
        with self._lock:
            return None if self._fault is not None else next(queue, None)

    def _put(self, number: int) -> None:
        """Send a window; one that the receiver finds wrong is read again, proven, from another copy if need be."""
        for attempt in range(1, _TRIES + 1):
            data = self._serving.window_bytes(self._transfer.peer, self._transfer.id, number)
            try:
                self._link.put_window(self._transfer.id, number, data)
            except IntegrityError:
                if attempt == _TRIES:
                    raise
            else:
                return
