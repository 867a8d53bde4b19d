"""Making the log of a lost node again from one of its mirrors: all that can be proven, then a new epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.keyring import KeyRing
from diadem.custody.log import Clock, Ledger
from diadem.custody.log_entry import Entry, place_of
from diadem.custody.log_mirrors import Mirror, log_folder, position_of_key, read_head, unpack_batch
from diadem.custody.log_tables import FILE, Batch, LogFile
from diadem.errors import IntegrityError, NotFound, Refused, UsageError
from diadem.model.ports import Listener, Progress, silent
from diadem.model.statements import Draft
from diadem.store.sqlite_file import BESIDE, leave_write_ahead
from diadem.store.system import discard, flush_folder, move, or_else, patiently, translated
from diadem.trust.keys import PrivateKey, PublicKey
from diadem.trust.note import open_checkpoint
from diadem.trust.tree import Frontier, Subtree

_PART: Final = ".part"
#: Epochs that a mirror may name beyond those that it proves; a node is not lost more often than that in between.
_BELIEVED: Final = 100


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log that was made again.

    Attributes
    ----------
    ledger : Ledger
        Open, in its new epoch. Its mirrors are to be set, and pushed to.
    epoch : int
        The new epoch.
    entries : int
        How many entries of earlier epochs were proven and taken over.
    previous : str or None
        The last good checkpoint of the epoch before, as the mirror had it.
    statement : Entry
        The `recovery` statement, entry 0 of the new epoch.
    findings : tuple of str
        What the mirror should have had and did not, in words.
    """

    ledger: Ledger
    epoch: int
    entries: int
    previous: str | None
    statement: Entry
    findings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object, without the ledger."""
        return {
            "epoch": self.epoch,
            "entries": self.entries,
            "previous": self.previous,
            "statement": self.statement.statement_id,
            "findings": list(self.findings),
        }


def recover(
    folder: Path,
    mirror: Mirror,
    *,
    node: str,
    root: PrivateKey,
    log_key: PrivateKey,
    reason: str,
    clock: Clock,
    cards: Sequence[Draft] = (),
    listener: Listener = silent,
) -> Recovered:
    """Make the log of a lost node again, in the new node's ``log/``, from a store that the lost node wrote to.

    Every batch is checked: hashes, checkpoints, and each signature up to the node's id. What comes after the last good
    checkpoint of an epoch is left out, and said. The new epoch is a new tree, whose first entry says so, signed by the
    root key, which is in the recovery file. Its checkpoints are signed by the old log key, or by a new one that `cards`
    introduce, which the root signs at once (`statements.node_card` with a later version). Nothing is in the folder
    before all is done.

    Raises `NotFound` where the mirror has no log of this node, `Refused` where there is a log in the folder or the root
    key is not this node's.
    """
    if root.public.key_id != node:
        raise Refused("this root key is not the one of this node", next="Use the recovery file of this node.")
    target = folder / FILE
    if target.exists():
        raise Refused("there is a log here already", where=str(target), next="Name a new folder.")
    part = folder / (FILE + _PART)
    salvage = Salvage(mirror, node, listener)
    with or_else(lambda: _remove(part)), translated(str(folder), "no log was made"):
        folder.mkdir(parents=True, exist_ok=True)
        _remove(part)
        with LogFile(part, create=True) as file:
            with file.reading() as connection:
                leave_write_ahead(connection)
            salvage.fill(file, log_key)
            said = statements.recovery(node=node, epoch=salvage.next_epoch, previous=salvage.previous, reason=reason)
            Ledger(file, log_key, clock).append([said, *cards], [root])
        for end in BESIDE:  # of another log, which is gone
            discard(f"{target}{end}")
        move(part, target)
        flush_folder(str(folder))
    ledger = Ledger.open(folder, log_key, clock=clock)
    findings = tuple(salvage.findings)
    return Recovered(ledger, ledger.epoch, salvage.entries, salvage.previous, ledger.entry(0), findings)


def _remove(part: Path) -> None:
    for side in ("", *BESIDE):
        patiently(partial(discard, f"{part}{side}"))


@dataclass(frozen=True, slots=True)
class _Good:
    """One batch of a mirror that holds, and the tree after it."""

    batch: Batch
    entries: list[Entry]
    grown: list[Subtree]
    frontier: Frontier
    log_key: PublicKey
    origin: str


@dataclass(slots=True)
class Salvage:
    """What can be read and proven of a mirror."""

    mirror: Mirror
    node: str
    listener: Listener
    #: Entries taken over, of all epochs.
    entries: int = 0
    #: The last good checkpoint of the last epoch that had one.
    previous: str | None = None
    #: The epoch that begins, after the last of which the mirror holds anything at all.
    next_epoch: int = 1
    #: What was not there, or not good.
    findings: list[str] = field(default_factory=list)
    _ring: KeyRing = field(init=False)
    _sizes: dict[int, int] = field(default_factory=dict)
    _origin: str = ""

    def __post_init__(self) -> None:
        """Trust nothing but the node's id."""
        self._ring = KeyRing(self.node)

    def fill(self, file: LogFile, log_key: PrivateKey) -> None:
        """Write everything that is good into an empty log, in one transaction, and begin the next epoch."""
        head = read_head(self.mirror, self.node)
        total = head.size if head else 0
        objects: dict[int, dict[int, str]] = {}
        for key in self.mirror.keys(log_folder(self.node)):
            if (position := position_of_key(key)) is not None:
                objects.setdefault(position[0], {})[position[1]] = key
        with file.writing():
            for good in (good for epoch in sorted(objects) for good in self._good(epoch, objects[epoch])):
                batch = good.batch
                if not self._sizes:
                    self._origin = good.origin
                    file.begin(self.node, good.origin)
                if batch.start == 0:
                    file.add_epoch(batch.epoch, good.log_key.to_text())
                file.add_batch(batch, good.entries, good.grown)
                self.entries += len(good.entries)
                self.previous, self._sizes[batch.epoch] = batch.checkpoint, batch.stop
                self.listener(Progress("recover", self.entries, max(total, self.entries), unit="files"))
            if not self._sizes:
                where, advice = self.mirror.url, "Name another of the node's stores; its recovery file lists them."
                if not objects:
                    message = f"the store holds no log of the node {self.node[:12]}…"
                    raise NotFound(message, where=where, next=advice)
                message = f"nothing of the log can be proven: {self.findings[0]}"
                raise IntegrityError(message, where=where, next=advice)
            # An epoch that is damaged through and through was there nevertheless, and its number is not used again. But
            # whoever can write in a store can put any number there.
            proven, said = max(self._sizes), {*objects, head.epoch if head else 0}
            self.next_epoch = max(epoch for epoch in {proven, *said} if epoch <= proven + _BELIEVED) + 1
            file.begin_epoch(self._origin, self.next_epoch, log_key)
        if head is not None and self._sizes.get(head.epoch, 0) < head.size:
            kept = self._sizes.get(head.epoch, 0)
            self.findings.append(f"epoch {head.epoch} had {head.size} entries, of which {kept} can be proven")

    def _good(self, epoch: int, keys: dict[int, str]) -> Iterator[_Good]:
        """The batches of an epoch that follow each other and hold, up to the first that does not."""
        frontier, first = Frontier(), None
        while (key := keys.get(frontier.size)) is not None:
            try:
                good = self._read(epoch, key, frontier)
                if first is not None and (good.log_key, good.origin) != (first.log_key, first.origin):
                    raise IntegrityError("its checkpoint is of another log")  # noqa: TRY301
            except (UsageError, IntegrityError) as error:
                self.findings.append(f"{key} is not used: {error.message}")
                return
            first, frontier = first or good, good.frontier
            yield good
        beyond = min((start for start in keys if start > frontier.size), default=None)
        if beyond is not None:
            self.findings.append(
                f"the entries {frontier.size} to {beyond - 1} of epoch {epoch} are not there, "
                "and what follows them is not used"
            )

    def _read(self, epoch: int, key: str, frontier: Frontier) -> _Good:
        """One batch, checked against the tree before it and its own checkpoint."""
        start = frontier.size
        lines, text = unpack_batch(self.mirror.get(key) or b"", key)
        entries = [Entry.from_line(epoch, index, line) for index, line in enumerate(lines, start)]
        after = Frontier.from_bytes(frontier.to_bytes())
        grown = [part for entry in entries for part in after.append(entry.leaf)]
        problems = self._ring.learn(entries)
        log_key = self._ring.log_key(place_of(epoch, after.size - 1))
        if log_key is None:
            raise IntegrityError("no statement says which key signs the log")
        name = text.partition("\n")[0]
        checkpoint = open_checkpoint(text, log_key, name)
        if (checkpoint.size, checkpoint.root) != (after.size, after.root()):
            raise IntegrityError("its entries are not those of its checkpoint")
        origin, _, number = name.rpartition("/")
        if number != str(epoch) or not origin:
            raise IntegrityError("its checkpoint is of another epoch")
        for entry in entries:  # one whose signature does not count was in the log all the same, and stays in it
            problem = problems.get(entry.statement_id) or self._ring.judge(entry).problem
            if problem is not None:
                self.findings.append(f"entry {entry.index} of epoch {entry.epoch} ({entry.statement.kind}): {problem}")
        return _Good(Batch(epoch, start, after.size, text), entries, grown, after, log_key, origin)
