"""Taking a package from a disk: the offer on it is weighed and accepted as one that came over a line, then it lands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.errors import IntegrityError, NotFound, Refused
from diadem.model import canonical
from diadem.model.display import Display
from diadem.model.ports import Bundle, Listener
from diadem.model.report import Level
from diadem.model.transfers import IN, MOVING, State, Transfer
from diadem.network.accepting import accept
from diadem.network.desk import Desk
from diadem.network.disk.layout import MESSAGE, DiskHeader, ReadOnly, read_file, windows_of
from diadem.network.envelope import MESSAGE as CONTROL
from diadem.network.envelope import Mail, open_mail
from diadem.network.incoming import receive
from diadem.network.limits import MAX_SEALED
from diadem.network.messages import OFFER, Message
from diadem.network.relay.collect import Collecting, collect_package
from diadem.network.relay_book import Relay
from diadem.node.context import Context
from diadem.node.peers.book import peer_book
from diadem.node.separation import require_no_secrets
from diadem.node.take.arrival import Archived
from diadem.node.take.handed_packages import take_in
from diadem.package.examine import open_tag_files
from diadem.package.verify import verify
from diadem.trust.keys import PublicKey


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
    """

    offered: Transfer | None
    done: bool = True
    packages: Sequence[Archived] = ()
    found: Sequence[str] = ()

    @property
    def transfer(self) -> Transfer:
        """The transfer. Raises `NotFound` where packages were handed over: see `packages`."""
        if self.offered is None:
            raise NotFound("packages were handed over without a transfer", next="Use .packages.")
        return self.offered

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: ``transfer``, ``done``, ``packages``, ``found``."""
        return {
            "transfer": None if self.offered is None else self.offered.to_dict(),
            "done": self.done,
            "packages": [one.to_dict() for one in self.packages],
            "found": list(self.found),
        }


def import_packages(
    context: Context, path: Path, packages: Sequence[Bundle], *, store: str | None, dry_run: bool, listener: Listener
) -> Imported:
    """Take packages in that were handed over as they are; see `diadem.node.take.handed_packages`."""
    context.require_writable()
    if dry_run:
        for bundle in packages:
            verify(bundle, level=Level.FULL, listener=listener).raise_for_findings()
        return Imported(None, done=False, found=[str(open_tag_files(bundle).id) for bundle in packages])
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
    message = _message(said, header)
    answer = canonical.decode(receive(desk, peer.id, message), where="answer", limit=1 << 20)
    if answer.get("state") == "unproven":
        raise Refused(
            f"since this disk was written, {peer.name} has sent newer statements, which it does not show",
            where=str(folder),
            next="Connect once with that node: diadem inbox   (the offer comes with it); then import again.",
        )
    return desk.book.get(header.transfer)


def _message(said: Mail, header: DiskHeader) -> bytes:
    """The control message on a disk, which is the offer of its transfer."""
    data = canonical.encode(said.content, where="message") if said.kind == CONTROL else b""
    found = Message.from_bytes(data) if data else None
    of_transfer = found is not None and (found.kind, found.transfer) == (OFFER, header.transfer)
    if found is None or not of_transfer or found.sender != header.sender:
        raise IntegrityError(
            "the message on the disk is not the offer of this transfer", where=MESSAGE, next="Ask for a new disk."
        )
    return data
