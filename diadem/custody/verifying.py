"""Checking chains of custody, offline: bytes in, a report out. No node, no store, no network, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from diadem.custody.agreeing import agreements
from diadem.custody.comparing import View, contradictions, unconnected
from diadem.custody.linking import Strand, end_of, steps_of, strand
from diadem.custody.loading import Loaded, load
from diadem.custody.log_entry import Entry
from diadem.custody.relaying import relayed
from diadem.custody.report import CustodyReport, CustodyStep, NodeSeen, Verdict
from diadem.custody.weighing import Scales
from diadem.errors import DocumentError, UsageError
from diadem.serialization.validation import validate_statement
from diadem.trust.note import Checkpoint

#: Files that are compared with each other at once.
MAX_FILES = 1000


def verify_chains(
    files: Sequence[bytes],
    *,
    names: Sequence[str] = (),
    pins: Collection[str] | None = None,
    checkpoints: Sequence[str] = (),
    own: bool = False,
) -> CustodyReport:
    """Check what some ``chain.json`` files prove, by themselves and together.

    Parameters
    ----------
    files : sequence of bytes
        The files' content, from anyone.
    names : sequence of str
        How to call them in the report; ``chain 1`` … where none are given.
    pins : collection of str, optional
        Ids of the nodes that the reader trusts. Statements of others are then no more than claims. None: everything is
        proven relative to the node ids that the report names, and the reader has to compare those.
    checkpoints : sequence of str
        Earlier checkpoints (signed notes) that the reader kept: the logs must still begin with what they saw.
    own : bool
        The chain is the node's own, for its own eyes: that it has no head is not held against it.

    Returns
    -------
    CustodyReport
        A file that cannot be read is a contradicted step of it, not an error.
    """
    if not 1 <= len(files) <= MAX_FILES:
        raise UsageError(f"1 to {MAX_FILES} files are checked at once", next="Name the chain.json files to check.")
    called = _called(names, len(files))
    loaded: list[Loaded] = []
    steps: list[CustodyStep] = []
    for name, data in zip(called, files, strict=True):
        try:
            loaded.append(load(name, data))
        except DocumentError as error:
            steps.append(_unreadable(name, error))
    scales = {node: Scales(node, [file for file in loaded if file.chain.node == node]) for node in _nodes(loaded)}
    called_so = Counter(one.ring.name for one in scales.values())
    known = {node: one.ring.name for node, one in scales.items() if called_so[one.ring.name] == 1}
    for one in scales.values():
        one.others = known
    cases = [_Case(one, [file for file in loaded if file.chain.node == node], own=own) for node, one in scales.items()]
    nodes = tuple(NodeSeen(case.node, case.scales.ring.name, _pinned(case.node, pins)) for case in cases)
    for case, seen in zip(cases, nodes, strict=True):
        steps += [_relative(step, pinned=seen.pinned is not False) for step in case.steps()]
    foreign = {seen.id for seen in nodes if seen.pinned is False}
    steps += [_relative(step, pinned=foreign.isdisjoint(both)) for step, both in agreements(cases)]
    steps += [_relative(step, pinned=foreign.isdisjoint(all_)) for step, all_ in relayed(cases)]
    steps += [step for text in checkpoints for step in _held_against(text, cases)]
    subjects = tuple(dict.fromkeys(file.chain.subject.name for file in loaded))
    return CustodyReport(subjects, nodes, tuple(called), tuple(steps))


def _called(names: Sequence[str], count: int) -> list[str]:
    """A name for each file, none twice."""
    found: list[str] = []
    for number in range(1, count + 1):
        name = names[number - 1] if number <= len(names) else f"chain {number}"
        found.append(f"{name} ({number})" if name in found else name)
    return found


def _nodes(loaded: Sequence[Loaded]) -> list[str]:
    return list(dict.fromkeys(file.chain.node for file in loaded))


def _pinned(node: str, pins: Collection[str] | None) -> bool | None:
    return None if pins is None else node in pins


def _relative(step: CustodyStep, *, pinned: bool) -> CustodyStep:
    """A step as it counts for a reader who trusts this node, or does not."""
    if pinned or step.verdict is not Verdict.PROVED:
        return step
    return replace(step, verdict=Verdict.CLAIMED, reason="the node's id is not one of those that you trust")


def _unreadable(name: str, error: DocumentError) -> CustodyStep:
    place = f"{error.where}: " if error.where else ""
    return CustodyStep(Verdict.CONTRADICTED, f"{name} is not a chain as DIADEM writes it.", place + error.message, name)


def _held_against(text: str, cases: Sequence[_Case]) -> Iterator[CustodyStep]:
    """An earlier checkpoint that the reader kept, against the logs in the files."""
    name = text.partition("\n")[0][:120]
    for case in cases:
        if (opened := case.scales.open(text)) is not None:
            yield from case.compared(*opened)
            return
    yield CustodyStep(
        Verdict.MISSING,
        f"The checkpoint of {name} that you kept is of no log in these files.",
        "none of their keys signed it",
    )


class _Case:
    """Everything that the files have of one node."""

    def __init__(self, scales: Scales, files: Sequence[Loaded], *, own: bool) -> None:
        self.node = scales.node
        self.scales = scales
        self._files = files
        self._own = own
        self._weighed = {
            file.file: [self.scales.weigh(read, file.chain.subject.sha256) for read in file.statements]
            for file in files
        }

    @property
    def name(self) -> str:
        """What the node calls itself."""
        return self._name

    @property
    def subjects(self) -> frozenset[str]:
        """What its chains are about."""
        return frozenset(file.chain.subject.sha256 for file in self._files)

    @property
    def said(self) -> list[Entry]:
        """Its statements that hold."""
        return [item.entry for weighed in self._weighed.values() for item in weighed if item.good]

    @property
    def claimed(self) -> frozenset[str]:
        """Ids of those that are not proved."""
        steps = [item.step for weighed in self._weighed.values() for item in weighed]
        return frozenset(one.statement_id for one in steps if one.statement_id and one.verdict is not Verdict.PROVED)

    def unseen(self, checkpoint: str, entry: Entry) -> tuple[Verdict, str] | None:
        """Why a checkpoint that another node names does not show a statement of this log; None where it does."""
        opened = self.scales.open(checkpoint)
        if opened is None:
            return Verdict.MISSING, f"no log key in these files signed the checkpoint of {self._name}"
        epoch, kept = opened
        if epoch < entry.epoch or (epoch == entry.epoch and kept.size <= entry.index):
            return Verdict.CONTRADICTED, f"the checkpoint of {self._name} is older than the receipt"
        view = View("the closure", epoch, kept.size, kept.root)
        if any(view in (older, newer) for older, newer, _ in contradictions([view, *self.scales.views])):
            return Verdict.CONTRADICTED, f"the log of {self._name} is not the one of its checkpoint"
        return None

    def steps(self) -> Iterator[CustodyStep]:
        """All steps of this node."""
        yield from self.scales.faults
        for subject in dict.fromkeys(file.chain.subject.sha256 for file in self._files):
            yield from self._subject(subject)
        yield from self._trees()

    def _subject(self, subject: str) -> Iterator[CustodyStep]:
        files = [file for file in self._files if file.chain.subject.sha256 == subject]
        weighed = [item for file in files for item in self._weighed[file.file]]
        made = strand(self.node, subject, weighed, self.scales.recoveries)
        steps = list(steps_of(made))
        yield from self._with_recoveries(steps)
        for file in files:
            yield from self._end(file, made)

    def _with_recoveries(self, steps: list[CustodyStep]) -> Iterator[CustodyStep]:
        """The steps, and between the epochs that the node's log was made anew."""
        waiting = sorted(self.scales.weighed_recoveries, key=lambda item: item.read.place)
        ids = {step.statement_id for step in steps}
        waiting = [item for item in waiting if item.entry.statement_id not in ids]
        for step in steps:
            while waiting and step.epoch is not None and waiting[0].read.item.epoch <= step.epoch:
                yield waiting.pop(0).step
            yield step
        yield from (item.step for item in waiting)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _end(self, file: Loaded, made: Strand) -> Iterator[CustodyStep]:
        if file.chain.head is None:
            if not self._own:
                yield CustodyStep(
                    Verdict.MISSING,
                    "The signed head is missing: nobody says where the chain ends.",
                    "every export ends with one",
                    file.file,
                    self.node,
                    kind="head",
                )
            return
        head, problem = self._head(file)
        if head is None or problem is not None:
            sentence = "The signed head, which says where the chain ends, does not hold."
            yield CustodyStep(Verdict.CONTRADICTED, sentence, f"head: {problem}", file.file, self.node, kind="head")
            return
        yield from end_of(made, head, file.file, self.scales.ring.name or f"node {self.node[:12]}…")

    def _head(self, file: Loaded) -> tuple[Entry | None, str | None]:
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
        judged = self.scales.ring.judge(head)
        if judged.problem is None and len(judged.signers) < len(head.signers):
            return head, "one of its signatures does not hold"
        newest = max((held.epoch for held in file.chain.checkpoints), default=0)
        view = next((v for v in self.scales.views if (v.source, v.epoch) == (file.file, newest)), None)
        if judged.problem is None and view is not None and (view.epoch, view.size) != (said["epoch"], said["size"]):
            return head, "it is of another checkpoint than the file's"
        return head, judged.problem

    # -- the trees ---------------------------------------------------------------------------------------------------

    def _trees(self) -> Iterator[CustodyStep]:
        """Whether the files show one log."""
        yield from self._recovered()
        views = self.scales.views
        wrong = set()
        for older, newer, why in contradictions(views):
            wrong |= {id(older), id(newer)}
            yield self._step(
                Verdict.CONTRADICTED,
                f"The log of {self._name} was rewritten or forked.",
                f"epoch {older.epoch}: {older.source} (log of {older.size} entries) and {newer.source} "
                f"(of {newer.size}) cannot both be true: {why}",
                newer.source,
            )
        seen = set()
        for older, newest in unconnected(views):
            if id(older) not in wrong and (older.epoch, older.size, older.root) not in seen:
                seen.add((older.epoch, older.size, older.root))
                yield self._step(
                    Verdict.CLAIMED,
                    f"That the log of {self._name} begins alike in {older.source} and {newest.source} is only claimed.",
                    f"no file proves that the log of {newest.size} entries begins with those {older.size} of epoch "
                    f"{older.epoch}; an export made with that checkpoint at hand does",
                    newest.source,
                )

    def compared(self, epoch: int, kept: Checkpoint) -> Iterator[CustodyStep]:
        """A checkpoint that the reader kept, against the views of the files."""
        view = View("the checkpoint that you kept", epoch, kept.size, kept.root)
        views = [other for other in self.scales.views if other.epoch == epoch]
        for older, newer, why in contradictions([view, *views]):
            if view in (older, newer):
                other = newer if older is view else older
                yield self._step(
                    Verdict.CONTRADICTED,
                    f"The log of {self._name} was rewritten or forked.",
                    f"epoch {epoch}: {other.source} (log of {other.size} entries) is not of the log whose first "
                    f"{kept.size} entries the checkpoint that you kept saw: {why}",
                    other.source,
                )
                return
        if any(view in pair for pair in unconnected([*views, view])):  # it is alone, or newer than the files
            yield self._step(
                Verdict.MISSING,
                f"The proof is missing that the log of {self._name} still begins as in the checkpoint that you kept.",
                f"ask for an export with this checkpoint of {kept.size} entries at hand",
                None,
            )
            return
        yield self._step(
            Verdict.PROVED,
            f"The log of {self._name} still begins with the {kept.size} entries that the checkpoint you kept saw.",
            None,
            None,
        )

    def _recovered(self) -> Iterator[CustodyStep]:
        """That each recovery names the end of the epoch before as the files show it."""
        used = {read.item.epoch for file in self._files for read in (*file.keys, *file.statements)}
        for epoch in sorted(used - {min(used, default=0)} - self.scales.recoveries.keys()):
            sentence = f"How epoch {epoch} of the log of {self._name} began is missing."
            yield self._step(Verdict.MISSING, sentence, "a recovery, signed by the root key, begins each epoch", None)
        for epoch, entry in sorted(self.scales.recoveries.items()):
            text = entry.statement.predicate.get("previous")
            opened = self.scales.open(text) if isinstance(text, str) else None
            if text is not None and (opened is None or opened[0] >= epoch):
                yield self._step(
                    Verdict.CONTRADICTED,
                    f"The recovery that began epoch {epoch} of the log of {self._name} does not hold.",
                    "no log key of this node signed the checkpoint that it names as the last",
                    None,
                )
            elif opened is not None:
                number, checkpoint = opened
                self.scales.views.append(
                    View(f"the recovery of epoch {epoch}", number, checkpoint.size, checkpoint.root)
                )

    @property
    def _name(self) -> str:
        return self.scales.ring.name or f"the node {self.node[:12]}…"

    def _step(self, verdict: Verdict, sentence: str, reason: str | None, file: str | None) -> CustodyStep:
        return CustodyStep(verdict, sentence, reason, file, self.node)
