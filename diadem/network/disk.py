"""Packages on disks in the post: sealed for one node, proven there as if they had come over a line.

Putting one on a disk offers it as `send` does; the offer that comes on one is weighed and accepted as any other.

::

    <folder>/diadem-disk.json       for whom, from whom, which transfer: canonical JSON, not signed
    <folder>/message.age            the offer with its chain, signed, sealed for the node
    <folder>/<relay>/<name>.age     sealed windows, as a carrier holds them

Nothing in it is believed: the message proves itself, the windows are proven by the package.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from diadem.custody import statements
from diadem.errors import IntegrityError, NotFound, Refused, Unreachable, UsageError
from diadem.model import canonical
from diadem.model.display import Display
from diadem.model.documents import Document, Id, NodeId
from diadem.model.ports import Bundle, Listener
from diadem.model.replicas import PRESENT
from diadem.model.report import Level
from diadem.model.routes import DISK
from diadem.model.transfers import IN, MOVING, State, Transfer, new_id
from diadem.network.accepting import accept
from diadem.network.desk import Desk
from diadem.network.envelope import MESSAGE as CONTROL
from diadem.network.envelope import Mail, open_mail, seal_mail
from diadem.network.incoming import receive
from diadem.network.limits import MAX_SEALED
from diadem.network.mail.delivery import UNPROVEN, message_of
from diadem.network.messages import OFFER, Message
from diadem.network.offering import measured, offered_already, send, wanted_offer
from diadem.network.outbox import Outgoing
from diadem.network.relay.carriers import connected
from diadem.network.relay.collect import Collecting, collect_package
from diadem.network.relay.deposit import Deposit
from diadem.network.relay.guarded import Guarded
from diadem.network.relay_book import EVERYTHING, Relay
from diadem.network.routing import require_route
from diadem.network.source import Sources
from diadem.node.config import CarrierSettings
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.node.separation import require_no_secrets
from diadem.node.take.arrival import Archived
from diadem.node.take.handed_packages import take_in
from diadem.package.examine import open_tag_files
from diadem.package.verify import verify
from diadem.store.whole import write_whole
from diadem.trust.keys import PublicKey

HEADER: Final = "diadem-disk.json"
MESSAGE: Final = "message.age"
FORMAT: Final = "diadem-disk/1"
#: How long an offer on a disk can be accepted where nobody says: the post takes its time.
POST: Final = timedelta(days=60)


class DiskHeader(Document, frozen=True, tag_field="format", tag=FORMAT):
    """What a disk says of itself: two nodes, a transfer, the folder of its windows, the id of the message."""

    WHAT: ClassVar[str] = HEADER
    ADVICE: ClassVar[str] = "Name the folder that export made; or ask for a new disk."
    LIMIT: ClassVar[int] = 4096

    sender: NodeId
    recipient: NodeId
    transfer: Id
    relay: Id
    message: Id

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The header of a disk.

        Raises
        ------
        NotFound
            There is none.
        DocumentError
            It is another file.
        """
        return cls.from_bytes(read_file(folder / HEADER, cls.LIMIT))


def read_file(path: Path, most: int) -> bytes:
    """A file of a disk, no further than so many bytes and one.

    Raises
    ------
    NotFound
        It is not there, or is no file.
    Unreachable
        It cannot be read.
    """
    if path.is_symlink() or not path.is_file():
        raise NotFound(f"there is no {path.name}", where=str(path.parent), next="Name the folder that export made.")
    try:
        with path.open("rb") as source:
            return source.read(most + 1)
    except OSError as error:
        raise Unreachable(
            f"it cannot be read: {error.strerror}", where=str(path), next="Try another reader."
        ) from error


def windows_of(desk: Desk, folder: Path) -> Guarded:
    """The windows of a disk, as a carrier."""
    url = Path(os.path.abspath(folder)).as_uri().replace("file:", "drop:", 1)  # noqa: PTH100  a link may lead to a disk
    found = connected(desk.context, CarrierSettings("disk", url))
    found.label = "the disk"
    return found


class ReadOnly(Guarded):
    """A disk from which nothing is removed: it may be tried again, and may not be writable."""

    def __init__(self, carrier: Guarded) -> None:
        super().__init__(carrier, carrier.label)

    def remove(self, relay: str, names: Sequence[str]) -> None:
        """Nothing."""

    def end(self, relay: str) -> None:
        """Nothing."""


# -- writing one -------------------------------------------------------------------------------------------------------


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
        raise Refused(f"the transfer is {transfer.state.word}", next="See: diadem transfer ls")
    require_route(desk, transfer, DISK)  # it may have been offered before, and granted otherwise meanwhile
    folder.mkdir(parents=True, exist_ok=True)
    message = new_id()
    relay = header.relay if header is not None else secrets.token_hex(16)
    write_whole(folder / MESSAGE, _sealed_offer(desk, transfer, message, recipient))
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
    what = (
        f"the folder holds an earlier transfer of this package, which is {before.state.word}" if before and same else ""
    )
    raise Refused(what or "the folder holds another package", where=str(folder), next="Name an empty folder.")


def _sealed_offer(desk: Desk, transfer: Transfer, name: str, recipient: str) -> bytes:
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


# -- taking one --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Imported(Display):
    """What became of a disk.

    Attributes
    ----------
    offered : Transfer or None
        The transfer: received; or as it stands, where the disk does not hold all of it. None where packages were
        handed over.
    done : bool
        False for a dry run: it was only weighed, and waits in the inbox.
    packages : sequence of Archived
        What was taken in of packages that were handed over: folders, or a ZIP of ``export``.
    found : sequence of str
        Their ids.
    here : sequence of str
        Ids of those that a dry run found to be in a store of this node already.
    brought : mapping of str to int
        How many ``corrections``, ``judgements``, and ``doubts`` about sources came with it that were not all here.
    behind : sequence of (str, str)
        People to whom a package of it was sent from here before, and who were not sent corrections or
        assessments that came since; each with the command that does it.
    """

    offered: Transfer | None
    done: bool = True
    packages: Sequence[Archived] = ()
    found: Sequence[str] = ()
    here: Sequence[str] = ()
    brought: Mapping[str, int] = field(default_factory=dict)
    behind: Sequence[tuple[str, str]] = ()

    @property
    def transfer(self) -> Transfer:
        """The transfer. Raises `NotFound` where packages were handed over: see `packages`."""
        if self.offered is None:
            raise NotFound("packages were handed over without a transfer", next="Use .packages.")
        return self.offered

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: ``transfer``, ``done``, ``packages``, ``found``, ``here``, ``brought``, ``behind``."""
        return {
            "transfer": None if self.offered is None else self.offered.to_dict(),
            "done": self.done,
            "packages": [one.to_dict() for one in self.packages],
            "found": list(self.found),
            "here": list(self.here),
            "brought": dict(self.brought),
            "behind": [{"to": to, "next": command} for to, command in self.behind],
        }


def import_packages(
    context: Context, path: Path, packages: Sequence[Bundle], *, store: str | None, dry_run: bool, listener: Listener
) -> Imported:
    """Take packages in that were handed over as they are; see `diadem.node.take.handed_packages`."""
    context.require_writable()
    if dry_run:
        for bundle in packages:
            verify(bundle, level=Level.FULL, listener=listener).raise_for_findings()
        found = [str(open_tag_files(bundle).id) for bundle in packages]
        known = filter(context.catalogue.has, found)
        here = [one for one in known if any(copy.state == PRESENT for copy in context.catalogue.replicas(one))]
        return Imported(None, done=False, found=found, here=here)
    require_no_secrets(context, [path])
    taken = take_in(context, path, packages, store=store, listener=listener)
    return Imported(None, packages=taken, found=[str(one.package.id) for one in taken])


def import_disk(desk: Desk, folder: Path, *, store: str | None, dry_run: bool, listener: Listener) -> Imported:
    """Take what lies on a disk; see `diadem.network.network_verbs`."""
    desk.context.require_writable()
    header = DiskHeader.read(folder)
    if header.recipient != desk.node:
        raise Refused(
            f"this disk is for the node {header.recipient[:12]}…", where=str(folder), next="Give it to its people."
        )
    known = desk.book.find(header.transfer)
    if known is not None and (known.peer, known.direction) == (header.sender, IN):
        transfer = desk.refreshed(known)  # its offer is proven; this disk brings windows, and they are proven by it
    else:
        transfer = _offered(replace(desk, by_rules=not dry_run), folder, header)
    if dry_run or transfer.state in (State.RECEIVED, State.CLOSED):
        return Imported(transfer, done=not dry_run)
    if transfer.state is State.OFFERED:
        transfer = accept(desk, transfer.id, store=store)
    carrier = ReadOnly(windows_of(desk, folder))
    relay = Relay(transfer.id, header.relay, "")
    way = Collecting(carrier, relay, [desk.context.keys.age_identity()], asks=False)
    done = collect_package(desk, transfer.id, way, listener=listener)
    if done.state in MOVING:
        advice = "Import another disk of it, or ask its sender to run the same export again."
        desk.book.change(done.id, error="the disk does not hold all of it", next=advice)
    return Imported(desk.book.get(done.id))


def _offered(desk: Desk, folder: Path, header: DiskHeader) -> Transfer:
    """The transfer that the disk's message offers; the message is weighed as any other.

    Raises
    ------
    NotFound, Refused, IntegrityError, DocumentError
        It is from no confirmed peer, for another node, altered, of another transfer, or proves nothing.
    """
    peer = desk.peer(header.sender)
    data = read_file(folder / MESSAGE, MAX_SEALED)
    said = open_mail(data, desk.context.keys.age_identity(), desk.node, header.message)
    known = peer_book(desk.context).known(peer.id)
    assert known is not None
    advice = f"diadem peer refresh {peer.name}; if that does not help, ask its people to run the same export again."
    said.require_from(PublicKey.from_text(known.online), peer.name, advice=advice)
    message = _offer_of(said, header)
    answer = canonical.decode(receive(desk, peer.id, message), where="answer", limit=1 << 20)
    if answer.get("state") == UNPROVEN:
        raise Refused(
            f"since this disk was written, {peer.name} has sent newer statements, which it does not show",
            where=str(folder),
            next="Connect once with that node: diadem inbox   (the offer comes with it); then import again.",
        )
    return desk.book.get(header.transfer)


def _offer_of(said: Mail, header: DiskHeader) -> bytes:
    """The control message on a disk, which is the offer of its transfer."""
    data = canonical.encode(said.content, where="message") if said.kind == CONTROL else b""
    found = Message.from_bytes(data) if data else None
    of_transfer = found is not None and (found.kind, found.transfer) == (OFFER, header.transfer)
    if found is None or not of_transfer or found.sender != header.sender:
        raise IntegrityError(
            "the message on the disk is not the offer of this transfer", where=MESSAGE, next="Ask for a new disk."
        )
    return data
