"""``chain.json``: what the log of a node says about one subject, with everything that is needed to check it elsewhere.

::

    {"format":"diadem-chain/1",
     "node", "origin", "subject"        whose log, under which name, and about what
     "keys":[…]                         the key statements that lead from the node's id to every signature here
     "checkpoints":[…]                  one an epoch, and proofs that the log still begins as at earlier exports
     "statements":[…]                   in the order of the log, each with its proof of inclusion
     "head":"…"}                        a signed statement: which is the last one, and how many there are

Every statement has a line of its own. There is one way to write a chain: any other form of the same JSON is a change.

Read from the top: the form of the file, what of it can be read (`load`), and its making from a log (`export_chain`).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from diadem.custody import statements
from diadem.custody.log_entry import MAX_ENTRIES, MAX_EPOCHS, Entry, place_of, position_of
from diadem.custody.statements import USER
from diadem.errors import DocumentError, NotFound, Refused, Unreachable, UsageError
from diadem.model.canonical import encode
from diadem.model.statements import Subject
from diadem.trust.envelope import sign

if TYPE_CHECKING:
    from diadem.custody.log import Ledger
    from diadem.trust.keys import PrivateKey

FORMAT: Final = "diadem-chain/1"
#: Bytes of a chain that are read: 30,000 statements of usual length.
MAX_BYTES: Final = 128 << 20
#: Statements, and keys, of one chain that are read.
MAX_ITEMS: Final = 100_000
#: Checkpoints and earlier sizes that are read: an export writes one an epoch, and 64 sizes.
MAX_CHECKPOINTS: Final = 1000
#: Hashes of a proof: a tree has at most as many levels as an index has bits; consistency takes twice as many.
MAX_PROOF: Final = 128
#: A chain is long texts in few brackets. JSON of nothing but brackets would take thirty times its bytes of memory.
_FEW, _SPARSE = 10_000, 12
_ADVICE: Final = "Ask its sender for the file again."
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_MEMBERS: Final = ("format", "node", "origin", "subject", "keys", "checkpoints", "statements", "head")
_LISTS: Final = frozenset({"keys", "checkpoints", "statements"})


@dataclass(frozen=True, slots=True)
class Item:
    """A statement at its place in the log: the envelope, and the proof up to the checkpoint of its epoch."""

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
    """What a ``chain.json`` holds, member by member. Nothing of it is proven by being read."""

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

        Raises `DocumentError` for anything else: too large, not JSON, other members, another form. Says where.
        """
        if len(data) > MAX_BYTES:
            _refuse(f"{len(data):,} bytes are more than the {MAX_BYTES:,} that are read", "file")
        if sum(map(data.count, (b"[", b"{", b","))) > _FEW + len(data) // _SPARSE:
            _refuse("it has more parts than a chain of this size", "file")
        document = _parsed(data)
        if not isinstance(document, dict) or document.keys() != set(_MEMBERS):
            _refuse(f"an object with {', '.join(_MEMBERS)} is expected", "file")
        if document["format"] != FORMAT:
            _refuse(f"its format is not {FORMAT}", "format")
        head = document["head"]
        chain = cls(
            _digest(document["node"], "node"),
            _text(document["origin"], "origin"),
            _read_subject(document["subject"]),
            tuple(_read_item(value, f"keys[{at}]") for at, value in _listed(document, "keys", MAX_ITEMS)),
            tuple(_read_checkpoint(value, at) for at, value in _listed(document, "checkpoints", MAX_CHECKPOINTS)),
            tuple(_read_item(value, f"statements[{at}]") for at, value in _listed(document, "statements", MAX_ITEMS)),
            None if head is None else _text(head, "head"),
        )
        again = chain.to_bytes()
        if again != data:
            at = next((at for at, (one, two) in enumerate(zip(again, data, strict=False)) if one != two), len(again))
            _refuse(f"byte {at} is not what DIADEM writes there", _where(data, at))
        return chain


def begins_chain(data: bytes) -> bool:
    """Whether a file claims to be a chain: others may have the same name."""
    return data.startswith(f'{{"format":"{FORMAT}"'.encode())


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


def _read_item(value: Any, where: str) -> Item:
    found = _object(value, {"epoch", "index", "inclusion", "line"}, where)
    epoch, index = _count(found["epoch"], MAX_EPOCHS, where), _count(found["index"], MAX_ENTRIES, where)
    return Item(epoch, index, _text(found["line"], where), _hashes(found["inclusion"], where))


def _read_checkpoint(value: Any, at: int) -> ChainCheckpoint:
    where = f"checkpoints[{at}]"
    found = _object(value, {"earlier", "epoch", "text"}, where)
    earlier = found["earlier"]
    if not isinstance(earlier, list) or len(earlier) > MAX_CHECKPOINTS:
        _refuse(f"a list of at most {MAX_CHECKPOINTS} earlier sizes is expected", where)
    epoch = _count(found["epoch"], MAX_EPOCHS, where)
    return ChainCheckpoint(epoch, _text(found["text"], where), tuple(_read_earlier(item, where) for item in earlier))


def _read_earlier(value: Any, where: str) -> Earlier:
    found = _object(value, {"proof", "root", "size"}, where)
    root = bytes.fromhex(_digest(found["root"], where))
    return Earlier(_count(found["size"], MAX_ENTRIES, where), root, _hashes(found["proof"], where))


def _read_subject(value: Any) -> Subject:
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


# -- the statements of a file ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadItem:
    """One statement of a file as it was found: what it says, or why it cannot be read.

    `label` says which one it is, for people: ``statement 5 of 12``.
    """

    file: str
    label: str
    item: Item
    entry: Entry | None
    problem: str | None

    @property
    def place(self) -> int:
        """Where it says that it stands in the log."""
        return place_of(self.item.epoch, self.item.index)

    @property
    def where(self) -> str:
        """Which one, and where in the log, for people."""
        return f"{self.label} (entry {self.item.index} of epoch {self.item.epoch})"


@dataclass(frozen=True, slots=True)
class LoadedChain:
    """A chain with its statements read."""

    file: str
    chain: Chain
    keys: tuple[ReadItem, ...]
    statements: tuple[ReadItem, ...]

    @property
    def key_entries(self) -> list[Entry]:
        """The key statements that can be read."""
        return [read.entry for read in self.keys if read.entry is not None]


def load(file: str, data: bytes) -> LoadedChain:
    """Read a chain and each of its statements. Raises `DocumentError` where it is none, as `Chain.from_bytes` says."""
    chain = Chain.from_bytes(data)
    keys = tuple(_reads(file, "key statement", chain.keys))
    return LoadedChain(file, chain, keys, tuple(_reads(file, "statement", chain.statements)))


def _reads(file: str, word: str, items: tuple[Item, ...]) -> Iterator[ReadItem]:
    for number, item in enumerate(items, 1):
        label = f"{word} {number} of {len(items)}"
        try:
            entry = Entry.from_line(item.epoch, item.index, item.line.encode("utf-8", "surrogatepass"))
        except UsageError as error:
            yield ReadItem(file, label, item, None, f"it cannot be read: {error.message}")
        else:
            yield ReadItem(file, label, item, entry, None)


# -- from the log to a chain that others can check ---------------------------------------------------------------------


def export_chain(
    ledger: Ledger,
    sha256: str,
    keys: Sequence[PrivateKey],
    *,
    clock: Callable[[], datetime],
    since: Sequence[str] = (),
) -> bytes:
    """The custody of a subject (a package, key or statement id) as the bytes of a ``chain.json``.

    What is owed to the log's mirrors is pushed first: nothing leaves that is not durable here and in one mirror. `keys`
    has the node's online key, which signs where the export ends. `since` are earlier checkpoints, signed notes, that
    the receiver holds: the chain proves that the log still begins so, however old they are. The newest ones of earlier
    exports are among them anyway.

    Raises
    ------
    NotFound
        The log says nothing about the subject.
    Unreachable
        Its statements are in no mirror yet, and none can be reached.
    IntegrityError
        The log is damaged, or is not the one that an earlier checkpoint saw. Nothing was exported.
    """
    found = _known(ledger, sha256)
    epoch, size = require_mirrored(ledger, found)
    sizes = [(number, ledger.size_of(number)) for number in ledger.epochs if number < epoch] + [(epoch, size)]
    last = found[-1]
    ends = statements.head(_subject(found, sha256), last=last.statement_id, length=len(found), epoch=epoch, size=size)
    said = ends.entered(node=ledger.node, time=clock(), salt=secrets.token_hex(16), prev={sha256: last.statement_id})
    head = sign(said.to_payload(), keys).to_line().decode("ascii")
    seen = [ledger.compare(text) for text in since]
    held = {(int(item.origin.rpartition("/")[2]), item.size) for item in seen}
    for number, known in held:
        ledger.show(number, known)
    chain = _chain(ledger, sha256, found, sizes, head, held)
    for number, known in sizes:
        ledger.show(number, known)
    data = chain.to_bytes()
    if len(data) > MAX_BYTES:
        raise Refused(
            f"the chain has {len(data):,} bytes, and nobody reads more than {MAX_BYTES:,}",
            next="Let each scrub prove fewer packages in one statement: `diadem scrub --part 1/28`.",
        )
    return data


def own_chain(ledger: Ledger, sha256: str) -> Chain:
    """The custody of a subject for the eyes of this node alone: what no mirror has yet is in it, and it has no head."""
    found = _known(ledger, sha256)
    sizes = [(number, ledger.size_of(number)) for number in ledger.epochs]
    return _chain(ledger, sha256, found, sizes, None)


def _known(ledger: Ledger, sha256: str) -> list[Entry]:
    found = ledger.of_subject(sha256)
    if not found:
        raise NotFound(f"the log says nothing about {sha256[:12]}…", next="Look at what there is: `diadem search`.")
    ledger.require_linked(found, sha256)
    return found


def require_mirrored(ledger: Ledger, found: Sequence[Entry]) -> tuple[int, int]:
    """Epoch and size of the newest checkpoint that a mirror has, and that covers everything found."""
    ledger.mirrors.check()
    if why := ledger.mirrors.lack(found[-1].place):
        raise Unreachable(
            f"what happened last is in no store yet, and nothing leaves the node before that ({why})",
            next="Connect a store of this node and try again; `diadem status` says which do not answer.",
        )
    return position_of(ledger.mirrors.reached())


def _chain(
    ledger: Ledger,
    sha256: str,
    found: Sequence[Entry],
    sizes: Sequence[tuple[int, int]],
    head: str | None,
    held: Collection[tuple[int, int]] = (),
) -> Chain:
    end = place_of(*sizes[-1])
    cards = [entry for entry in cards_of(ledger.keys(), found) if entry.place < end]
    known = dict(sizes)
    used = {entry.epoch for entry in [*cards, *found]} | {sizes[-1][0]} | ({epoch for epoch, _ in held} & known.keys())
    checkpoints = tuple(_checkpoint(ledger, epoch, known[epoch], held) for epoch in sorted(used) if known[epoch])
    subject = _subject(found, sha256)
    items = _items(ledger, found, known), _items(ledger, cards, known)
    return Chain(ledger.node, ledger.origin, subject, items[1], checkpoints, items[0], head)


def _subject(found: Sequence[Entry], sha256: str) -> Subject:
    return next(item for item in found[-1].statement.subjects if item.sha256 == sha256)


def cards_of(keys: Iterable[Entry], found: Sequence[Entry]) -> list[Entry]:
    """The key statements that a reader needs: those of the node, and of users who signed here; and every recovery."""
    named = {name for entry in found for name in entry.signers} | {entry.statement_id for entry in found}
    return [
        entry
        for entry in keys
        if entry.statement.predicate.get("role") != USER
        or not named.isdisjoint([*entry.statement.prev, entry.statement_id])
    ]


def _items(ledger: Ledger, entries: Sequence[Entry], sizes: dict[int, int]) -> tuple[Item, ...]:
    """Entries with their proofs, which the ledger checks before it gives them."""
    items: list[Item] = []
    for epoch in sorted({entry.epoch for entry in entries}):
        ours = [entry for entry in entries if entry.epoch == epoch]
        proofs = ledger.prove(ours, sizes[epoch], epoch=epoch)
        items += [
            Item(epoch, entry.index, entry.line.decode("ascii"), tuple(proof))
            for entry, proof in zip(ours, proofs, strict=True)
        ]
    return tuple(items)


def _checkpoint(ledger: Ledger, epoch: int, size: int, held: Collection[tuple[int, int]]) -> ChainCheckpoint:
    named = [known for number, known in held if number == epoch]
    earlier = tuple(Earlier(known, root, tuple(proof)) for known, root, proof in ledger.shown(epoch, size, named))
    return ChainCheckpoint(epoch, ledger.checkpoint(epoch=epoch, size=size), earlier)
