"""Whether those who took part in a transfer say the same of it. Pure.

Two nodes: an acceptance and a receipt name the offer, a closure names the receipt and a checkpoint of the log that has
it. Where the chains of both nodes are read together, what one names must be what the other said.

A hub: an acceptance names the relay; the hub's `relay` statements name it too, and no transfer. What the hub says that
it delivered must be what the recipient's receipt says it took there; all that it says it carried must be no less than
what the sender's closure says the hub had confirmed, and no more than the permit allowed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from diadem.custody.log_entry import Entry
from diadem.custody.node_evidence import NodeEvidence
from diadem.custody.report import CustodyStep, Verdict
from diadem.errors import DocumentError
from diadem.model.plain_text import count_text, size_text
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
_COUNTS: Final = ("objects", "bytes", "sha256")
#: What a hub says by saying nothing; the digest of no line.
_NOTHING: Final[Mapping[str, Any]] = {"objects": 0, "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}


class _Fault(Exception):
    """Why they do not say the same."""

    def __init__(self, reason: str, verdict: Verdict = Verdict.CONTRADICTED) -> None:
        super().__init__(reason)
        self.reason, self.verdict = reason, verdict


def _statements(node: NodeEvidence, *kinds: str) -> list[Entry]:
    """Statements of some kinds that hold and are as their schema demands, each once, in the order of the log."""
    found: dict[str, Entry] = {}
    for entry in node.said:
        if entry.statement.kind in kinds:
            try:
                validate_statement(entry.statement)
            except DocumentError:
                continue
            found.setdefault(entry.statement_id, entry)
    return list(found.values())


# -- two nodes ---------------------------------------------------------------------------------------------------------


def transfer_steps(nodes: Sequence[NodeEvidence]) -> Iterator[tuple[CustodyStep, tuple[str, ...]]]:
    """One step for each transfer between two nodes whose chains were both read, with the ids of the two."""
    known = {node.node: node for node in nodes}
    for transfer, sender, receiver in dict.fromkeys(sides for node in nodes for sides in _sides(node)):
        if sender != receiver and sender in known and receiver in known:
            case = _TwoNodes(transfer, known[sender], known[receiver])
            if case.read_on_both_sides:
                yield case.step(), (sender, receiver)


def _sides(node: NodeEvidence) -> Iterator[tuple[str, str, str]]:
    """Transfer, sender and receiver of each statement that names the other side."""
    for entry in _statements(node, *_SENDER, *_RECEIVER):
        said = entry.statement.predicate
        if entry.statement.kind in _SENDER and "recipient" in said:
            yield said["transfer"], node.node, said["recipient"]
        elif entry.statement.kind in _RECEIVER and "sender" in said:
            yield said["transfer"], said["sender"], node.node


class _TwoNodes:
    """One transfer and its two sides."""

    def __init__(self, transfer: str, sender: NodeEvidence, receiver: NodeEvidence) -> None:
        self._transfer, self._sender, self._receiver = transfer, sender, receiver
        self._entries = {kind: self._of(sender, kind) for kind in _SENDER}
        self._entries |= {kind: self._of(receiver, kind) for kind in _RECEIVER}

    def _of(self, node: NodeEvidence, kind: str) -> list[Entry]:
        found = _statements(node, kind)
        return [entry for entry in found if entry.statement.predicate.get("transfer") == self._transfer]

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

    def _compared(self) -> list[str]:
        """The kinds that were said and fit; `_Fault` where something does not."""
        found = {kind: self._sole(kind) for kind in _PAST}
        offer, acceptance, receipt, closure = found.values()
        if offer is None:
            raise _Fault(f"the chain of {self._sender.name} has no offer that {self._named()} names", Verdict.MISSING)
        self._same(offer, "recipient", self._receiver.node)
        if acceptance is not None:
            self._answers(acceptance, offer)
            self._same_person(acceptance, offer)
        if receipt is not None:
            self._answers(receipt, offer)
            for member in ("payload_id", "bytes"):
                self._same(receipt, member, offer.statement.predicate[member])
            if acceptance is None:
                raise _Fault(f"the chain of {self._receiver.name} has a receipt and no acceptance", Verdict.MISSING)
            self._same(receipt, "acceptance", acceptance.statement_id)
        if closure is not None:
            self._closes(closure, receipt)
        return [kind for kind, entry in found.items() if entry is not None]

    def _sole(self, kind: str) -> Entry | None:
        entries = self._entries[kind]
        if len(entries) > 1:
            raise _Fault(f"{self._by(kind)} says more than one {kind} of it")
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
            raise _Fault(f"the {kind} of {self._by(kind)} names another {what} than the other side")

    def _answers(self, entry: Entry, offer: Entry) -> None:
        self._same(entry, "offer", offer.statement_id)
        self._same(entry, "package", offer.statement.predicate["package"])
        self._same(entry, "sender", self._sender.node)

    def _same_person(self, acceptance: Entry, offer: Entry) -> None:
        """Each side has its own name for the node; the user's is the same."""
        to, by = (str(entry.statement.predicate[name]) for entry, name in ((offer, "to"), (acceptance, "by")))
        if to.rpartition("@")[0] != by.rpartition("@")[0]:
            raise _Fault(f"it was offered to {to} and accepted by {by}")

    def _closes(self, closure: Entry, receipt: Entry | None) -> None:
        if receipt is None:
            reason = f"{self._sender.name} confirms a receipt that the chain of {self._receiver.name} does not have"
            raise _Fault(f"{reason}: it may have been exported before; ask for it again", Verdict.MISSING)
        self._same(closure, "receipt", receipt.statement_id)
        self._same(closure, "recipient", self._receiver.node)
        unseen = self._receiver.unseen(str(closure.statement.predicate["checkpoint"]), receipt)
        if unseen is not None:
            raise _Fault(f"{unseen[1]}, as {self._sender.name} names it", unseen[0])


# -- a hub between them ------------------------------------------------------------------------------------------------


def relay_steps(nodes: Sequence[NodeEvidence]) -> Iterator[tuple[CustodyStep, tuple[str, ...]]]:
    """One step for each relay that an acceptance names and a hub speaks of, with the ids of those who are compared."""
    for receiver in nodes:
        for acceptance in _statements(receiver, "acceptance"):
            relay = acceptance.statement.predicate.get("relay")
            for hub in nodes:
                said = [entry for entry in _statements(hub, "relay") if entry.statement.predicate["relay"] == relay]
                if said:
                    case = _Relay(acceptance, receiver, hub, said, nodes)
                    yield case.step(), (hub.node, receiver.node, case.sender)


class _Relay:
    """One relay: what the hub says, and what the two nodes say of it."""

    def __init__(
        self,
        acceptance: Entry,
        receiver: NodeEvidence,
        hub: NodeEvidence,
        said: Sequence[Entry],
        nodes: Sequence[NodeEvidence],
    ) -> None:
        predicate = acceptance.statement.predicate
        self._transfer, self._relay = str(predicate["transfer"]), str(predicate["relay"])
        self.sender = str(predicate.get("sender", ""))
        self._receiver, self._hub, self._said = receiver, hub, said
        sending = next((one for one in nodes if one.node == self.sender), None)
        self._permit = next((one for one in _statements(receiver, "permit") if self._names(one)), None)
        self._took = self._counted(receiver, "receipt")
        self._put = self._counted(sending, "closure") if sending is not None else None

    def _names(self, entry: Entry) -> bool:
        said = entry.statement.predicate
        return (said["relay"], said["hub"]) == (self._relay, self._hub.node)

    def _counted(self, node: NodeEvidence, kind: str) -> Mapping[str, Any] | None:
        """What a side says it put or took at this hub."""
        for entry in _statements(node, kind):
            said = entry.statement.predicate
            for one in said.get("relayed", ()) if said["transfer"] == self._transfer else ():
                if (one["hub"], one["relay"]) == (self._hub.node, self._relay):
                    return dict(one)
        return None

    def step(self) -> CustodyStep:
        """What it is worth that the hub speaks of it."""
        spoken = f"what it carried for the transfer {self._transfer[:8]}…"
        try:
            self._compare()
        except _Fault as fault:
            sentence = f"The hub {self._hub.name} contradicts the others about {spoken}."
            return CustodyStep(Verdict.CONTRADICTED, sentence, fault.reason, node=self._hub.node, kind="relay")
        objects, size = self._sum("objects"), self._sum("bytes")
        told = f"{spoken}: {count_text(objects, 'sealed window')}, {size_text(size)}"
        sides = [name for name, said in (("taken", self._took), ("put", self._put)) if said is not None]
        if not sides or not {entry.statement_id for entry in self._said}.isdisjoint(self._hub.claimed):
            sentence = f"Only the hub {self._hub.name} says {told}."
            reason = (
                "neither receipt nor closure say what was put or taken there" if not sides else "it is only claimed"
            )
            return CustodyStep(Verdict.CLAIMED, sentence, reason, node=self._hub.node, kind="relay")
        sentence = (
            f"The hub {self._hub.name} and the nodes that have {' and '.join(sides)} it say the same about {told}."
        )
        return CustodyStep(Verdict.PROVED, sentence, node=self._hub.node, kind="relay")

    def _sum(self, name: str) -> int:
        return sum(int(entry.statement.predicate[name]) for entry in self._said)

    def _compare(self) -> None:
        events = [str(entry.statement.predicate["event"]) for entry in self._said]
        if len(set(events)) != len(events):
            raise _Fault(f"{self._hub.name} states what became of them more than once")
        for entry in self._said:
            said = entry.statement.predicate
            if (said["sender"], said["recipient"]) != (self.sender, self._receiver.node):
                raise _Fault(f"{self._hub.name} names other nodes than the offer and the acceptance")
            if self._permit is not None and said["permit"] != self._permit.statement_id:
                raise _Fault(f"{self._hub.name} names another permit than {self._receiver.name} gave")
        if self._permit is not None and self._sum("bytes") > self._permit.statement.predicate["ceiling"]:
            raise _Fault(f"{self._hub.name} says that it carried more than {self._receiver.name} permitted")
        if self._took is not None:
            self._compare_taken(self._took)
        if self._put is not None:
            self._compare_put(self._put)

    def _compare_taken(self, took: Mapping[str, Any]) -> None:
        """What was delivered is what was taken, to the byte."""
        events = {str(entry.statement.predicate["event"]): entry.statement.predicate for entry in self._said}
        delivered = events.get("delivered", _NOTHING)
        differing = [name for name in _COUNTS if name in took and took[name] != delivered[name]]
        if differing:
            theirs = f"{delivered['objects']} sealed windows, {delivered['bytes']} bytes"
            raise _Fault(
                f"{self._hub.name} says that it delivered {theirs}; {self._receiver.name} took {took['objects']} of"
                f" {took['bytes']} bytes, and {' and '.join(differing)} differ"
            )

    def _compare_put(self, put: Mapping[str, Any]) -> None:
        """The hub forgets nothing that it has confirmed. It may have stored what its answer did not tell any more."""
        if self._sum("objects") < put["objects"] or self._sum("bytes") < put["bytes"]:
            raise _Fault(
                f"{self._hub.name} speaks of {self._sum('objects')} sealed windows, {self._sum('bytes')} bytes, and had"
                f" confirmed {put['objects']} of {put['bytes']} bytes to the sender"
            )
