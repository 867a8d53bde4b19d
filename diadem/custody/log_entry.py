"""An entry of the log: one signed statement at its place, and the bytes that were signed and hashed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Self

from diadem.errors import DocumentError
from diadem.model.display import Display
from diadem.model.statements import Statement
from diadem.trust.envelope import Envelope
from diadem.trust.tree import leaf_hash

#: Bits of a place that hold the index; the epoch stands above them, so that places sort as the log was written.
_INDEX_BITS: Final = 40
#: Entries that one epoch can have, and epochs that a log can have, in a signed integer of a database.
MAX_ENTRIES: Final = 1 << _INDEX_BITS
MAX_EPOCHS: Final = 1 << 20


def place_of(epoch: int, index: int) -> int:
    """Epoch and index as one number that grows with the log."""
    return (epoch << _INDEX_BITS) | index


def position_of(place: int) -> tuple[int, int]:
    """Epoch and index of such a number."""
    return place >> _INDEX_BITS, place & (MAX_ENTRIES - 1)


def log_origin(origin: str, epoch: int) -> str:
    """Origin of the checkpoints of one epoch: each epoch is a tree of its own, and needs a name of its own."""
    return f"{origin}/{epoch}"


@dataclass(frozen=True, slots=True)
class Entry(Display):
    """One statement of the log at its place, the envelope as one line, of which the tree is made, and what it says.

    `signers` are the keys that the envelope names: that their signatures hold is checked where a chain is.
    """

    epoch: int
    index: int
    line: bytes
    statement: Statement
    statement_id: str
    signers: tuple[str, ...]
    envelope: Envelope = field(repr=False, compare=False)

    @classmethod
    def of(cls, epoch: int, index: int, envelope: Envelope, statement: Statement, line: bytes | None = None) -> Self:
        """The entry of an envelope whose statement is already at hand."""
        signers = tuple(name for name, _ in envelope.signatures)
        return cls(epoch, index, line or envelope.to_line(), statement, envelope.statement_id, signers, envelope)

    @classmethod
    def from_line(cls, epoch: int, index: int, line: bytes) -> Self:
        """The entry of a line from anywhere, else `DocumentError`."""
        envelope = Envelope.from_line(line)
        return cls.of(epoch, index, envelope, Statement.from_payload(envelope.payload), line)

    @classmethod
    def from_item(cls, item: Any) -> Self:
        """The entry of what `to_item` writes, from anywhere, else `DocumentError`."""
        if not isinstance(item, dict) or item.keys() != {"epoch", "index", "line"} or not isinstance(item["line"], str):
            raise DocumentError("a statement in it has epoch, index and line")
        epoch, index = item["epoch"], item["index"]
        if type(epoch) is not int or type(index) is not int:
            raise DocumentError("epoch and index of a statement in it are numbers")
        if not (0 < epoch < MAX_EPOCHS and 0 <= index < MAX_ENTRIES):
            raise DocumentError("a statement in it has no place in a log")
        return cls.from_line(epoch, index, item["line"].encode("utf-8", "replace"))

    def to_item(self) -> dict[str, Any]:
        """As it stands in a document that goes to others: its place and its line."""
        return {"epoch": self.epoch, "index": self.index, "line": self.line.decode("ascii")}

    @property
    def place(self) -> int:
        """Epoch and index as one number that grows with the log."""
        return place_of(self.epoch, self.index)

    @property
    def leaf(self) -> bytes:
        """Hash of the entry in the log's tree."""
        return leaf_hash(self.line)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: place, id, signers, and the statement as it was signed."""
        return {
            "epoch": self.epoch,
            "index": self.index,
            "id": self.statement_id,
            "kind": self.statement.kind,
            "signers": list(self.signers),
            "statement": self.statement.to_dict(),
        }
