"""The receiver's side of a transfer, however the bytes come: they are proven, kept and counted, and land at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from diadem.errors import DiademError, DigestMismatch, IntegrityError, Interrupted, PackageError, Refused
from diadem.model.manifest import RECORD_PATH, TAGMANIFEST, PackageId, leaf_count
from diadem.model.ports import Listener, silent
from diadem.model.report import Level
from diadem.model.transfers import IN, MOVING, NEXT, OVER, Counts, State, Transfer
from diadem.network.arrival import Arrival
from diadem.network.desk import Desk
from diadem.network.intake import Follower, Taken, take_spans
from diadem.network.landing import land_package, place_of, published_package, require_not_over
from diadem.network.link import Reader
from diadem.network.reuse import reuse
from diadem.network.tag_parts import limit_of, read_tag_files, tag_files
from diadem.network.windows import Span, WindowPlan
from diadem.package.examine import REQUIRED, TagFiles, open_tag_files
from diadem.package.verify import verify
from diadem.store.bags import LocalBundle, MemoryBundle
from diadem.trust.hashing import sha256_hex

#: What came is not what was offered: going on does not help before the sender mends it.
FATAL: Final = (IntegrityError, PackageError)
_DO_NOT_TRUST: Final = "Do not trust it; tell its sender."
#: Seconds between two notes in the book, and how much of a rate is the newest one.
_NOTED: Final = 1.0
_SMOOTHED: Final = 0.3


def go_on(transfer_id: str) -> str:
    """What to type to go on with a transfer."""
    return f"Fetch what is missing: diadem transfer resume {transfer_id[:8]}"


class Halted(Interrupted):
    """It was paused meanwhile, or takes another route; or its other side contradicts itself."""


def note_fault(desk: Desk, transfer_id: str, error: BaseException) -> None:
    """Say in the book why it stopped; wrong bytes and wrong names are a failure, all else only a halt."""
    known = desk.book.get(transfer_id)
    if not isinstance(error, DiademError) or isinstance(error, Interrupted) or known.state in OVER:
        return
    fatal = isinstance(error, FATAL)
    words = f"{error.message} [{error.where}]" if error.where and fatal else error.message
    advice = error.next or go_on(transfer_id)
    if fatal and State.FAILED in NEXT[known.state]:
        desk.book.step(transfer_id, State.FAILED, desk.now, words=words, error=words, next=advice, rate=0.0)
    else:
        desk.book.change(transfer_id, error=words, next=advice, rate=0.0)


def missing_bytes(arrival: Arrival) -> int:
    """Bytes of the package that are not proven yet."""
    marks, leaf_size = arrival.marks, arrival.manifest.leaf_size
    if marks.count == len(marks.proven):
        return 0
    missing = 0
    for entry in arrival.manifest:
        count = leaf_count(entry.size, leaf_size)
        gone = count - sum(marks.proven[entry.first_leaf : entry.first_leaf + count])
        if gone:
            short = not marks.proven[entry.first_leaf + count - 1] and entry.size % leaf_size
            missing += gone * leaf_size - (leaf_size - entry.size % leaf_size if short else 0)
    return missing


class Receiving:
    """One package on its way into a store: what is here of it and what came, whoever brings its bytes.

    Who brings them uses it in a ``with`` block: `start`; the tag files, and `begin`; `follow`; the files, and `take`;
    `judged`, until nothing is to come again; `finish`. Where it does not come so far, everything stays as it is on the
    disk, and what went wrong stands in the book.

    Parameters
    ----------
    desk : Desk
        Of the receiver.
    transfer : Transfer
        Accepted.
    arrival : Arrival
        Its place, held by this process.
    listener : Listener, optional
        Told of progress.
    stop : threading.Event, optional
        Set where this process ends.
    """

    def __init__(
        self,
        desk: Desk,
        transfer: Transfer,
        arrival: Arrival,
        *,
        listener: Listener = silent,
        stop: threading.Event | None = None,
    ) -> None:
        self.desk, self.transfer, self.arrival, self.listener = desk, transfer, arrival, listener
        self.peer = desk.peer_name(transfer.peer)
        #: The package and its windows, once the tag files are here; and the transfer, once it is received.
        self.opened: TagFiles | None = None
        self.plan: WindowPlan | None = None
        self.landed: Transfer | None = None
        self._stop = stop or threading.Event()
        self._follower: Follower | None = None
        #: Bytes of it that are not here yet.
        self.missing = transfer.bytes - transfer.done
        self._wrong: dict[int, int] = {}
        # what came, all of it and since the last note in the book
        self._count = threading.Lock()
        self.counts, self._fresh = transfer.counts, Counts()
        self._noted, self.rate = time.monotonic(), 0.0
        self._told = transfer.done, self.rate

    @classmethod
    def open(
        cls, desk: Desk, transfer: Transfer, *, listener: Listener = silent, stop: threading.Event | None = None
    ) -> Self:
        """Begin or go on with a transfer.

        Raises
        ------
        Refused
            It is over, paused or not accepted; or another process is at it.
        """
        if transfer.direction != IN or not (transfer.state in MOVING or transfer.state is State.FAILED):
            raise Refused(
                f"the transfer is {transfer.state.word}: there is nothing to fetch", next="See: diadem transfer ls"
            )
        if transfer.paused or not transfer.acceptance:
            raise Refused("the transfer is paused, or was never accepted", next=go_on(transfer.id))
        return cls(desk, transfer, Arrival.open(place_of(desk, transfer), transfer.id), listener=listener, stop=stop)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the place of what has landed; else leave everything there, and say in the book what went wrong."""
        if error is None and self.landed is not None:
            self.arrival.remove()
            return
        self.close()
        if error is not None:
            note_fault(self.desk, self.transfer.id, error)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("stopped; what has arrived is kept", next=go_on(self.transfer.id)) from None

    def close(self) -> None:
        """Leave everything as it is, on the disk, to go on later."""
        try:
            self._note(rests=True)
        finally:
            if self._follower is not None:
                self._follower.stop()
            self.arrival.close()

    def require_going(self, *, by_route: bool = True) -> None:
        """Raise where it is to end: `Interrupted` with this process, `Refused` where the transfer is over.

        `Halted` where it is paused; and, if it comes `by_route`, where it takes another one.
        """
        if self._stop.is_set():
            raise Interrupted("the transfer was stopped; what has arrived is kept", next=go_on(self.transfer.id))
        known = self.desk.book.get(self.transfer.id)
        require_not_over(known)
        if known.paused or known.state is State.FAILED or (by_route and known.route != self.transfer.route):
            raise Halted(
                "the transfer goes on later, or by another route; what has arrived is kept", next=go_on(known.id)
            )

    def step(self, to: State, **values: Any) -> None:
        """Take the transfer on, unless it was ended meanwhile. Raises `Refused` where it was."""
        with self.desk.turn(self.transfer.id):
            now = self.desk.book.get(self.transfer.id)
            if now.state is to:
                if values:
                    self.desk.book.change(now.id, **values)
                return
            require_not_over(now)
            self.transfer = self.desk.book.step(self.transfer.id, to, self.desk.now, **values)

    # -- tag files -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Say that bytes come; the package is opened where its tag files are here from an earlier run."""
        self.step(State.TRANSFERRING, error="", next="")
        if not self.arrival.published:
            self.open_tag_files()

    def open_tag_files(self) -> bool:
        """Open the package where all its tag files are here; whether they are."""
        tags = self.tagmanifest()
        if tags is None or not self.has_tag_files(tags):
            return False
        self.begin(tags)
        return True

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

    def begin(self, tagmanifest: bytes) -> None:
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
        self.opened, self.plan = opened, self.arrival.plan

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
        if self._follower is not None:
            self._follower.stop()
        self._follower = Follower(self.arrival, of=self.peer)
        if known:
            reused = reuse(self.desk, self.transfer.peer, self.arrival, self._follower)
            self.count(Counts(reused=reused))
        self.missing = missing_bytes(self.arrival)
        return self._follower

    def take(self, spans: Sequence[Span], data: memoryview, held: list[bytearray] | None = None) -> Taken:
        """Prove the leaves of spans that follow each other, and keep those that are right and missing.

        The buffer that is `held`, in which the data lie, may be exchanged for another one.
        """
        assert self._follower is not None
        first, last, losses = _first_leaf(spans[0]), spans[-1], self.arrival.losses
        before = bytes(self.arrival.marks.proven[first : _first_leaf(last) + last.leaves])
        try:
            taken = take_spans(self.arrival, self._follower, spans, data, held)
        except BaseException:  # the disk is full: what was kept before it was counts
            if losses == self.arrival.losses:
                self.count(Counts(), kept=self._kept_since(spans, before))
            else:
                self._count_anew()
            raise
        again = taken.again
        with self._count:
            for span, leaf in taken.wrong:
                place = span.entry.first_leaf + leaf
                self._wrong[place] = self._wrong.get(place, 0) + 1
                begin, end = self.arrival.leaves.span(span.entry, leaf)
                again += end - begin
        self.count(Counts(again=again), kept=taken.kept)
        return taken

    def require_right(self, taken: Taken, *, tries: int = 0, advice: str | None = None) -> None:
        """Raise `DigestMismatch` where a leaf came wrong now, and had been so often before."""
        for span, leaf in taken.wrong:
            times = self._wrong[span.entry.first_leaf + leaf]
            if times > tries:
                raise DigestMismatch(
                    f"leaf {leaf} came wrong{f' {times} times' if times > 1 else ''} from {self.peer}",
                    where=span.entry.path,
                    leaf=leaf,
                    range=self.arrival.leaves.span(span.entry, leaf),
                    next=advice,
                )

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
        return self.transfer.bytes - self.missing

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
        self._count_anew()
        return wrong

    def _count_anew(self) -> None:
        with self._count:
            self.missing = missing_bytes(self.arrival)

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

    # -- what came -------------------------------------------------------------------------------------------------

    def spend(self, came: int) -> None:
        """Count bytes that came. Raises `Refused` where these are more than were accepted."""
        self.count(Counts(received=came))
        self.require_room(0)

    def require_room(self, more: int) -> None:
        """Raise `Refused` where so many more bytes were not accepted."""
        if self.counts.received + more > self.transfer.ceiling:
            raise Refused(
                "more bytes came than were accepted",
                next="Cancel the transfer; ask the sender to repair the package and to offer it again.",
            )

    def count(self, came: Counts, *, kept: int = 0) -> None:
        """Count what came, and bytes of it that were missing and are here now."""
        with self._count:
            self.counts = self.counts.plus(came)
            self._fresh = self._fresh.plus(came)
            self.missing -= kept

    def note(self, *, now: bool = False) -> bool:
        """Write into the book how far it is and what came since the last time: once a second, or `now`; if it did."""
        due = now or time.monotonic() - self._noted >= _NOTED
        if due:
            self._note()
        return due

    def _note(self, *, rests: bool = False) -> None:
        with self._count:
            seconds, done = time.monotonic() - self._noted, self.done
            fresh = max(0, done - self._told[0]) / max(seconds, 1e-3)
            if rests:
                self.rate = 0.0
            elif seconds >= _NOTED or not self.rate:
                self.rate = fresh if not self.rate else (1 - _SMOOTHED) * self.rate + _SMOOTHED * fresh
            came = (self._fresh, done) != (Counts(), self._told[0])
            # where all is here, who lands it has the last word on the rate
            if came or (self.rate != self._told[1] and (rests or not self.whole)):
                self.desk.book.count(self.transfer.id, self._fresh, done, self.rate)
            self._fresh, self._noted, self._told = Counts(), time.monotonic(), (done, self.rate)

    # -- the end ---------------------------------------------------------------------------------------------------

    def finish(self) -> Transfer:
        """Seal what is proven, give it its place, enter it, and say so; nothing of that once the transfer is over."""
        opened = published_package(self.desk, self.transfer) if self.arrival.published else self.opened
        assert opened is not None
        self.note(now=True)
        self.step(State.VERIFYING)
        if not self.arrival.published:
            self.arrival.finish()
            bag = LocalBundle(self.arrival.bag)
            try:
                verify(bag, level=Level.QUICK, expected_id=opened.id, opened=opened).raise_for_findings()
            except IntegrityError as error:
                if (tags := self.tagmanifest()) is None or not self.has_tag_files(tags):  # they come again
                    error.next = go_on(self.transfer.id)
                raise
        self.step(State.VERIFYING)  # who took it back while it was verified is heard
        self.landed = land_package(self.desk, self.transfer, self.arrival, opened, listener=self.listener)
        return self.landed


def _first_leaf(span: Span) -> int:
    """Where a span begins among the leaves of the package."""
    return span.entry.first_leaf + span.leaf
