"""Joins by tickets, at both nodes: what each has fixed, so that neither can take it back and choose anew.

A row is written before what it holds is told, and its members are written once: that is what makes the words safe.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from diadem.model.times import time_text
from diadem.node.peers.book import PeerBook
from diadem.node.peers.words import commitment, words

_INSERT: Final = "INSERT OR IGNORE INTO joins VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FIND: Final = "SELECT * FROM joins WHERE token_hash = ?"
_ANSWERED: Final = "UPDATE joins SET inviter_key = ?, inviter_number = ? WHERE token_hash = ? AND inviter_number = ''"
_FINISHED: Final = "UPDATE joins SET joiner_number = ? WHERE token_hash = ? AND joiner_number = ''"
_HAS_JOINED: Final = "SELECT 1 FROM joins WHERE joiner = ? AND joiner_number <> ''"
_END: Final = "DELETE FROM joins WHERE joiner = ? AND joiner_number = ''"
_UNDER_WAY: Final = (
    "SELECT joiner FROM joins JOIN tickets ON tickets.hash = joins.token_hash"
    " WHERE joins.joiner_number = '' AND tickets.expires > ?"
)


@dataclass(frozen=True, slots=True)
class Join:
    """A join by a ticket.

    Attributes
    ----------
    token_hash : str
        SHA-256 of the ticket's token.
    inviter, joiner : str
        Node ids.
    inviter_key, joiner_key : str
        Their online keys when they spoke first; at the joining node the other's is "" until it has answered.
    commitment : str
        What the joining node said first.
    inviter_number, joiner_number : str
        32 random hex digits each; the other's is "" until it was told.
    """

    token_hash: str
    inviter: str
    joiner: str
    inviter_key: str
    joiner_key: str
    commitment: str
    inviter_number: str
    joiner_number: str

    def commits(self, number: str) -> bool:
        """Whether this is the number to which the joining node had bound itself."""
        joiner = (self.joiner, self.joiner_key)
        said = commitment(inviter=self.inviter, joiner=joiner, token_hash=self.token_hash, number=number)
        return said == self.commitment

    @property
    def words(self) -> str:
        """What both sides compare, where both numbers are known."""
        inviter = (self.inviter, self.inviter_key, self.inviter_number)
        joiner = (self.joiner, self.joiner_key, self.joiner_number)
        return words(inviter=inviter, joiner=joiner, token_hash=self.token_hash)


def keep_join(connection: sqlite3.Connection, join: Join) -> Join:
    """The join by a ticket as it was begun first; this one where none was."""
    connection.execute(_INSERT, [getattr(join, name) for name in join.__slots__])
    return Join(*connection.execute(_FIND, [join.token_hash]).fetchone())


def find_join(connection: sqlite3.Connection, token_hash: str) -> Join | None:
    """The join by a ticket, or None."""
    found = connection.execute(_FIND, [token_hash]).fetchone()
    return Join(*found) if found else None


def answer_kept(book: PeerBook, token_hash: str, key: str, number: str) -> Join | None:
    """The join at the joining node, with the number that the inviting one told first, and its key then."""
    with book.file.writing() as connection:
        connection.execute(_ANSWERED, [key, number, token_hash])
        return find_join(connection, token_hash)


def finish(book: PeerBook, join: Join) -> None:
    """Note at the inviting node that the joining one is pinned, with its number."""
    with book.file.writing() as connection:
        connection.execute(_FINISHED, [join.joiner_number, join.token_hash])


def end_joins(connection: sqlite3.Connection, node: str) -> None:
    """Forget the joins of a node that it has not finished: it cannot begin them again."""
    connection.execute(_END, [node])


def has_joined(book: PeerBook, node: str) -> bool:
    """Whether a node has joined this one with words that nobody could choose: not before joins were kept."""
    with book.file.reading() as connection:
        return connection.execute(_HAS_JOINED, [node]).fetchone() is not None


def joining_nodes(book: PeerBook, now: datetime) -> set[str]:
    """Nodes that have begun to join this one, by tickets that hold."""
    with book.file.reading() as connection:
        return {row[0] for row in connection.execute(_UNDER_WAY, [time_text(now)])}
