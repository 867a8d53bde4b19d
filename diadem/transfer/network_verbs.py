"""What a node can do with other nodes: the verbs that `diadem.Node` has of this room."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from diadem.model.ports import Listener, silent

if TYPE_CHECKING:
    from diadem.model.transfers import Offer, Transfer
    from diadem.node.context import Context
    from diadem.transfer.hub.seen import HubSeen
    from diadem.transfer.rules import RuleVerbs
    from diadem.transfer.transfer_verbs import TransferVerbs


class NetworkVerbs:
    """Verbs of a node that concern other nodes, or other users of this one.

    Attributes
    ----------
    context : Context
        The opened node.
    """

    context: Context

    @property
    def transfers(self) -> TransferVerbs:
        """The transfers: iterate over them, `ls`, `show`, `pause`, `resume`, `cancel`."""
        from diadem.transfer.desks import desk_of
        from diadem.transfer.transfer_verbs import TransferVerbs

        return TransferVerbs(desk_of(self.context))

    @property
    def rules(self) -> RuleVerbs:
        """What users accept without being asked: iterate over them, `add`, `ls`, `rm`."""
        from diadem.transfer.rules import RuleVerbs

        return RuleVerbs(self.context)

    def hub(self) -> HubSeen | None:
        """What waits here for others while this node is a hub; None where it is none and never was."""
        from diadem.transfer.hub.hub import has_hub, hub_of
        from diadem.transfer.hub.seen import look

        return look(self.context, hub_of(self.context)) if has_hub(self.context) else None

    def send(
        self,
        package: str,
        to: str,
        *,
        expires: timedelta = timedelta(days=14),
        comment: str = "",
        route: str = "auto",
    ) -> Transfer:
        """Offer a package to a person. No byte of it moves before they accept.

        Parameters
        ----------
        package : str
            Its id or the beginning of it.
        to : str
            ``marie@nmi``, by the name that this node gives to the other; or a user of this node.
        expires : timedelta
            How long it can be accepted.
        comment : str
            A line for the recipient.
        route : str
            How the bytes may go: ``auto``, ``direct``, ``hub``, or ``via:NAME`` by a carrier of `node.peers.carriers`.

        Returns
        -------
        Transfer
            Offered; the offer is delivered as soon as the other node answers. The same offer is not made twice.

        Raises
        ------
        NotFound, UsageError
            There is no such package, node or user.
        Refused
            The policy forbids it, or the package is another user's.
        """
        from diadem.transfer.desks import desk_of
        from diadem.transfer.offering import send
        from diadem.transfer.working import told

        desk = desk_of(self.context)
        return told(desk, send(desk, package, to, expires=expires, comment=comment, route=route))

    def inbox(self) -> list[Offer]:
        """Offers to the user at work that wait for an answer, the newest first.

        Peers that can be called are asked first what waits there for this node; who does not answer within five
        seconds is heard the next time.
        """
        from diadem.transfer.asking import ask_peers
        from diadem.transfer.desks import desk_of

        ask_peers(desk_of(self.context))
        return self.transfers.inbox()

    def accept(
        self,
        offer: str,
        *,
        store: str | None = None,
        wait: bool = True,
        max_rate: float | None = None,
        listener: Listener = silent,
    ) -> Transfer:
        """Accept an offer, and fetch the package: every byte is proven before it lands in a store.

        Parameters
        ----------
        offer : str
            The transfer's id, or the beginning of it.
        store : str, optional
            Where it lands. Default: the first store with room for it.
        wait : bool
            Fetch it now; else `transfers.resume`, or the node's service, does.
        max_rate : float, optional
            Bytes a second at most.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound, Refused
            There is no such offer; it is for somebody else; it has expired or was taken back.
        StoreError
            No store has room for it.
        Unreachable, Interrupted
            The other side stopped answering, or a person stopped it: what is here stays, `transfers.resume` goes on.
        IntegrityError
            What came is not what was offered. Nothing landed.
        """
        from diadem.transfer.accepting import accept
        from diadem.transfer.desks import desk_of
        from diadem.transfer.working import Wishes, fetched, told

        desk = desk_of(self.context)
        accepted = told(desk, accept(desk, offer, store=store))
        return fetched(desk, accepted, Wishes(max_rate=max_rate), listener) if wait else accepted

    def decline(self, offer: str, *, reason: str = "") -> Transfer:
        """Decline an offer; the sender is told, with the reason.

        Raises
        ------
        NotFound, Refused
            There is no such offer; it is for somebody else; it was answered.
        """
        from diadem.transfer.accepting import decline
        from diadem.transfer.desks import desk_of
        from diadem.transfer.working import told

        desk = desk_of(self.context)
        return told(desk, decline(desk, offer, reason))
