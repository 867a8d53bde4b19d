"""The receiver's side of a transfer: fetch, prove, land in one store, state it. It can be stopped and gone on with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from diadem.archive.package import Package
from diadem.errors import DiademError, IntegrityError, Interrupted, PackageError, Refused
from diadem.model.ids import PackageId
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import Listener, Progress
from diadem.model.replicas import PRESENT
from diadem.model.report import Level
from diadem.model.statements import Draft, Subject
from diadem.model.transfers import IN, MOVING, NEXT, Counts, State, Transfer
from diadem.node.entries import package_entry
from diadem.node.following import derive
from diadem.node.memory_bundle import MemoryBundle
from diadem.package.opening import REQUIRED, OpenedPackage, read_manifest
from diadem.package.verify import verify
from diadem.store.arrival import ARRIVING, Arrival
from diadem.store.arrival_hashing import Follower
from diadem.store.arrival_landing import land, published_path
from diadem.store.base import Added
from diadem.store.bundle import LocalBundle
from diadem.store.contract import Pace
from diadem.store.urls import local_path
from diadem.transfer.closing import say_received
from diadem.transfer.desk import Desk
from diadem.transfer.fetching import CONNECTIONS, Fetch, Wish
from diadem.transfer.network import Link
from diadem.transfer.reporting import Reporter
from diadem.transfer.reusing import reuse
from diadem.transfer.tag_parts import limit_of, read_tag_files, tag_files
from diadem.trust.hashing import leaf_digest, sha256_hex

#: A package's place in its sender's store, where it may have had to take a number.
_PATH: Final = re.compile(r"([0-9]{4}/[0-9]{8}-[a-z0-9-]{1,60}-[0-9a-f]{12})(-[0-9]{1,3})?\Z")
_GO_ON: Final = "Go on with what is missing: diadem transfers resume {id}"


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a package is to be fetched.

    Attributes
    ----------
    connections : int
        At once.
    max_rate : float or None
        Bytes a second at most.
    waits : tuple of float or None
        Seconds between two tries to reach the sender; None for the usual ones.
    """

    connections: int = CONNECTIONS
    max_rate: float | None = None
    waits: tuple[float, ...] | None = None


def receive_package(desk: Desk, transfer_id: str, wishes: Wishes, *, listener: Listener) -> Transfer:
    """Fetch an accepted package and land it; a package that is received already stays so.

    Raises
    ------
    Interrupted
        A person stopped it. What is here stays.
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
    if transfer.direction != IN or not (transfer.state in MOVING or transfer.state is State.FAILED):
        raise Refused(f"the transfer is {transfer.state}: nothing is to be fetched", next="See: diadem transfers ls")
    if not transfer.acceptance or transfer.paused:
        advice = f"Go on: diadem transfers resume {transfer.id[:8]}"
        raise Refused("the transfer is paused, or was never accepted", next=advice)
    arrival = Arrival.open(place_of(desk, transfer), transfer.id)
    try:
        landed = _Landing(desk, transfer, arrival, wishes, listener).run()
    except BaseException as error:
        arrival.close()
        _note_fault(desk, transfer.id, error)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("stopped; what is here stays here", next=_GO_ON.format(id=transfer.id[:8])) from None
        raise
    arrival.remove()
    return landed


def place_of(desk: Desk, transfer: Transfer) -> Path:
    """Where what arrives is put together: on the file system of the store that it goes to, else at the node."""
    folder = local_path(desk.context.settings.store(transfer.store).url)
    return folder / ".diadem" / ARRIVING if folder is not None else desk.context.folder / ARRIVING


def forget_arrival(desk: Desk, transfer: Transfer) -> None:
    """Remove what arrived of a transfer that is over. Raises `Refused` while another process is at it."""
    if transfer.store:
        Arrival.open(place_of(desk, transfer), transfer.id).remove()


def _note_fault(desk: Desk, transfer_id: str, error: BaseException) -> None:
    """Say in the book why it stopped; wrong bytes and wrong names are a failure, all else only a halt."""
    known = desk.book.get(transfer_id)
    if isinstance(error, KeyboardInterrupt | Interrupted) or not isinstance(error, DiademError):
        return
    advice = error.next or _GO_ON.format(id=transfer_id[:8])
    words = f"{error.message} [{error.where}]" if error.where and isinstance(error, _FATAL) else error.message
    if isinstance(error, _FATAL) and State.FAILED in NEXT[known.state]:
        desk.book.step(transfer_id, State.FAILED, desk.now, words=words, error=words, next=advice, rate=0.0)
    else:
        desk.book.change(transfer_id, error=words, next=advice, rate=0.0)


_FATAL: Final = (IntegrityError, PackageError)


class _Landing:
    """One run of one transfer."""

    def __init__(self, desk: Desk, transfer: Transfer, arrival: Arrival, wishes: Wishes, listener: Listener) -> None:
        self._desk, self._transfer, self._arrival = desk, transfer, arrival
        self._wishes, self._listener = wishes, listener
        self._peer = desk.peer_name(transfer.peer)
        self._reporter = Reporter(desk, transfer)

    def run(self) -> Transfer:
        """Everything from the first byte to the receipt."""
        started = self._started()
        self._step(State.TRANSFERRING, error="", next="")
        if self._arrival.published:  # an earlier run gave it its place, and could not say so any more
            return self._land(self._opened_where_it_is(), started)
        link = self._desk.network.link(self._transfer.peer)
        tagmanifest = self._fetch_tag_files(link)
        opened = self._opened(tagmanifest)
        self._require_as_offered(opened, tagmanifest)
        self._arrival.begin(opened)
        self._fetch_payload(link)
        self._step(State.VERIFYING)
        self._arrival.finish()
        verify(LocalBundle(self._arrival.bag), level=Level.QUICK, expected_id=opened.id).raise_for_findings()
        return self._land(opened, started)

    def _started(self) -> datetime:
        """When the first byte came, of this run or an earlier one."""
        for event in self._desk.book.events(self._transfer.id):
            if event.state is State.TRANSFERRING:
                return datetime.fromisoformat(event.at)
        return self._desk.now

    def _step(self, to: State, **values: str) -> None:
        """Take the transfer on, unless it was ended meanwhile."""
        with self._desk.turn(self._transfer.id):
            now = self._desk.book.get(self._transfer.id)
            if now.state is to:
                return
            if now.state not in MOVING and now.state is not State.FAILED:
                raise Refused(f"the transfer is {now.state}", next="See: diadem transfers ls")
            self._transfer = self._desk.book.step(self._transfer.id, to, self._desk.now, **values)

    # -- tag files -------------------------------------------------------------------------------------------------

    def _fetch_tag_files(self, link: Link) -> bytes:
        """Fetch what is not here of the tag files; returns the tag manifest."""
        wanted = PackageId(self._transfer.package).hex
        data = self._arrival.tagmanifest()
        if data is None or sha256_hex(data) != wanted:
            data = self._part(link)
            if sha256_hex(data) != wanted:
                raise IntegrityError(
                    f"{self._peer} sends the tag manifest of another package",
                    where=TAGMANIFEST,
                    next="Do not trust it.",
                )
            self._arrival.keep_tagmanifest(data)
        listed = tag_files(data)
        if not all(self._is_here(digest, path) for digest, path in listed):
            with link.open_part(self._transfer.id, 1) as incoming:
                came = read_tag_files(incoming, listed, self._transfer.bytes, self._arrival.write_tag_file)
            self._reporter.add(Counts(received=came))
        return data

    def _opened(self, tagmanifest: bytes) -> OpenedPackage:
        found = {path: self._arrival.tag_file(path, limit_of(path)) for path in REQUIRED}
        tags = {path: data for path, data in found.items() if data is not None}
        bundle = MemoryBundle({**tags, TAGMANIFEST: tagmanifest}, url=self._peer)
        return read_manifest(bundle, expected_id=self._transfer.package)

    def _part(self, link: Link) -> bytes:
        limit = limit_of(TAGMANIFEST)
        data = bytearray(limit + 1)
        view, at = memoryview(data), 0
        with link.open_part(self._transfer.id, 0) as incoming:
            while at < len(data) and (count := incoming.readinto(view[at:])):
                at += count
        if at > limit:
            raise PackageError(f"the tag manifest has more than {limit:,} bytes", where=TAGMANIFEST)
        self._reporter.add(Counts(received=at))
        return bytes(view[:at])

    def _is_here(self, digest: str, path: str) -> bool:
        found = self._arrival.tag_digest(path)
        return found is not None and found[0] == digest

    def _require_as_offered(self, opened: OpenedPackage, tagmanifest: bytes) -> None:
        """That the package is as large as it was offered, before a byte of its files is asked for."""
        tags = [self._arrival.tag_digest(path) for _, path in tag_files(tagmanifest)]
        size = sum(entry.size for entry in opened.manifest) + len(tagmanifest)
        size += sum(found[1] for found in tags if found is not None)
        files = len(opened.manifest.payload)
        offered = self._transfer.bytes, self._transfer.files, self._transfer.payload_id
        if (size, files, opened.payload_id) != offered:
            raise IntegrityError(
                f"what {self._peer} sends is not what it offered: {files:,} files, {size:,} bytes",
                where=TAGMANIFEST,
                next="Do not trust it; ask for a new offer.",
            )

    # -- payload ---------------------------------------------------------------------------------------------------

    def _fetch_payload(self, link: Link) -> None:
        """Everything that is missing; whole files whose SHA-256 is wrong are looked at and fetched once more."""
        follower = Follower(self._arrival)
        try:
            reused = reuse(self._desk, self._transfer.peer, self._arrival, follower)
            self._reporter.add(Counts(reused=reused))
            self._fetch(link, follower)
            wrong = follower.finish()
        except BaseException:
            follower.stop()
            raise
        if not wrong:
            return
        for number in wrong:
            self._mistrust(number)
        follower = Follower(self._arrival)
        try:
            self._fetch(link, follower)
            wrong = follower.finish()
        except BaseException:
            follower.stop()
            raise
        if wrong:
            raise self._unsound(min(wrong))

    def _mistrust(self, number: int) -> None:
        """Let a file begin anew that the disk gives back changed; leaves that agree with themselves are no way out."""
        arrival, leaf_size = self._arrival, self._arrival.manifest.leaf_size
        entry = arrival.manifest.entries[number]
        for leaf in range(-(-entry.size // leaf_size)):
            data = arrival.read(number, leaf * leaf_size, leaf_size)
            if leaf_digest(data) != arrival.digest(entry.first_leaf + leaf):
                arrival.forget(number)
                return
        raise self._unsound(number)

    def _unsound(self, number: int) -> IntegrityError:
        entry = self._arrival.manifest.entries[number]
        return IntegrityError(
            f"the leaves and the SHA-256 of the file disagree in the package of {self._peer}",
            where=entry.path,
            next="Do not trust it; tell its sender.",
        )

    def _fetch(self, link: Link, follower: Follower) -> None:
        pace = Pace(self._wishes.max_rate) if self._wishes.max_rate else None
        allowed = self._transfer.ceiling - self._desk.book.get(self._transfer.id).counts.received
        wish = Wish(self._listener, lambda: False, connections=self._wishes.connections, pace=pace)
        if self._wishes.waits is not None:
            wish.waits = self._wishes.waits
        fetch = Fetch(self._transfer.id, self._peer, self._arrival, follower, link, wish, allowed)
        wish.stop = partial(self._reporter.tick, fetch, link)
        try:
            fetch.run()
        finally:
            self._reporter.note(fetch)

    # -- landing ---------------------------------------------------------------------------------------------------

    def _opened_where_it_is(self) -> OpenedPackage:
        """The package that an earlier run published."""
        store = self._desk.context.stores.open(self._transfer.store)
        path = published_path(store, self._transfer.package, self._transfer.payload_id)
        return read_manifest(store.bundle(path), expected_id=self._transfer.package)

    def _land(self, opened: OpenedPackage, started: datetime) -> Transfer:
        """Give it its place, enter it, and say so."""
        desk, context = self._desk, self._desk.context
        store = context.stores.open(self._transfer.store)
        added = land(store, self._arrival, opened, self._path(opened), listener=self._listener)
        self._listener(Progress("land", 1, 1, added.path, unit="packages"))
        with desk.turn(self._transfer.id), context.locked(f"package-{opened.id.hex[:32]}"):
            transfer = desk.book.get(self._transfer.id)
            if transfer.state is not State.VERIFYING:
                transfer = desk.book.step(transfer.id, State.VERIFYING, desk.now)
            copy = self._entered(transfer, opened, added)
            stores = [self._transfer.store]
            return say_received(desk, transfer, transfer.counts, copy=copy, stores=stores, started=started)

    def _entered(self, transfer: Transfer, opened: OpenedPackage, added: Added) -> Draft | None:
        """Enter the package in the catalogue; the statement of its copy, where the log has none of it there."""
        context = self._desk.context
        name, package_id = transfer.store, str(opened.id)
        if not context.catalogue.has(package_id):
            bundle = context.stores.open(name).bundle(added.path)
            package = Package(bundle, opened=opened)
            said = {"owner": transfer.recipient, "source": f"received from the node {transfer.peer}"}
            context.catalogue.add_package(package_entry(package, added.path, said))
            derive(context, package_id)
        known = context.catalogue.replicas(package_id)
        if any((one.store, one.path, one.state) == (name, added.path, PRESENT) for one in known):
            return None
        said = {
            "payload_id": opened.payload_id,
            "store": name,
            "store_id": context.settings.store(name).id,
            "from": f"node {self._peer}",
            "proof": added.proof,
            "path": added.path,
            "by": transfer.recipient,
        }
        return Draft("replicate", (Subject.package(package_id),), said)

    def _path(self, opened: OpenedPackage) -> str:
        """Its name as in the sender's store, where that is a name as packages have."""
        told = _PATH.match(str(self._desk.book.about(self._transfer.id).get("path", "")))
        if told is not None and told[1].endswith(opened.payload_id[:12]):
            return told[1]
        return f"{self._desk.now:%Y/%Y%m%d}-received-{opened.payload_id[:12]}"
