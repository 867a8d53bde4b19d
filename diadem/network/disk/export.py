"""Putting a package on a disk for a person at another node: offered as by `send`, sealed for their node."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import NotFound, Refused, UsageError
from diadem.model import canonical
from diadem.model.display import Display
from diadem.model.ports import Listener
from diadem.model.routes import DISK
from diadem.model.transfers import MOVING, State, Transfer, new_id
from diadem.network.desk import Desk
from diadem.network.disk.layout import HEADER, MESSAGE, DiskHeader, windows_of
from diadem.network.envelope import Mail, seal_mail
from diadem.network.mail.delivery import message_of
from diadem.network.messages import OFFER
from diadem.network.offering import measured, offered_already, send, wanted_offer
from diadem.network.outbox import Outgoing
from diadem.network.relay.deposit import Deposit
from diadem.network.relay_book import EVERYTHING, Relay
from diadem.network.routing import require_route
from diadem.network.source import Sources
from diadem.node.peers.book import peer_book
from diadem.store.whole import write_whole

#: How long an offer on a disk can be accepted where nobody says: the post takes its time.
POST: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Exported(Display):
    """A disk that was written, or would be.

    Attributes
    ----------
    transfer : Transfer
        What is offered; of a dry run a draft.
    folder : str
        Where it was written.
    objects : int
        How many were written in this run.
    statement_id : str
        The `handover` in the log; "" where nothing was written.
    done : bool
        False for a dry run.
    """

    transfer: Transfer
    folder: str
    objects: int = 0
    statement_id: str = ""
    done: bool = True

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {**told, "transfer": self.transfer.to_dict(), "ok": True}


def export_disk(
    desk: Desk,
    sources: Sources,
    package: str,
    to: str,
    folder: Path,
    *,
    expires: timedelta = POST,
    comment: str = "",
    dry_run: bool = False,
    listener: Listener,
) -> Exported:
    """Write a disk; goes on where an earlier run stopped. See `diadem.network.network_verbs`."""
    desk.context.require_writable()
    wanted = wanted_offer(desk, package, to, expires=expires, comment=comment, route=DISK)
    recipient = _recipient(desk, wanted)
    header = _header(folder)
    if header is not None:
        _require_same(desk, header, wanted, folder)
    if dry_run:
        with contextlib.suppress(NotFound):  # what is not granted yet is granted with the offer
            require_route(desk, wanted, DISK)
        return Exported(measured(desk, wanted)[0], str(folder), done=False)
    transfer = send(desk, package, to, expires=expires, comment=comment, route=DISK)
    if transfer.state not in {State.OFFERED, *MOVING}:
        raise Refused(f"the transfer is {transfer.state}", next="See: diadem transfer ls")
    require_route(desk, transfer, DISK)  # it may have been offered before, and granted otherwise meanwhile
    folder.mkdir(parents=True, exist_ok=True)
    message = new_id()
    relay = header.relay if header is not None else secrets.token_hex(16)
    write_whole(folder / MESSAGE, _message(desk, transfer, message, recipient))
    write_whole(folder / HEADER, DiskHeader(desk.node, transfer.peer, transfer.id, relay, message).to_bytes())
    source = sources.of(transfer.peer, transfer.id, DISK)
    deposit = Deposit(transfer, Relay(transfer.id, relay, recipient), source, windows_of(desk, folder), {EVERYTHING: 1})
    deposit.run(listener)
    new = deposit.done or not desk.said(transfer.id, "handover")  # its process may have ended just before that
    statement = _handed_over(desk, transfer) if new else ""
    return Exported(desk.book.get(transfer.id), str(folder), deposit.done, statement)


def _recipient(desk: Desk, wanted: Transfer) -> str:
    """What opens it: the age recipient of the other node, as its signed note says."""
    if wanted.peer == desk.node:
        raise UsageError("a user of this node needs no disk", next="Offer it: diadem send ID USER@NODE")
    peer = peer_book(desk.context).known(wanted.peer)
    if peer is None or peer.note is None:
        raise NotFound(
            f"'{desk.peer_name(wanted.peer)}' has not sent the key to which packages are sealed",
            next="Ask its people for a new ticket, or run: diadem peer refresh",
        )
    return peer.note.age


def _header(folder: Path) -> DiskHeader | None:
    """What lies there from an earlier run. Raises `Refused` where something else does."""
    if not os.path.lexists(folder):
        return None
    if not folder.is_dir():
        raise Refused("this is not a folder", where=str(folder), next="Name a folder on the disk.")
    if (folder / HEADER).exists():
        return DiskHeader.read(folder)
    if any(folder.iterdir()):
        raise Refused("the folder holds something else", where=str(folder), next="Name an empty folder.")
    return None


def _require_same(desk: Desk, header: DiskHeader, wanted: Transfer, folder: Path) -> None:
    """That what lies there is of this offer, and goes on. Raises `Refused`."""
    waiting = offered_already(desk, wanted)
    if waiting is not None and (header.transfer, header.recipient) == (waiting.id, waiting.peer):
        return
    before = desk.book.find(header.transfer)
    same = before is not None and (before.package, before.recipient) == (wanted.package, wanted.recipient)
    what = f"the folder holds an earlier transfer of this package, which is {before.state}" if before and same else ""
    raise Refused(what or "the folder holds another package", where=str(folder), next="Name an empty folder.")


def _message(desk: Desk, transfer: Transfer, name: str, recipient: str) -> bytes:
    """The offer with its chain, signed and sealed; the same that goes over a line."""
    about = dict(desk.book.about(transfer.id))
    said = message_of(desk, Outgoing(new_id(), transfer.peer, transfer.id, OFFER, about))
    content = canonical.decode(said.to_bytes(), where="message", limit=1 << 22)
    mail = Mail(name, desk.node, transfer.peer, desk.now, content)
    return seal_mail(mail, desk.context.keys.open("online"), recipient)


def _handed_over(desk: Desk, transfer: Transfer) -> str:
    """State that a disk was given out."""
    draft = statements.handover(
        [transfer.package],
        to=transfer.recipient,
        form="disk",
        payload_id=transfer.payload_id,
        transfer=transfer.id,
        by=transfer.sender,
    )
    (entry,) = desk.context.say([draft])
    return entry.statement_id
