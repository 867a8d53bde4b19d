"""Whatever stands in a document of somebody else, it is read or refused in words: nothing of it breaks the reader."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diadem.errors import DiademError
from diadem.model.canonical import encode
from diadem.network.disk import DiskHeader
from diadem.network.handlers.packages import Search
from diadem.network.hub.notes import Note
from diadem.network.logins import Login, LoginAnswer
from diadem.network.messages import Message
from diadem.network.push import Have
from diadem.network.remote.reading import read_result, read_transfer
from diadem.network.wishes import read_wish

A, B, ID, AT = "ab" * 32, "cd" * 32, "01" * 16, "2026-03-14T09:26:53Z"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
HEAD: dict[str, Any] = {
    "message": "diadem-message/1", "id": ID, "transfer": ID, "from": A, "to": B, "sent": AT, "chain": ""
}  # fmt: skip
OFFERED = {"seen": "x", "record": {"title": "ZnO"}, "previews": [{"name": "p", "png": PNG}], "path": "a"}
WANTED = {"route": "hub", "generation": 1, "parts": [0, 1], "windows": "AA==", "hub": A}
JUDGEMENT = {"verdict": "accept", "purpose": "imaging", "value": 1.5, "evidence": ["https://example.org"]}
TRANSFER = {
    "id": ID, "direction": "out", "state": "offered", "package": "p", "payload_id": "x", "title": "t", "bytes": 1,
    "files": 1, "peer": A, "sender": "a@b", "recipient": "c@d", "routes": ["hub"], "route": "", "expires": AT,
    "created": AT, "counts": {"received": 0}, "missing": [],
}  # fmt: skip

READERS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "offer": (Message.of, {**HEAD, "kind": "offer", "chain": "x", "about": OFFERED}),
    "progress": (Message.of, {**HEAD, "kind": "progress", "about": {"state": "paused", "done": 1, "error": ""}}),
    "wanted": (Message.of, {**HEAD, "kind": "wanted", "about": WANTED}),
    "disk": (
        DiskHeader.of,
        {"format": "diadem-disk/1", "sender": A, "recipient": B, "transfer": ID, "relay": ID, "message": ID},
    ),
    "login": (Login.of, {"format": "diadem-login/1", "to": A, "token": ID, "full_name": "Bob", "public": "ed25519:"}),
    "login answer": (LoginAnswer.of, {"address": "bob@nmi", "chain": "{}"}),
    "have": (Have.of, {"parts": True, "windows": 9, "wanted": "AQE=", "begun": [[3, 0, 5]]}),
    "search": (Search.of, {"query": "ZnO", "limit": 5, "offset": 0}),
    "assessment": (read_wish, {"kind": "assessment", "package": A, "judgement": JUDGEMENT}),
    "offer wish": (read_wish, {"kind": "offer", "package": A, "offer": {"to": "marie@nmi", "seconds": 5}}),
    "transfer": (lambda found: read_transfer(found, "https://archive"), TRANSFER),
    "result": (
        lambda found: read_result(found, "https://archive"),
        {"query": "", "rows": [], "total": 0, "wider": [{"query": "", "left_out": "", "total": 1, "exact": True}]},
    ),
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*way, key))


def at(value: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        value = value[key]
    return value


def changed(document: dict[str, Any], way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    found: Any = copy.deepcopy(document)
    inside = found
    for key in way[:-1]:
        inside = inside[key]
    inside[way[-1]] = value
    return found


@pytest.mark.parametrize("name", [*READERS])
def test_what_is_meant_is_read(name: str) -> None:
    read, document = READERS[name]
    assert read(document) == read(copy.deepcopy(document))


@pytest.mark.parametrize("name", [*READERS])
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_any_value_at_any_place_is_read_or_refused_in_words(name: str, data: st.DataObject) -> None:
    read, document = READERS[name]
    said = changed(document, data.draw(st.sampled_from([*places(document)])), data.draw(VALUES))
    words = ""
    try:
        read(said)
    except DiademError as error:
        words = error.line
    assert len(words) < 500


@pytest.mark.parametrize("name", [*READERS])
@pytest.mark.parametrize("member", ["x - at `$.evil", "x` - at `$.evil", "x - at `$.id", "x` - at `$.id", "x\n`$", "`"])
def test_a_member_of_any_name_at_any_place_is_read_or_refused_by_its_name(name: str, member: str) -> None:
    read, document = READERS[name]
    said = f"'{' '.join(member.split())}' is not a member of it"
    for way in [way for way in places(document) if isinstance(at(document, way), dict)]:
        words = ""
        try:
            read(changed(document, (*way, member), 1))
        except DiademError as error:
            words = error.line
        named = [part for part in way if isinstance(part, str)]
        before, _, after = words.partition(said)
        assert not words or after, f"it is named: {words}"
        assert "evil" not in before, "no other member is blamed"
        assert not words or not named or named[-1] in before or f"[message.{named[-1]}]" in after


def test_many_messages_are_read_one_after_the_other_whatever_one_of_them_holds() -> None:
    good = encode(READERS["progress"][1], where="")
    bad = encode({"x - at `$.evil": 1, **READERS["progress"][1]}, where="")
    told = []
    for line in (bad, good, good):
        try:
            told.append(Message.from_bytes(line).id)
        except DiademError as error:
            told.append(error.message)
    assert told == ["'x - at `$.evil' is not a member of it", ID, ID]


def test_what_should_stand_there_is_said_as_it_is_written() -> None:
    document = READERS["wanted"][1]
    with pytest.raises(DiademError) as refused:
        Message.of({**document, "about": {**document["about"], "parts": [2]}})
    assert "parts[0]: it should be 0 or 1" in refused.value.line


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 400), flip=st.integers(1, 255))
def test_a_note_with_another_byte_is_another_note_or_none(place: int, flip: int) -> None:
    told = {"format": "diadem-relay/1", "hub": A, "said": "stored", "names": ["2-0-1"], "sha256": [B], "bytes": 3}
    for where in ("relay", "box", "mailbox"):
        try:
            note = Note.from_bytes(encode({**told, "at": AT, where: ID}, where=""))
        except DiademError:
            continue
        line = bytearray(note.to_bytes())
        line[place % len(line)] ^= flip
        try:
            other = Note.from_bytes(bytes(line))
        except DiademError:
            continue
        assert other != note
        assert other.to_bytes() == bytes(line)
