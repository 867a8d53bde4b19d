"""Tickets and endpoint notes: one text for one value, and nothing else is read."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DocumentError, UsageError
from diadem.model.canonical import encode
from diadem.model.peer_checks import require_url
from diadem.model.peers import Contact, EndpointNote
from diadem.model.tickets import MAX_TICKET, TICKET, Ticket

hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = st.text("az09._-", max_size=60).map("n{}0".format)
hosts = st.sampled_from(("archive", "10.0.0.1", "[2001:db8::1]", "a-b.example.org", "tem.chem.ox.ac.uk"))
addresses = st.lists(st.builds("https://{}:{}".format, hosts, st.integers(1, 65_535)), max_size=3, unique=True)
moments = st.datetimes(
    datetime.datetime(2000, 1, 1),  # noqa: DTZ001  Hypothesis adds the zone
    datetime.datetime(2090, 1, 1),  # noqa: DTZ001
    timezones=st.just(datetime.UTC),
).map(lambda moment: moment.replace(microsecond=0))


@st.composite
def some_hubs(draw: st.DrawFn) -> tuple[Contact, ...]:
    ids = draw(st.lists(hexes, max_size=4, unique=True))
    return tuple(Contact(one, draw(names), tuple(draw(addresses)), (draw(hexes),)) for one in ids)


@st.composite
def some_tickets(draw: st.DrawFn) -> Ticket:
    user = draw(st.one_of(st.just(""), names))
    hubs = () if user else draw(some_hubs())
    return Ticket(
        draw(hexes.filter(lambda one: one not in {hub.node for hub in hubs})),
        draw(names),
        tuple(draw(addresses)),
        tuple(draw(st.lists(hexes, max_size=2, unique=True))),
        draw(hexes)[:32],
        draw(moments),
        "user" if user else "peer",
        "" if user else draw(st.one_of(st.just(""), hexes)),
        user,
        hubs,
        "age1" + draw(hexes) if hubs else "",
    )


@st.composite
def some_notes(draw: st.DrawFn) -> EndpointNote:
    issued = draw(moments)
    return EndpointNote(
        draw(hexes),
        draw(names),
        draw(st.integers(1, (1 << 53) - 1)),
        issued,
        issued + datetime.timedelta(days=draw(st.integers(1, 900))),
        tuple(draw(addresses)),
        tuple(draw(st.lists(hexes, max_size=2, unique=True))),
        "age1" + draw(hexes),
        draw(st.booleans()),
        tuple(draw(st.lists(hexes, max_size=8, unique=True))),
    )


HUB = Contact("ef" * 32, "institute", ("https://hub.example.org",), ("cd" * 32,))
TICKET_ = Ticket(
    "ab" * 32,
    "hu-berlin",
    ("https://archive.example.org:8642",),
    ("cd" * 32,),
    "01" * 16,
    datetime.datetime(2026, 3, 14, tzinfo=datetime.UTC),
)


@settings(max_examples=25)
@given(some_tickets(), st.integers(1, 40))
def test_a_ticket_is_read_as_it_was_written_also_where_a_mail_broke_its_lines(ticket: Ticket, width: int) -> None:
    text = ticket.to_text()
    assert len(text) <= MAX_TICKET
    assert Ticket.from_text(text) == ticket
    broken = "\r\n ".join(text[at : at + width] for at in range(0, len(text), width))
    assert Ticket.from_text(f"\n{broken}\n") == ticket


@settings(max_examples=25)
@given(some_tickets(), st.data())
def test_a_ticket_with_another_letter_is_another_or_none(ticket: Ticket, data: st.DataObject) -> None:
    text = ticket.to_text()
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABab01-_=:é"))
    changed = text[:at] + letter + text[at + 1 :]
    try:
        found = Ticket.from_text(changed)
    except DocumentError:
        return
    assert found.to_text() == changed


@settings(max_examples=25)
@given(some_notes())
def test_a_note_is_read_as_it_was_written(note: EndpointNote) -> None:
    assert EndpointNote.from_payload(note.to_payload()) == note


@settings(max_examples=25)
@given(st.text())
def test_any_text_is_no_ticket(text: str) -> None:
    for given_ in (text, TICKET + text):
        with pytest.raises(DocumentError):
            Ticket.from_text(given_)


@given(some_tickets(), st.data())
def test_a_ticket_that_is_cut_off_says_what_to_do(ticket: Ticket, data: st.DataObject) -> None:
    text = ticket.to_text()
    cut = text[: data.draw(st.integers(len(TICKET), len(text) - 1))]
    with pytest.raises(DocumentError, match="some letters of it are missing") as caught:
        Ticket.from_text(cut)
    assert caught.value.next


def test_a_ticket_of_a_later_version_says_so() -> None:
    with pytest.raises(DocumentError, match="later version"):
        Ticket.from_text(TICKET_.to_text().replace("diadem1:", "diadem2:"))
    with pytest.raises(DocumentError, match="begins with"):
        Ticket.from_text(TICKET_.to_text() * 100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"node": "AB" * 32},
        {"name": "Hu Berlin"},
        {"urls": ("http://archive.example.org",)},
        {"urls": ("https://archive.example.org:0",)},
        {"urls": ("https://archive.example.org:70000",)},
        {"urls": ("https://alice@archive.example.org",)},
        {"urls": ("https://archive.example.org/path",)},
        {"urls": ("https://a.example.org", "https://a.example.org")},
        {"urls": tuple(f"https://a{number}.example.org" for number in range(9))},
        {"tls": ("cd",)},
        {"token": "01"},
        {"kind": "friend"},
        {"kind": "user"},
        {"user": "bob"},
        {"kind": "user", "user": "bob", "for_": "ab" * 32},
        {"for_": "nmi"},
        {"age": "age1qq"},
        {"hubs": (HUB,)},
        {"hubs": (HUB, HUB), "age": "age1qq"},
        {"hubs": (replace(HUB, node="ab" * 32),), "age": "age1qq"},
        {"hubs": (replace(HUB, name="No Name"),), "age": "age1qq"},
        {"hubs": (replace(HUB, urls=("http://hub.example.org",)),), "age": "age1qq"},
        {"hubs": tuple(replace(HUB, node=f"{number:064x}") for number in range(5)), "age": "age1qq"},
        {"hubs": (HUB,), "age": "age1qq", "kind": "user", "user": "bob"},
    ],
)
def test_a_ticket_that_leads_nowhere_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        replace(TICKET_, **wrong)


NOTE = EndpointNote(
    "ab" * 32, "hu-berlin", 1, TICKET_.expires, TICKET_.expires + datetime.timedelta(days=1), (), (), "age1qq"
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "diadem-endpoint/2"},
        {"version": 0},
        {"version": True},
        {"version": 1.5},
        {"version": 1 << 53},
        {"expires": "2026-03-13T00:00:00Z"},
        {"expires": "tomorrow"},
        {"urls": "https://archive.example.org"},
        {"urls": [1]},
        {"age": "AGE-SECRET-KEY-1"},
        {"hub": 1},
        {"hubs": ["nmi"]},
        {"hubs": ["ef" * 32] * 2},
        {"hubs": [f"{number:064x}" for number in range(9)]},
        {"more": 1},
    ],
)
def test_a_note_that_says_anything_else_is_none(wrong: dict[str, Any]) -> None:
    document = json.loads(NOTE.to_payload()) | wrong
    with pytest.raises(DocumentError):
        EndpointNote.from_payload(encode(document, where="test"))


def test_an_address_is_https_host_and_port() -> None:
    for good in ("https://a.example.org", "https://10.0.0.1:8642", "https://[2001:db8::1]:8642", "https://archive"):
        assert require_url(good) == good
    for bad in ("", "a.example.org:8642", "https://", "https://a b", "https://a.example.org:port", "https://ä.org"):
        with pytest.raises(UsageError):
            require_url(bad)
