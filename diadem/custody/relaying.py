"""Whether a hub says what the two nodes say whose sealed windows it carried. Pure.

An acceptance names the relay; the hub's `relay` statements name it too, and no transfer. What the hub says that it
delivered must be what the recipient's receipt says it took there; all that it says it carried must be no less than what
the sender's closure says the hub had confirmed, and no more than the permit allowed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from diadem.custody.agreeing import Witness
from diadem.custody.log_entry import Entry
from diadem.custody.report import CustodyStep, Verdict
from diadem.errors import DocumentError
from diadem.model.plain_text import count_text, size_text
from diadem.serialization.validation import validate_statement

_COUNTS: Final = ("objects", "bytes", "sha256")
#: What a hub says by saying nothing; the digest of no line.
_NOTHING: Final[Mapping[str, Any]] = {"objects": 0, "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}


class _Fault(Exception):
    """What the hub says otherwise."""


def relayed(witnesses: Sequence[Witness]) -> Iterator[tuple[CustodyStep, tuple[str, ...]]]:
    """One step for each relay that an acceptance names and a hub speaks of, with the ids of those who are compared."""
    for receiver in witnesses:
        for acceptance in _of(receiver, "acceptance"):
            relay = acceptance.statement.predicate.get("relay")
            for hub in witnesses:
                said = [entry for entry in _of(hub, "relay") if entry.statement.predicate["relay"] == relay]
                if said:
                    case = _Case(acceptance, receiver, hub, said, witnesses)
                    yield case.step(), (hub.node, receiver.node, case.sender)


def _of(witness: Witness, kind: str) -> list[Entry]:
    """Statements of a kind that are as their schema demands, each once."""
    found = {}
    for entry in witness.said:
        if entry.statement.kind == kind:
            try:
                validate_statement(entry.statement)
            except DocumentError:
                continue
            found[entry.statement_id] = entry
    return list(found.values())


class _Case:
    """One relay: what the hub says, and what the two nodes say of it."""

    def __init__(
        self, acceptance: Entry, receiver: Witness, hub: Witness, said: Sequence[Entry], witnesses: Sequence[Witness]
    ) -> None:
        predicate = acceptance.statement.predicate
        self._transfer, self._relay = str(predicate["transfer"]), str(predicate["relay"])
        self.sender = str(predicate.get("sender", ""))
        self._receiver, self._hub, self._said = receiver, hub, said
        sending = next((one for one in witnesses if one.node == self.sender), None)
        self._permit = next((one for one in _of(receiver, "permit") if self._names(one)), None)
        self._took = self._counted(receiver, "receipt")
        self._put = self._counted(sending, "closure") if sending is not None else None

    def _names(self, entry: Entry) -> bool:
        said = entry.statement.predicate
        return (said["relay"], said["hub"]) == (self._relay, self._hub.node)

    def _counted(self, witness: Witness, kind: str) -> Mapping[str, Any] | None:
        """What a side says it put or took at this hub."""
        for entry in _of(witness, kind):
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
            return CustodyStep(Verdict.CONTRADICTED, sentence, str(fault), node=self._hub.node, kind="relay")
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

    # -- one against the others --------------------------------------------------------------------------------------

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
