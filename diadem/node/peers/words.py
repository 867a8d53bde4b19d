"""Six words that two people compare on the telephone: equal only where no other node stands between theirs.

Whoever stands between them has made both sides meet *his* node, and would need keys with which both get the same words.
Six words of 256 are 48 bits. The joining node adds a random number that nobody knows before it joins, so that he cannot
look for such keys beforehand, and by pairs; and each try costs an evaluation of scrypt with 16 MiB. At 10,000 of them a
second, what a large graphics card does, the search takes nine centuries; a ticket lives a week.
"""

from __future__ import annotations

import hashlib
from typing import Final

from diadem.model.canonical import encode
from diadem.node.peers.word_list import WORDS

#: How many words.
COUNT: Final = 6
#: Cost of scrypt (RFC 7914): N, r, p; 16 MiB and less than 0.1 s.
_COST: Final = (1 << 14, 8, 1)
_MEMORY: Final = 32 << 20


def words(one: tuple[str, str], two: tuple[str, str], *, token_hash: str, nonce: str) -> str:
    """The words of two nodes that met by a ticket; the order of the two does not matter.

    Parameters
    ----------
    one, two : tuple of str
        Node id and online key of each.
    token_hash : str
        SHA-256 of the ticket's token.
    nonce : str
        What the joining node added, 32 random hex digits.
    """
    met = encode([sorted([list(one), list(two)]), token_hash, nonce], where="words")
    n, r, p = _COST
    found = hashlib.scrypt(met, salt=b"diadem-words/1", n=n, r=r, p=p, maxmem=_MEMORY, dklen=COUNT)
    return " ".join(WORDS[byte] for byte in found)


def same_words(one: str, two: str) -> bool:
    """Whether two texts say the same words, however they are written."""
    return one.casefold().split() == two.casefold().split()
