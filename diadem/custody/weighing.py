"""What each statement of a log is worth, by its signatures, its card, and its proof of inclusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from diadem.custody.chain import ChainCheckpoint
from diadem.custody.comparing import View, implied_subtrees
from diadem.custody.keyring import KeyRing
from diadem.custody.loading import Loaded, Read
from diadem.custody.log_entry import Entry, log_origin, place_of
from diadem.custody.report import CustodyStep, Verdict
from diadem.custody.sentences import sentence
from diadem.errors import IntegrityError
from diadem.trust.keys import PublicKey
from diadem.trust.note import Checkpoint, open_checkpoint
from diadem.trust.tree import verify_consistency, verify_inclusion

#: Kinds that one side alone says, about something that two sides know of.
_ONE_SIDED = frozenset({"handover"})
_UNREADABLE = "A statement that cannot be read."


@dataclass(frozen=True, slots=True)
class Weighed:
    """A statement of a chain and what it is worth.

    Attributes
    ----------
    read : Read
        The statement.
    step : CustodyStep
        Its step of the report.
    """

    read: Read
    step: CustodyStep

    @property
    def good(self) -> bool:
        """Whether it is in the log as it was signed."""
        return self.step.verdict in (Verdict.PROVED, Verdict.CLAIMED) and self.read.entry is not None

    @property
    def entry(self) -> Entry:
        """The statement, which can be read."""
        assert self.read.entry is not None
        return self.read.entry

    def judged(self, verdict: Verdict, reason: str) -> Weighed:
        """The same with another verdict."""
        return replace(self, step=replace(self.step, verdict=verdict, reason=reason))


class Scales:
    """Weighs everything that some files say of the log of one node.

    Attributes
    ----------
    node : str
        Node id.
    ring : KeyRing
        The keys that are proven.
    views : list of View
        What the files prove about the trees.
    faults : list of CustodyStep
        Key statements and checkpoints that do not hold.
    recoveries : dict of int to Entry
        The `recovery` that began each epoch, where it is proven.
    """

    def __init__(self, node: str, files: Sequence[Loaded]) -> None:
        self.node = node
        #: What other nodes call themselves, by their ids.
        self.others: Mapping[str, str] = {}
        self.ring = KeyRing(node)
        self.views: list[View] = []
        self.faults: list[CustodyStep] = []
        self.recoveries: dict[int, Entry] = {}
        self.weighed_recoveries: list[Weighed] = []
        self._view_of: dict[tuple[str, int], View] = {}
        self._signed_by: list[tuple[View, PublicKey]] = []
        self._weak: set[str] = set()
        self._open_checkpoints(files)
        self._miss_checkpoints(files)
        self._learn(files)

    @property
    def names(self) -> dict[str, str]:
        """Names by ids, for sentences."""
        return {**self.others, self.node: self.ring.name} if self.ring.name else {**self.others}

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _open_checkpoints(self, files: Sequence[Loaded]) -> None:
        """Open the checkpoints with any log key that the root vouches for: the places of the cards come later."""
        first = KeyRing(self.node)
        first.learn(read.entry for file in files for read in file.keys if read.entry is not None)
        for file in files:
            for held in file.chain.checkpoints:
                self._take_checkpoint(first, file, held)

    def _take_checkpoint(self, ring: KeyRing, file: Loaded, held: ChainCheckpoint) -> None:
        """One checkpoint of a file, and the earlier trees that it is proven to go on from."""
        spoken = f"The checkpoint of epoch {held.epoch}"
        opened = self._opened(ring, held.text, log_origin(file.chain.origin, held.epoch))
        if opened is None:
            self._fault(file.file, spoken, "it is not what a log key of this node signed")
            return
        key, checkpoint = opened
        view = View(file.file, held.epoch, checkpoint.size, checkpoint.root)
        for earlier in held.earlier:
            if verify_consistency(earlier.size, view.size, earlier.root, view.root, earlier.proof):
                view.earlier[earlier.size] = earlier.root
            else:
                reason = f"the proof does not hold that the log begins with its first {earlier.size} entries"
                self._fault(file.file, spoken, reason)
        if (file.file, held.epoch) in self._view_of:
            self._fault(file.file, spoken, "the file has two checkpoints of this epoch")
        self._view_of[file.file, held.epoch] = view
        self._signed_by.append((view, key))
        self.views.append(view)

    def _miss_checkpoints(self, files: Sequence[Loaded]) -> None:
        """Say which epochs of a file have statements and no checkpoint at all."""
        for file in files:
            held = {checkpoint.epoch for checkpoint in file.chain.checkpoints}
            first = {read.item.epoch: read for read in (*file.statements[::-1], *file.keys[::-1])}
            for epoch in sorted(first.keys() - held):
                words = f"The checkpoint of epoch {epoch} is missing: nothing shows that its statements are in the log."
                reason = f"{first[epoch].label}{_at(first[epoch])} is the first of that epoch"
                self.faults.append(CustodyStep(Verdict.MISSING, words, reason, file.file, self.node))

    def open(self, text: str) -> tuple[int, Checkpoint] | None:
        """Epoch and checkpoint of a note that this node's log key signed; None for another."""
        name = text.partition("\n")[0]
        number = name.rpartition("/")[2]
        opened = self._opened(self.ring, text, name)
        if opened is None or not number.isdecimal() or len(number) > 7:
            return None
        return int(number), opened[1]

    def _opened(self, ring: KeyRing, text: str, origin: str) -> tuple[PublicKey, Checkpoint] | None:
        for key in ring.log_keys():
            try:
                return key, open_checkpoint(text, key, origin)
            except IntegrityError:
                continue
        return None

    # -- keys --------------------------------------------------------------------------------------------------------

    def _learn(self, files: Sequence[Loaded]) -> None:
        """Take the key statements that are proven to be in the log, each once."""
        good: dict[str, tuple[Read, Entry]] = {}
        for read in (read for file in files for read in file.keys):
            known = (read.file, read.item.epoch) in self._view_of
            problem = read.problem or (self._outside(read) if known else None) or _odd_recovery(read.entry)
            if read.entry is not None and problem is None:
                good.setdefault(read.entry.statement_id, (read, read.entry))
                continue
            if read.entry is not None:
                self._weak |= {subject.sha256 for subject in read.entry.statement.subjects}
            self._fault(read.file, self._spoken(read), f"{read.label}{_at(read)}: {problem}")
        problems = self.ring.learn(entry for _, entry in good.values())
        for read, entry in good.values():
            problem = problems.get(entry.statement_id) or self.ring.judge(entry).problem
            if problem is not None:
                self._fault(read.file, self._spoken(read), f"{read.label}{_at(read)}: {problem}")
            elif entry.statement.kind == "recovery":
                self.recoveries[entry.epoch] = entry
                self.weighed_recoveries.append(self.weigh(read, None))
        self._check_log_keys()

    def _check_log_keys(self) -> None:
        """That each checkpoint is signed by the log key which was in force, not by one that was replaced."""
        for view, key in self._signed_by:
            if self.ring.log_key(place_of(view.epoch, max(view.size - 1, 0))) not in (key, None):
                reason = "it is signed with a log key that was not in force at this size of the log"
                self._fault(view.source, f"The checkpoint of epoch {view.epoch}", reason)

    def _fault(self, file: str, sentence_: str, reason: str) -> None:
        self.faults.append(CustodyStep(Verdict.CONTRADICTED, f"{sentence_.rstrip('.')}.", reason, file, self.node))

    def _spoken(self, read: Read) -> str:
        return sentence(read.entry.statement, self.names) if read.entry is not None else _UNREADABLE

    # -- statements --------------------------------------------------------------------------------------------------

    def weigh(self, read: Read, subject: str | None) -> Weighed:
        """What a statement of the chain of a subject is worth; None: whatever it is about."""
        entry = read.entry
        if entry is None:
            return Weighed(read, self._step(read, Verdict.CONTRADICTED, f"{read.label}{_at(read)}: {read.problem}"))
        judged = self.ring.judge(entry)
        names = tuple(card.name for card in judged.signers)
        verdict, reason = self._verdict(read, entry, subject, judged.problem)
        if verdict is Verdict.PROVED and judged.doubt is not None:
            verdict, reason = Verdict.CLAIMED, judged.doubt
        return Weighed(read, replace(self._step(read, verdict, reason), signers=names))

    def _verdict(
        self, read: Read, entry: Entry, subject: str | None, problem: str | None
    ) -> tuple[Verdict, str | None]:
        where = f"{read.label}{_at(read)}"
        if subject is not None and subject not in entry.statement.prev:
            return Verdict.CONTRADICTED, f"{where}: it is not about what the chain is about"
        if problem is not None and self._weak.isdisjoint(entry.signers):
            return Verdict.CONTRADICTED, f"{where}: {problem}"
        if (read.file, entry.epoch) not in self._view_of:
            return Verdict.CLAIMED, f"{where}: no checkpoint that holds shows that it is in the log"
        if (outside := self._outside(read)) is not None:
            return Verdict.CONTRADICTED, f"{where}: {outside}"
        if problem is not None:
            return Verdict.CLAIMED, f"{where}: the key statement that vouches for its signer does not hold"
        if entry.statement.kind in _ONE_SIDED:
            return Verdict.CLAIMED, "only the side that gave it says so"
        return Verdict.PROVED, None

    def _outside(self, read: Read) -> str | None:
        """Why a statement is not in the log that the file's checkpoint signs; where it is, its proof is remembered."""
        entry, view = read.entry, self._view_of.get((read.file, read.item.epoch))
        if entry is None:
            return read.problem
        if view is None:
            return "no checkpoint that holds shows that it is in the log"
        leaf = entry.leaf
        if not verify_inclusion(leaf, entry.index, view.size, read.item.inclusion, view.root):
            return "it is not at this place in the log that the checkpoint signs: it, or its proof, was changed"
        view.subtrees.update(implied_subtrees(leaf, entry.index, view.size, read.item.inclusion))
        return None

    def _step(self, read: Read, verdict: Verdict, reason: str | None) -> CustodyStep:
        step = CustodyStep(verdict, self._spoken(read), reason, read.file, self.node, read.item.epoch, read.item.index)
        if read.entry is None:
            return step
        statement = read.entry.statement
        time = str(statement.predicate["time"])
        return replace(step, statement_id=read.entry.statement_id, kind=statement.kind, time=time)


def _odd_recovery(entry: Entry | None) -> str | None:
    """Why a recovery is not the beginning of its epoch."""
    if entry is None or entry.statement.kind != "recovery":
        return None
    began = entry.index == 0 and entry.statement.predicate.get("epoch") == entry.epoch
    return None if began else "a recovery is the first entry of the epoch that it begins"


def _at(read: Read) -> str:
    return f" (entry {read.item.index} of epoch {read.item.epoch})"
