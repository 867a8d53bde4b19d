"""Joins by tickets, and the six words that two people compare on the telephone: equal only where no other node stands
between theirs.

Whoever stands between them has made both sides meet *his* node, and would need numbers and keys with which both get
the same words. So each side puts a random number into the words, and none can choose its part after it has seen the
other's: the joining node first *commits* to its number, by a hash; the inviting node then tells its own; only after
that does the joining node reveal its number. Each side keeps what the other said first. Six words of 256 are 48 bits,
and a ticket is one guess.

A row is written before what it holds is told, and its members are written once: that is what makes the words safe.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from diadem.model.canonical import encode
from diadem.model.times import time_text
from diadem.node.peers.book import PeerBook

#: 256 plain English words, one for each value of a byte; no two begin with the same three letters.
WORDS: Final = tuple(Path(__file__).with_name("words.txt").read_text("ascii").split())
#: How many words.
COUNT: Final = 6


def commitment(*, inviter: str, joiner: tuple[str, str], token_hash: str, number: str) -> str:
    """By what a joining node, id and online key, binds itself to its number before it has seen that of the other.

    64 hex digits, of 32 random ones.
    """
    said = ["diadem-words-commitment/2", inviter, list(joiner), token_hash, number]
    return hashlib.sha256(encode(said, where="words")).hexdigest()


def same_words(one: str, two: str) -> bool:
    """Whether two texts say the same words, however they are written."""
    return one.casefold().split() == two.casefold().split()


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
    """A join by a ticket, which its token's SHA-256 names: node ids, and their online keys when they spoke first.

    At the joining node the inviter's key and number are "" until it has answered; the joiner's number at the inviting
    one until it was told.
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
        inviter = [self.inviter, self.inviter_key, self.inviter_number]
        joiner = [self.joiner, self.joiner_key, self.joiner_number]
        said = ["diadem-words/2", inviter, joiner, self.token_hash]
        found = hashlib.sha256(encode(said, where="words")).digest()
        return " ".join(WORDS[byte] for byte in found[:COUNT])


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
