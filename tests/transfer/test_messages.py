"""Control messages: what is written is read, and nothing else is."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError
from diadem.model import canonical
from diadem.model.times import time_text
from diadem.network.limits import MAX_MESSAGE
from diadem.network.messages import KINDS, OFFER, PROGRESS, UNSIGNED, WANTED, Message

PNG = b"\x89PNG\r\n\x1a\n"
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
ID = st.text("0123456789abcdef", min_size=32, max_size=32)

WISH: dict[str, Any] = {"route": "hub", "generation": 2, "parts": [1], "windows": "AA=="}


def hexes(start: str) -> st.SearchStrategy[str]:
    return ID.map(lambda text: start + text[1:] + text)


def abouts(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    if kind == PROGRESS:
        count = st.integers(0, (1 << 53) - 1)
        state = st.sampled_from(["transferring", "verifying", "paused", "failed"])
        return st.fixed_dictionaries({"state": state, "done": count, "total": count}, optional={"error": TEXT})
    if kind == WANTED:
        route = st.sampled_from(["direct", "hub", "via:group-drive"])
        bits = st.binary(max_size=50).map(lambda data: base64.b64encode(data).decode())
        wanted = {"route": route, "generation": st.integers(1, 99), "windows": bits}
        return st.fixed_dictionaries({**wanted, "parts": st.sampled_from([[], [0], [1], [0, 1]])})
    more: dict[str, st.SearchStrategy[Any]] = {"seen": TEXT.filter(bool)}
    if kind == OFFER:
        picture = st.binary(max_size=50).map(lambda data: base64.b64encode(PNG + data).decode())
        previews = st.lists(st.fixed_dictionaries({"name": TEXT, "png": picture}), max_size=8)
        more |= {"record": st.dictionaries(TEXT, TEXT, max_size=4), "previews": previews, "path": TEXT.filter(bool)}
    return st.fixed_dictionaries({}, optional=more)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(KINDS))
    sent = time_text(datetime.datetime.fromtimestamp(draw(st.integers(0, 4 * 10**9)), datetime.UTC))
    chain = "" if kind in UNSIGNED else draw(TEXT.filter(bool))
    return Message(draw(ID), kind, draw(ID), draw(hexes("a")), draw(hexes("b")), sent, chain, draw(abouts(kind)))


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(messages())
def test_what_is_written_is_read(message: Message) -> None:
    data = message.to_bytes()
    assert Message.from_bytes(data) == message
    assert Message.from_bytes(data).to_bytes() == data


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(messages(), st.data())
def test_a_change_is_refused_or_another_message(message: Message, data: st.DataObject) -> None:
    written = bytearray(message.to_bytes())
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] ^= data.draw(st.integers(1, 255))
    try:
        other = Message.from_bytes(bytes(written))
    except DocumentError:
        return
    assert other != message
    assert other.to_bytes() == bytes(written)


def sample(**members: Any) -> bytes:
    document = {
        "message": "diadem-message/1",
        "id": "1" * 32,
        "kind": "offer",
        "transfer": "2" * 32,
        "from": "a" * 64,
        "to": "b" * 64,
        "sent": "2026-03-14T09:26:53Z",
        "chain": "{}",
        "about": {},
    }
    return canonical.encode({**document, **members}, where="")


def test_the_sample_is_read() -> None:
    assert Message.from_bytes(sample()).kind == OFFER


@pytest.mark.parametrize(
    "members",
    [
        {"message": "diadem-message/2"},
        {"kind": "grant"},
        {"id": "1" * 31},
        {"transfer": "../../etc/passwd"},
        {"from": "A" * 64},
        {"to": "a" * 64},
        {"sent": "2026-03-14 09:26:53"},
        {"chain": ""},
        {"chain": 1},
        {"kind": "progress"},
        {"about": []},
        {"about": {"else": 1}},
        {"about": {"seen": ""}},
        {"about": {"path": "x" * 201}},
        {"about": {"record": {"title": "x" * (64 << 10)}}},
        {"about": {"previews": [{"name": "p", "png": base64.b64encode(PNG).decode()}] * 9}},
        {"about": {"previews": [{"name": "p", "png": base64.b64encode(b"GIF89a").decode()}]}},
        {"about": {"previews": [{"name": "p", "png": base64.b64encode(PNG + bytes(64 << 10)).decode()}]}},
        {"about": {"previews": [{"name": "p", "png": "%%"}]}},
        {"kind": "receipt", "about": {"record": {}}},
        {"kind": "progress", "chain": "", "about": {"done": -1}},
        {"kind": "progress", "chain": "", "about": {"state": "closed"}},
        {"kind": "wanted", "chain": "", "about": {"route": "direct"}},
        {"kind": "wanted", "chain": "", "about": {**WISH, "route": "via:../x"}},
        {"kind": "wanted", "chain": "", "about": {**WISH, "generation": 100}},
        {"kind": "wanted", "chain": "", "about": {**WISH, "parts": [1, 0]}},
        {"kind": "wanted", "chain": "", "about": {**WISH, "windows": "AAA"}},
        {"kind": "wanted", "chain": "", "about": {**WISH, "windows": 3}},
        {"kind": "wanted", "chain": "x", "about": WISH},
        {"more": 1},
        {"chain": "x" * MAX_MESSAGE},
    ],
)
def test_what_no_message_says_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        Message.from_bytes(sample(**members))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"{" * 100_000, sample() + b" ", b"\xff"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        Message.from_bytes(data)
