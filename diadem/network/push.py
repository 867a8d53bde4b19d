"""Pushing an accepted package to a receiver that cannot reach this node: the windows that it still wants."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Final

from diadem.errors import DocumentError, IntegrityError, Interrupted, Refused
from diadem.model import canonical
from diadem.model.ports import Listener, Progress
from diadem.model.routes import DIRECT
from diadem.model.transfers import MOVING, OUT, State, Transfer
from diadem.network.crew import Crew
from diadem.network.desk import Desk
from diadem.network.link import Link
from diadem.network.source import Source, Sources
from diadem.network.windows import most_windows
from diadem.trust.base64_text import from_base64

#: What is wanted of a window: its number, the first byte and the end; None for all of it.
Run = tuple[int, int, int | None]

#: Connections at once, and how often a window is sent that the receiver finds wrong; it is asked anew each time.
CONNECTIONS: Final = 4
_TRIES: Final = 3
_ROUNDS: Final = _TRIES
#: Bytes of an answer to what is wanted: windows of 100 TB, and more runs than a receiver names.
_ANSWER: Final = 2 << 20


def push_package(
    desk: Desk, sources: Sources, transfer_id: str, *, listener: Listener, stop: threading.Event | None = None
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
        raise Refused(f"the transfer is {transfer.state}: there is nothing to send", next="See: diadem transfer ls")
    link = desk.link(transfer.peer)
    if transfer.error:  # it is tried anew
        desk.book.change(transfer.id, error="", next="")
    source = sources.of(transfer.peer, transfer.id, DIRECT)
    push = _Push(source, transfer, link, listener, stop or threading.Event())
    for _ in range(_ROUNDS):
        if not push.round():
            break
    if transfer.state is State.ACCEPTED and desk.book.get(transfer.id).state is State.ACCEPTED:
        desk.book.step(transfer.id, State.TRANSFERRING, desk.now)
    return desk.book.get(transfer.id)


class _Push:
    """One run of one transfer."""

    def __init__(
        self, source: Source, transfer: Transfer, link: Link, listener: Listener, stop: threading.Event
    ) -> None:
        self._source, self._transfer, self._link = source, transfer, link
        self._listener, self._stop = listener, stop
        self._lock = threading.Lock()
        self._wrong: Counter[int] = Counter()

    def round(self) -> bool:
        """Send what is wanted now; whether there was something."""
        parts, wanted = self._have()
        if not parts:
            for number in (0, 1):
                _, blocks = self._source.part(number)
                self._link.put_part(self._transfer.id, number, b"".join(blocks))
            _, wanted = self._have()
        if not wanted:
            return False

        def put(run: Run) -> None:
            self._put(*run)
            self._listener(Progress("push", run[0] + 1, len(wanted), unit="windows"))

        stopped = Interrupted("stopped; what was sent is kept there")
        Crew("push", CONNECTIONS, stop=self._stop.is_set, stopped=stopped).each(wanted, put)
        return True

    def _have(self) -> tuple[bool, list[Run]]:
        """Whether the tag files are there; what is wanted."""
        found = canonical.decode(self._link.have(self._transfer.id), where="have", limit=_ANSWER)
        try:
            count, bits = int(found["windows"]), from_base64(found["wanted"])
            parts, begun = bool(found["parts"]), [tuple(map(int, run)) for run in found["begun"]]
            runs: list[Run] = [(number, start, stop) for number, start, stop in begun]
        except (KeyError, TypeError, ValueError):
            raise DocumentError("the receiver's answer cannot be understood", where="have") from None
        if count > most_windows(self._transfer.bytes, self._transfer.files):
            raise DocumentError(f"the receiver asks for one of {count:,} windows; the package has fewer", where="have")
        known = {number for number, _, _ in runs}
        windows = (number for number in range(min(count, 8 * len(bits))) if bits[number // 8] >> number % 8 & 1)
        return parts, sorted([*runs, *((number, 0, None) for number in windows if number not in known)], key=_order)

    def _put(self, number: int, start: int, stop: int | None) -> None:
        """Send a run of a window; where a leaf is wrong, it is read again in the next round, and proven."""
        try:
            self._link.put_window(self._transfer.id, number, start, self._source.window(number, start, stop))
        except IntegrityError:
            with self._lock:
                self._wrong[number] += 1
                if self._wrong[number] == _TRIES:
                    raise


def _order(run: Run) -> tuple[int, int]:
    return run[0], run[1]
