"""What a dishonest or careless sender could do to a chain, with and without the node's keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from diadem.custody.chain import Chain
from diadem.custody.log import Ledger
from diadem.custody.log_entry import Entry
from diadem.model.statements import Draft, Statement
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey
from tests.custody.group import ORIGIN, Group, MemoryMirror


def edited(data: bytes, change: Callable[[Chain], Chain]) -> bytes:
    """A chain with something changed by someone without keys."""
    return change(Chain.from_bytes(data)).to_bytes()


def without_statement(data: bytes, at: int) -> bytes:
    """A chain with a statement taken out."""

    def drop(chain: Chain) -> Chain:
        kept = list(chain.statements)
        del kept[at]
        return replace(chain, statements=tuple(kept))

    return edited(data, drop)


def without_head(data: bytes) -> bytes:
    """A chain with its head taken off."""
    return edited(data, lambda chain: replace(chain, head=None))


def rewritten(group: Group, folder: Path, change: Callable[[Entry], Iterable[Draft | Entry]]) -> Group:
    """The log written anew by someone who has every key of the node: each entry as `change` says, with its old time.

    An entry that is given back is kept to the byte, as far as what it follows is still the same.
    """
    forged = Group(folder, clock=group.clock)
    forged.ledger = Ledger.create(folder, origin=ORIGIN, log_key=group.log, node=group.node, clock=group.clock)
    forged.ledger.mirrors.stores = [MemoryMirror("memory://forged")]
    for entry in group.ledger.entries():
        for wanted in change(entry):
            if isinstance(wanted, Entry):
                _put(forged, wanted)
            else:
                forged.ledger.append([wanted], [group.online])
    return forged


def _put(forged: Group, entry: Entry) -> None:
    """Append an entry as it was, or signed anew where what it follows has changed."""
    ledger = forged.ledger

    def entered(size: int) -> list[Entry]:
        prev = {sha: ledger._file.last_about(sha) for sha in entry.statement.prev}
        same = prev == dict(entry.statement.prev)
        return [Entry.from_line(1, size, entry.line) if same else _signed_anew(entry, prev, size, forged)]

    ledger._append(entered)


def _signed_anew(entry: Entry, prev: dict[str, str | None], index: int, forged: Group) -> Entry:
    said = entry.statement
    statement = Statement(said.kind, said.subjects, {**said.predicate, "prev": prev})
    return Entry.of(1, index, sign(statement.to_payload(), [forged.online]), statement)


def signed_by(data: bytes, key: PrivateKey) -> bytes:
    """A chain whose head says what the chain now holds, signed by the exporter's key."""

    def resign(chain: Chain) -> Chain:
        last = Entry.from_line(1, 0, chain.statements[-1].line.encode())
        assert chain.head is not None
        head = Entry.from_line(1, 0, chain.head.encode()).statement
        said = {**head.predicate, "last": last.statement_id, "length": len(chain.statements)}
        said["prev"] = {chain.subject.sha256: last.statement_id}
        statement = Statement("head", head.subjects, said)
        return replace(chain, head=sign(statement.to_payload(), [key]).to_line().decode())

    return edited(data, resign)
