"""The receiver's side of a transfer, however the bytes come: tag files proven, files placed, landed, and stated."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from diadem.archive.package import Package
from diadem.custody import statements
from diadem.errors import DiademError, IntegrityError, Interrupted, PackageError, Refused
from diadem.model.manifest import RECORD_PATH, TAGMANIFEST, PackageId
from diadem.model.ports import Listener, Progress
from diadem.model.replicas import PRESENT
from diadem.model.report import Level
from diadem.model.statements import Draft
from diadem.model.transfers import MOVING, NEXT, OVER, Counts, State, Transfer
from diadem.network.arrival import ARRIVING, Arrival, land, published_path
from diadem.network.closing import brought_with, say_received
from diadem.network.desk import Desk
from diadem.network.fetching import missing_bytes
from diadem.network.intake import Follower, Taken, take_spans
from diadem.network.link import Reader
from diadem.network.reusing import reuse
from diadem.network.tag_parts import limit_of, read_tag_files, tag_files
from diadem.network.windows import Span, WindowPlan
from diadem.node.follow.catalogue_rows import package_entry
from diadem.node.keep.copies import PackageCopies
from diadem.package.examine import REQUIRED, TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.store.addresses import local_path
from diadem.store.bags import LocalBundle, MemoryBundle
from diadem.store.contract import Added
from diadem.trust.hashing import sha256_hex

#: What came is not what was offered: going on does not help before the sender mends it.
FATAL: Final = (IntegrityError, PackageError)
_DO_NOT_TRUST: Final = "Do not trust it; tell its sender."
#: Datasets of a package that are entered before its receipt is stated, which takes a twentieth of a second. Those of a
#: larger one follow when its sender knows that it is here.
_AT_ONCE: Final = 500


def go_on(transfer_id: str) -> str:
    """What to type to go on with a transfer."""
    return f"Fetch what is missing: diadem transfer resume {transfer_id[:8]}"


def place_of(desk: Desk, transfer: Transfer) -> Path:
    """Where what arrives is put together: on the file system of the store that it goes to, else at the node."""
    folder = local_path(desk.context.settings.store(transfer.store).url)
    return folder / ".diadem" / ARRIVING if folder is not None else desk.context.folder / ARRIVING


def forget_arrival(desk: Desk, transfer: Transfer) -> None:
    """Remove what arrived of a transfer that is over. Raises `Refused` while another process is at it."""
    arrival = Arrival.open(place_of(desk, transfer), transfer.id)
    if arrival.published:  # its process ended before it could say so, or take it out again
        with suppress(IntegrityError):  # it was taken out
            store = desk.context.stores.open(transfer.store)
            _take_out(desk, transfer, published_path(store, transfer.package, transfer.payload_id))
    arrival.remove()


def _take_out(desk: Desk, transfer: Transfer, path: str) -> None:
    """Remove a package from its store that landed when its transfer was over; not one that was entered there."""
    context = desk.context
    copies = PackageCopies(context, transfer.package)
    with copies.locked():
        if not any((one.store, one.path) == (transfer.store, path) for one in copies.known()):
            context.stores.open(transfer.store).remove(path)


def _require_not_over(transfer: Transfer) -> None:
    if transfer.state not in MOVING and transfer.state is not State.FAILED:
        raise Refused(f"the transfer is {transfer.state}", next="See: diadem transfer ls")


def note_fault(desk: Desk, transfer_id: str, error: BaseException) -> None:
    """Say in the book why it stopped; wrong bytes and wrong names are a failure, all else only a halt."""
    known = desk.book.get(transfer_id)
    if not isinstance(error, DiademError) or isinstance(error, Interrupted):
        return
    fatal = isinstance(error, FATAL)
    words = f"{error.message} [{error.where}]" if error.where and fatal else error.message
    advice = error.next or go_on(transfer_id)
    if fatal and State.FAILED in NEXT[known.state]:
        desk.book.step(transfer_id, State.FAILED, desk.now, words=words, error=words, next=advice, rate=0.0)
    else:
        desk.book.change(transfer_id, error=words, next=advice, rate=0.0)


def _first_leaf(span: Span) -> int:
    """Where a span begins among the leaves of the package."""
    return span.entry.first_leaf + span.leaf


class Landing:
    """One package on its way into a store: what is here of it, however it comes. Call `close` to go on later.

    Parameters
    ----------
    desk : Desk
        Of the receiver.
    transfer : Transfer
        Accepted.
    arrival : Arrival
        Its place, held by this process.
    """

    def __init__(self, desk: Desk, transfer: Transfer, arrival: Arrival) -> None:
        self._desk, self.transfer, self.arrival = desk, transfer, arrival
        self.peer = desk.peer_name(transfer.peer)
        #: The package and its windows, once the tag files are here; and what hashes its whole files while they come.
        self.opened: TagFiles | None = None
        self.plan: WindowPlan | None = None
        self._follower: Follower | None = None
        self._missing = 0
        self._count = threading.Lock()

    def close(self) -> None:
        """Leave everything as it is, on the disk, to go on later."""
        if self._follower is not None:
            self._follower.stop()
        self.arrival.close()

    def step(self, to: State, **values: Any) -> None:
        """Take the transfer on, unless it was ended meanwhile. Raises `Refused` where it was."""
        with self._desk.turn(self.transfer.id):
            now = self._desk.book.get(self.transfer.id)
            if now.state is to:
                if values:
                    self._desk.book.change(now.id, **values)
                return
            _require_not_over(now)
            self.transfer = self._desk.book.step(self.transfer.id, to, self._desk.now, **values)

    def count(self, counts: Counts) -> None:
        """Count what came beside the windows."""
        self._desk.book.count(self.transfer.id, counts)

    # -- tag files -------------------------------------------------------------------------------------------------

    def tagmanifest(self) -> bytes | None:
        """The package's tag manifest, where it is here."""
        data = self.arrival.tagmanifest()
        return data if data is not None and sha256_hex(data) == PackageId(self.transfer.package).hex else None

    def take_tagmanifest(self, data: bytes) -> None:
        """Keep the tag manifest. Raises `IntegrityError` where it is another package's."""
        self.count(Counts(received=len(data)))
        if sha256_hex(data) != PackageId(self.transfer.package).hex:
            message = f"{self.peer} sends the tag manifest of another package"
            raise IntegrityError(message, where=TAGMANIFEST, next=_DO_NOT_TRUST)
        self.arrival.keep_tagmanifest(data)

    def has_tag_files(self, tagmanifest: bytes) -> bool:
        """Whether every other tag file is here, and is right."""
        found = [(self.arrival.tag_digest(path), digest) for digest, path in tag_files(tagmanifest)]
        return all(here is not None and here[0] == digest for here, digest in found)

    def take_tag_files(self, tagmanifest: bytes, incoming: Reader) -> None:
        """Take part 1 apart; see `diadem.network.tag_parts.read_tag_files` for what it raises."""
        listed = tag_files(tagmanifest)
        self.count(Counts(received=read_tag_files(incoming, listed, self.transfer.bytes, self.arrival.write_tag_file)))

    def begin(self, tagmanifest: bytes) -> TagFiles:
        """Open the package and make ready for its files, which come after `follow`.

        Raises
        ------
        IntegrityError
            It is not as large as it was offered. No byte of its files was asked for.
        PackageError
            Its tag files are malformed, or its names lead astray; or it has no record, and no search could find it.
        """
        found = {path: self.arrival.tag_file(path, limit_of(path)) for path in REQUIRED}
        tags = {path: data for path, data in found.items() if data is not None}
        bundle = MemoryBundle({**tags, TAGMANIFEST: tagmanifest}, url=self.peer)
        opened = open_tag_files(bundle, expected_id=self.transfer.package)
        self._require_as_offered(opened, tagmanifest)
        if RECORD_PATH not in opened.manifest:
            raise PackageError(f"the package of {self.peer} has no record", where=TAGMANIFEST, next=_DO_NOT_TRUST)
        self.arrival.begin(opened)
        self.opened, self.plan = opened, WindowPlan(opened.manifest)
        return opened

    def _require_as_offered(self, opened: TagFiles, tagmanifest: bytes) -> None:
        tags = [self.arrival.tag_digest(path) for _, path in tag_files(tagmanifest)]
        size = sum(entry.size for entry in opened.manifest) + len(tagmanifest)
        size += sum(found[1] for found in tags if found is not None)
        files = len(opened.manifest.payload)
        offered = self.transfer.bytes, self.transfer.files, self.transfer.payload_id
        if (size, files, opened.payload_id) != offered:
            raise IntegrityError(
                f"what {self.peer} sends is not what it offered: {files:,} files, {size:,} bytes",
                where=TAGMANIFEST,
                next=_DO_NOT_TRUST,
            )

    # -- files -----------------------------------------------------------------------------------------------------

    def follow(self, *, known: bool = False) -> Follower:
        """Hash whole files from now on, those too that begin anew; with `known`, take what the peer gave before."""
        self._follower = Follower(self.arrival)
        if known:
            self.count(Counts(reused=reuse(self._desk, self.transfer.peer, self.arrival, self._follower)))
        self._missing = missing_bytes(self.arrival)
        return self._follower

    def take(self, spans: Sequence[Span], data: memoryview) -> Taken:
        """Prove the leaves of spans that follow each other, and keep those that are right and missing."""
        assert self._follower is not None
        first, last = _first_leaf(spans[0]), spans[-1]
        before = bytes(self.arrival.marks.proven[first : _first_leaf(last) + last.leaves])
        try:
            taken = take_spans(self.arrival, self._follower, spans, data)
            kept = taken.kept
        except BaseException:  # the disk is full: what was kept before it was counts
            kept = self._kept_since(spans, before)
            raise
        finally:
            with self._count:
                self._missing -= kept
        return taken

    def _kept_since(self, spans: Sequence[Span], before: bytes) -> int:
        """Bytes of leaves of spans that follow each other, of those that were not proven before."""
        proven, leaf_size, kept, at = self.arrival.marks.proven, self.arrival.leaves.size, 0, 0
        for span in spans:
            for leaf in range(span.leaves):
                if proven[_first_leaf(span) + leaf] and not before[at + leaf]:
                    kept += min(leaf_size, span.length - leaf * leaf_size)
            at += span.leaves
        return kept

    @property
    def done(self) -> int:
        """Bytes of the package that are here, its tag files with them."""
        return self.transfer.bytes - self._missing

    @property
    def whole(self) -> bool:
        """Whether every leaf is here."""
        return self.plan is not None and self.arrival.marks.count == self.plan.leaves

    def lacks(self, window: int) -> bool:
        """Whether a leaf of a window is not here."""
        assert self.plan is not None
        spans = self.plan.spans(window)
        last = spans[-1]
        return 0 in self.arrival.marks.proven[_first_leaf(spans[0]) : _first_leaf(last) + last.leaves]

    def judged(self) -> set[int]:
        """Files of which the disk gives back other bytes than were written: they begin anew. All leaves are here.

        Raises
        ------
        IntegrityError
            The leaves of a file are right, and its SHA-256 is not: the package itself contradicts itself.
        """
        assert self._follower is not None
        wrong = self._follower.finish()
        for number in wrong:
            self._mistrust(number)
        self._missing = missing_bytes(self.arrival)
        return wrong

    def _mistrust(self, number: int) -> None:
        """Let a file begin anew whose SHA-256 is wrong, where the disk gives back other leaves than were written."""
        entry = self.arrival.manifest.entries[number]
        if not all(self.arrival.has_leaf(number, leaf) for leaf in range(self.arrival.leaves.count(entry))):
            self.arrival.forget(number)
            return
        raise IntegrityError(
            f"the leaves and the SHA-256 of the file disagree in the package of {self.peer}",
            where=entry.path,
            next=_DO_NOT_TRUST,
        )

    # -- the end ---------------------------------------------------------------------------------------------------

    def published(self) -> TagFiles:
        """The package that an earlier run gave its place, and could not say so any more."""
        store = self._desk.context.stores.open(self.transfer.store)
        path = published_path(store, self.transfer.package, self.transfer.payload_id)
        return open_tag_files(store.bundle(path), expected_id=self.transfer.package)

    def finish(self, opened: TagFiles, listener: Listener) -> Transfer:
        """Seal what is proven, give it its place, enter it, and say so; nothing of that once the transfer is over.

        Datasets of a large package may still be owed to the catalogue then: see `diadem.node.follow.follow`.
        """
        self.step(State.VERIFYING)
        if not self.arrival.published:
            self.arrival.finish()
            bag = LocalBundle(self.arrival.bag)
            verify(bag, level=Level.QUICK, expected_id=opened.id, opened=opened).raise_for_findings()
        self.step(State.VERIFYING)  # who took it back while it was verified is heard
        desk, context = self._desk, self._desk.context
        store = context.stores.open(self.transfer.store)
        added = land(store, self.arrival, opened, self._path(opened), listener=listener)
        listener(Progress("land", 1, 1, added.path, unit="packages"))
        with desk.turn(self.transfer.id):
            transfer = desk.book.get(self.transfer.id)
            if transfer.state in OVER and added.created:
                _take_out(desk, transfer, added.path)
            _require_not_over(transfer)
            with PackageCopies(context, opened.id).locked():
                more = [*self._entered(opened, added), *brought_with(desk, transfer, desk.book.about(transfer.id))]
                return say_received(
                    desk, transfer, transfer.counts, more=more, stores=[transfer.store], started=self._started()
                )

    def _started(self) -> datetime:
        """When the first byte came, of this run or an earlier one."""
        for event in self._desk.book.events(self.transfer.id):
            if event.state is State.TRANSFERRING:
                return datetime.fromisoformat(event.at)
        return self._desk.now

    def _entered(self, opened: TagFiles, added: Added) -> list[Draft]:
        """Enter the package in the catalogue; the statement of its copy, where the log has none of it there."""
        context, transfer = self._desk.context, self.transfer
        name, package_id = transfer.store, str(opened.id)
        if not context.catalogue.has(package_id):
            package = Package(context.stores.open(name).bundle(added.path), opened=opened)
            taken = {"owner": transfer.recipient, "source": f"received from the node {transfer.peer}"}
            context.catalogue.add_package(package_entry(package, added.path, taken, owed=len(package) > _AT_ONCE))
            context.follower.derive(package_id)
        known = context.catalogue.replicas(package_id)
        if any((one.store, one.path, one.state) == (name, added.path, PRESENT) for one in known):
            return []
        draft = statements.replicate(
            package_id,
            payload_id=opened.payload_id,
            source=f"node {self.peer}",
            store=context.settings.stated_store(name),
            path=added.path,
            proof=added.proof,
            by=transfer.recipient,
        )
        return [draft]

    def _path(self, opened: TagFiles) -> str:
        """Its name as in the sender's store, where that is a name as packages have."""
        from diadem.node.take.handed_packages import place_for

        told = str(self._desk.book.about(self.transfer.id).get("path", ""))
        return place_for(told, opened.payload_id, self._desk.now)
