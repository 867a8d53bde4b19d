"""Messages with all peers and hubs at once: what waits here is handed over, and what waits there is taken."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from diadem.errors import DiademError, NotFound, StoreError
from diadem.model.peers import Peer, PeerState
from diadem.network.desk import Desk
from diadem.network.errands import TOGETHER, do_all
from diadem.network.wire import no_answer
from diadem.node.peers.book import peer_book
from diadem.node.peers.notes import own_hubs

_LOG: Final = logging.getLogger("diadem.network")
#: Seconds that peers get together while a person looks into the inbox.
_INBOX: Final = 5.0


class _Errand:
    """A peer or hub that is told and asked: how much came, and what went wrong."""

    def __init__(self, name: str, tell: Sequence[Callable[[], object]], ask: Callable[[], int] = lambda: 0) -> None:
        self.name, self._tell, self._ask = name, tell, ask
        self.came, self.errors = 0, list[Exception]()
        self._began = self._ended = False

    def run(self) -> None:
        """Hand over what is due, and take what waits: each, whatever came of the others."""
        self._began = True
        for tell in self._tell:
            with self._noted():
                tell()
        with self._noted():
            self.came = self._ask()
        self._ended = True

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.errors.append(error)

    def trouble(self, patience: float) -> list[str]:
        """What went wrong, in words, after so many seconds."""
        words = [self.words(error) for error in self.errors]
        if not self._began:
            words.append(f"{self.name} was not asked in time: others took longer than {patience:.0f} s")
        elif not self._ended:
            words.append(f"{self.name} does not answer: it took longer than {patience:.0f} s")
        return words

    def words(self, error: Exception) -> str:
        """How an error is told."""
        if isinstance(error, NotFound):
            return f"{self.name} has not confirmed this node, or no longer does: ask its people"
        if isinstance(error, StoreError):  # of this node
            return f"{self.name}: {error.message}" + (f". {error.next}" if error.next else "")
        if isinstance(error, DiademError):
            return no_answer(self.name, error.message)
        return f"{self.name}: what it says meets a fault of this program ({type(error).__name__})"


def exchange(
    desk: Desk, patience: float = _INBOX, *, hubs_only: bool = False, strict: bool = False
) -> tuple[int, Sequence[str]]:
    """Hand over what is due and take what waits, at all peers and hubs at once; how many came, and who had trouble.

    Hubs come first: each speaks for many, and peers that are gone hold up those behind them.

    Parameters
    ----------
    desk : Desk
        The node's.
    patience : float
        Seconds; who answers later is heard the next time.
    hubs_only : bool
        Only what lies at the hubs, and is to lie there.
    strict : bool
        Raise a fault of this program once all were heard, which is the trouble of one of them else.
    """
    book, called = peer_book(desk.context), [] if hubs_only else desk.reachable()
    hubs = own_hubs(desk.context, book)
    due = dict.fromkeys(one.peer for one in desk.outbox.waiting())
    if not (called or hubs or due or desk.outbox.introductions()):
        return 0, ()
    from diadem.network.mail.delivery import introduce_all  # with all that receives: not for who has nobody to ask
    from diadem.network.mail.pickup import collect, pick_up

    for peer in called:
        due.pop(peer, None)
    spokes = {one.id: one.note.hubs for one in book.ls() if one.state is PeerState.CONFIRMED and one.note is not None}
    errands = list[_Errand]()
    for hub in hubs:
        over = [peer for peer in due if hub.id in spokes.get(peer, ())]
        for peer in over:
            del due[peer]
        tell: list[Callable[[], object]] = [*_told(desk, over), partial(introduce_all, desk, hub=hub.id)]
        errands.append(_Errand(_named(hub), tell, partial(pick_up, desk, hub)))
    errands += [_Errand(_named(book.get(peer)), _told(desk, [peer]), partial(collect, desk, peer)) for peer in called]
    left = () if hubs_only else due  # there is no way to them yet: it is said in the book
    errands += [_Errand(f"'{desk.peer_name(peer)}'", _told(desk, [peer])) for peer in left]
    for away in {one.hub for one in desk.outbox.introductions(due=desk.now)} - {hub.id for hub in hubs}:
        introduce_all(desk, hub=away)  # which is no more than said in the book
    do_all([one.run for one in errands], patience)
    for one in errands:
        for fault in (error for error in one.errors if not isinstance(error, DiademError)):
            if strict:
                raise fault
            _LOG.warning("%s", one.words(fault))
    return sum(one.came for one in errands), [words for one in errands for words in one.trouble(patience)]


def tell_peers(desk: Desk) -> None:
    """Hand over every message that waits here: to all peers at once.

    Raises
    ------
    StoreError
        Something cannot be written or read here.
    """
    peers = dict.fromkeys(one.peer for one in desk.outbox.waiting())
    errands = [_Errand(f"'{desk.peer_name(peer)}'", _told(desk, [peer])) for peer in peers]
    do_all([one.run for one in errands], TOGETHER)
    for error in (error for one in errands for error in one.errors):
        if isinstance(error, StoreError) or not isinstance(error, DiademError):
            raise error


def _told(desk: Desk, peers: Sequence[str]) -> list[Callable[[], object]]:
    from diadem.network.mail.delivery import deliver_all

    return [partial(deliver_all, desk, peer, due=False) for peer in peers]


def _named(peer: Peer) -> str:
    return f"the hub '{peer.name}'" if peer.is_hub else f"'{peer.name}'"
