"""Endpoint notes: signed by the online key, of the node that is meant, the newest counts."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from diadem.errors import DocumentError, Refused
from diadem.model.peers import NOTE_TYPE, EndpointNote
from diadem.node.peers.book import peer_book
from diadem.node.peers.cards import own_card, take_card
from diadem.node.peers.notes import endpoint_note, open_note
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey
from tests.transfer.towns import Town


def signed(town: Town, note: EndpointNote, key: PrivateKey | None = None, kind: str = NOTE_TYPE) -> bytes:
    """A note as hu-berlin signs it."""
    return sign(note.to_payload(), [key or town.node("hu-berlin").context.keys.open("online")], kind).to_line()


def test_a_note_is_made_anew_when_something_changes_or_it_grows_old(town: Town) -> None:
    context = town.node("hu-berlin").context
    book, online = peer_book(context), context.keys.open("online").public
    first = endpoint_note(context, book)
    assert endpoint_note(context, book) == first
    note = open_note(first, online, context.settings.id)
    assert (note.name, note.age[:4], len(note.tls)) == ("hu-berlin", "age1", 1)
    town.later("hu-berlin", days=100)
    later = open_note(endpoint_note(context, book), online, context.settings.id)
    assert later.version > note.version
    assert later.expires > note.expires
    assert replace(later, version=note.version, issued=note.issued, expires=note.expires) == note


def test_a_note_of_another_node_or_key_or_kind_is_none(town: Town) -> None:
    context = town.node("hu-berlin").context
    online = context.keys.open("online").public
    good = open_note(endpoint_note(context, peer_book(context)), online, context.settings.id)
    for bad, why in (
        (signed(town, good, PrivateKey.generate()), "not signed by the node's online key"),
        (signed(town, replace(good, node="ab" * 32)), "the note of another node"),
        (signed(town, good, kind="application/vnd.in-toto+json"), "not an endpoint note"),
        (b"x" * 40_000, "are read"),
    ):
        with pytest.raises(DocumentError, match=why):
            open_note(bad, online, context.settings.id)


def test_an_older_note_changes_nothing_and_an_ended_or_second_one_is_refused(town: Town) -> None:
    town.meet("hu-berlin", "nmi")
    nmi, hu = town.node("nmi").context, town.node("hu-berlin").context
    peer, card = town.peers("nmi").get("hu-berlin"), own_card(hu)
    assert peer.note is not None
    moved = replace(peer.note, urls=("https://elsewhere.example.org",))
    older = signed(town, replace(moved, version=peer.note.version - 1))
    assert take_card(nmi, peer, card, older).note == peer.note
    with pytest.raises(DocumentError, match="two endpoint notes"):
        take_card(nmi, peer, card, signed(town, moved))
    day = datetime.timedelta(days=1)
    ended = replace(moved, version=peer.note.version + 1, issued=peer.note.issued - 2 * day)
    with pytest.raises(Refused, match="has ended"):
        take_card(nmi, peer, card, signed(town, replace(ended, expires=peer.note.issued - day)))
    newer = replace(moved, version=peer.note.version + 1)
    assert take_card(nmi, peer, card, signed(town, newer)).note == newer
    assert town.events("nmi")[-1] == "moved"
