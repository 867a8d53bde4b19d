"""Copies of packages as the policy judges them: where each lies, its state, and when its bytes were last proven."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from diadem.model.display import Display
from diadem.model.times import time_text

#: States of a replica. `SUSPECT`: a check found damage (of an adopted copy: an edit) that is not yet mended.
#: `MISSING`: files are gone. `DROPPED`: given up on purpose; kept for the history.
PRESENT: Final = "present"
SUSPECT: Final = "suspect"
MISSING: Final = "missing"
DROPPED: Final = "dropped"
REPLICA_STATES: Final = (PRESENT, SUSPECT, MISSING, DROPPED)

#: Ways by which every byte of a replica was hashed and found right: as it was written (by this machine, by the
#: server, or read back), or by a check that read it all. A quick check, a sample, or "it was there" proves no byte.
WRITING_PROOFS: Final = frozenset({"written", "server", "read-back"})
READING_PROOFS: Final = frozenset({"leaves", "full"})
PROOFS: Final = WRITING_PROOFS | READING_PROOFS

#: Kinds of store, as policies count them: a disk of this machine, a share, an object store, one in another building,
#: one that lies in a drawer.
STORE_KINDS: Final = ("disk", "nas", "object", "offsite", "cold")


#: The store of a copy that is a person's own folder, sealed where it lies: no store of a node has this name.
IN_PLACE: Final = "in-place"


@dataclass(frozen=True, slots=True)
class ReplicaState(Display):
    """One copy of a package in one store.

    Attributes
    ----------
    store : str
        Name of the store; of an adopted copy the name under which the node keeps adopted folders.
    path : str
        Path in the store, or the adopted folder.
    state : str
        One of `REPLICA_STATES`.
    adopted : bool
        Whether it is a person's own folder, sealed where it lies: people may edit it, we never write it.
    written_at : datetime or None
        When it was written or adopted, UTC.
    proven_at : datetime or None
        When every byte of it was last hashed and found right, UTC; None if never. The time of writing where the
        writing itself was such a proof.
    proven_level : str
        By which proof: one of `PROOFS`; "" if never. Another word counts as no proof.
    parity : bool
        Whether parity lies beside it.
    place : str or None
        Identity of the disk or share where it lies, where that is not its store's: adopted folders lie anywhere.
    foreign : bool
        Whether files were found in it that do not belong there and can be moved out of it.
    """

    store: str
    path: str
    state: str = PRESENT
    adopted: bool = False
    written_at: datetime | None = None
    proven_at: datetime | None = None
    proven_level: str = ""
    parity: bool = False
    place: str | None = None
    foreign: bool = False

    @property
    def proven(self) -> bool:
        """Whether it is present and every byte of it was hashed at least once."""
        return self.state == PRESENT and self.proven_at is not None and self.proven_level in PROOFS

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {
            "store": self.store,
            "path": self.path,
            "state": self.state,
            "adopted": self.adopted,
            "written_at": _moment(self.written_at),
            "proven_at": _moment(self.proven_at),
            "proven_level": self.proven_level,
            "parity": self.parity,
            "place": self.place,
            "foreign": self.foreign,
        }


@dataclass(frozen=True, slots=True)
class PackageState(Display):
    """One package and its copies.

    Attributes
    ----------
    id : str
        ``diadem:<64 hex>``.
    title : str
        The session's title, or what stands for it.
    bytes, files : int
        Size and number of files of the payload.
    ingested_at : datetime or None
        When the `ingest` statement was made, UTC.
    replicas : tuple of ReplicaState
        Own copies, in any state. Copies of other nodes do not stand here.
    tombstoned : bool
        Whether it was deleted on purpose, its tombstone remaining.
    payload_id : str
        64 hex digits.
    date : date or None
        Day of the session.
    missing_fields : tuple of str
        Keys that the policy requires and nothing in the record states.
    signed : bool
        Whether an `ingest` statement of this node's log names it.
    """

    id: str
    title: str
    bytes: int
    files: int
    ingested_at: datetime | None
    replicas: tuple[ReplicaState, ...]
    tombstoned: bool = False
    payload_id: str = ""
    date: date | None = None
    missing_fields: tuple[str, ...] = ()
    signed: bool = True

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {
            "id": self.id,
            "title": self.title,
            "bytes": self.bytes,
            "files": self.files,
            "ingested_at": _moment(self.ingested_at),
            "replicas": [replica.to_dict() for replica in self.replicas],
            "tombstoned": self.tombstoned,
            "payload_id": self.payload_id,
            "date": self.date.isoformat() if self.date else None,
            "missing_fields": list(self.missing_fields),
            "signed": self.signed,
        }


@dataclass(frozen=True, slots=True)
class StoreState(Display):
    """One store as it was found just now.

    Attributes
    ----------
    name : str
        As the node calls it.
    kind : str
        One of `STORE_KINDS`.
    place : str or None
        Identity of the disk, share or bucket: stores with equal place are one copy. None: unknown.
    url : str
        Where it is.
    reachable : bool
        Whether it answered.
    free, total : int or None
        Bytes; None where the store cannot say.
    read_only : bool
        Whether nothing can be written to it.
    is_folder : bool
        Whether it is a folder of a file system: others hold no parity.
    retired : bool
        Whether nothing is to be written to it any more, by a person's wish; it is `read_only` then too.
    answered : datetime or None
        When it last answered, UTC; None where nobody kept that.
    """

    _display_keys = (
        "name",
        "kind",
        "url",
        "place",
        "reachable",
        "free",
        "read_only",
    )

    name: str
    kind: str
    place: str | None
    url: str
    reachable: bool = True
    free: int | None = None
    total: int | None = None
    read_only: bool = False
    is_folder: bool = True
    retired: bool = False
    answered: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "answered": _moment(self.answered)}


def _moment(time: datetime | None) -> str | None:
    return time_text(time) if time else None
