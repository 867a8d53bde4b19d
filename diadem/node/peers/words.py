"""Six words that two people compare on the telephone: equal only where no other node stands between theirs.

Whoever stands between them has made both sides meet *his* node, and would need numbers and keys with which both get
the same words. So each side puts a random number into the words, and none can choose its part after it has seen the
other's: the joining node first *commits* to its number, by a hash; the inviting node then tells its own; only after
that does the joining node reveal its number. Each side keeps what the other said first. Six words of 256 are 48 bits,
and a ticket is one guess.
"""

from __future__ import annotations

import hashlib
from typing import Final

from diadem.model.canonical import encode
from diadem.node.peers.word_list import WORDS

#: How many words.
COUNT: Final = 6


def commitment(*, inviter: str, joiner: tuple[str, str], token_hash: str, number: str) -> str:
    """By what a joining node binds itself to its number before it has seen that of the other: 64 hex digits.

    Parameters
    ----------
    inviter : str
        Node id of the one that made the ticket.
    joiner : tuple of str
        Node id and online key of the one that has it.
    token_hash : str
        SHA-256 of the ticket's token.
    number : str
        The joining node's, 32 random hex digits.
    """
    said = ["diadem-words-commitment/2", inviter, list(joiner), token_hash, number]
    return hashlib.sha256(encode(said, where="words")).hexdigest()


def words(*, inviter: tuple[str, str, str], joiner: tuple[str, str, str], token_hash: str) -> str:
    """The words of two nodes that met by a ticket.

    Parameters
    ----------
    inviter, joiner : tuple of str
        Node id, online key and number of each.
    token_hash : str
        SHA-256 of the ticket's token.
    """
    said = ["diadem-words/2", list(inviter), list(joiner), token_hash]
    found = hashlib.sha256(encode(said, where="words")).digest()
    return " ".join(WORDS[byte] for byte in found[:COUNT])


def same_words(one: str, two: str) -> bool:
    """Whether two texts say the same words, however they are written."""
    return one.casefold().split() == two.casefold().split()
