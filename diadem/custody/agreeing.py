"""Whether two nodes say the same of a transfer: what each one's statements name of the other's, held against it. Pure.

An acceptance and a receipt name the offer, a closure names the receipt and a checkpoint of the log that has it. Where
the chains of both nodes are read together, what one names must be what the other said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from diadem.custody.log_entry import Entry
from diadem.custody.report import CustodyStep, Verdict
from diadem.errors import DocumentError
from diadem.serialization.validation import validate_statement

#: Kinds by whom of the two they are said.
_SENDER: Final = ("offer", "closure")
_RECEIVER: Final = ("acceptance", "receipt")
#: What a member that differs is called.
_WORDS: Final[Mapping[str, str]] = {
    "payload_id": "payload",
    "bytes": "number of bytes",
}
_PAST: Final[Mapping[str, str]] = {
    "offer": "offered",
    "acceptance": "accepted",
    "receipt": "received",
    "closure": "confirmed",
}


class Witness(Protocol):
    """A node whose log was read.

    Attributes
    ----------
    node, name : str
        Its id, and what it calls itself.
    subjects : collection of str
        Digests of what its chains are about: of these they have everything that its log said.
    said : sequence of Entry
        Its statements that hold.
    claimed : collection of str
        Ids of those among them that are not proved.
    """

    @property
    def node(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def subjects(self) -> Collection[str]: ...
    @property
    def said(self) -> Sequence[Entry]: ...
    @property
    def claimed(self) -> Collection[str]: ...

    def unseen(self, checkpoint: str, entry: Entry) -> tuple[Verdict, str] | None:
        """Why a checkpoint that somebody names does not show a statement of this log; None where it does."""
        ...


def agreements(witnesses: Sequence[Witness]) -> Iterator[tuple[CustodyStep, tuple[str, str]]]:
    """One step for each transfer between two nodes whose chains were both read, with the ids of the two."""
    told = {witness.node: list(_told(witness)) for witness in witnesses}
    known = {witness.node: witness for witness in witnesses}
    for transfer, sender, receiver in dict.fromkeys(sides for one in told.values() for sides in one):
        both = known.get(sender), known.get(receiver)
        if sender == receiver or both[0] is None or both[1] is None:
            continue
        case = _Case(transfer, both[0], both[1])
        if case.read_on_both_sides:
            yield case.step(), (sender, receiver)


def _told(witness: Witness) -> Iterator[tuple[str, str, str]]:
    """Transfer, sender and receiver of each statement that names the other side."""
    for entry in witness.said:
        said = _said(entry)
        if entry.statement.kind in _SENDER and "recipient" in said:
            yield said["transfer"], witness.node, said["recipient"]
        elif entry.statement.kind in _RECEIVER and "sender" in said:
            yield said["transfer"], said["sender"], witness.node


def _said(entry: Entry) -> Mapping[str, Any]:
    """What a statement of a transfer says; nothing, where it is not of the form that its schema demands."""
    if entry.statement.kind not in (*_SENDER, *_RECEIVER):
        return {}
    try:
        validate_statement(entry.statement)
    except DocumentError:
        return {}
    return entry.statement.predicate


class _Fault(Exception):
    """Why the two sides do not say the same."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict, self.reason = verdict, reason


class _Case:
    """One transfer and its two sides."""

    def __init__(self, transfer: str, sender: Witness, receiver: Witness) -> None:
        self._transfer, self._sender, self._receiver = transfer, sender, receiver
        self._entries = {kind: self._of(sender, kind) for kind in _SENDER}
        self._entries |= {kind: self._of(receiver, kind) for kind in _RECEIVER}

    def _of(self, witness: Witness, kind: str) -> list[Entry]:
        found = {
            entry.statement_id: entry
            for entry in witness.said
            if entry.statement.kind == kind and _said(entry).get("transfer") == self._transfer
        }
        return list(found.values())

    @property
    def read_on_both_sides(self) -> bool:
        """Whether the files have everything that both logs say of what was transferred."""
        about = {
            one.sha256 for entries in self._entries.values() for entry in entries for one in entry.statement.subjects
        }
        return all(any(one in about for one in side.subjects) for side in (self._sender, self._receiver))

    def step(self) -> CustodyStep:
        """What it is worth that both sides speak of it."""
        spoken = f"the transfer {self._transfer[:8]}…"
        names = f"{self._sender.name} and {self._receiver.name}"
        try:
            steps = self._compared()
        except _Fault as fault:
            sentence = f"{names} contradict each other about {spoken}."
            if fault.verdict is Verdict.MISSING:
                sentence = f"One side of {spoken} between {names} is missing."
            return CustodyStep(fault.verdict, sentence, fault.reason, kind="transfer")
        if steps[-1] == "receipt":
            sentence = f"That {spoken} is over is said by {self._receiver.name}, which received it."
            reason = f"{self._sender.name} has not confirmed that it saw the receipt"
            return CustodyStep(Verdict.CLAIMED, sentence, reason, kind="transfer")
        claimed = {*self._sender.claimed, *self._receiver.claimed}
        doubted = any(entry.statement_id in claimed for entries in self._entries.values() for entry in entries)
        done = [_PAST[kind] for kind in steps]
        listed = f"{', '.join(done[:-1])} and {done[-1]}" if len(done) > 1 else done[0]
        sentence = f"Both sides, {names}, say the same about {spoken}: {listed}."
        if doubted:
            return CustodyStep(Verdict.CLAIMED, sentence, "one of their statements is only claimed", kind="transfer")
        return CustodyStep(Verdict.PROVED, sentence, kind="transfer")

    # -- one against the other -------------------------------------------------------------------------------------

    def _compared(self) -> list[str]:
        """The kinds that were said and fit; `_Fault` where something does not."""
        found = {kind: self._sole(kind) for kind in _PAST}
        offer, acceptance, receipt, closure = found.values()
        if offer is None:
            raise _Fault(Verdict.MISSING, f"the chain of {self._sender.name} has no offer that {self._named()} names")
        self._same(offer, "recipient", self._receiver.node)
        if acceptance is not None:
            self._answers(acceptance, offer)
            self._same_person(acceptance, offer)
        if receipt is not None:
            self._answers(receipt, offer)
            for member in ("payload_id", "bytes"):
                self._same(receipt, member, offer.statement.predicate[member])
            if acceptance is None:
                raise _Fault(Verdict.MISSING, f"the chain of {self._receiver.name} has a receipt and no acceptance")
            self._same(receipt, "acceptance", acceptance.statement_id)
        if closure is not None:
            self._closes(closure, receipt)
        return [kind for kind, entry in found.items() if entry is not None]

    def _sole(self, kind: str) -> Entry | None:
        entries = self._entries[kind]
        if len(entries) > 1:
            raise _Fault(Verdict.CONTRADICTED, f"{self._by(kind)} says more than one {kind} of it")
        return entries[0] if entries else None

    def _by(self, kind: str) -> str:
        return self._sender.name if kind in _SENDER else self._receiver.name

    def _named(self) -> str:
        return next(
            (f"the {kind} of {self._by(kind)}" for kind in ("receipt", "acceptance") if self._entries[kind]), ""
        )

    def _same(self, entry: Entry, member: str, right: Any) -> None:
        kind = entry.statement.kind
        if entry.statement.predicate.get(member, right) != right:
            what = _WORDS.get(member, member)
            raise _Fault(
                Verdict.CONTRADICTED, f"the {kind} of {self._by(kind)} names another {what} than the other side"
            )

    def _answers(self, entry: Entry, offer: Entry) -> None:
        self._same(entry, "offer", offer.statement_id)
        self._same(entry, "package", offer.statement.predicate["package"])
        self._same(entry, "sender", self._sender.node)

    def _same_person(self, acceptance: Entry, offer: Entry) -> None:
        """Each side has its own name for the node; the user's is the same."""
        to, by = (str(entry.statement.predicate[name]) for entry, name in ((offer, "to"), (acceptance, "by")))
        if to.rpartition("@")[0] != by.rpartition("@")[0]:
            raise _Fault(Verdict.CONTRADICTED, f"it was offered to {to} and accepted by {by}")

    def _closes(self, closure: Entry, receipt: Entry | None) -> None:
        if receipt is None:
            reason = f"{self._sender.name} confirms a receipt that the chain of {self._receiver.name} does not have"
            raise _Fault(Verdict.MISSING, f"{reason}: it may have been exported before; ask for it again")
        self._same(closure, "receipt", receipt.statement_id)
        self._same(closure, "recipient", self._receiver.node)
        unseen = self._receiver.unseen(str(closure.statement.predicate["checkpoint"]), receipt)
        if unseen is not None:
            raise _Fault(unseen[0], f"{unseen[1]}, as {self._sender.name} names it")
