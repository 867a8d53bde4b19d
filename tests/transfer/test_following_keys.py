"""A peer's keys, addresses and names are followed where its root key vouches for them; everything else is a stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

import diadem
from diadem.custody.statements import LOG, ONLINE, node_card
from diadem.errors import DiademError, DocumentError, IntegrityError, NotFound, Refused
from diadem.model.peers import PeerState
from diadem.model.times import read_time
from diadem.network.askers import find_asker
from diadem.network.peering import answer_join, introduce, signed
from diadem.node.config import ServerSettings
from diadem.node.context import Context
from diadem.node.peers.book import FILE, FOLDER, peer_book
from diadem.node.peers.cards import Forked, own_card, prove_card, take_card
from diadem.node.peers.notes import endpoint_note
from diadem.node.recovery_file import read_recovery
from diadem.store.system import FileLock
from diadem.trust.keys import PrivateKey
from tests.transfer.towns import Town


@pytest.fixture
def met(town: Town) -> Town:
    """Where hu-berlin and nmi know each other."""
    town.meet("hu-berlin", "nmi")
    return town


def shown(node: diadem.Node) -> tuple[bytes, bytes]:
    """What a node shows of itself."""
    return own_card(node.context), endpoint_note(node.context, peer_book(node.context))


def introduced(met: Town, context: Context) -> bytes:
    """What a node that is, or says it is, hu-berlin sends to nmi."""
    peer = met.peers("hu-berlin").get("nmi")
    return signed(context, peer.id, introduce(context, peer))


def refusals(town: Town, name: str) -> list[str]:
    """What the log of a node says of those whom it refused."""
    return [str(said["action"]) for said in town.said(name, "audit") if said["outcome"] == "refused"]


def test_a_new_key_that_the_root_vouches_for_is_followed_and_the_old_one_not_heard(met: Town) -> None:
    hu, nmi = met.node("hu-berlin"), met.node("nmi").context
    old = hu.context.keys.open("online").public
    rotated = hu.keys.rotate(met.recovery_file("hu-berlin"))
    new = hu.context.keys.open("online").public
    assert (rotated.version, rotated.online, rotated.before) == (2, new.to_text(), old.to_text())
    assert find_asker(nmi, new.key_id) is None
    assert met.peers("hu-berlin").refresh()[0].problem == ""  # it introduces itself anew
    peer = met.peers("nmi").get("hu-berlin")
    assert (peer.version, peer.online, peer.state) == (2, new.to_text(), PeerState.CONFIRMED)
    assert find_asker(nmi, old.key_id) is None
    assert find_asker(nmi, new.key_id) is not None
    assert met.events("nmi")[-1] == "rotated"
    hu.users.add("bob")
    report = hu.custody(hu.id)
    assert report.ok, report.to_dict()


def test_only_the_own_recovery_file_gives_a_new_key_and_nothing_else_is_at_work(met: Town) -> None:
    hu = met.node("hu-berlin")
    before = hu.context.keys.open("online").public
    with pytest.raises(Refused, match="another node's"):
        hu.keys.rotate(met.recovery_file("nmi"))
    with pytest.raises(NotFound):
        hu.keys.rotate(met.root / "nothing.txt")
    lock = FileLock(hu.path / "locks" / "serve.lock")
    assert lock.acquire()
    with pytest.raises(Refused, match="at work"):
        hu.keys.rotate(met.recovery_file("hu-berlin"))
    lock.release()
    assert hu.context.keys.open("online").public == before


def test_a_change_of_keys_that_was_cut_off_ends_when_the_node_is_opened(met: Town) -> None:
    hu = met.node("hu-berlin")
    keys, ledger = hu.context.keys, hu.context.ledger
    root = read_recovery(met.recovery_file("hu-berlin")).root
    keys.keep("online-next", PrivateKey.generate())  # it was cut off before the log knew the key
    unknown = keys.open("online-next").public
    with diadem.open_node(hu.path) as again:
        assert again.context.keys.open("online").public != unknown
    new = PrivateKey.generate()
    keys.keep("online-next", new)
    card = node_card(name="hu-berlin", root=root.public, online=new.public, log=ledger.log_key(), version=2)
    ledger.append(card, [root])
    with diadem.open_node(hu.path) as again:
        assert again.context.keys.open("online").public == new.public
        assert not again.context.keys.has("online-next")


def test_a_key_that_the_root_did_not_sign_is_not_taken(met: Town) -> None:
    """The thief has the machine: online key and log key, but not the recovery file."""
    hu, nmi = met.node("hu-berlin"), met.node("nmi").context
    forged, context = PrivateKey.generate(), hu.context
    log, online = context.ledger.log_key(), context.keys.open("online")
    root = prove_card(own_card(context), hu.id)
    card = node_card(name="hu-berlin", root=forged.public, online=forged.public, log=log, version=2)
    context.ledger.append(card[1:2], [online])
    context.keys.keep("online", forged)
    peer = met.peers("nmi").get("hu-berlin")
    with pytest.raises(DocumentError):
        take_card(nmi, peer, *shown(hu))
    with pytest.raises(DocumentError):
        answer_join(nmi, introduced(met, context))
    assert met.peers("nmi").get("hu-berlin") == peer
    assert peer.online == root.online.to_text()


def test_an_older_card_is_refused_and_logged(met: Town) -> None:
    hu, nmi = met.node("hu-berlin"), met.node("nmi").context
    thief = met.fork("hu-berlin", "thief")  # took the old key; the node has a new one since
    hu.keys.rotate(met.recovery_file("hu-berlin"))
    met.peers("hu-berlin").refresh()
    peer = met.peers("nmi").get("hu-berlin")
    with pytest.raises(DiademError):
        take_card(nmi, peer, *shown(thief))
    peer_book(nmi).forget_checkpoint(peer.id)  # whatever else would tell
    with pytest.raises(Refused, match="version 1 was shown; version 2 is known"):
        take_card(nmi, peer, *shown(thief))
    with pytest.raises(Refused, match="an old card"):
        answer_join(
            nmi, signed(thief.context, met.node("nmi").id, introduce(thief.context, met.peers("hu-berlin").get("nmi")))
        )
    assert met.peers("nmi").get("hu-berlin") == peer
    assert refusals(met, "nmi") == ["showed an older card"]


def test_a_log_that_was_forked_puts_the_peer_back_until_a_person_confirms_it(met: Town) -> None:
    hu, nmi = met.node("hu-berlin"), met.node("nmi").context
    fork = met.fork("hu-berlin", "fork")
    hu.users.add("bob")
    met.peers("nmi").refresh()
    fork.users.add("eve")
    peer = met.peers("nmi").get("hu-berlin")
    with pytest.raises(Forked, match="rewritten or forked"):
        take_card(nmi, peer, *shown(fork))
    stopped = met.peers("nmi").get("hu-berlin")
    assert stopped.state is PeerState.PENDING
    assert "forked" in stopped.reason
    assert refusals(met, "nmi") == ["contradicted what was known of it"]
    met.peers("nmi").confirm("hu-berlin")
    take_card(nmi, peer, *shown(fork))  # a person has settled which of the two it is


def test_a_longer_fork_that_shows_nothing_of_what_was_seen_is_a_stop_where_it_was_asked(met: Town) -> None:
    hu, nmi = met.node("hu-berlin"), met.node("nmi").context
    fork = met.fork("hu-berlin", "fork")
    hu.users.add("bob")
    met.peers("nmi").refresh()
    for name in ("eve", "mallory", "oscar"):
        fork.users.add(name)
    peer = met.peers("nmi").get("hu-berlin")
    with pytest.raises(Refused, match="may be an old card"):  # an introduction alone proves nothing either way
        answer_join(
            nmi, signed(fork.context, met.node("nmi").id, introduce(fork.context, met.peers("hu-berlin").get("nmi")))
        )
    assert met.peers("nmi").get("hu-berlin") == peer
    met.nodes["hu-berlin"] = fork
    assert "still begins" in met.peers("nmi").refresh()[0].problem
    assert met.peers("nmi").get("hu-berlin").state is PeerState.PENDING
    met.nodes["hu-berlin"] = hu


def test_two_keys_of_one_version_are_a_stop(met: Town) -> None:
    hu, nmi = met.node("hu-berlin"), met.node("nmi").context
    fork = met.fork("hu-berlin", "fork")
    for node in (hu, fork):
        node.keys.rotate(met.recovery_file("hu-berlin"))
    met.peers("nmi").refresh()
    peer = met.peers("nmi").get("hu-berlin")
    assert peer.version == 2
    peer_book(nmi).forget_checkpoint(peer.id)  # so that only the keys tell
    with pytest.raises(IntegrityError, match="two online keys of version 2"):
        take_card(nmi, peer, *shown(fork))
    assert met.peers("nmi").get("hu-berlin").state is PeerState.PENDING


def test_a_ticket_for_an_id_confirms_once_and_not_after_a_stop(town: Town) -> None:
    ticket = town.peers("nmi").invite(for_=town.node("hu-berlin").id).to_text()
    town.peers("hu-berlin").join(ticket)
    fork = town.fork("hu-berlin", "fork")
    town.node("hu-berlin").users.add("bob")
    town.peers("hu-berlin").refresh()
    fork.users.add("eve")
    peer = town.peers("nmi").get("hu-berlin")
    with pytest.raises(Forked):
        take_card(town.node("nmi").context, peer, *shown(fork))
    town.peers("hu-berlin").join(ticket)
    assert town.peers("nmi").get("hu-berlin").state is PeerState.PENDING


def test_a_stolen_key_is_not_heard_and_what_it_signed_later_does_not_count(met: Town) -> None:
    hu, nmi = met.node("hu-berlin"), met.node("nmi").context
    old = hu.context.keys.open("online").public
    met.peers("nmi").compromised("hu-berlin", "2026-03-14", "the machine was stolen")
    assert find_asker(nmi, old.key_id) is None
    peer = met.peers("nmi").get("hu-berlin")
    assert peer.believed(old.key_id, read_time("2026-03-13T23:59:59Z"))
    assert not peer.believed(old.key_id, read_time("2026-03-14T00:00:00Z"))
    said = met.said("nmi", "peer")[-1]
    assert (said["event"], said["since"], said["online"]) == ("compromised", "2026-03-14T00:00:00Z", old.to_text())
    with pytest.raises(Refused):  # the thief cannot introduce itself either
        answer_join(
            nmi, signed(hu.context, met.node("nmi").id, introduce(hu.context, met.peers("hu-berlin").get("nmi")))
        )
    hu.keys.rotate(met.recovery_file("hu-berlin"))
    assert met.peers("hu-berlin").refresh()[0].problem == ""
    peer = met.peers("nmi").get("hu-berlin")
    assert peer.speaks
    assert not peer.believed(old.key_id, read_time("2026-03-15T00:00:00Z"))


def test_a_node_tells_its_peers_itself_that_its_key_was_stolen(met: Town) -> None:
    hu = met.node("hu-berlin")
    old = hu.context.keys.open("online").public
    hu.keys.rotate(met.recovery_file("hu-berlin"), stolen_since="2026-03-14T08:00:00Z", reason="break-in")
    met.peers("nmi").refresh()
    assert met.peers("nmi").get("hu-berlin").stolen == {old.key_id: "2026-03-14T08:00:00Z"}
    assert met.events("nmi")[-2:] == ["rotated", "compromised"]
    met.meet("hu-berlin", "oslo")  # also those who come to know it later
    assert met.peers("oslo").get("hu-berlin").stolen.keys() == {old.key_id}


def test_a_node_that_moves_or_takes_another_name_is_followed_and_keeps_its_name_here(met: Town) -> None:
    hu = met.node("hu-berlin")
    moved = ServerSettings("", ("https://hu-berlin.example.net:443",))
    hu.context.change_settings(lambda settings: replace(settings, server=moved))
    assert met.peers("nmi").refresh()[0].problem == ""
    note = met.peers("nmi").get("hu-berlin").note
    assert note is not None
    assert note.urls == moved.urls
    assert met.said("nmi", "peer")[-1]["event"] == "moved"
    assert met.peers("nmi").refresh()[0].peer.note == note  # nothing new, no new version
    hu.context.change_settings(lambda settings: replace(settings, name="adlershof"))
    hu.keys.rotate(met.recovery_file("hu-berlin"))
    met.peers("nmi").refresh()
    peer = met.peers("nmi").get("hu-berlin")
    assert (peer.name, peer.own_name) == ("hu-berlin", "adlershof")
    assert met.events("nmi")[-2:] == ["rotated", "renamed"]


def test_a_list_that_was_lost_is_made_again_from_the_log(met: Town) -> None:
    met.meet("nmi", "oslo")
    met.peers("nmi").rename("oslo", "blindern")
    met.peers("nmi").compromised("hu-berlin", "2026-03-14")
    met.peers("nmi").drop("blindern", "by mistake")
    before = met.peers("nmi").ls()
    path = met.node("nmi").path
    met.node("nmi").close()
    for file in (path / FOLDER).glob(f"{FILE}*"):
        file.unlink()
    met.nodes["nmi"] = diadem.open_node(path)
    after = met.peers("nmi").ls()
    for one, two in zip(before, after, strict=True):
        kept = replace(one, own_name=two.own_name, log="", note=None, seen_as="", since=two.since)
        assert two == kept
    hu = met.node("hu-berlin")
    hu.keys.rotate(met.recovery_file("hu-berlin"))
    assert met.peers("hu-berlin").refresh("nmi")[0].problem == ""  # keys and addresses come with the next contact
    again = met.peers("nmi").get("hu-berlin")
    assert again.note is not None
    assert again.own_name == "hu-berlin"
    assert met.events("nmi")[-1] == "rotated"


def test_a_card_names_what_is_in_force(met: Town) -> None:
    context = met.node("hu-berlin").context
    card = prove_card(own_card(context), context.settings.id)
    assert card.online == context.keys.open(ONLINE).public
    assert card.log == context.keys.open(LOG).public
    assert card.version == 1
    with pytest.raises(DocumentError, match="not the card of the node"):
        prove_card(own_card(context), met.node("nmi").id)
    with pytest.raises(DocumentError):
        prove_card(b"{}", context.settings.id)
    with pytest.raises(DocumentError, match="are read"):
        prove_card(b"x" * (2 << 20), context.settings.id)
