"""Fetching an accepted package from its sender: whole, or as far as it comes, to go on later."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final

from diadem.errors import DiademError, IntegrityError, PackageError
from diadem.model import canonical
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Listener
from diadem.model.times import time_text
from diadem.model.transfers import MOVING, State, Transfer, new_id
from diadem.network.desk import Desk
from diadem.network.fetching import Fetch, FetchOptions
from diadem.network.limits import MAX_MESSAGE
from diadem.network.link import Link
from diadem.network.mail.pickup import collect
from diadem.network.messages import PROGRESS, Message
from diadem.network.receiving import Receiving
from diadem.network.tag_parts import limit_of

#: Seconds between two messages that tell the sender how far it is.
_TOLD: Final = 5.0
_STILL: Final = frozenset(map(str, MOVING))


def receive_package(
    desk: Desk, transfer_id: str, options: FetchOptions, *, listener: Listener, stop: threading.Event | None = None
) -> Transfer:
    """Fetch an accepted package and land it; a package that is received already stays so.

    Raises
    ------
    Interrupted
        A person stopped it, or `stop` was set. What is here stays.
    Unreachable
        The sender does not answer. What is here stays.
    NotFound, Refused
        The sender gives nothing more, or it is over.
    IntegrityError, PackageError
        What came is not what was offered; the transfer has failed, and goes on when the sender mended its package.
    """
    transfer = desk.book.get(transfer_id)
    if transfer.state in (State.RECEIVED, State.CLOSED):
        return transfer
    with Receiving.open(desk, transfer, listener=listener, stop=stop) as receiving:
        receiving.start()
        if not receiving.arrival.published:
            _Pull(receiving, options, desk.link(transfer.peer)).run()
        return receiving.finish()


class _Pull:
    """One run of one transfer."""

    def __init__(self, receiving: Receiving, options: FetchOptions, link: Link) -> None:
        self._receiving, self._options, self._link = receiving, options, link
        self._told = time.monotonic()

    def run(self) -> None:
        """Everything that is missing; whole files that the disk gives back changed are fetched once more."""
        receiving = self._receiving
        if receiving.plan is None:
            self._tag_files()
        receiving.follow(known=True)
        self._fetch()
        if receiving.judged():
            receiving.follow()
            self._fetch()
            if again := receiving.judged():
                path = receiving.arrival.manifest.entries[min(again)].path
                raise IntegrityError(
                    "the disk returns different bytes than were written", where=path, next="Check the disk."
                )
        self._tell()  # who took it back meanwhile is heard before it lands

    def _tag_files(self) -> None:
        """Fetch what is not here of the tag files, and open the package."""
        receiving = self._receiving
        if (tags := receiving.tagmanifest()) is None:
            receiving.take_tagmanifest(tags := self._tagmanifest())
        if not receiving.has_tag_files(tags):
            with self._link.open_part(receiving.transfer.id, 1) as incoming:
                receiving.take_tag_files(tags, incoming)
        receiving.begin(tags)

    def _tagmanifest(self) -> bytes:
        limit = limit_of(TAGMANIFEST)
        data = bytearray(limit + 1)
        view, at = memoryview(data), 0
        with self._link.open_part(self._receiving.transfer.id, 0) as incoming:
            while at < len(data) and (count := incoming.readinto(view[at:])):
                at += count
        if at > limit:
            raise PackageError(f"the tag manifest has more than {limit:,} bytes", where=TAGMANIFEST)
        return bytes(view[:at])

    def _fetch(self) -> None:
        try:
            Fetch(self._receiving, self._link, self._options, check=self._tick).run()
        finally:
            self._receiving.note(now=True)

    def _tick(self) -> None:
        """Tell how far it is, where it is time to. Raises `Interrupted` where it is to end."""
        if self._receiving.note() and time.monotonic() - self._told >= _TOLD:
            self._told = time.monotonic()
            self._tell()
        self._receiving.require_going()

    def _tell(self) -> None:
        """Tell the sender; what it does not hear now it hears the next time. Where it has ended it, hear that at once.

        Only what is signed ends the transfer here: it is fetched.
        """
        desk, transfer = self._receiving.desk, self._receiving.transfer
        about = {
            "state": "transferring",
            "done": self._receiving.done,
            "total": transfer.bytes,
            "rate": int(self._receiving.rate),
        }
        message = Message(new_id(), PROGRESS, transfer.id, desk.node, transfer.peer, time_text(desk.now), "", about)
        with contextlib.suppress(DiademError):
            answer = canonical.decode(self._link.post_message(message.to_bytes()), where="answer", limit=MAX_MESSAGE)
            if isinstance(answer, dict) and str(answer.get("state")) not in _STILL:
                collect(desk, transfer.peer)
