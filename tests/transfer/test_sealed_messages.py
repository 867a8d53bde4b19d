"""Messages that a hub carries: nobody but the recipient reads them, and nobody but the sender says them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DiademError, DocumentError, IntegrityError, Refused
from diadem.model.canonical import encode
from diadem.network.envelope import (
    ANSWER,
    BEGUN,
    INTRODUCTION,
    MESSAGE,
    TYPE,
    WELCOME,
    Answer,
    Content,
    Introduction,
    Mail,
    Welcome,
    open_mail,
    seal_mail,
)
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey
from diadem.trust.sealing import OneTime, seal, unseal

ALICE, MARIE, OTHER = "aa" * 32, "bb" * 32, "cc" * 32
NOW = datetime.datetime(2026, 3, 14, 9, tzinfo=datetime.UTC)
SAID = Mail("01" * 16, ALICE, MARIE, NOW, {"kind": "offer"})
KEY, BOX = PrivateKey.generate(), OneTime.generate()

ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
texts = st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable())
answers = st.builds(
    Answer,
    ids,
    texts,
    st.text("ab\n", max_size=20),
    st.lists(st.dictionaries(texts, st.integers(0, 9), min_size=1, max_size=2), max_size=4).map(tuple),
    st.one_of(st.just({}), st.fixed_dictionaries({"code": texts, "message": texts, "next": st.just("")})),
    st.one_of(st.just(""), texts),
)
known = st.builds(
    Introduction, ids, texts, texts, seen=texts, token=st.just(""), commitment=st.just(""), number=st.just("")
)
joining = st.builds(
    Introduction,
    ids,
    texts,
    texts,
    seen=st.just(""),
    token=ids,
    commitment=st.just("ab" * 32),
    number=st.one_of(st.just(""), ids),
)
contents: st.SearchStrategy[Content] = st.one_of(
    st.dictionaries(texts, st.one_of(st.integers(0, 9), texts), max_size=3),
    answers,
    known,
    joining,
    st.builds(Welcome, ids, texts, texts, state=st.just(BEGUN), number=ids),
    st.builds(Welcome, ids, texts, texts, state=st.just("confirmed"), number=st.just("")),
)
KINDS = {Answer: ANSWER, Introduction: INTRODUCTION, Welcome: WELCOME, dict: MESSAGE}


@settings(max_examples=60)
@given(ids, contents)
def test_what_was_sealed_is_read_by_its_recipient_as_it_was_said(name: str, content: Content) -> None:
    said = replace(SAID, id=name, content=content)
    found = open_mail(seal_mail(said, KEY, BOX.recipient), BOX.identity, MARIE, name)
    assert found == Mail.from_line(said.to_line(KEY)) == said
    assert found.kind == KINDS[type(content)]
    found.require_from(KEY.public, "hu-berlin")


@settings(max_examples=60)
@given(st.integers(0), st.integers(1, 255))
def test_a_hub_that_changes_a_byte_is_found_out(at: int, flip: int) -> None:
    data = bytearray(SEALED)
    data[at % len(data)] ^= flip
    with pytest.raises(DiademError):
        open_mail(bytes(data), BOX.identity, MARIE, SAID.id)


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(DiademError):
        open_mail(data, BOX.identity, MARIE, SAID.id)
    with pytest.raises(DiademError):
        open_mail(seal(data, BOX.recipient), BOX.identity, MARIE, SAID.id)


SEALED = seal_mail(SAID, KEY, BOX.recipient)


def test_nobody_else_opens_it() -> None:
    with pytest.raises(Refused, match="for somebody else"):
        open_mail(SEALED, OneTime.generate().identity, MARIE, SAID.id)
    assert b"offer" not in SEALED
    for cut in (0, 1, len(SEALED) // 2, len(SEALED) - 1):
        with pytest.raises((IntegrityError, Refused)):
            open_mail(SEALED[:cut], BOX.identity, MARIE, SAID.id)


def test_a_recipient_cannot_pass_it_on_as_if_it_were_for_another() -> None:
    """Marie may open it and seal the same signed line to the other node."""
    other = OneTime.generate()
    passed = seal(unseal(SEALED, [BOX.identity], limit=1 << 20), other.recipient)
    with pytest.raises(Refused, match="somebody passed it on"):
        open_mail(passed, other.identity, OTHER, SAID.id)


def test_a_hub_cannot_put_it_down_under_another_name() -> None:
    with pytest.raises(Refused, match="stored it again"):
        open_mail(SEALED, BOX.identity, MARIE, "02" * 16)


def test_a_stranger_and_an_old_key_did_not_say_it() -> None:
    """Anybody may seal for a node whose recipient he knows; so its word alone counts for nothing."""
    said = open_mail(seal_mail(SAID, PrivateKey.generate(), BOX.recipient), BOX.identity, MARIE, SAID.id)
    with pytest.raises(Refused, match="not signed by the online key of 'hu-berlin'"):
        said.require_from(KEY.public, "hu-berlin")
    with pytest.raises(Refused, match="not signed"):
        SAID.require_from(KEY.public, "hu-berlin")  # it never had a signature


def test_a_signature_over_something_else_is_no_message() -> None:
    line = sign(SAID.to_payload(), [KEY], "application/vnd.in-toto+json").to_line()
    with pytest.raises(DocumentError, match="something else"):
        open_mail(seal(line, BOX.recipient), BOX.identity, MARIE, SAID.id)


@pytest.mark.parametrize("name", ["message", "introduction", "welcome"])
def test_what_an_earlier_version_says_is_known_for_that(name: str) -> None:
    line = sign(SAID.to_payload(), [KEY], f"application/vnd.diadem.{name}+json").to_line()
    for read in (Mail.from_line, lambda data: open_mail(seal(data, BOX.recipient), BOX.identity, MARIE, SAID.id)):
        with pytest.raises(Refused, match="an earlier version") as caught:
            read(line)
        assert "Update DIADEM there" in (caught.value.next or "")


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found | {"kind": "welcome"},
        lambda found: found | {"kind": "gossip"},
        lambda found: found | {"kind": ["message"]},
        lambda found: {name: value for name, value in found.items() if name != "content"},
        lambda found: found | {"more": 1},
        lambda found: found | {"format": "diadem-mail/2"},
        lambda found: found | {"from": MARIE},
        lambda found: found | {"from": "nmi"},
        lambda found: found | {"id": 1},
        lambda found: found | {"sent": "now"},
        lambda found: found | {"sent": 1},
        lambda found: found | {"content": "text"},
        lambda found: [found],
    ],
)
def test_what_is_not_of_the_form_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    document = {
        "format": "diadem-mail/1",
        "from": ALICE,
        "to": MARIE,
        "id": SAID.id,
        "sent": "2026-03-14T09:00:00Z",
        "kind": "message",
        "content": {"kind": "offer"},
    }
    assert Mail.from_line(sign(encode(document, where="test"), [KEY], TYPE).to_line()) == SAID
    line = sign(encode(change(document), where="test"), [KEY], TYPE).to_line()
    with pytest.raises(DocumentError):
        open_mail(seal(line, BOX.recipient), BOX.identity, MARIE, SAID.id)


INTRODUCED = Introduction("cd" * 16, "{}", "{}", seen="", token="ab" * 16, commitment="ef" * 32, number="").to_dict()
WELCOMED = Welcome("cd" * 16, "{}", "{}", state="pending", number="01" * 16).to_dict()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("introduction", {"token": "ab"}),
        ("introduction", {"token": ""}),
        ("introduction", {"nonce": ""}),
        ("introduction", {"seen": None}),
        ("introduction", {"chain": 1}),
        ("introduction", {"commitment": ""}),
        ("introduction", {"number": "x"}),
        ("introduction", {"token": "", "commitment": "", "number": "01" * 16}),
        ("introduction", {"more": ""}),
        ("welcome", {"nonce": "cd"}),
        ("welcome", {"state": "friend"}),
        ("welcome", {"state": "begun", "number": ""}),
        ("welcome", {"number": "x"}),
        ("welcome", {"note": ["x"]}),
    ],
)
def test_an_introduction_and_its_answer_are_of_one_form(kind: str, wrong: dict[str, Any]) -> None:
    good = {"introduction": INTRODUCED, "welcome": WELCOMED}[kind]

    def line(content: dict[str, Any]) -> bytes:
        document = json.loads(SAID.to_payload()) | {"kind": kind, "content": content}
        return sign(encode(document, where="test"), [KEY], TYPE).to_line()

    assert Mail.from_line(line(good)).kind == kind
    with pytest.raises(DocumentError):
        Mail.from_line(line(good | wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "nmi"},
        {"state": ""},
        {"state": "x" * 41},
        {"seen": 1},
        {"messages": [{"a": 1}] * 5},
        {"messages": ["text"]},
        {"error": {"code": "refused"}},
        {"error": {"code": "refused", "message": "x" * 2001, "next": "y"}},
        {"card": ["x"]},
        {"more": "x"},
    ],
)
def test_an_answer_is_small_and_of_one_form(wrong: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        Answer.of({"to": SAID.id, "state": "closed"} | wrong)


def test_what_hubs_would_not_carry_is_not_sealed() -> None:
    with pytest.raises(Refused, match="hubs carry"):
        seal_mail(replace(SAID, content={"text": "x" * (3 << 20)}), KEY, BOX.recipient)


def test_the_words_of_a_refusal_are_obeyed_by_no_terminal() -> None:
    words = {"code": "refused", "message": "\x1b[2Jall \u202eis well", "next": "\x9b31m"}
    error = Answer.of({"to": "ab" * 16, "state": "refused", "error": words}).error
    assert "all  is well" in error["message"]
    assert all(text.isprintable() for text in error.values())
