"""Pushing an accepted package to a receiver that cannot reach this node: the windows that it still wants."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Final

from diadem.errors import IntegrityError, Refused
from diadem.model.documents import Count, Document
from diadem.model.ports import Listener, Progress
from diadem.model.routes import DIRECT
from diadem.model.transfers import MOVING, OUT, State, Transfer
from diadem.network.crew import ThreadCrew
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


class Have(Document, frozen=True, forbid_unknown_fields=False):
    """What a receiver has: the tag files or not; how many windows; bits of those it wants, and runs of those begun."""

    WHAT: ClassVar[str] = "the receiver's answer"
    LIMIT: ClassVar[int] = _ANSWER

    parts: bool
    windows: Count
    wanted: str
    begun: tuple[tuple[Count, Count, Count], ...]

    def __post_init__(self) -> None:
        """Refuse bits that are none."""
        from_base64(self.wanted)

    def runs(self) -> list[Run]:
        """What is wanted, in order."""
        begun, bits = {run[0] for run in self.begun}, from_base64(self.wanted)
        windows = (number for number in range(min(self.windows, 8 * len(bits))) if bits[number // 8] >> number % 8 & 1)
        whole: list[Run] = [(number, 0, None) for number in windows if number not in begun]
        return sorted([*self.begun, *whole], key=_order)


def push_package(
    desk: Desk,
    sources: Sources,
    transfer_id: str,
    *,
    listener: Listener,
    require_going: Callable[[], object] = lambda: None,
) -> Transfer:
    """Send everything that the receiver still wants of an accepted package; it says itself when it is received.

    `require_going` is called now and then, and raises why it is to end.

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
        raise Refused(
            f"the transfer is {transfer.state.word}: there is nothing to send", next="See: diadem transfer ls"
        )
    link = desk.link(transfer.peer)
    if transfer.error:  # it is tried anew
        desk.book.change(transfer.id, error="", next="")
    push = _Push(sources, transfer, link, listener, require_going)
    for _ in range(_ROUNDS):
        if not push.round():
            break
    if transfer.state is State.ACCEPTED and desk.book.get(transfer.id).state is State.ACCEPTED:
        desk.book.step(transfer.id, State.TRANSFERRING, desk.now)
    return desk.book.get(transfer.id)


class _Push:
    """One run of one transfer."""

    def __init__(
        self,
        sources: Sources,
        transfer: Transfer,
        link: Link,
        listener: Listener,
        require_going: Callable[[], object],
    ) -> None:
        self._sources, self._transfer, self._link = sources, transfer, link
        self._listener, self._require_going = listener, require_going
        self._lock = threading.Lock()
        self._wrong: Counter[int] = Counter()

    def round(self) -> bool:
        """Send what is wanted now; whether there was something."""
        parts, wanted = self._have()
        if parts and not wanted:  # also where the right has ended meanwhile: it has everything
            return False
        source = self._sources.of(self._transfer.peer, self._transfer.id, DIRECT)
        if not parts:
            for number in (0, 1):
                self._require_going()
                _, blocks = source.part(number)
                self._link.put_part(self._transfer.id, number, b"".join(blocks))
            _, wanted = self._have()
        if not wanted:
            return False

        crew = ThreadCrew("push", CONNECTIONS, check=self._require_going)

        def put(run: Run) -> None:
            self._require_going()
            self._put(source, *run)
            self._listener(Progress("push", run[0] + 1, len(wanted), unit="windows"))

        crew.each(wanted, put)
        return True

    def _have(self) -> tuple[bool, list[Run]]:
        """Whether the tag files are there; what is wanted."""
        have = Have.from_bytes(self._link.have(self._transfer.id))
        if have.windows > most_windows(self._transfer.bytes, self._transfer.files):
            raise Have.fault(f"it asks for one of {have.windows:,} windows; the package has fewer")
        return have.parts, have.runs()

    def _put(self, source: Source, number: int, start: int, stop: int | None) -> None:
        """Send a run of a window; where a leaf is wrong, it is read again in the next round, and proven."""
        try:
            self._link.put_window(self._transfer.id, number, start, source.window(number, start, stop))
        except IntegrityError:
            with self._lock:
                self._wrong[number] += 1
                if self._wrong[number] == _TRIES:
                    raise


def _order(run: Run) -> tuple[int, int]:
    return run[0], run[1]
