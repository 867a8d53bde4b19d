"""``chain.json``: what the log of a node says about one subject, with everything that is needed to check it elsewhere.

::

    {"format":"diadem-chain/1",
     "node", "origin", "subject"        whose log, under which name, and about what
     "keys":[…]                         the key statements that lead from the node's id to every signature here
     "checkpoints":[…]                  one an epoch, and proofs that the log still begins as at earlier exports
     "statements":[…]                   in the order of the log, each with its proof of inclusion
     "head":"…"}                        a signed statement: which is the last one, and how many there are

Every statement has a line of its own. There is one way to write a chain: any other form of the same JSON is a change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self

from diadem.custody.log_entry import MAX_ENTRIES, MAX_EPOCHS
from diadem.errors import DocumentError, UsageError
from diadem.model.canonical import encode
from diadem.model.statements import Subject

FORMAT: Final = "diadem-chain/1"
#: Bytes of a chain that are read: 30,000 statements of usual length.
MAX_BYTES: Final = 128 << 20
#: Statements, and keys, of one chain that are read.
MAX_ITEMS: Final = 100_000
#: Checkpoints and earlier sizes that are read: an export writes one an epoch, and 64 sizes.
MAX_CHECKPOINTS: Final = 1000
#: Hashes of a proof: a tree has at most as many levels as an index has bits; consistency takes twice as many.
MAX_PROOF: Final = 128
_ADVICE: Final = "Ask its sender for the file again."
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_MEMBERS: Final = ("format", "node", "origin", "subject", "keys", "checkpoints", "statements", "head")
_LISTS: Final = frozenset({"keys", "checkpoints", "statements"})


@dataclass(frozen=True, slots=True)
class Item:
    """A statement of the log with the proof that it is in it.

    Attributes
    ----------
    epoch, index : int
        Its place.
    line : str
        The envelope. It is not looked into here.
    inclusion : tuple of bytes
        Proof up to the checkpoint of its epoch.
    """

    epoch: int
    index: int
    line: str
    inclusion: tuple[bytes, ...]

    def to_dict(self) -> dict[str, Any]:
        """The item of the file."""
        return {"epoch": self.epoch, "index": self.index, "inclusion": _texts(self.inclusion), "line": self.line}


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier size of a tree, its root, and the proof that the later tree begins with it."""

    size: int
    root: bytes
    proof: tuple[bytes, ...]

    def to_dict(self) -> dict[str, Any]:
        """The item of the file."""
        return {"proof": _texts(self.proof), "root": self.root.hex(), "size": self.size}


@dataclass(frozen=True, slots=True)
class ChainCheckpoint:
    """The signed checkpoint of an epoch, up to which its statements are proven."""

    epoch: int
    text: str
    earlier: tuple[Earlier, ...]

    def to_dict(self) -> dict[str, Any]:
        """The item of the file."""
        return {"earlier": [item.to_dict() for item in self.earlier], "epoch": self.epoch, "text": self.text}


@dataclass(frozen=True, slots=True)
class Chain:
    """What a ``chain.json`` holds. Nothing of it is proven by being read.

    Attributes
    ----------
    node, origin : str
        Node id, and origin of its checkpoints without the epoch.
    subject : Subject
        What the statements are about.
    keys, statements : tuple of Item
        In the order of the log.
    checkpoints : tuple of ChainCheckpoint
        One an epoch.
    head : str or None
        The envelope of the head; None where nobody signed one.
    """

    node: str
    origin: str
    subject: Subject
    keys: tuple[Item, ...]
    checkpoints: tuple[ChainCheckpoint, ...]
    statements: tuple[Item, ...]
    head: str | None

    def to_bytes(self) -> bytes:
        """The file."""
        members: dict[str, Any] = {
            "format": FORMAT,
            "node": self.node,
            "origin": self.origin,
            "subject": {"name": self.subject.name, "sha256": self.subject.sha256},
            "keys": self.keys,
            "checkpoints": self.checkpoints,
            "statements": self.statements,
            "head": self.head,
        }
        return b"{" + b",\n".join(_member(name, members[name]) for name in _MEMBERS) + b"}\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The chain of exactly what `to_bytes` writes.

        Raises
        ------
        DocumentError
            Anything else: too large, not JSON, other members, another form. Says where.
        """
        if len(data) > MAX_BYTES:
            _refuse(f"{len(data):,} bytes are more than the {MAX_BYTES:,} that are read", "file")
        document = _parsed(data)
        if not isinstance(document, dict) or document.keys() != set(_MEMBERS):
            _refuse(f"an object with {', '.join(_MEMBERS)} is expected", "file")
        if document["format"] != FORMAT:
            _refuse(f"its format is not {FORMAT}", "format")
        head = document["head"]
        chain = cls(
            _digest(document["node"], "node"),
            _text(document["origin"], "origin"),
            _subject(document["subject"]),
            tuple(_item(value, f"keys[{at}]") for at, value in _listed(document, "keys", MAX_ITEMS)),
            tuple(_checkpoint(value, at) for at, value in _listed(document, "checkpoints", MAX_CHECKPOINTS)),
            tuple(_item(value, f"statements[{at}]") for at, value in _listed(document, "statements", MAX_ITEMS)),
            None if head is None else _text(head, "head"),
        )
        again = chain.to_bytes()
        if again != data:
            at = next((at for at, (one, two) in enumerate(zip(again, data, strict=False)) if one != two), len(again))
            _refuse(f"byte {at} is not what DIADEM writes there", _where(data, at))
        return chain


def _member(name: str, value: Any) -> bytes:
    """One member of the file; the items of the long lists each on a line of their own."""
    label = encode(name, where=name) + b":"
    if name not in _LISTS or not value:
        return label + encode(list(value) if name in _LISTS else value, where=name)
    return label + b"[\n" + b",\n".join(encode(item.to_dict(), where=name) for item in value) + b"\n]"


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        _refuse("nested too deep", "file")
    except json.JSONDecodeError as error:
        _refuse(f"not JSON: {error.msg}", _where(data, len(error.doc[: error.pos].encode("utf-8", "replace"))))
    except UnicodeDecodeError as error:
        _refuse(f"byte {error.start} is not UTF-8", _where(data, error.start))
    except ValueError as error:  # an integer of thousands of digits
        _refuse(f"not JSON: {error}", "file")


def _where(data: bytes, offset: int) -> str:
    """In which member, or in which item of a list, a byte lies."""
    before = data[:offset]
    opened = [(before.rfind(f'"{name}":'.encode()), name) for name in _MEMBERS]
    start, name = max(opened)
    if start < 0:
        return "file"
    if name not in _LISTS:
        return name
    number = before.count(b"\n", start) - 1
    return f"{name}[{number}]" if number >= 0 else name


def _listed(document: Mapping[str, Any], name: str, limit: int) -> list[tuple[int, Any]]:
    value = document[name]
    if not isinstance(value, list) or len(value) > limit:
        _refuse(f"a list of at most {limit:,} items is expected", name)
    return list(enumerate(value))


def _item(value: Any, where: str) -> Item:
    found = _object(value, {"epoch", "index", "inclusion", "line"}, where)
    epoch, index = _count(found["epoch"], MAX_EPOCHS, where), _count(found["index"], MAX_ENTRIES, where)
    return Item(epoch, index, _text(found["line"], where), _hashes(found["inclusion"], where))


def _checkpoint(value: Any, at: int) -> ChainCheckpoint:
    where = f"checkpoints[{at}]"
    found = _object(value, {"earlier", "epoch", "text"}, where)
    earlier = found["earlier"]
    if not isinstance(earlier, list) or len(earlier) > MAX_CHECKPOINTS:
        _refuse(f"a list of at most {MAX_CHECKPOINTS} earlier sizes is expected", where)
    epoch = _count(found["epoch"], MAX_EPOCHS, where)
    return ChainCheckpoint(epoch, _text(found["text"], where), tuple(_earlier(item, where) for item in earlier))


def _earlier(value: Any, where: str) -> Earlier:
    found = _object(value, {"proof", "root", "size"}, where)
    root = bytes.fromhex(_digest(found["root"], where))
    return Earlier(_count(found["size"], MAX_ENTRIES, where), root, _hashes(found["proof"], where))


def _subject(value: Any) -> Subject:
    found = _object(value, {"name", "sha256"}, "subject")
    try:
        return Subject(_text(found["name"], "subject"), _digest(found["sha256"], "subject"))
    except UsageError as error:
        _refuse(error.message, "subject")


def _object(value: Any, members: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != members:
        _refuse(f"an object with {', '.join(sorted(members))} is expected", where)
    return value


def _count(value: Any, limit: int, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
        _refuse("an epoch, index or size is not a count", where)
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        _refuse("a text is expected", where)
    return value


def _digest(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        _refuse("64 lower-case hex digits are expected", where)
    return value


def _hashes(value: Any, where: str) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > MAX_PROOF:
        _refuse(f"a proof of at most {MAX_PROOF} hashes is expected", where)
    return tuple(bytes.fromhex(_digest(item, where)) for item in value)


def _texts(hashes: Sequence[bytes]) -> list[str]:
    return [item.hex() for item in hashes]


def _refuse(message: str, where: str) -> NoReturn:
    raise DocumentError(message, where=where, next=_ADVICE)
