"""The words that two people compare."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from diadem.node.peers.joins import COUNT, WORDS, Join, same_words


def test_there_is_a_word_for_each_byte_and_each_is_told_by_its_first_letters() -> None:
    assert len(set(WORDS)) == 256
    assert len({word[:3] for word in WORDS}) == 256
    assert all(word.isascii() and word.isalpha() and word.islower() and len(word) <= 9 for word in WORDS)


def test_the_words_depend_on_everything_that_either_side_has_fixed() -> None:
    """As docs/network-format.md has them, word for word."""
    inviter, joiner = ["ab" * 32, "ed25519:one", "11" * 16], ["cd" * 32, "ed25519:two", "22" * 16]
    said = Join("00" * 32, inviter[0], joiner[0], inviter[1], joiner[1], "", inviter[2], joiner[2])
    text = json.dumps(["diadem-words/2", inviter, joiner, "00" * 32], separators=(",", ":"))
    assert said.words.split() == [WORDS[byte] for byte in hashlib.sha256(text.encode()).digest()[:COUNT]]
    bound = ["diadem-words-commitment/2", inviter[0], joiner[:2], "00" * 32, joiner[2]]
    digest = hashlib.sha256(json.dumps(bound, separators=(",", ":")).encode()).hexdigest()
    assert replace(said, commitment=digest).commits(joiner[2])
    assert not replace(said, commitment=digest, joiner_key="ed25519:other").commits(joiner[2])
    others = {replace(said, **{name: "ef" * 16}).words for name in Join.__slots__ if name != "commitment"}
    assert len(others - {said.words}) == 7


def test_words_are_the_same_however_they_are_written() -> None:
    assert same_words("acid actor", " Acid\nACTOR ")
    assert not same_words("acid actor", "actor acid")
