"""Two nodes come to know each other; a thief of the ticket, and somebody between them, are seen."""

from __future__ import annotations

import json
import threading

import pytest

from diadem.errors import DocumentError, NotFound, Refused, UsageError
from diadem.model.canonical import encode
from diadem.model.peers import PeerState
from diadem.model.tickets import Ticket
from diadem.network.askers import find_asker
from diadem.network.envelope import Introduction, Mail
from diadem.network.peering import answer_join, finish_join, introduce, join_request, signed
from diadem.node.peers.book import PeerBook, peer_book
from diadem.node.peers.cards import own_card
from diadem.node.peers.tickets import Bearer, TicketRefused, use_ticket
from diadem.trust.envelope import sign
from tests.transfer.towns import Direct, Town, url


def online(town: Town, name: str) -> str:
    """Id of a node's online key."""
    return town.node(name).context.keys.open("online").public.key_id


def test_two_nodes_meet_and_one_confirms_the_other_by_the_words(town: Town) -> None:
    ticket = town.peers("hu-berlin").invite()
    assert len(ticket.to_text()) < 600
    joined = town.peers("nmi").join(ticket.to_text())
    assert (joined.name, joined.state, joined.seen_as) == ("hu-berlin", PeerState.CONFIRMED, "pending")
    seen = town.peers("hu-berlin").get("nmi")
    assert (seen.id, seen.state) == (town.node("nmi").id, PeerState.PENDING)
    assert seen.words == joined.words
    assert len(joined.words.split()) == 6
    context = town.node("hu-berlin").context
    asker = find_asker(context, online(town, "nmi"))
    assert asker is not None
    assert (asker.kind, asker.node_id, asker.address) == ("pending", town.node("nmi").id, "nmi")

    with pytest.raises(Refused, match="not the words"):
        town.peers("hu-berlin").confirm("nmi", "acid acorn actor album alarm amber")
    assert town.peers("hu-berlin").get("nmi").state is PeerState.PENDING
    town.peers("hu-berlin").confirm("nmi", "  " + joined.words.upper())
    asker = find_asker(context, online(town, "nmi"))
    assert asker is not None
    assert asker.kind == "peer"
    assert town.peers("nmi").refresh()[0].peer.seen_as == "confirmed"
    assert town.events("hu-berlin") == ["pinned", "confirmed"]
    assert town.events("nmi") == ["pinned", "confirmed"]
    note = town.peers("nmi").get("hu-berlin").note
    assert note is not None
    assert note.urls == (url("hu-berlin"),)
    assert note.tls == ticket.tls


def test_a_peer_sees_how_it_is_seen_and_a_user_is_no_peer(town: Town) -> None:
    town.meet("hu-berlin", "nmi")
    direct = Direct(town.node("hu-berlin"), town.node("nmi").context.keys.open("online"))
    assert direct.get_json("peer")["state"] == "confirmed"
    user = Direct(town.node("hu-berlin"), town.node("hu-berlin").context.keys.open("users/alice"))
    with pytest.raises(NotFound):
        user.get_json("peer")


def test_a_stolen_ticket_that_was_used_first_is_seen_by_all(town: Town) -> None:
    ticket = town.peers("hu-berlin").invite().to_text()
    town.peers("oslo").join(ticket)
    with pytest.raises(Refused, match=r"(?s)used already.*by 'oslo'"):
        town.peers("nmi").join(ticket)
    assert [peer.name for peer in town.peers("hu-berlin").ls()] == ["oslo"]
    assert [peer.name for peer in town.peers("nmi").ls()] == []
    given = town.peers("hu-berlin").tickets()[0]
    assert (given.used_name, given.refused_name) == ("oslo", "nmi")
    refusals = [said for said in town.said("hu-berlin", "audit") if said["outcome"] == "refused"]
    assert [said["actor"] for said in refusals] == ["nmi"]
    with pytest.raises(Refused, match="used already"):  # the log has it once
        town.peers("nmi").join(ticket)
    assert len([said for said in town.said("hu-berlin", "audit") if said["outcome"] == "refused"]) == 1


def test_who_stands_between_two_nodes_has_other_words_on_each_screen(town: Town) -> None:
    """Oslo has caught the ticket in the mail and sent one of its own instead."""
    caught, sent = town.peers("hu-berlin").invite(), town.peers("oslo").invite()
    town.peers("oslo").join(caught.to_text())
    joined = town.peers("nmi").join(sent.to_text(), "hu-berlin")
    shown = town.peers("hu-berlin").ls()[0]
    assert joined.words != shown.words
    with pytest.raises(Refused, match="somebody may be between you"):
        town.peers("hu-berlin").confirm(shown.name, joined.words)


def test_the_first_may_come_again_with_its_ticket_and_of_two_at_once_one_is_refused(town: Town) -> None:
    ticket = town.peers("hu-berlin").invite()
    first = town.peers("nmi").join(ticket.to_text())  # its answer was lost, say
    again = town.peers("nmi").join(ticket.to_text())
    assert again.words == town.peers("hu-berlin").get("nmi").words == first.words
    assert town.events("hu-berlin") == ["pinned"]

    other, book = town.peers("hu-berlin").invite(), town.book("hu-berlin")
    outcomes: list[str] = []

    def come(number: int) -> None:
        bearer = Bearer(f"{number:064x}", f"n{number}")
        try:
            use_ticket(book, other.token_hash, "peer", bearer, town.node("hu-berlin").context.clock())
            outcomes.append("used")
        except TicketRefused:
            outcomes.append("refused")

    threads = [threading.Thread(target=come, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "refused", "refused", "used"]


def test_a_ticket_ends_and_may_be_for_one_node_which_it_confirms(town: Town) -> None:
    peers, nmi = town.peers("hu-berlin"), town.node("nmi")
    ticket = peers.invite(for_=nmi.id)
    with pytest.raises(Refused, match="for another node"):
        town.peers("oslo").join(ticket.to_text())
    changed = Ticket.from_text(ticket.to_text())
    object.__setattr__(changed, "for_", "")
    with pytest.raises(Refused, match="for another node"):  # the node that made it knows better
        town.peers("oslo").join(changed.to_text())
    assert town.peers("nmi").join(ticket.to_text()).seen_as == "confirmed"
    assert peers.get("nmi").state is PeerState.CONFIRMED
    assert town.events("hu-berlin") == ["invited", "pinned", "confirmed"]

    late = peers.invite(days=1)
    town.later("hu-berlin", days=1.1)
    with pytest.raises(Refused, match="ended on"):
        town.peers("oslo").join(late.to_text())
    town.later("oslo", days=1.1)
    with pytest.raises(Refused, match="ended on"):
        join_request(town.node("oslo").context, late)
    for days in (0, 91):
        with pytest.raises(UsageError, match="cannot be valid"):
            peers.invite(days=days)
    with pytest.raises(DocumentError):
        peers.invite(for_="nmi")
    with pytest.raises(UsageError, match="this node itself"):
        peers.invite(for_=town.node("hu-berlin").id)
    with pytest.raises(UsageError, match="made by this node"):
        peers.join(late.to_text())


def test_names_are_unique_here_and_never_the_own_one(town: Town) -> None:
    peers = town.peers("hu-berlin")
    town.peers("oslo").join(peers.invite("nmi").to_text())
    town.peers("nmi").join(peers.invite().to_text())
    assert {peer.name: peer.own_name for peer in peers} == {"nmi": "oslo", "nmi-2": "nmi"}
    assert peers.rename("nmi-2", "mitaka").name == "mitaka"
    assert town.events("hu-berlin")[-1] == "renamed"
    for taken in ("nmi", "hu-berlin"):
        with pytest.raises(UsageError):
            peers.rename("mitaka", taken)
    with pytest.raises(UsageError, match="this node itself"):
        peers.invite("hu-berlin")
    ticket = town.peers("oslo").invite()
    with pytest.raises(UsageError, match="this node itself"):
        peers.join(ticket.to_text(), "hu-berlin")
    assert town.peers("oslo").tickets()[0].used_by == ""
    assert peers.join(ticket.to_text()).name == "nmi"  # it is known already, by this name


def test_a_node_that_is_dropped_is_not_heard_and_does_not_come_back_with_its_old_ticket(town: Town) -> None:
    ticket, spare = (town.peers("hu-berlin").invite(for_=town.node("nmi").id).to_text() for _ in range(2))
    town.peers("nmi").join(ticket)
    with pytest.raises(UsageError, match="a reason"):
        town.peers("hu-berlin").drop("nmi", " ")
    town.peers("hu-berlin").drop("nmi", "the project has ended")
    assert find_asker(town.node("hu-berlin").context, online(town, "nmi")) is None
    with pytest.raises(Refused, match="no such ticket"):
        town.peers("nmi").join(ticket)
    with pytest.raises(Refused, match="ended on"):
        town.peers("nmi").join(spare)
    assert "no such ticket" in town.peers("nmi").refresh()[0].problem
    with pytest.raises(Refused, match="was dropped"):
        town.peers("hu-berlin").confirm("nmi")
    town.peers("nmi").join(town.peers("hu-berlin").invite().to_text())
    assert town.peers("hu-berlin").get("nmi").state is PeerState.PENDING


def test_a_node_that_is_dropped_while_it_joins_is_not_let_in_after_all(town: Town) -> None:
    hu, nmi = town.node("hu-berlin").context, town.node("nmi").context
    ticket = town.peers("hu-berlin").invite(for_=nmi.settings.id)
    town.meet("hu-berlin", "nmi")
    joining = join_request(nmi, ticket)
    answer = Mail.from_line(answer_join(hu, signed(nmi, ticket.node, joining)))
    revealing = finish_join(nmi, ticket, joining, answer)
    assert isinstance(revealing, Introduction)
    town.peers("hu-berlin").drop("nmi", "the project has ended")
    for said in (revealing, joining):
        with pytest.raises(Refused, match="no such ticket"):
            answer_join(hu, signed(nmi, ticket.node, said))
    assert town.peers("hu-berlin").get("nmi").state is PeerState.DROPPED


def test_a_list_of_peers_of_before_joins_were_kept_stays_and_takes_new_ones(town: Town) -> None:
    town.meet("hu-berlin", "nmi")
    town.peers("oslo").join(town.peers("hu-berlin").invite().to_text())
    book = town.book("hu-berlin")
    with book.file.writing() as connection:
        connection.execute("DROP TABLE joins")
    again = PeerBook(town.node("hu-berlin").path)
    pending = ("oslo", PeerState.PENDING)
    assert [(peer.name, peer.state) for peer in again.ls()] == [("nmi", PeerState.CONFIRMED), pending]
    again.close()
    with pytest.raises(Refused, match="when the words could still be forged"):
        town.peers("hu-berlin").confirm("oslo")
    town.meet("hu-berlin", "oslo")
    assert [peer.name for peer in book.ls()] == ["nmi", "oslo"]


def test_a_node_that_joins_as_at_first_is_told_to_update_and_may_use_its_ticket_then(town: Town) -> None:
    ticket = town.peers("hu-berlin").invite()
    hu, nmi = town.node("hu-berlin").context, town.node("nmi").context
    document = join_request(nmi, ticket).to_dict() | {"to": ticket.node}
    del document["commitment"], document["number"]
    key, kind = nmi.keys.open("online"), "application/vnd.diadem.introduction+json"
    old = sign(encode(document | {"format": "diadem-introduction/1"}, where="test"), [key], kind).to_line()
    with pytest.raises(Refused, match="an earlier version") as caught:
        answer_join(hu, old)
    assert "Update DIADEM there" in (caught.value.next or "")
    assert town.peers("hu-berlin").tickets()[0].used_by == ""
    assert town.peers("nmi").join(ticket.to_text()).words


def test_what_was_changed_on_the_way_or_is_for_another_changes_nothing(town: Town) -> None:
    ticket = town.peers("hu-berlin").invite()
    hu, nmi = town.node("hu-berlin").context, town.node("nmi").context
    joining = join_request(nmi, ticket)
    body = signed(nmi, ticket.node, joining)
    with pytest.raises(Refused, match="for another node"):
        answer_join(town.node("oslo").context, body)
    with pytest.raises(DocumentError, match="not signed by the key"):
        answer_join(hu, body, "00" * 32)
    for at in range(0, len(body), len(body) // 12):
        bad = bytearray(body)
        bad[at] ^= 4
        with pytest.raises(UsageError):
            answer_join(hu, bytes(bad))
    signed_by_oslo = json.loads(body)
    stranger = town.node("oslo").context.keys.open("online")
    signed_by_oslo["signatures"][0]["keyid"] = stranger.public.key_id
    with pytest.raises(DocumentError, match="not signed by the online key"):
        answer_join(hu, encode(signed_by_oslo, where="test"))
    assert peer_book(hu).ls() == []
    assert town.peers("hu-berlin").tickets()[0].used_by == ""

    reply = answer_join(hu, body)
    for at in range(0, len(reply), len(reply) // 12):
        bad = bytearray(reply)
        bad[at] ^= 4
        with pytest.raises(UsageError):
            finish_join(nmi, ticket, joining, Mail.from_line(bytes(bad)))
    with pytest.raises(DocumentError, match="another question"):
        finish_join(nmi, ticket, join_request(nmi, ticket), Mail.from_line(reply))
    other = town.peers("oslo").invite()
    with pytest.raises(DocumentError, match="not the card of the node"):  # oslo's ticket, hu-berlin's answer
        finish_join(nmi, other, join_request(nmi, other), Mail.from_line(reply))
    assert peer_book(nmi).ls() == []


def test_nobody_is_known_who_has_neither_ticket_nor_peer(town: Town) -> None:
    town.meet("hu-berlin", "nmi")
    stranger = town.node("oslo").context
    peer = town.peers("nmi").get("hu-berlin")
    with pytest.raises(Refused, match="no such ticket"):
        answer_join(town.node("hu-berlin").context, signed(stranger, peer.id, introduce(stranger, peer)))
    made_up = Ticket(peer.id, "hu-berlin", (url("hu-berlin"),), (), "ab" * 16, town.peers("nmi").invite().expires)
    with pytest.raises(Refused, match="no such ticket"):
        answer_join(town.node("hu-berlin").context, signed(stranger, peer.id, join_request(stranger, made_up)))
    for worthless in (b"x" * 1000, own_card(stranger)[:-40]):  # nothing of it is proven: that takes a while
        chain = (own_card(stranger)[:200] + worthless).decode()
        said = Introduction("cd" * 16, chain, "{}", seen="", token="ab" * 16, commitment="ef" * 32, number="")
        with pytest.raises(Refused, match="no such ticket"):
            answer_join(town.node("hu-berlin").context, signed(stranger, peer.id, said))
    assert not [said for said in town.said("hu-berlin", "audit") if said["outcome"] == "refused"]


def test_a_node_without_an_address_invites_nobody_but_may_join(town: Town) -> None:
    from dataclasses import replace

    from diadem.node.config import ServerSettings

    context = town.node("nmi").context
    context.change_settings(lambda settings: replace(settings, server=ServerSettings()))
    with pytest.raises(Refused, match="no address"):
        town.peers("nmi").invite()
    town.meet("hu-berlin", "nmi")
    assert town.peers("hu-berlin").refresh() == []
    assert "no address" in town.peers("hu-berlin").refresh("nmi")[0].problem
    assert town.peers("nmi").invite(url="https://nmi.example.org:9000").urls == ("https://nmi.example.org:9000",)
    with pytest.raises(UsageError, match="not the address of a node"):
        town.peers("nmi").invite(url="http://nmi.example.org")
    settings = town.node("nmi").path / "node.toml"
    written = settings.read_text("utf-8")
    assert 'urls = ["https://nmi.example.org:9000"]' in written
    settings.write_text(written.replace("https://nmi", "http://nmi"), "utf-8")
    with pytest.raises(DocumentError, match=r"server\.urls"):
        context.reread_settings()
