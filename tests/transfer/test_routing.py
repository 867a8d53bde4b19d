"""Which way things go to a peer, and why: policy, grants, what is possible, and what has failed."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pytest

from diadem.errors import NotFound, Refused, Unreachable
from diadem.model.peers import NOTE_TYPE, Contact
from diadem.model.policy import AllowedTransfer, Policy, Transfers
from diadem.model.routes import DIRECT, DISK, HUB
from diadem.model.transfers import IN, State, Transfer, TransferEvent
from diadem.network.mail.pickup import pick_up
from diadem.network.notes_told import tell_notes
from diadem.network.route_book import route_book
from diadem.network.routing import (
    all_routes,
    allowed_routes,
    choose,
    common_hubs,
    hub_for,
    peer_routes,
    require_route,
    ways,
)
from diadem.network.switching import switch_all
from diadem.node.config import CarrierSettings
from diadem.node.peers.book import peer_book
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey
from tests.transfer.pair import Pair, Wire, deliver_all
from tests.transfer.star import HUB as OSLO
from tests.transfer.star import Star
from tests.transfer.test_messages_through_a_hub import archived
from tests.transfer.towns import noted, url

#: A hub of which only its note is known.
HUB_ID = "0c" * 32


def policy(star: Star, name: str, *allow: AllowedTransfer, route: str = "auto") -> None:
    """Let a node have this policy of transfers."""
    context = star.node(name).context
    context.__dict__["policy"] = replace(
        context.policy, transfer=Transfers(allow=allow or (AllowedTransfer(),), route=route)
    )


def coming(star: Star, *routes: str) -> Transfer:
    """A transfer that is offered to nmi."""
    desk = star.desk("nmi")
    transfer = Transfer(
        id="01" * 16,
        direction=IN,
        state=State.OFFERED,
        package="diadem:" + "ab" * 32,
        payload_id="cd" * 32,
        title="session",
        bytes=1000,
        files=1,
        peer=star.node("hu-berlin").id,
        sender="alice@hu-berlin",
        recipient="alice@nmi",
        routes=routes or (DIRECT, HUB),
        expires=desk.now + datetime.timedelta(days=1),
        created=desk.now,
    )
    desk.book.add(transfer, TransferEvent(State.OFFERED, "2026-03-14T09:00:00Z"))
    return desk.book.get(transfer.id)


@pytest.mark.parametrize(
    ("allow", "route", "expected"),
    [
        ((), "auto", (DIRECT, HUB)),
        ((), "hub", (HUB,)),
        ((("owner", "*", "auto"),), "direct", (DIRECT,)),
        ((("owner", "*@nmi", "hub"), ("owner", "*", "auto")), "auto", (HUB,)),
        ((("owner", "*@oslo", "hub"), ("owner", "*", "direct")), "auto", (DIRECT,)),
        ((("owner", "marie@nmi", "hub"), ("owner", "*", "direct")), "auto", (DIRECT, HUB)),
        ((("alice", "*", "hub"), ("*", "*@nmi", "direct"), ("*", "*", "auto")), "auto", (DIRECT, HUB)),
        ((("owner", "*@nmi", "direct"),), "hub", (DIRECT,)),
    ],
)
def test_what_the_policy_allows(allow: tuple[tuple[str, str, str], ...], route: str, expected: tuple[str, ...]) -> None:
    found = Policy(transfer=Transfers(allow=tuple(AllowedTransfer(*one) for one in allow), route=route))
    assert allowed_routes(found, "nmi") == expected


def test_one_line_switches_a_group_from_one_topology_to_the_other(star: Star) -> None:
    """nmi has an address too, so that both ways are there."""
    nmi = noted(star, "nmi", "hu-berlin", urls=(url("nmi"),), tls=("ab" * 32,))
    context = star.node("hu-berlin").context
    hub = star.book("hu-berlin").named(OSLO)
    assert ways(context, nmi) == [None, hub]
    assert peer_routes(context, nmi).chosen == f"direct: 'nmi' is called at {url('nmi')}"
    policy(star, "hu-berlin", route="hub")
    assert ways(context, nmi) == [hub]
    assert peer_routes(context, nmi).chosen == "through the hub 'oslo': chosen by the policy"
    assert star.node("hu-berlin").send(archived(star), "alice@nmi").routes == (HUB,)
    policy(star, "hu-berlin", route="direct")
    assert ways(context, nmi) == [None]
    assert ways(context, hub) == [None]  # a hub is always called


def test_what_fails_directly_goes_over_the_hub_and_rests(star: Star) -> None:
    nmi = noted(star, "nmi", "hu-berlin", urls=(url("nmi"),), tls=("ab" * 32,))
    context = star.node("hu-berlin").context
    sent = star.node("hu-berlin").send(archived(star), "alice@nmi")
    assert len(star.hub.lying(nmi.id)) == 1
    views = peer_routes(context, nmi)
    assert [(view.route, view.works) for view in views.routes] == [(DIRECT, None), (HUB, True)]
    route_book(context).failed(nmi.id, DIRECT, context.clock(), "refused")
    assert [hub.name if hub else "" for hub in ways(context, nmi)] == [OSLO]
    views = peer_routes(context, nmi)
    assert views.chosen.startswith("through the hub 'oslo': the direct route has failed since")
    assert views.trouble.startswith("direct: 'nmi' is called at")
    star.pass_time("hu-berlin", minutes=2)
    assert [hub.name if hub else "" for hub in ways(context, nmi)] == ["", OSLO]
    assert star.node("hu-berlin").transfers.show(sent.id).way == views.chosen


def test_a_grant_that_wants_no_hub_has_none(star: Star) -> None:
    node = star.node("hu-berlin")
    package = archived(star)
    until = node.context.clock() + datetime.timedelta(days=100)
    node.grant(package, to="alice@nmi", expires=until, require=["direct-only"])
    policy(star, "hu-berlin", route="hub")
    with pytest.raises(Refused, match="allows the direct route only, but the route is hub"):
        node.send(package, "alice@nmi")
    policy(star, "hu-berlin")
    sent = node.send(package, "alice@nmi")
    assert sent.routes == (DIRECT,)
    desk = star.desk("hu-berlin")
    require_route(desk, sent, DIRECT)
    with pytest.raises(Refused, match="the direct route only"):
        require_route(desk, sent, HUB)
    policy(star, "hu-berlin", route="hub")
    with pytest.raises(Refused, match="the policy does not allow the route 'direct' to 'nmi'"):
        require_route(desk, sent, DIRECT)


def test_two_hubs_in_a_row_are_refused_with_both_names(star: Star) -> None:
    package = archived(star)
    nmi = noted(star, "nmi", "hu-berlin", hubs=("ef" * 32,))
    context, desk = star.node("hu-berlin").context, star.desk("hu-berlin")
    assert common_hubs(context, nmi) == []
    both = "'nmi' picks up at 'efefefefefef…', this node at 'oslo': nothing passes through two hubs"
    with pytest.raises(Unreachable, match=both):
        hub_for(desk, nmi.id)
    with pytest.raises(Refused, match=both):
        star.node("hu-berlin").send(package, "alice@nmi", route="hub")
    assert both in peer_routes(context, nmi).chosen
    ticket = star.peers("hu-berlin").invite()
    elsewhere = replace(ticket, hubs=(Contact("ef" * 32, "south", ("https://hub.south.example",), ("ab" * 32,)),))
    star.peers("nmi").drop("hu-berlin", "anew")
    with pytest.raises(Refused, match=r"(?s)'hu-berlin' picks up at 'south', this node at 'oslo'.*through two hubs"):
        star.peers("nmi").join(elsewhere.to_text())


def test_the_receiver_takes_a_way_that_it_allows_and_says_why(star: Star) -> None:
    desk, transfer = star.desk("nmi"), coming(star)
    assert choose(desk, transfer).route == HUB
    assert choose(desk, transfer).why == (
        "through the hub 'oslo': neither 'hu-berlin' nor this node can call the other"
    )
    noted(star, "hu-berlin", "nmi", urls=(url("hu-berlin"),), tls=("ab" * 32,))
    assert choose(desk, transfer).why == f"direct: 'hu-berlin' is called at {url('hu-berlin')}"
    route_book(desk.context).failed(transfer.peer, DIRECT, desk.now, "timeout")
    assert choose(desk, transfer).route == HUB
    assert choose(desk, replace(transfer, routes=(DIRECT,))).route == DIRECT
    policy(star, "nmi", route="direct")
    with pytest.raises(Refused, match="'hu-berlin' offers it by the route hub, but the policy here allows direct"):
        choose(desk, replace(transfer, routes=(HUB,)))


def test_a_shared_folder_is_taken_where_there_is_nothing_else(star: Star) -> None:
    noted(star, "hu-berlin", "nmi", hubs=())
    desk, transfer = star.desk("nmi"), coming(star, DIRECT, HUB, "via:drive")
    assert choose(desk, transfer).route == DIRECT  # it is not shared here; whoever gets an address can go on
    drive = CarrierSettings("drive", "folder:/mnt/drive")
    desk.context.change_settings(lambda known: replace(known, carriers=(drive,)))
    assert choose(desk, transfer).route == "via:drive"
    assert choose(desk, transfer).why.startswith("by the carrier 'drive': neither node can call the other")
    noted(star, "hu-berlin", "nmi", urls=(url("hu-berlin"),), tls=("ab" * 32,))
    for route, why in (("via:drive", "by the carrier 'drive', as offered"), (DISK, "by disk, as offered")):
        assert choose(desk, replace(transfer, routes=(route,))).why == why
    policy(star, "nmi", route="hub")
    assert choose(desk, transfer).why.startswith("by the carrier 'drive': 'hu-berlin' picks up at no hub")


def test_what_stands_still_for_long_goes_on_by_another_way(star: Star) -> None:
    noted(star, "hu-berlin", "nmi", urls=(url("hu-berlin"),), tls=("ab" * 32,))
    desk, transfer = star.desk("nmi"), coming(star)
    desk.book.step(transfer.id, State.TRANSFERRING, desk.now, acceptance="ab" * 32, route=DIRECT)
    asked: list[tuple[str, str]] = []

    def request(_: object, moving: Transfer, route: str) -> None:
        asked.append((moving.id, route))

    book = route_book(desk.context)
    book.failed(transfer.peer, DIRECT, desk.now, "timeout")
    assert switch_all(desk, request) == []  # not at the first failure
    star.pass_time("nmi", minutes=11)
    book.failed(transfer.peer, DIRECT, desk.now, "timeout")
    (switched,) = switch_all(desk, request)
    assert (switched.route, asked) == (HUB, [(transfer.id, HUB)])
    assert switched.next.startswith("It continues through the hub 'oslo'")
    hub = star.book("nmi").named(OSLO)
    book.failed(hub.id, DIRECT, desk.now, "timeout")
    star.pass_time("nmi", minutes=11)
    assert switch_all(desk, request) == []  # both fail: it does not go to and fro
    book.worked(transfer.peer, DIRECT, desk.now)
    (back,) = switch_all(desk, request)
    assert (back.route, asked[-1]) == (DIRECT, (transfer.id, DIRECT))


def test_a_hub_that_is_down_is_named_for_each_peer_behind_it(star: Star) -> None:
    star.hub.down = True
    context, desk = star.node("nmi").context, star.desk("nmi")
    with pytest.raises(Unreachable):
        pick_up(desk, star.book("nmi").named(OSLO))
    found = {one.peer: one for one in all_routes(context)}
    assert "the hub 'oslo' does not answer: nobody listens there" in found["hu-berlin"].trouble
    assert found["hu-berlin"].to_dict()["routes"][1]["works"] is False
    star.hub.down = False
    pick_up(desk, star.book("nmi").named(OSLO))
    assert {one.peer: one.trouble for one in all_routes(context)} == {"hu-berlin": "", OSLO: ""}


def test_nothing_goes_to_a_peer_for_whom_no_way_is_allowed(star: Star) -> None:
    policy(star, "hu-berlin", route="hub")
    noted(star, "nmi", "hu-berlin", hubs=())
    with pytest.raises(Refused, match="'nmi' picks up at no hub"):
        star.node("hu-berlin").send(archived(star), "alice@nmi")
    desk = star.desk("hu-berlin")
    with pytest.raises(NotFound):
        require_route(desk, replace(coming(star), peer=star.node("nmi").id, recipient="alice@nmi"), HUB)
    assert deliver_all(desk) == 0
    assert peer_book(desk.context).named("nmi").is_hub is False


def hub_between(pair: Pair) -> None:
    """Let both know a hub, at which they pick up."""
    for side, other in ((pair.a, pair.b), (pair.b, pair.a)):
        known = side.peers.get(other.id)
        assert known.note is not None
        ways = {
            HUB_ID: replace(known.note, node=HUB_ID, name="oslo", hub=True),
            other.id: replace(known.note, hubs=(HUB_ID,)),
        }
        for peer, name in ((HUB_ID, "oslo"), (other.id, known.name)):
            line = sign(ways[peer].to_payload(), [PrivateKey.generate()], NOTE_TYPE).to_line()
            side.peers.put(replace(known, id=peer, name=name), note=line)


def test_nobody_calls_for_what_was_offered_over_a_hub_only(pair: Pair) -> None:
    hub_between(pair)
    sent = pair.a.node.send(pair.a.archived(), "marie@nmi", route="hub")
    pair.b.node.accept(sent.id, wait=False)
    assert pair.a.desk.book.get(sent.id).acceptance
    with pytest.raises(NotFound):
        pair.b.wire.open_part(sent.id, 0)
    with pytest.raises(NotFound):
        pair.b.wire.open_window(sent.id, 0, 0, 10)


def urls_at(star: Star, name: str) -> tuple[str, ...]:
    """Where a node believes that nmi is found."""
    note = star.book(name).named("nmi").note
    assert note is not None
    return tuple(note.urls)


def test_what_changes_in_a_note_reaches_confirmed_peers_by_itself(star: Star) -> None:
    nmi, berlin = (replace(star.peers(name), patience=0.0) for name in ("nmi", "hu-berlin"))
    assert tell_notes(nmi) == tell_notes(berlin) == 0, "they have met with these notes"
    context, _ = star.node("nmi").context, star.node(OSLO)
    served, hidden = (replace(context.settings.server, urls=urls) for urls in ((url("nmi"),), ()))
    context.change_settings(lambda known: replace(known, server=served))
    star.pass_time(minutes=11)
    assert tell_notes(nmi) == 2
    assert urls_at(star, OSLO) == (url("nmi"),)
    assert urls_at(star, "hu-berlin") == (), "it lies at the hub"
    star.pass_time("nmi", minutes=11)
    assert tell_notes(nmi) == 0, "it is put down again by itself"
    star.settle()
    assert urls_at(star, "hu-berlin") == (url("nmi"),)
    context.change_settings(lambda known: replace(known, server=hidden))
    assert tell_notes(nmi) == 2
    context.change_settings(lambda known: replace(known, server=served))
    assert tell_notes(nmi) == 0, "not so soon again"
    star.pass_time("nmi", minutes=11)
    assert tell_notes(nmi) == 2
    star.settle()
    assert urls_at(star, OSLO) == urls_at(star, "hu-berlin") == (url("nmi"),)
    star.pass_time("nmi", days=1, minutes=1)
    assert tell_notes(nmi) == 1, "who can be called is asked once a day what is new there"


def test_a_peer_that_calls_gets_no_copy_at_a_hub_and_its_silence_is_noticed(star: Star) -> None:
    """nmi has an address, and hu-berlin none: it calls."""
    context, desk = star.node("nmi").context, star.desk("nmi")
    berlin, book = star.book("nmi").named("hu-berlin"), route_book(context)
    server = replace(context.settings.server, urls=(url("nmi"),))
    context.change_settings(lambda known: replace(known, server=server))
    calls = Wire(berlin.id, lambda: desk)
    assert calls.waiting_messages() == []
    assert ways(context, berlin) == [None]
    first = book.health(berlin.id, DIRECT).worked
    for seconds, noted_again in ((30, False), (31, True)):
        star.pass_time("nmi", seconds=seconds)
        calls.waiting_messages()
        assert (book.health(berlin.id, DIRECT).worked > first) is noted_again
    folder = star.root / "measured"
    folder.mkdir()
    (folder / "scan.bin").write_bytes(b"scan" * 1000)
    sent = star.node("nmi").send(str(star.node("nmi").archive(folder, now=True).package.id), "alice@hu-berlin")
    assert star.hub.lying(berlin.id) == []
    assert [json.loads(data)["transfer"] for data in calls.waiting_messages()] == [sent.id]
    transfer = coming(star)
    desk.book.step(transfer.id, State.TRANSFERRING, desk.now, acceptance="ab" * 32, route=DIRECT)
    assert switch_all(desk, lambda *_: None) == []
    assert not book.health(berlin.id, DIRECT).failing
    star.pass_time("nmi", minutes=6)
    deliver_all(desk, due=False)
    assert len(star.hub.lying(berlin.id)) == 1, "it does not call any more"
    assert switch_all(desk, lambda *_: None) == []
    assert "it has not called this node since" in book.health(berlin.id, DIRECT).error
    star.pass_time("nmi", minutes=11)
    (switched,) = switch_all(desk, lambda *_: None)
    assert switched.route == HUB
    calls.waiting_messages()
    assert ways(context, berlin) == [None]
