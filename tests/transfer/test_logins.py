"""A person joins a node from a laptop: the key stays there."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from diadem.custody.chain import Chain
from diadem.errors import DocumentError, NotFound, Refused, UsageError
from diadem.model.canonical import encode
from diadem.model.tickets import Ticket
from diadem.network.askers import find_asker
from diadem.network.logins import answer_login, finish_login, login_request
from diadem.network.profiles import login, profiles_folder, read_profile
from diadem.trust.keys import PrivateKey
from tests.transfer.towns import Town, url


def test_a_person_becomes_a_user_whose_key_the_node_does_not_have(town: Town) -> None:
    hu = town.node("hu-berlin")
    ticket = hu.users.invite("bob", guest=True)
    profile = login(ticket.to_text(), connect=town.connect, full_name="Bob Bunsen", passphrase="secret")
    assert (profile.address, profile.node, tuple(profile.urls)) == ("bob@hu-berlin", hu.id, (url("hu-berlin"),))
    assert read_profile("bob@hu-berlin") == profile
    path = Path(profile.key)
    key = PrivateKey.from_pem(path.read_bytes(), "secret")
    if os.name != "nt":
        assert path.stat().st_mode & 0o077 == 0
    user = hu.context.settings.user("bob")
    assert (user.full_name, user.key, user.custody) == ("Bob Bunsen", key.public.to_text(), "user-held")
    assert (user.protection, user.guest) == ("none", True)
    assert not hu.context.keys.has("users/bob")
    asker = find_asker(hu.context, key.public.key_id)
    assert asker is not None
    assert (asker.kind, asker.address) == ("user", "bob@hu-berlin")
    card = hu.context.ledger.keys()[-1].statement.predicate
    assert (card["name"], card["role"], card["custody"]) == ("bob@hu-berlin", "user", "user-held")
    # its answer was lost, say: the same command goes on with the same key
    assert login(ticket.to_text(), connect=town.connect, passphrase="secret") == profile
    assert len(hu.context.settings.users) == 2
    with pytest.raises(UsageError, match="a user 'bob' already"):
        hu.users.invite("bob")
    with pytest.raises(NotFound):
        hu.context.keys.open("users/bob")


def test_a_second_person_with_the_ticket_is_refused_and_logged(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = town.node("hu-berlin").users.invite("bob").to_text()
    login(ticket, connect=town.connect)
    monkeypatch.setenv("DIADEM_CONFIG", str(town.root / "another account"))
    with pytest.raises(Refused, match="used already"):
        login(ticket, connect=town.connect)
    assert [said["outcome"] for said in town.said("hu-berlin", "audit")] == ["allowed", "refused"]
    assert not (profiles_folder() / "bob@hu-berlin.toml").exists()


def test_tickets_are_for_persons_or_for_nodes(town: Town) -> None:
    hu, context = town.node("hu-berlin"), town.node("hu-berlin").context
    for_bob, for_node = hu.users.invite("bob"), town.peers("hu-berlin").invite()
    with pytest.raises(UsageError, match="for a person"):
        town.peers("nmi").join(for_bob.to_text())
    with pytest.raises(UsageError, match="for a node"):
        login(for_node.to_text(), connect=town.connect)
    key = PrivateKey.generate()
    forged = Ticket.from_text(for_bob.to_text())
    object.__setattr__(forged, "token", for_node.token)
    with pytest.raises(Refused, match="no such ticket"):
        answer_login(context, login_request(forged, key))
    with pytest.raises(Refused, match="for another node"):
        answer_login(town.node("nmi").context, login_request(for_bob, key))
    with pytest.raises(DocumentError, match="not signed by the key"):
        answer_login(context, login_request(for_bob, key), "00" * 32)
    body = json.loads(login_request(for_bob, key))
    body["signatures"] = json.loads(login_request(for_bob, PrivateKey.generate()))["signatures"]
    with pytest.raises(DocumentError, match="not signed by the key"):
        answer_login(context, encode(body, where="test"))
    assert len(context.settings.users) == 1
    assert town.peers("hu-berlin").tickets()[0].used_by == ""


def test_the_answer_must_be_of_the_node_of_the_ticket_and_about_this_key(town: Town) -> None:
    ticket, key = town.node("hu-berlin").users.invite("bob"), PrivateKey.generate()
    other = town.node("nmi").users.invite("bob")
    reply = json.loads(answer_login(town.node("nmi").context, login_request(other, key)))
    assert finish_login(other, key, reply) == "bob@nmi"
    for ticket_, key_ in ((ticket, key), (other, PrivateKey.generate())):
        with pytest.raises(DocumentError, match="does not prove"):
            finish_login(ticket_, key_, reply)
    headless = replace(Chain.from_bytes(reply["chain"].encode()), head=None).to_bytes().decode()
    with pytest.raises(DocumentError, match="does not prove"):
        finish_login(other, key, reply | {"chain": headless})
    renamed = reply | {"address": "alice@nmi"}
    with pytest.raises(DocumentError, match="does not prove"):
        finish_login(other, key, renamed)


def test_an_ended_ticket_and_a_profile_of_another_node_are_refused_before_anything_is_made(town: Town) -> None:
    ticket = town.node("hu-berlin").users.invite("bob", days=0.5)
    late = Ticket.from_text(ticket.to_text())
    object.__setattr__(late, "expires", ticket.expires.replace(year=2020))
    with pytest.raises(Refused, match="ended on"):
        login(late.to_text(), connect=town.connect)
    assert not profiles_folder().exists()
    with pytest.raises(NotFound):
        read_profile("bob@hu-berlin")
    login(ticket.to_text(), connect=town.connect)
    namesake = Ticket.from_text(ticket.to_text())
    object.__setattr__(namesake, "node", "ab" * 32)
    with pytest.raises(Refused, match="for another node"):
        login(namesake.to_text(), connect=town.connect)
    (profiles_folder() / "bob@hu-berlin.toml").write_text("format = 'diadem-profile/2'")
    with pytest.raises(DocumentError):
        read_profile("bob@hu-berlin")
