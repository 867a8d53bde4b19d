"""What a mirror of the log holds: one object a push, never changed, and a small one that says how far it goes.

::

    nodes/<first 16 hex of the node id>/log/<epoch>/<first index>.jsonl    envelopes, one a line; then the checkpoint
    nodes/<first 16 hex of the node id>/head.json                          epoch, size and checkpoint of the newest

Keys are relative to a store's ``.diadem/``. An object holds whole transactions of the log, so that its last line, the
signed checkpoint, vouches for every line of it and of those before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from diadem.custody.entries import MAX_ENTRIES, MAX_EPOCHS
from diadem.errors import DocumentError
from diadem.model.canonical import decode, encode
from diadem.trust.note import MAX_NOTE

HEAD_FORMAT: Final = "diadem-head/1"
#: Bytes of the object that says how far a mirror goes: a checkpoint and a few words.
_MAX_HEAD: Final = MAX_NOTE + 4096


class Mirror(Protocol):
    """Where the log is copied to: a store's own files (`diadem.store.contract.Store`)."""

    @property
    def url(self) -> str:
        """The mirror's address; by it the log remembers how far the mirror has got."""

    def get(self, key: str) -> bytes | None:
        """A file, or None where there is none."""

    def put(self, key: str, data: bytes, *, create: bool = False) -> bool:
        """Write a file, whole and durable when this returns; with `create` never over another.

        False: it was there, with other content.
        """

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of the files below a folder, sorted."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far a mirror goes, by its own word.

    Attributes
    ----------
    node : str
        Node id, 64 hex digits.
    origin : str
        Origin of the checkpoints, without the epoch.
    epoch, size : int
        Newest epoch, and its entries.
    checkpoint : str
        Its signed checkpoint.
    """

    node: str
    origin: str
    epoch: int
    size: int
    checkpoint: str

    def to_bytes(self) -> bytes:
        """The object."""
        document = {
            "format": HEAD_FORMAT,
            "node": self.node,
            "origin": self.origin,
            "epoch": self.epoch,
            "size": self.size,
            "checkpoint": self.checkpoint,
        }
        return encode(document, where="head.json") + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Head:
        """The head that such an object says.

        Raises
        ------
        DocumentError
            It is none.
        """
        found = decode(data.removesuffix(b"\n"), where="head.json", limit=_MAX_HEAD)
        if not isinstance(found, dict) or found.get("format") != HEAD_FORMAT:
            raise DocumentError(f"no object of the form {HEAD_FORMAT}", where="head.json")
        texts = [found.get(name) for name in ("node", "origin", "checkpoint")]
        if not all(isinstance(text, str) for text in texts):
            raise DocumentError("node, origin and checkpoint are expected as texts", where="head.json")
        epoch, size = _count(found.get("epoch"), MAX_EPOCHS), _count(found.get("size"), MAX_ENTRIES)
        return cls(found["node"], found["origin"], epoch, size, found["checkpoint"])


def home_of(node: str) -> str:
    """The folder of a node in a mirror."""
    return f"nodes/{node[:16]}"


def head_key(node: str) -> str:
    """Key of the object that says how far the mirror goes."""
    return f"{home_of(node)}/head.json"


def log_folder(node: str) -> str:
    """Folder of all batches of a node."""
    return f"{home_of(node)}/log"


def batch_key(node: str, epoch: int, start: int) -> str:
    """Key of the object that begins with an entry."""
    return f"{log_folder(node)}/{epoch:04d}/{start:010d}.jsonl"


def position_of_key(key: str) -> tuple[int, int] | None:
    """Epoch and first index of such a key; None for another."""
    folder, _, name = key.rpartition("/")
    epoch, start = folder.rpartition("/")[2], name.removesuffix(".jsonl")
    if not name.endswith(".jsonl") or not (epoch + start).isascii() or not (epoch.isdigit() and start.isdigit()):
        return None
    if len(epoch) > 7 or len(start) > 12 or not 0 < int(epoch) < MAX_EPOCHS:
        return None
    return int(epoch), int(start)


def pack_batch(lines: Sequence[bytes], checkpoint: str) -> bytes:
    """The object of some entries and the checkpoint after them."""
    last = encode({"checkpoint": checkpoint}, where="batch")
    return b"".join(line + b"\n" for line in [*lines, last])


def unpack_batch(data: bytes, where: str) -> tuple[list[bytes], str]:
    """Lines and checkpoint of such an object. The lines are not looked into.

    Raises
    ------
    DocumentError
        It does not end with a checkpoint: torn, or something else.
    """
    *lines, last, rest = data.split(b"\n") if data.count(b"\n") > 1 else [b"", b"", b"?"]
    if rest:
        raise DocumentError("its last line is cut off, or there is no entry in it", where=where)
    found: Any = decode(last, where=where, limit=_MAX_HEAD)
    if not isinstance(found, dict) or found.keys() != {"checkpoint"} or not isinstance(found["checkpoint"], str):
        raise DocumentError("its last line is not a checkpoint", where=where)
    return lines, found["checkpoint"]


def read_head(mirror: Mirror, node: str) -> Head | None:
    """How far a mirror goes by its own word; None where it does not say, or says it of another node.

    The word is not proven: recovery reads and checks every batch.
    """
    data = mirror.get(head_key(node))
    if data is None:
        return None
    try:
        head = Head.from_bytes(data)
    except DocumentError:
        return None
    return head if head.node == node else None


def nodes_in(mirror: Mirror) -> list[str]:
    """Ids of the nodes that are mirrored there."""
    found = set()
    for key in mirror.keys("nodes"):
        if key.endswith("/head.json"):
            data = mirror.get(key)
            try:
                head = Head.from_bytes(data) if data is not None else None
            except DocumentError:
                continue
            if head is not None and head_key(head.node) == key:
                found.add(head.node)
    return sorted(found)


def _count(value: object, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
        raise DocumentError("its epoch and size are not counts", where="head.json")
    return value
