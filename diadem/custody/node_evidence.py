"""Everything that some files say of the log of one node, and what it is worth.

First the checkpoints are opened and the keys learned, up to the node's id; then each statement is judged by its
signatures, its card, and its proof of inclusion; then the steps are told: key statements and checkpoints that do not
hold, each subject in its order with its end, and whether all files show one log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from diadem.custody.chain import ChainCheckpoint, LoadedChain, ReadItem
from diadem.custody.keyring import KeyRing
from diadem.custody.log_entry import Entry, log_origin, place_of
from diadem.custody.report import CustodyStep, Verdict
from diadem.custody.sentences import sentence
from diadem.custody.subject_order import Judged, Strand, end_of, steps_of, strand
from diadem.custody.tree_views import View, contradictions, implied_subtrees, unconnected
from diadem.errors import IntegrityError, UsageError
from diadem.serialization.validation import validate_statement
from diadem.trust.keys import PublicKey
from diadem.trust.note import Checkpoint, open_checkpoint
from diadem.trust.tree import verify_consistency, verify_inclusion

#: Kinds that one side alone says, about something that two sides know of.
_ONE_SIDED = frozenset({"handover"})
_UNREADABLE = "A statement that cannot be read."
_NO_CHECKPOINT = "no checkpoint that holds shows that it is in the log"


class NodeEvidence:
    """What the files have of one node; `own`: it is the node itself that looks, and no head is needed."""

    def __init__(self, node: str, files: Sequence[LoadedChain], *, own: bool) -> None:
        self.node = node
        self.ring = KeyRing(node)
        self._files, self._own = files, own
        #: What other nodes call themselves, by their ids.
        self._others: Mapping[str, str] = {}
        #: What the files prove about the trees; key statements and checkpoints that do not hold.
        self._views: list[View] = []
        self._faults: list[CustodyStep] = []
        #: The `recovery` that began each epoch, where it is proven; and all that any file has, of which two may differ.
        self._recoveries: dict[int, Entry] = {}
        self._judged_recoveries: list[Judged] = []
        self._judged: dict[str, list[Judged]] = {}
        self._view_of: dict[tuple[str, int], View] = {}
        self._signed_by: list[tuple[View, PublicKey]] = []
        self._weak: set[str] = set()
        self._open_checkpoints()
        self._learn()

    @property
    def name(self) -> str:
        """What the node calls itself."""
        return self.ring.name or f"the node {self.node[:12]}…"

    def judge_statements(self, others: Mapping[str, str]) -> None:
        """Judge the statements of all files, in which other nodes are called by these names."""
        self._others = others
        for file in self._files:
            self._judged[file.file] = [self._judge(read, file.chain.subject.sha256) for read in file.statements]

    # -- what others hold against it ---------------------------------------------------------------------------------

    @property
    def subjects(self) -> frozenset[str]:
        """Digests of what its chains are about: of these they have everything that its log said."""
        return frozenset(file.chain.subject.sha256 for file in self._files)

    @property
    def said(self) -> list[Entry]:
        """Its statements that hold."""
        return [item.entry for judged in self._judged.values() for item in judged if item.good]

    @property
    def claimed(self) -> frozenset[str]:
        """Ids of those that are not proved."""
        steps = [item.step for judged in self._judged.values() for item in judged]
        return frozenset(one.statement_id for one in steps if one.statement_id and one.verdict is not Verdict.PROVED)

    def unseen(self, checkpoint: str, entry: Entry) -> tuple[Verdict, str] | None:
        """Why a checkpoint that another node names does not show a statement of this log; None where it does."""
        opened = self.open(checkpoint)
        if opened is None:
            return Verdict.MISSING, f"no log key in these files signed the checkpoint of {self.name}"
        epoch, kept = opened
        if epoch < entry.epoch or (epoch == entry.epoch and kept.size <= entry.index):
            return Verdict.CONTRADICTED, f"the checkpoint of {self.name} is older than the receipt"
        view = View("the closure", epoch, kept.size, kept.root)
        if any(view in (older, newer) for older, newer, _ in contradictions([view, *self._views])):
            return Verdict.CONTRADICTED, f"the log of {self.name} is not the one of its checkpoint"
        return None

    def open(self, text: str) -> tuple[int, Checkpoint] | None:
        """Epoch and checkpoint of a note that this node's log key signed; None for another."""
        name = text.partition("\n")[0]
        number = name.rpartition("/")[2]
        opened = self._opened(self.ring, text, name)
        if opened is None or not number.isdecimal() or len(number) > 7:
            return None
        return int(number), opened[1]

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _open_checkpoints(self) -> None:
        """Open the checkpoints with any log key that the root vouches for: the places of the cards come later."""
        first = KeyRing(self.node, [entry for file in self._files for entry in file.key_entries])
        for file in self._files:
            for held in file.chain.checkpoints:
                self._take_checkpoint(first, file, held)
        for file in self._files:
            held_epochs = {held.epoch for held in file.chain.checkpoints}
            begins = {read.item.epoch: read for read in (*file.statements[::-1], *file.keys[::-1])}
            for epoch in sorted(begins.keys() - held_epochs):
                words = f"The checkpoint of epoch {epoch} is missing: nothing shows that its statements are in the log."
                reason = f"{begins[epoch].where} is the first of that epoch"
                self._faults.append(CustodyStep(Verdict.MISSING, words, reason, file.file, self.node))

    def _take_checkpoint(self, ring: KeyRing, file: LoadedChain, held: ChainCheckpoint) -> None:
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
        self._views.append(view)

    def _opened(self, ring: KeyRing, text: str, origin: str) -> tuple[PublicKey, Checkpoint] | None:
        for key in ring.log_keys():
            try:
                return key, open_checkpoint(text, key, origin)
            except IntegrityError:
                continue
        return None

    # -- keys --------------------------------------------------------------------------------------------------------

    def _learn(self) -> None:
        """Take the key statements that are proven to be in the log, each once."""
        good: dict[str, tuple[ReadItem, Entry]] = {}
        for read in (read for file in self._files for read in file.keys):
            known = (read.file, read.item.epoch) in self._view_of
            problem = read.problem or (self._outside(read) if known else None) or _odd_recovery(read.entry)
            if read.entry is not None and problem is None:
                good.setdefault(read.entry.statement_id, (read, read.entry))
                continue
            if read.entry is not None:
                self._weak |= {subject.sha256 for subject in read.entry.statement.subjects}
            self._fault(read.file, self._spoken(read), f"{read.where}: {problem}")
        problems = self.ring.learn(entry for _, entry in good.values())
        for read, entry in good.values():
            problem = problems.get(entry.statement_id) or self.ring.judge(entry).problem
            if problem is not None:
                self._fault(read.file, self._spoken(read), f"{read.where}: {problem}")
            elif entry.statement.kind == "recovery":
                self._recoveries[entry.epoch] = entry
                self._judged_recoveries.append(self._judge(read, None))
        for view, key in self._signed_by:  # by the log key that was in force, not by one that was replaced
            if self.ring.log_key(place_of(view.epoch, max(view.size - 1, 0))) not in (key, None):
                reason = "it is signed with a log key that was not in force at this size of the log"
                self._fault(view.source, f"The checkpoint of epoch {view.epoch}", reason)

    def _fault(self, file: str, sentence_: str, reason: str) -> None:
        self._faults.append(CustodyStep(Verdict.CONTRADICTED, f"{sentence_.rstrip('.')}.", reason, file, self.node))

    def _spoken(self, read: ReadItem) -> str:
        names = {**self._others, self.node: self.ring.name} if self.ring.name else self._others
        return sentence(read.entry.statement, names) if read.entry is not None else _UNREADABLE

    # -- statements --------------------------------------------------------------------------------------------------

    def _judge(self, read: ReadItem, subject: str | None) -> Judged:
        """What a statement of the chain of a subject is worth; None: whatever it is about."""
        entry = read.entry
        if entry is None:
            return Judged(read, self._step_of(read, Verdict.CONTRADICTED, f"{read.where}: {read.problem}"))
        signed = self.ring.judge(entry)
        verdict, reason = self._verdict(read, entry, subject, signed.problem)
        if verdict is Verdict.PROVED and signed.doubt is not None:
            verdict, reason = Verdict.CLAIMED, signed.doubt
        names = tuple(card.name for card in signed.signers)
        return Judged(read, replace(self._step_of(read, verdict, reason), signers=names))

    def _verdict(
        self, read: ReadItem, entry: Entry, subject: str | None, problem: str | None
    ) -> tuple[Verdict, str | None]:
        if subject is not None and subject not in entry.statement.prev:
            return Verdict.CONTRADICTED, f"{read.where}: it is not about what the chain is about"
        if problem is not None and self._weak.isdisjoint(entry.signers):
            return Verdict.CONTRADICTED, f"{read.where}: {problem}"
        if (read.file, entry.epoch) not in self._view_of:
            return Verdict.CLAIMED, f"{read.where}: {_NO_CHECKPOINT}"
        if (outside := self._outside(read)) is not None:
            return Verdict.CONTRADICTED, f"{read.where}: {outside}"
        if problem is not None:
            return Verdict.CLAIMED, f"{read.where}: the key statement that vouches for its signer does not hold"
        if entry.statement.kind in _ONE_SIDED:
            return Verdict.CLAIMED, "only the side that gave it says so"
        return Verdict.PROVED, None

    def _outside(self, read: ReadItem) -> str | None:
        """Why a statement is not in the log that the file's checkpoint signs; where it is, its proof is remembered."""
        entry, view = read.entry, self._view_of.get((read.file, read.item.epoch))
        if entry is None:
            return read.problem
        if view is None:
            return _NO_CHECKPOINT
        leaf = entry.leaf
        if not verify_inclusion(leaf, entry.index, view.size, read.item.inclusion, view.root):
            return "it is not at this place in the log that the checkpoint signs: it, or its proof, was changed"
        view.subtrees.update(implied_subtrees(leaf, entry.index, view.size, read.item.inclusion))
        return None

    def _step_of(self, read: ReadItem, verdict: Verdict, reason: str | None) -> CustodyStep:
        step = CustodyStep(verdict, self._spoken(read), reason, read.file, self.node, read.item.epoch, read.item.index)
        if read.entry is None:
            return step
        statement = read.entry.statement
        time = str(statement.predicate["time"])
        return replace(step, statement_id=read.entry.statement_id, kind=statement.kind, time=time)

    # -- all steps of this node --------------------------------------------------------------------------------------

    def steps(self) -> Iterator[CustodyStep]:
        """What does not hold of keys and checkpoints; each subject with its end; and whether there is one log."""
        yield from self._faults
        told = set[tuple[str | None, Verdict]]()  # what is about a package and its transfer is one step
        for subject in dict.fromkeys(file.chain.subject.sha256 for file in self._files):
            files = [file for file in self._files if file.chain.subject.sha256 == subject]
            judged = [item for file in files for item in self._judged[file.file]]
            made = strand(self.node, subject, judged, self._recoveries)
            for step in self._with_recoveries(list(steps_of(made))):
                if (
                    not step.statement_id
                    or step.verdict is Verdict.MISSING
                    or (step.statement_id, step.verdict) not in told
                ):
                    yield step
                told.add((step.statement_id, step.verdict))
            for file in files:
                yield from self._end(file, made)
        yield from self._recovered()
        yield from self._trees()

    def _with_recoveries(self, steps: list[CustodyStep]) -> Iterator[CustodyStep]:
        """The steps, and between the epochs that the node's log was made anew."""
        ids = {step.statement_id for step in steps}
        waiting = sorted(self._judged_recoveries, key=lambda item: item.read.place)
        waiting = [item for item in waiting if item.entry.statement_id not in ids]
        for step in steps:
            while waiting and step.epoch is not None and waiting[0].read.item.epoch <= step.epoch:
                yield waiting.pop(0).step
            yield step
        yield from (item.step for item in waiting)

    def _end(self, file: LoadedChain, made: Strand) -> Iterator[CustodyStep]:
        """What the signed head of a file says of the end of its chain."""
        if file.chain.head is None:
            if not self._own:
                words = "The signed head is missing: nobody says where the chain ends."
                reason = "every export ends with one"
                yield CustodyStep(Verdict.MISSING, words, reason, file.file, self.node, kind="head")
            return
        head, problem = self._head(file)
        if head is None or problem is not None:
            words = "The signed head, which says where the chain ends, does not hold."
            yield CustodyStep(Verdict.CONTRADICTED, words, f"head: {problem}", file.file, self.node, kind="head")
            return
        yield from end_of(made, head, file.file, self.ring.name or f"node {self.node[:12]}…")

    def _head(self, file: LoadedChain) -> tuple[Entry | None, str | None]:
        """The head of a file, or what is wrong with it."""
        line = (file.chain.head or "").encode("utf-8", "surrogatepass")
        try:
            loose = Entry.from_line(0, 0, line)
            validate_statement(loose.statement)
        except UsageError as error:
            return None, f"it cannot be read: {error.message}"
        said = loose.statement.predicate
        if loose.statement.kind != "head" or not {"epoch", "size"} <= said.keys() or said["size"] < 1:
            return None, "it is not a head with epoch and size"
        head = Entry.from_line(said["epoch"], said["size"] - 1, line)
        subject = file.chain.subject
        if head.statement.subjects != (subject,) or head.statement.prev[subject.sha256] != said["last"]:
            return head, "it is about another subject, or follows another statement than it names"
        judged = self.ring.judge(head)
        if judged.problem is None and len(judged.signers) < len(head.signers):
            return head, "one of its signatures does not hold"
        newest = max((held.epoch for held in file.chain.checkpoints), default=0)
        view = next((v for v in self._views if (v.source, v.epoch) == (file.file, newest)), None)
        if judged.problem is None and view is not None and (view.epoch, view.size) != (said["epoch"], said["size"]):
            return head, "it is of another checkpoint than the file's"
        return head, judged.problem

    def _recovered(self) -> Iterator[CustodyStep]:
        """That each recovery names the end of the epoch before as the files show it."""
        used = {read.item.epoch for file in self._files for read in (*file.keys, *file.statements)}
        for epoch in sorted(used - {min(used, default=0)} - self._recoveries.keys()):
            words = f"How epoch {epoch} of the log of {self.name} began is missing."
            yield self._step(Verdict.MISSING, words, "a recovery, signed by the root key, begins each epoch")
        for epoch, entry in sorted(self._recoveries.items()):
            text = entry.statement.predicate.get("previous")
            opened = self.open(text) if isinstance(text, str) else None
            if text is not None and (opened is None or opened[0] >= epoch):
                yield self._step(
                    Verdict.CONTRADICTED,
                    f"The recovery that began epoch {epoch} of the log of {self.name} does not hold.",
                    "no log key of this node signed the checkpoint that it names as the last",
                )
            elif opened is not None:
                number, checkpoint = opened
                self._views.append(View(f"the recovery of epoch {epoch}", number, checkpoint.size, checkpoint.root))

    def _trees(self) -> Iterator[CustodyStep]:
        """Whether the files show one log."""
        wrong = set()
        for older, newer, why in contradictions(self._views):
            wrong |= {id(older), id(newer)}
            yield self._step(
                Verdict.CONTRADICTED,
                f"The log of {self.name} was rewritten or forked.",
                f"epoch {older.epoch}: {older.source} (log of {older.size} entries) and {newer.source} "
                f"(of {newer.size}) cannot both be true: {why}",
                newer.source,
            )
        seen = set()
        for older, newest in unconnected(self._views):
            if id(older) not in wrong and (older.epoch, older.size, older.root) not in seen:
                seen.add((older.epoch, older.size, older.root))
                yield self._step(
                    Verdict.CLAIMED,
                    f"That the log of {self.name} begins alike in {older.source} and {newest.source} is only claimed.",
                    f"no file proves that the log of {newest.size} entries begins with those {older.size} of epoch "
                    f"{older.epoch}; an export made with that checkpoint at hand does",
                    newest.source,
                )

    def compared(self, epoch: int, kept: Checkpoint) -> Iterator[CustodyStep]:
        """A checkpoint that the reader kept, against the views of the files."""
        view = View("the checkpoint that you kept", epoch, kept.size, kept.root)
        views = [other for other in self._views if other.epoch == epoch]
        for older, newer, why in contradictions([view, *views]):
            if view in (older, newer):
                other = newer if older is view else older
                yield self._step(
                    Verdict.CONTRADICTED,
                    f"The log of {self.name} was rewritten or forked.",
                    f"epoch {epoch}: {other.source} (log of {other.size} entries) is not of the log whose first "
                    f"{kept.size} entries the checkpoint that you kept saw: {why}",
                    other.source,
                )
                return
        if any(view in pair for pair in unconnected([*views, view])):  # it is alone, or newer than the files
            yield self._step(
                Verdict.MISSING,
                f"The proof is missing that the log of {self.name} still begins as in the checkpoint that you kept.",
                f"ask for an export with this checkpoint of {kept.size} entries at hand",
            )
            return
        words = f"The log of {self.name} still begins with the {kept.size} entries that the checkpoint you kept saw."
        yield self._step(Verdict.PROVED, words)

    def _step(self, verdict: Verdict, words: str, reason: str | None = None, file: str | None = None) -> CustodyStep:
        return CustodyStep(verdict, words, reason, file, self.node)


def _odd_recovery(entry: Entry | None) -> str | None:
    """Why a recovery is not the beginning of its epoch."""
    if entry is None or entry.statement.kind != "recovery":
        return None
    began = entry.index == 0 and entry.statement.predicate.get("epoch") == entry.epoch
    return None if began else "a recovery is the first entry of the epoch that it begins"
