"""The verbs of transfers: `node.transfers`, and what `send`, `inbox`, `accept` and `decline` do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from diadem.errors import Refused, UsageError
from diadem.model.display import Display, DisplayList, Rows
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar
from diadem.model.transfers import IN, LOCAL, MOVING, OUT, OVER, Offer, Preview, State, Transfer, TransferEvent, summary
from diadem.network.desk import Desk

if TYPE_CHECKING:
    from diadem.network.rounds import Synced


@dataclass(frozen=True, slots=True)
class TransferDetails(Display):
    """A transfer with its steps.

    Attributes
    ----------
    transfer : Transfer
        As it stands.
    events : sequence of TransferEvent
        Its steps, oldest first.
    peer_name : str
        This node's name for the other node.
    unsent : sequence of str
        Kinds of messages that the other side does not have yet, and why.
    way : str
        By which route the bytes go, and why, in one sentence.
    behind : sequence of (str, str)
        Of a package that came here: people to whom it was sent from here before, and who were not sent
        corrections or assessments that came since; each with the command that does it.
    custody : bool
        Of a package that is on its way to another node: whether that one is told who had it until now.
    custody_left : int
        How many chains that say so are too large for that, and stay behind.
    """

    transfer: Transfer
    events: Sequence[TransferEvent]
    peer_name: str
    unsent: Sequence[str]
    way: str = ""
    behind: Sequence[tuple[str, str]] = ()
    custody: bool = False
    custody_left: int = 0

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: the transfer's members, and the others."""
        return {
            **self.transfer.to_dict(),
            "events": [event.to_dict() for event in self.events],
            "peer_name": self.peer_name,
            "unsent": list(self.unsent),
            "way": self.way,
            "behind": [{"to": to, "next": command} for to, command in self.behind],
            "custody": self.custody,
            "custody_left": self.custody_left,
        }


@dataclass(frozen=True, slots=True)
class TransferVerbs(DisplayList):
    """The transfers of a node: `node.transfers`.

    Parameters
    ----------
    desk : Desk
        Of the node.
    """

    _display_name = "transfers"

    desk: Desk

    def __iter__(self) -> Iterator[Transfer]:
        """Each transfer of the user at work, the newest first."""
        return iter(self.ls())

    def ls(self, *, everything: bool = False, over: bool = True) -> list[Transfer]:
        """List transfers in both directions, newest first.

        Parameters
        ----------
        everything : bool
            Include those of all users of the node.
        over : bool
            Include those that have ended.
        """
        found = [self.desk.refreshed(transfer) for transfer in self.desk.book.all()]
        who = self.desk.context.address
        return Rows(
            self._seen(transfer)
            for transfer in found
            if (everything or who in (transfer.sender, transfer.recipient)) and (over or transfer.state not in OVER)
        )

    def stopped(self) -> list[Transfer]:
        """List open transfers from here whose recipients may not read the package any more: a grant was revoked."""
        from diadem.network.grants import is_stopped

        return Rows(one for one in self.ls(everything=True, over=False) if is_stopped(self.desk.context, one))

    def _seen(self, transfer: Transfer) -> Transfer:
        """A transfer, with what stops it where its recipient may not read the package any more."""
        from diadem.network.grants import is_stopped

        if not is_stopped(self.desk.context, transfer):
            return transfer
        advice = f"Ask {transfer.sender} to send it again."
        if transfer.sender == self.desk.context.address:
            advice = (
                f"Offer it again: diadem send {transfer.package[7:19]} {transfer.recipient}   "
                f"(or end it: diadem transfer cancel {transfer.id[:8]})"
            )
        error = f"{transfer.recipient} may not read the package any more: the grant was revoked, or has ended"
        return replace(transfer, error=error, next=advice)

    def show(self, transfer: str) -> TransferDetails:
        """Show a transfer with all its steps. Raises `NotFound`."""
        from diadem.network.closing import custody_left, tells_custody
        from diadem.network.receiving import go_on
        from diadem.network.rounds import fetches
        from diadem.network.routing import way_of
        from diadem.network.sent_on import behind

        found = self.desk.refreshed(self.desk.book.get(transfer))
        if found.direction == IN and found.state in MOVING and not found.next and fetches(self.desk, found):
            found = replace(found, next=go_on(found.id))  # whoever was killed could not note it
        unsent = [
            f"{message.kind}: {message.error or 'not tried yet'}"
            for message in self.desk.outbox.waiting(peer=found.peer)
            if message.transfer == found.id
        ]
        events, name = self.desk.book.events(found.id), self.desk.peer_name(found.peer)
        lack = behind(self.desk, found.package) if found.direction == IN else []
        goes = found.direction == OUT and found.peer != self.desk.node and found.state not in OVER
        told = goes and tells_custody(self.desk, found)
        left = custody_left(self.desk, found) if told else 0
        return TransferDetails(self._seen(found), events, name, unsent, way_of(self.desk, found), lack, told, left)

    def inbox(self) -> list[Offer]:
        """List the offers to the current user that wait for an answer, newest first."""
        who = self.desk.context.address
        waiting = [
            transfer
            for transfer in self.ls(over=False)
            if transfer.state is State.OFFERED and transfer.direction in (IN, LOCAL) and transfer.recipient == who
        ]
        return [self._offer(transfer) for transfer in waiting]

    def _offer(self, transfer: Transfer) -> Offer:
        about = self.desk.book.about(transfer.id)
        previews = [Preview(str(item["name"]), str(item["png"])) for item in about.get("previews", ())]
        return Offer(transfer, about.get("record", {}), previews)

    def sync(self, *, max_rate: float | None = None, listener: Listener = progress_bar) -> Synced:
        """Run one round of sending and receiving, for a node that does not serve.

        Parameters
        ----------
        max_rate : float, optional
            Bytes a second at most.
        listener : Listener
            Told of progress.

        Returns
        -------
        Synced
            What it did, and what did not answer.
        """
        from diadem.network.rounds import sync

        return sync(self.desk, max_rate=max_rate, listener=listener)

    def ask(self) -> None:
        """Look into the boxes at the hubs, for at most five seconds."""
        from diadem.network.mail.exchange import exchange

        exchange(self.desk, hubs_only=True)

    def pause(self, transfer: str) -> Transfer:
        """Pause a transfer; what has arrived is kept.

        Raises
        ------
        NotFound, Refused
            There is none, or it is over.
        """
        return self._pause(transfer, wanted=True)

    def resume(
        self,
        transfer: str | None = None,
        *,
        anew: bool = False,
        max_rate: float | None = None,
        listener: Listener = progress_bar,
    ) -> list[Transfer]:
        """Resume a transfer, or all that stopped; only what is missing is requested.

        Parameters
        ----------
        transfer : str, optional
            Its id, or the beginning of it.
        anew : bool
            Ask the sender to send again what a hub or folder has lost.
        max_rate : float, optional
            Bytes a second at most.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound, Refused
            There is none, or it is over; or `anew` is given and it does not come by a hub or folder.
        UsageError
            `anew` without a transfer.
        Unreachable
            The other side does not answer; what has arrived is kept.
        """
        from diadem.network.mail.exchange import tell_peers
        from diadem.network.pull import FetchOptions
        from diadem.network.relay.requesting import request_anew
        from diadem.network.rounds import fetch_all, fetch_or_wait, tidy

        if transfer is not None:
            named = self._pause(transfer, wanted=False)
            if anew:
                named = request_anew(self.desk, named)
            return [fetch_or_wait(self.desk, named, FetchOptions(max_rate=max_rate), listener, by_hand=True)]
        if anew:
            raise UsageError("which transfer?", next="Name it: diadem transfer resume ID --anew")
        tell_peers(self.desk)
        tidy(self.desk)
        return fetch_all(self.desk, FetchOptions(max_rate=max_rate), listener)

    def _pause(self, transfer: str, *, wanted: bool) -> Transfer:
        found = self.desk.book.get(transfer)
        if found.state in OVER or found.state is State.RECEIVED or found.direction == LOCAL:
            raise Refused(f"the transfer is {found.state.word}: no bytes move", next="See: diadem transfer ls")
        self.desk.book.change(found.id, paused=int(wanted), error="", next="")
        return self.desk.book.get(found.id)

    def cancel(self, transfer: str, *, reason: str = "") -> Transfer:
        """Cancel a transfer before it is received: the sender withdraws the offer, or the recipient the acceptance.

        Raises
        ------
        NotFound, Refused
            There is none, it is another user's, or it was received already.
        """
        from diadem.network.accepting import cancel
        from diadem.network.relay.carriers import clear
        from diadem.network.rounds import tell, tidy

        done = tell(self.desk, cancel(self.desk, transfer, reason))
        clear(self.desk, done.peer)
        tidy(self.desk)  # last: a store may hang
        return done

    def look(self) -> dict[str, Any]:
        """What deserves a look, for `diadem status`: offers to answer or in vain, and what is missing or not here."""
        from diadem.network.grants import is_stopped

        found = self.ls(everything=True, over=False)
        waiting = [one for one in found if one.waits and one.direction in (IN, LOCAL)]
        unreceived = [one for one in found if one.direction == OUT and "receipt" in one.missing]
        unclosed = [one for one in found if "closure" in one.missing]
        stopped = [one for one in found if is_stopped(self.desk.context, one)]
        not_here = [one for one in found if one.direction == IN and one.state in MOVING]
        return {
            "waiting": [one.id for one in waiting],
            "without_receipt": [one.id for one in unreceived],
            "without_closure": [one.id for one in unclosed],
            "stopped": [one.id for one in stopped],
            "not_here": [one.id for one in not_here],
            "text": summary(len(waiting), len(unreceived), len(unclosed), len(stopped), len(not_here)),
        }
