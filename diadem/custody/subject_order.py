"""How the statements on one subject follow each other: gaps, forks, and where the chain ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from diadem.custody.chain import ReadItem
from diadem.custody.log_entry import Entry, place_of, position_of
from diadem.custody.report import CustodyStep, Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """A statement of a chain, and its step of the report."""

    read: ReadItem
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

    @property
    def where(self) -> str:
        """Which one, of which file, for people."""
        return f"{self.read.label} of {self.read.file} (entry {self.entry.index} of epoch {self.entry.epoch})"

    def judged(self, verdict: Verdict, reason: str) -> Judged:
        """The same with another verdict."""
        return replace(self, step=replace(self.step, verdict=verdict, reason=reason))


@dataclass(slots=True)
class Strand:
    """Everything that the files have of one subject, by its SHA-256, in the log of one node."""

    node: str
    subject: str
    #: Statements that are in the log as they were signed, each once, in the order of the log.
    good: list[Judged] = field(default_factory=list)
    #: Statements that are not, as each file has them.
    bad: list[Judged] = field(default_factory=list)
    #: Ids of statements that the node lost, and that others kept, when its log was made anew.
    lost: set[str] = field(default_factory=set)

    @property
    def known(self) -> set[str]:
        """Ids of all statements that can be read, good or not."""
        return {item.entry.statement_id for item in [*self.good, *self.bad] if item.read.entry is not None}

    def before(self, place: int) -> list[Judged]:
        """Statements that the log held before a place, as far as the files show: without those that it had lost."""
        epoch, _ = position_of(place)
        entries = ((item, item.entry) for item in self.good)
        return [
            item
            for item, entry in entries
            if entry.place < place and not (entry.statement_id in self.lost and entry.epoch < epoch)
        ]

    @property
    def has_gap(self) -> bool:
        """Whether a statement names one before it that no file has."""
        known = self.known
        prevs = {item.entry.statement.prev[self.subject] for item in self.good}
        return any(prev is not None and prev not in known for prev in prevs)


def strand(node: str, subject: str, judged: Iterable[Judged], recoveries: Mapping[int, Entry]) -> Strand:
    """Put the statements of several files in one order, each once, the best copy of it; and mark what contradicts."""
    made = Strand(node, subject)
    best: dict[str, Judged] = {}
    for item in judged:
        if not item.good:
            made.bad.append(item)
            continue
        known = best.get(item.entry.statement_id)
        if known is None or (known.step.verdict is Verdict.CLAIMED and item.step.verdict is Verdict.PROVED):
            best[item.entry.statement_id] = item
    ordered = sorted(best.values(), key=lambda item: item.entry.place)
    made.good = _forked(made, ordered, recoveries)
    return made


def _forked(made: Strand, ordered: Sequence[Judged], recoveries: Mapping[int, Entry]) -> list[Judged]:
    """The statements, those marked of which two follow the same one, or stand at the same place."""
    by_prev: dict[str | None, list[Judged]] = {}
    by_place: dict[int, list[Judged]] = {}
    for item in ordered:
        by_prev.setdefault(item.entry.statement.prev[made.subject], []).append(item)
        by_place.setdefault(item.entry.place, []).append(item)
    marked = {id(item): item for item in ordered}
    for item in ordered:
        if _is_lost(item.entry, recoveries):
            made.lost.add(item.entry.statement_id)
            reason = "the node lost it when its log was restored; another copy of the log kept it"
            marked[id(item)] = item.judged(Verdict.CLAIMED, reason)
    for group in (group for group in by_prev.values() if len(group) > 1):
        for item in group:
            for other in (other for other in group if other is not item):
                first, last = sorted((item.entry, other.entry), key=lambda entry: entry.epoch)
                if first.epoch == last.epoch or first.statement_id not in made.lost:
                    both = f"{item.where} and {other.where}"
                    reason = f"{both} both follow the same statement: the log was rewritten or forked"
                    marked[id(item)] = item.judged(Verdict.CONTRADICTED, reason)
                    break
    for group in (group for group in by_place.values() if len(group) > 1):
        for item in group:
            other = next(other for other in group if other is not item)
            reason = f"{item.where} and {other.where} are at the same place of the log: it was rewritten or forked"
            marked[id(item)] = item.judged(Verdict.CONTRADICTED, reason)
    return list(marked.values())


def _is_lost(entry: Entry, recoveries: Mapping[int, Entry]) -> bool:
    """Whether an entry is one that a recovery could not read: it stands behind the end from which the log went on."""
    began = recoveries.get(entry.epoch + 1)
    if began is None:
        return False
    text = began.statement.predicate.get("previous")  # the last checkpoint that it could read; its second line: entries
    lines = text.split("\n", 2) if isinstance(text, str) else []
    size = int(lines[1]) if len(lines) > 1 and lines[1].isdecimal() and len(lines[1]) < 16 else 0
    return size <= entry.index


def steps_of(made: Strand) -> Iterator[CustodyStep]:
    """The steps of a strand, and a step *missing* wherever a statement names one before it that no file has."""
    known = made.known
    before: Judged | None = None
    for item in sorted([*made.good, *made.bad], key=lambda item: item.read.place):
        prev = item.entry.statement.prev.get(made.subject) if item.good else None
        sound = before is None or before.good  # else the one before is what is named, and is a step already
        if prev is not None and prev not in known and sound:
            yield _gap(made, before, item, prev)
        if item.good and prev is None and before is not None and before.good:
            reason = f"{item.where} says that nothing was said before it"
            yield item.judged(Verdict.CONTRADICTED, reason).step
        else:
            yield item.step
        before = item


def _gap(made: Strand, before: Judged | None, item: Judged, prev: str) -> CustodyStep:
    sentence = f"At least one statement is missing before entry {item.entry.index}."
    if before is not None:
        between = f"what was said between entry {before.read.item.index} and entry {item.entry.index} of the log"
        sentence = f"At least one statement is missing: {between}."
    reason = f"{item.where} follows the statement {prev[:12]}…, which is in none of the files"
    return CustodyStep(Verdict.MISSING, sentence, reason, item.read.file, made.node, statement_id=prev)


def end_of(made: Strand, head: Entry, file: str, name: str) -> Iterator[CustodyStep]:
    """What the signed head of a file says about the end of the chain, beside what the files show."""
    said = head.statement.predicate
    place, last, length = place_of(said["epoch"], said["size"]), said["last"], said["length"]
    step = partial(CustodyStep, file=file, node=made.node, kind="head")
    held = made.before(place)
    shown, forked = len(held), any(not item.good for item in held)
    spoilt = sum(1 for item in made.bad if item.read.file == file)
    if last not in made.known and not (spoilt and shown + spoilt >= length):
        yield step(
            Verdict.MISSING,
            f"The last statement, {last[:12]}…, is missing; the exporter claimed that there is one.",
            f"the signed head names {length} statements and this one as the last; the file shows {shown}",
        )
    elif shown > length and not forked:
        hidden = held[length]
        yield step(
            Verdict.CONTRADICTED,
            "The exporter left out statements and said that there were none.",
            f"the signed head names {length} statements, and the log had {shown} by then: {hidden.where} is one more",
        )
    elif shown + spoilt < length and not forked and not made.has_gap:
        yield step(
            Verdict.CONTRADICTED,
            "The exporter's head does not fit the chain.",
            f"the signed head names {length} statements, and an unbroken chain has {shown}",
        )
    when = f"{head.statement.time:%d %B %Y, %H:%M} UTC".lstrip("0")
    all_of_it = f"these {length} statements" if length > 1 else "this one statement"
    yield step(
        Verdict.CLAIMED,
        f"On {when}, the exporter, {name}, claimed that nothing had been said after {all_of_it}.",
        "only another copy of the log, or a later export, could show more",
    )
