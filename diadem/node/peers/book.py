"""`<node>/network/peers.sqlite`: the other nodes that this one knows, and the tickets that it gave out.

The log says what happened with each peer, and who each is can be read from it again (`rebuild`); what only the file has
is the proof of their keys, where they are found, and tickets: those come with the next contact, or are given out anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from diadem.custody import statements
from diadem.custody.remedies import aside_command
from diadem.errors import NotFound, UsageError
from diadem.model.peers import EndpointNote, Peer, PeerState
from diadem.model.ports import Closing
from diadem.model.statements import Draft, Statement, Subject
from diadem.node.context import Context
from diadem.store.sqlite_file import SqliteFile
from diadem.trust.envelope import Envelope
from diadem.trust.keys import PublicKey

FOLDER: Final = "network"
FILE: Final = "peers.sqlite"
#: "DmPe", and the version of the tables.
APPLICATION: Final = 0x446D5065
VERSION: Final = 1
_PEERS: Final = """CREATE TABLE peers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL, own_name TEXT NOT NULL, online TEXT NOT NULL,
    log TEXT NOT NULL, key_id TEXT NOT NULL, version INTEGER NOT NULL, expires TEXT NOT NULL, words TEXT NOT NULL,
    since TEXT NOT NULL, reason TEXT NOT NULL, seen_as TEXT NOT NULL, stolen TEXT NOT NULL, chain BLOB NOT NULL,
    note BLOB NOT NULL) WITHOUT ROWID"""
_CHECKPOINTS: Final = """CREATE TABLE checkpoints (
    peer TEXT PRIMARY KEY, epoch INTEGER NOT NULL, size INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID"""
_TICKETS: Final = """CREATE TABLE tickets (
    hash TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, guest INTEGER NOT NULL, for_node TEXT NOT NULL,
    made TEXT NOT NULL, expires TEXT NOT NULL, by_user TEXT NOT NULL, used_by TEXT NOT NULL, used_name TEXT NOT NULL,
    used_at TEXT NOT NULL, refused_by TEXT NOT NULL, refused_name TEXT NOT NULL, refused_at TEXT NOT NULL)
    WITHOUT ROWID"""
#: Made beside the others where it is missing: nodes have had this file before they had it.
_JOINS: Final = """CREATE TABLE IF NOT EXISTS joins (
    token_hash TEXT PRIMARY KEY, inviter TEXT NOT NULL, joiner TEXT NOT NULL, inviter_key TEXT NOT NULL,
    joiner_key TEXT NOT NULL, commitment TEXT NOT NULL, inviter_number TEXT NOT NULL, joiner_number TEXT NOT NULL)
    WITHOUT ROWID"""
SCHEMA: Final = (
    _PEERS,
    "CREATE INDEX peers_by_key ON peers (key_id)",
    _CHECKPOINTS,
    _TICKETS,
    "CREATE TABLE own (one INTEGER PRIMARY KEY, version INTEGER NOT NULL, note BLOB NOT NULL)",
)
#: Members of a peer that are columns as they are; its keys that were stolen and two documents stand beside them.
_COLUMNS: Final = (
    *("id", "name", "state", "own_name", "online", "log", "key_id", "version", "expires", "words", "since", "reason"),
    "seen_as",
)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)}, stolen, note FROM peers"  # noqa: S608  names of columns
_INSERT: Final = f"INSERT OR REPLACE INTO peers VALUES ({', '.join('?' * len(_COLUMNS))}, ?, ?, ?)"  # noqa: S608
_KEEP: Final = """INSERT INTO checkpoints VALUES (?, ?, ?, ?)
    ON CONFLICT (peer) DO UPDATE SET epoch = excluded.epoch, size = excluded.size, text = excluded.text
    WHERE (excluded.epoch, excluded.size) > (checkpoints.epoch, checkpoints.size)"""


class PeerBook(Closing):
    """The peers of a node. Safe to use from many threads and processes.

    The node's `peer` statements, oldest first, are read only where there is no file yet.
    """

    def __init__(self, folder: Path, said: Iterable[Statement] = ()) -> None:
        path = folder / FOLDER / FILE
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = not path.exists()
        self.file = SqliteFile(
            path,
            what="list of peers",
            advice=f"The node rebuilds it from its log, without tickets, after this: {aside_command(path)}",
        )
        try:
            self.file.prepare(SCHEMA, application=APPLICATION, version=VERSION)
            with self.file.writing() as connection:
                connection.execute(_JOINS)
            if fresh:
                self._rebuild(said)
        except BaseException:
            self.file.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()

    # -- finding -----------------------------------------------------------------------------------------------------

    def ls(self) -> Sequence[Peer]:
        """Every peer, by name."""
        return self._found("1 = 1 ORDER BY name")

    def get(self, peer: str) -> Peer:
        """The peer with a node id."""
        return self._one("id = ?", peer, f"the node {peer[:12]}…")

    def named(self, name: str) -> Peer:
        """The peer that this node calls so."""
        return self._one("name = ?", name.strip().lower(), f"'{name}'")

    def known(self, peer: str) -> Peer | None:
        """The peer with a node id, or None."""
        found = self._found("id = ?", peer)
        return found[0] if found else None

    def key(self, key_id: str) -> Peer | None:
        """The peer whose online key this is now; None for one that is dropped, and for a key known as stolen."""
        found = [peer for peer in self._found("key_id = ?", key_id) if peer.speaks]
        return found[0] if found else None

    def _one(self, where: str, value: str, spoken: str) -> Peer:
        found = self._found(where, value)
        if not found:
            known = ", ".join(peer.name for peer in self.ls()) or "none yet"
            raise NotFound(f"this node has no peer {spoken}", next=f"Its peers: {known}. See: diadem peer ls")
        return found[0]

    def _found(self, where: str, *values: str) -> list[Peer]:
        with self.file.reading() as connection:
            rows = connection.execute(f"{_SELECT} WHERE {where}", values).fetchall()
        return [_peer(row) for row in rows]

    def chain(self, peer: str) -> bytes:
        """The chain that proves a peer's keys; empty where it is not known any more."""
        return bytes(self._value("SELECT chain FROM peers WHERE id = ?", peer) or b"")

    def note(self, peer: str) -> bytes:
        """The envelope of a peer's endpoint note; empty where none is known."""
        return bytes(self._value("SELECT note FROM peers WHERE id = ?", peer) or b"")

    def checkpoint(self, peer: str) -> str:
        """The newest checkpoint of a peer's log that was seen, a signed note; "" where none was."""
        return str(self._value("SELECT text FROM checkpoints WHERE peer = ?", peer) or "")

    def own_note(self) -> bytes | None:
        """The endpoint note of this node that was given out last."""
        found = self._value("SELECT note FROM own WHERE one = 1")
        return bytes(found) if found else None

    def _value(self, question: str, *values: str) -> Any:
        with self.file.reading() as connection:
            found = connection.execute(question, values).fetchone()
        return found[0] if found else None

    def free_name(self, wished: str, peer: str, own: str) -> str:
        """A name for a peer that no other has: ``nmi``, else ``nmi-2``."""
        if wished == own:
            raise UsageError(
                f"'{wished}' is the name of this node itself, and addresses would be ambiguous",
                next="Give the other node another name here: --as NAME",
            )
        taken = {other.name for other in self.ls() if other.id != peer} | {own}
        if wished not in taken:
            return wished
        return next(name for name in (f"{wished[:58]}-{number}" for number in range(2, 10_000)) if name not in taken)

    # -- changing ----------------------------------------------------------------------------------------------------

    def put(self, peer: Peer, *, chain: bytes | None = None, note: bytes | None = None) -> None:
        """Keep what is known of a peer; chain and note stay where none is given."""
        kept = (self.chain(peer.id) if chain is None else chain, self.note(peer.id) if note is None else note)
        with self.file.writing() as connection:
            _put(connection, peer, *kept)

    def seen_confirmed(self, peer: str) -> None:
        """Note that a peer has confirmed this node: it answered what it answers to nobody else."""
        known = self.known(peer)
        if known is not None and known.seen_as == "pending":
            self._change("UPDATE peers SET seen_as = 'confirmed' WHERE id = ?", peer)

    def keep_checkpoint(self, peer: str, epoch: int, size: int, text: str) -> None:
        """Keep a checkpoint of a peer's log that was proven, if it is newer than the one that is kept."""
        self._change(_KEEP, peer, epoch, size, text)

    def forget_checkpoint(self, peer: str) -> None:
        """Let the next card of a peer be the first: a person has settled why its log is another one."""
        self._change("DELETE FROM checkpoints WHERE peer = ?", peer)

    def _change(self, how: str, *values: str | int) -> None:
        with self.file.writing() as connection:
            connection.execute(how, values)

    # -- from the log ------------------------------------------------------------------------------------------------

    def _rebuild(self, said: Iterable[Statement]) -> None:
        peers: dict[str, Peer] = {}
        for statement in said:
            peer = _after(peers.get(str(statement.predicate["peer"])), statement)
            if peer is not None:
                peers[peer.id] = peer
        with self.file.writing() as connection:
            for peer in peers.values():
                _put(connection, peer, b"", b"")


_STATES: Final = {
    "pinned": PeerState.PENDING,
    "confirmed": PeerState.CONFIRMED,
    "dropped": PeerState.DROPPED,
}


def _after(peer: Peer | None, statement: Statement) -> Peer | None:
    """What is known of a peer after a `peer` statement; None while it was only invited."""
    said = statement.predicate
    if said["event"] == "invited":
        return peer
    if peer is None:
        if said["event"] not in _STATES:
            return None
        since = str(said["time"])
        peer = Peer(said["peer"], said["name"], PeerState.PENDING, said["name"], "", "", "", 0, since=since)
    if said["event"] == "compromised" and "online" in said:
        key_id = PublicKey.from_text(said["online"]).key_id
        return replace(peer, stolen={**peer.stolen, key_id: str(said.get("since") or said["time"])})
    if "online" in said:
        online = PublicKey.from_text(said["online"])
        peer = replace(peer, online=online.to_text(), key_id=online.key_id, version=said.get("version", 1))
    state = _STATES.get(said["event"], peer.state)
    reason = said.get("reason", "") if state is PeerState.DROPPED else ""
    return replace(peer, name=said["name"], state=state, reason=reason, words=said.get("words", peer.words))


def _put(connection: sqlite3.Connection, peer: Peer, chain: bytes, note: bytes) -> None:
    plain = (getattr(peer, column) for column in _COLUMNS)
    connection.execute(_INSERT, (*plain, json.dumps(dict(peer.stolen), sort_keys=True), chain, note))


def _peer(row: Sequence[Any]) -> Peer:
    *plain, stolen, note = row
    known = dict(zip(_COLUMNS, plain, strict=True))
    found = _note(bytes(note)) if note else None
    return Peer(**known | {"state": PeerState(known["state"])}, note=found, stolen=json.loads(stolen))


@lru_cache(maxsize=256)  # asked for with each request that a peer makes
def _note(envelope: bytes) -> EndpointNote:
    return EndpointNote.from_payload(Envelope.from_line(envelope).payload)


def peer_book(context: Context) -> PeerBook:
    """The node's list of peers, opened once and closed with the node; made from the log where it is lost."""
    context.require_writable()
    return context.once(
        "peers", lambda: PeerBook(context.folder, (entry.statement for entry in context.ledger.of_kind("peer")))
    )


def peer_id(context: Context, name: str) -> str | None:
    """Id of the node that is called so here; None where there is none, or one with which this node has broken."""
    if not context.writable:
        return None
    found = next((peer for peer in peer_book(context).ls() if peer.name == name), None)
    return None if found is None or found.state is PeerState.DROPPED else found.id


def peer_draft(peer: Peer, event: str, *, by: str = "", **more: Any) -> Draft:
    """That something happened with a peer, with what is known of its key from now on; "" of nobody of this node.

    `more` are members of the schema; empty ones are left out.
    """
    known = {"words": peer.words, "version": peer.version, "online": peer.online, "by": by, **more}
    return statements.peer(peer.id, event, name=peer.name, **known)


def say_refused(context: Context, node: str, action: str, *, actor: str, reason: str) -> None:
    """Log that another node was refused; once, where it comes again and again with the same."""
    draft = statements.audit([Subject.key(node)], action=action, actor=actor, outcome="refused", reason=reason)
    said = context.ledger.of_subject(node)
    if said and said[-1].statement.kind == "audit" and draft.predicate.items() <= said[-1].statement.predicate.items():
        return
    context.say([draft])
