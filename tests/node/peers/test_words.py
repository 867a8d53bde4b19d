"""The words that two people compare."""

from __future__ import annotations

from diadem.node.peers.word_list import WORDS
from diadem.node.peers.words import COUNT, same_words, words

ONE, TWO = ("ab" * 32, "ed25519:one"), ("cd" * 32, "ed25519:two")


def test_there_is_a_word_for_each_byte_and_each_is_told_by_its_first_letters() -> None:
    assert len(set(WORDS)) == 256
    assert len({word[:3] for word in WORDS}) == 256
    assert all(word.isascii() and word.isalpha() and word.islower() and len(word) <= 9 for word in WORDS)


def test_the_words_depend_on_everything_but_the_order_of_the_two() -> None:
    said = words(ONE, TWO, token_hash="00" * 32, nonce="11" * 16)
    assert len(said.split()) == COUNT
    assert words(TWO, ONE, token_hash="00" * 32, nonce="11" * 16) == said
    others = {
        words(("ef" * 32, ONE[1]), TWO, token_hash="00" * 32, nonce="11" * 16),
        words((ONE[0], "ed25519:other"), TWO, token_hash="00" * 32, nonce="11" * 16),
        words(ONE, TWO, token_hash="22" * 32, nonce="11" * 16),
        words(ONE, TWO, token_hash="00" * 32, nonce="22" * 16),
    }
    assert len(others - {said}) == 4


def test_words_are_the_same_however_they_are_written() -> None:
    assert same_words("acid actor", " Acid\nACTOR ")
    assert not same_words("acid actor", "actor acid")
