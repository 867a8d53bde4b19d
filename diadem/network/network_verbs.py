"""What a node can do with other nodes: the verbs that `diadem.Node` has of this room."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from diadem.errors import NotFound
from diadem.model.display import Rows
from diadem.model.plain_text import quoted
from diadem.model.ports import Listener
from diadem.model.progress_bar import progress_bar

if TYPE_CHECKING:
    from diadem.model.transfers import Offer, Transfer
    from diadem.network.disk import Exported, Imported
    from diadem.network.hub.status import HubStatus
    from diadem.network.rules import RuleVerbs
    from diadem.network.transfer_verbs import TransferVerbs
    from diadem.node.context import Context
    from diadem.node.tell.verbs import TellVerbs

StrPath = str | os.PathLike[str]


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
        from diadem.network.desk import desk_of
        from diadem.network.transfer_verbs import TransferVerbs

        return TransferVerbs(desk_of(self.context))

    @property
    def rules(self) -> RuleVerbs:
        """Rules for offers that users accept automatically: iterate over them, `add`, `ls`, `rm`."""
        from diadem.network.rules import RuleVerbs

        return RuleVerbs(self.context)

    @property
    def tell(self) -> TellVerbs:
        """Who is told what changes, by mail and otherwise: iterate over them, `add`, `ls`, `rm`, `test`, `now`."""
        from diadem.network.open_ends import tell_verbs

        return tell_verbs(self.context)

    def hub(self) -> HubStatus | None:
        """What waits here for others if this node is a hub; None if it is not and never was."""
        from diadem.network.hub.book import has_hub

        if not has_hub(self.context):  # every status asks; few nodes are one
            return None

        from diadem.network.hub.hub import hub_of
        from diadem.network.hub.status import hub_status

        return hub_status(self.context, hub_of(self.context))

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
            Its id, or the beginning of it.
        to : str
            ``marie@nmi``, with this node's name for the other; or a user of this node.
        expires : timedelta
            How long the offer can be accepted.
        comment : str
            A line for the recipient.
        route : str
            How the bytes may go: ``auto``, ``direct``, ``hub``, or ``via:NAME`` by a carrier of `node.peers.carriers`.

        Returns
        -------
        Transfer
            The offered transfer; the offer is delivered as soon as the other node answers. An offer is not made twice.

        Raises
        ------
        NotFound, UsageError
            There is no such package, node or user.
        Refused
            The policy forbids it, or the package is another user's.
        """
        from diadem.network.desk import desk_of
        from diadem.network.offering import send
        from diadem.network.rounds import tell

        desk = desk_of(self.context)
        return tell(desk, send(desk, package, to, expires=expires, comment=comment, route=route))

    def inbox(self) -> list[Offer]:
        """List the offers to the current user that wait for an answer, newest first.

        Peers that can be called are asked first what waits there for this node; who does not answer within five
        seconds is heard the next time.
        """
        from diadem.network.desk import desk_of
        from diadem.network.mail.exchange import exchange

        exchange(desk_of(self.context))
        return Rows(self.transfers.inbox())

    def accept(
        self,
        offer: str,
        *,
        store: str | None = None,
        wait: bool = True,
        max_rate: float | None = None,
        listener: Listener = progress_bar,
    ) -> Transfer:
        """Accept an offer and fetch the package; every byte is proven before it is stored.

        Parameters
        ----------
        offer : str
            The transfer's id, or the beginning of it.
        store : str, optional
            Where to store it. Default: the first store with room for it.
        wait : bool
            Wait until the package is here, whether this call or the node's service fetches it. Otherwise
            `transfers.resume` or the service fetches it.
        max_rate : float, optional
            Bytes a second at most.
        listener : Listener
            Told of progress.

        Raises
        ------
        NotFound, Refused
            There is no such offer, it is for somebody else, it has expired or was withdrawn.
        StoreError
            No store has room for it.
        Unreachable, Interrupted
            The other side stopped answering, or a person stopped it. What has arrived is kept; `transfers.resume`
            continues.
        IntegrityError
            What arrived is not what was offered. Nothing was stored.
        """
        from diadem.model.routes import HUB
        from diadem.network.accepting import accept
        from diadem.network.desk import desk_of
        from diadem.network.pull import FetchOptions
        from diadem.network.rounds import fetch_or_wait, tell_acceptance

        desk = desk_of(self.context)
        accepted = accept(desk, offer, store=store)
        if not wait or accepted.route == HUB:  # else nobody but its sender is told, which comes before the first byte
            accepted = tell_acceptance(desk, accepted)
        return fetch_or_wait(desk, accepted, FetchOptions(max_rate=max_rate), listener) if wait else accepted

    def export_disk(
        self,
        package: str,
        to: str,
        folder: StrPath,
        *,
        expires: timedelta = timedelta(days=60),
        comment: str = "",
        dry_run: bool = False,
        listener: Listener = progress_bar,
    ) -> Exported:
        """Write a package to a disk for a person at another node: offered as by `send`, sealed for their node alone.

        Parameters
        ----------
        package : str
            Its id, or the beginning of it.
        to : str
            ``marie@nmi``, with this node's name for the other.
        folder : path
            A folder on the disk: new, empty, or begun for the same transfer, which is then continued.
        expires : timedelta
            How long the offer can be accepted.
        comment : str
            A line for the recipient.
        dry_run : bool
            Say what would be written; write and offer nothing.
        listener : Listener
            Told of progress.

        Returns
        -------
        Exported
            The offer, and how many objects were written. The log notes the handover.

        Raises
        ------
        NotFound, UsageError
            There is no such package, node or user; or the node has not sent the key to seal for.
        Refused
            The policy forbids it, the package is another user's, or the folder holds something else.
        Unreachable
            The disk is full or fails. What was written is kept; the same call continues.
        """
        from diadem.network.desk import desk_of
        from diadem.network.disk import export_disk
        from diadem.network.source import sources_of

        desk, place = desk_of(self.context), Path(folder).absolute()
        return export_disk(
            desk,
            sources_of(self.context),
            package,
            to,
            place,
            expires=expires,
            comment=comment,
            dry_run=dry_run,
            listener=listener,
        )

    def import_(
        self, folder: StrPath, *, store: str | None = None, dry_run: bool = False, listener: Listener = progress_bar
    ) -> Imported:
        """Accept a package from a disk, as `accept` does, or take in packages as they are; every byte is proven.

        Parameters
        ----------
        folder : path
            Where `export_disk` wrote it; or the folder of a package, a folder in which some lie, a ZIP of `export`, or
            a ZIP or TAR that somebody made of such folders.
        store : str, optional
            Where to store it. Default: the first store with room for it.
        dry_run : bool
            Only check the offer, and leave it in the inbox.
        listener : Listener
            Told of progress.

        Returns
        -------
        Imported
            The transfer: received, or as far as the disk goes (another disk continues it). The receipt reaches the
            sender by any route. Or the packages that were taken in.

        Raises
        ------
        NotFound, DocumentError
            The folder is not a disk or package, or is not from a confirmed peer.
        PackageError
            The ZIP or TAR is incomplete, is made to write elsewhere, or has a file twice.
        Refused
            It is for another node or another person, has expired or was withdrawn.
        StoreError
            No store has room for it.
        IntegrityError
            The disk is damaged or was altered. What is sound is kept; nothing was stored.
        """
        from diadem.custody.log_entry import place_of
        from diadem.export.zip_bag import packages_below, packages_in
        from diadem.network.desk import desk_of
        from diadem.network.disk import HEADER, import_disk, import_packages
        from diadem.network.rounds import tell, then_entered
        from diadem.network.sent_on import behind
        from diadem.node.quality.amend import brought_since

        path = Path(folder).absolute()
        on_disk = (path / HEADER).exists()
        packages = [] if on_disk else packages_in(path)
        if path.is_file() and not packages:
            raise NotFound(
                "there is no complete package in this file",
                where=str(path),
                next=f"What is wrong with a ZIP of a package: diadem verify {quoted(path)}   (What is compressed "
                f"otherwise: unpack it, import the folder.) Any other file: diadem archive {quoted(path)}",
            )
        if path.is_dir() and not packages and not on_disk:
            packages = packages_below(path)
        if not packages and not on_disk:
            raise NotFound(
                "there is no diadem-disk.json here, and no package"
                if path.exists()
                else "there is nothing of this name",
                where=str(path),
                next="Name the folder that export made; or the ZIP, TAR or folder of a package, or its parent.",
            )
        desk, ledger = desk_of(self.context), self.context.ledger
        place = place_of(ledger.epoch, ledger.size)
        if packages:
            done = import_packages(self.context, path, packages, store=store, dry_run=dry_run, listener=listener)
            came = brought_since(self.context, done.found, place)
            return replace(done, brought=came, behind=[lack for one in done.found for lack in behind(desk, one)])
        with then_entered(desk, listener):
            done = import_disk(desk, path, store=store, dry_run=dry_run, listener=listener)
            done = replace(done, offered=tell(desk, done.transfer))
            package = done.transfer.package
            came = brought_since(self.context, [package], place)
            return replace(done, brought=came, behind=behind(desk, package))

    def decline(self, offer: str, *, reason: str = "") -> Transfer:
        """Decline an offer; the sender sees the reason.

        Raises
        ------
        NotFound, Refused
            There is no such offer, it is for somebody else, or it was answered already.
        """
        from diadem.network.accepting import decline
        from diadem.network.desk import desk_of
        from diadem.network.rounds import tell

        desk = desk_of(self.context)
        return tell(desk, decline(desk, offer, reason))
