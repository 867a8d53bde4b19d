"""Three nodes that know each other: what two do is nothing to the third, and a slow one keeps nobody waiting."""

from __future__ import annotations

import datetime
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import diadem
from diadem.custody import statements
from diadem.errors import DiademError, IntegrityError, NotFound, Refused, StoreError, Unreachable
from diadem.model import canonical
from diadem.model.peers import NOTE_TYPE, PeerState
from diadem.model.routes import DIRECT
from diadem.model.statements import Draft
from diadem.model.times import time_text
from diadem.model.transfers import State, Transfer, new_id
from diadem.network import messages
from diadem.network.desk import Desk
from diadem.network.handlers.transfers import pushed_of
from diadem.network.incoming import receive
from diadem.network.jobs import Movers, jobs
from diadem.network.link import Link
from diadem.network.mail.delivery import acknowledged
from diadem.network.messages import Message
from diadem.network.source import sources_of
from diadem.network.wire import CONNECT
from diadem.node.config import ServerSettings
from diadem.trust.envelope import sign
from diadem.trust.keys import PrivateKey
from tests.transfer.pair import Side, Wire, WiredDesk, acquaint, put_window, unreachable, with_address

PEOPLE = {"hu-berlin": "alice", "nmi": "marie", "oslo": "olaf"}


@dataclass
class Three:
    """alice@hu-berlin, marie@nmi and olaf@oslo, who all know each other."""

    sides: dict[str, Side]
    wires: dict[tuple[str, str], Wire]

    def __getitem__(self, name: str) -> Side:
        return self.sides[name]


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Three]:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    made = Three({}, {})
    for name, user in PEOPLE.items():
        place = tmp_path / name
        place.mkdir()
        node = diadem.Node.create(place / "node", name=name, user=user, store=str(place / "store"))
        with_address(node, name)
        made.sides[name] = Side(node, None, None, place)  # type: ignore[arg-type]
    for name, side in made.sides.items():
        _connect(made, name, side)
    yield made
    for side in made.sides.values():
        side.node.close()


def _connect(made: Three, name: str, side: Side) -> None:
    others = {other: one for other, one in made.sides.items() if other != name}
    ways = {one.id: Wire(side.id, lambda one=one: one.desk) for one in others.values()}  # type: ignore[misc]
    made.wires |= {(name, other): ways[one.id] for other, one in others.items()}
    for other, one in others.items():
        acquaint(side.node, one.node, other)
    context = side.node.context
    side.desk = WiredDesk.open(context)
    side.desk.ways = ways.__getitem__
    context.once("desk", lambda: side.desk)


def without_address(side: Side) -> None:
    """Nobody can call a node any more, so that it asks the others itself."""
    side.node.context.change_settings(lambda known: replace(known, server=ServerSettings()))


def answer(work: Callable[[], object]) -> dict[str, object]:
    """What somebody who may not is told."""
    with pytest.raises(NotFound) as caught:
        work()
    return caught.value.to_dict()


def asked(side: Side, peer: str, transfer: str) -> list[dict[str, object]]:
    """What a peer is told who asks a node for everything about a transfer."""
    sources, pushed = sources_of(side.node.context), pushed_of(side.node.context)
    return [
        answer(lambda: sources.of(peer, transfer, DIRECT).part(0)),
        answer(lambda: sources.of(peer, transfer, DIRECT).read(0, 0, 1)),
        answer(lambda: pushed.have(peer, transfer)),
        answer(lambda: pushed.put_part(peer, transfer, 0, b"x")),
        answer(lambda: put_window(pushed, peer, transfer, 0, b"x")),
    ]


def test_a_transfer_of_others_is_as_one_that_does_not_exist(three: Three) -> None:
    a, b, c = three["hu-berlin"], three["nmi"], three["oslo"]
    sent = a.node.send(a.archived(), "marie@nmi")
    b.node.accept(sent.id, wait=False)
    unknown = new_id()
    for side in (a, b):
        told: list[str] = []
        side.desk.book._file._connection.set_trace_callback(told.append)
        costs = []
        for transfer in (sent.id, unknown):
            told.clear()
            answers = asked(side, c.id, transfer)
            assert all(one == answers[0] for one in answers)
            costs.append((answers[0], [text.replace(transfer, "T") for text in told]))
        assert costs[0] == costs[1], "the same answer, after the same questions to the database"
        side.desk.book._file._connection.set_trace_callback(None)
    assert a.desk.book.get(sent.id).moved == 0


def test_a_third_node_says_nothing_of_a_transfer_that_is_not_its_own(three: Three) -> None:
    """Each kind of message, with statements that the third node's own log really has."""
    a, b, c = three["hu-berlin"], three["nmi"], three["oslo"]
    sent = a.node.send(a.archived(), "marie@nmi")
    came = b.node.accept(sent.id, wait=False)
    for target, kind, draft in _statements(sent, came, c):
        c.node.context.say([draft], as_user=kind != messages.RECEIPT and kind != messages.CLOSURE)
        chain = _chain(c, sent.id)
        about = {"state": "transferring", "done": 5} if kind == messages.PROGRESS else {}
        side = three[target]
        message = Message(new_id(), kind, sent.id, c.id, side.id, time_text(side.desk.now), chain, about)
        before = side.desk.book.get(sent.id), side.desk.book.events(sent.id)
        with pytest.raises(NotFound, match="no such transfer"):
            receive(side.desk, c.id, message.to_bytes())
        assert (side.desk.book.get(sent.id), side.desk.book.events(sent.id)) == before
        assert side.desk.shelf.get(sent.id, c.id) is None, "what it says is not even kept"
    progress = Message(new_id(), messages.PROGRESS, sent.id, c.id, a.id, time_text(a.desk.now), "", {"done": 5})
    with pytest.raises(NotFound):
        receive(a.desk, c.id, progress.to_bytes())
    assert a.desk.book.get(sent.id).done == 0


def _statements(sent: Transfer, came: Transfer, c: Side) -> Iterator[tuple[str, str, Draft]]:
    """What the third node states of the transfer of the others."""
    own = c.node.context.ledger.checkpoint()
    yield "nmi", messages.OFFER, statements.offer(sent, to="marie@nmi", grant=sent.grant, by="olaf@oslo")
    accepted = statements.acceptance(came, ceiling=10**9, route="direct", rule="", by="olaf@oslo")
    yield "hu-berlin", messages.ACCEPTANCE, accepted
    yield "hu-berlin", messages.DECLINE, statements.decline(came, reason="no", by="olaf@oslo")
    yield "nmi", messages.REVOCATION, statements.offer_revocation(sent, reason="no", by="olaf@oslo")
    now = c.desk.now
    receipt = statements.receipt(came, came.counts, stores=["main"], started=now, ended=now, software="x")
    yield "hu-berlin", messages.RECEIPT, receipt
    closure = statements.closure(sent, receipt="ab" * 32, recipient=came.peer, checkpoint=own)
    yield "nmi", messages.CLOSURE, closure


def _chain(side: Side, transfer: str) -> str:
    from diadem.network.evidence import own_chain

    return own_chain(side.node.context, transfer)


def test_a_message_that_waits_for_another_is_not_taken_away(three: Three) -> None:
    a, c = three["hu-berlin"], three["oslo"]
    three.wires["hu-berlin", "nmi"].down = True
    a.node.send(a.archived(), "marie@nmi")
    (waiting,) = a.desk.outbox.waiting()
    with pytest.raises(NotFound, match="no such message"):
        acknowledged(a.desk, c.id, waiting.id)
    assert a.desk.outbox.waiting() == [waiting]


def test_refused_offers_leave_nothing_on_the_disk(three: Three) -> None:
    """A confirmed peer may offer as often as it likes: what is refused is told in the book, and takes no room."""
    a, b = three["hu-berlin"], three["nmi"]
    sent = a.node.send(a.archived(), "marie@nmi")
    for _ in range(3):
        nobody = statements.offer(replace(sent, id=new_id()), to="nobody@nmi", grant=sent.grant, by="alice@hu-berlin")
        a.node.context.say([nobody], as_user=True)
        transfer = str(nobody.predicate["transfer"])
        message = Message(
            new_id(), messages.OFFER, transfer, a.id, b.id, time_text(a.desk.now), _chain(a, transfer), {}
        )
        with pytest.raises(DiademError, match="no user 'nobody'"):
            receive(b.desk, a.id, message.to_bytes())
        assert b.desk.shelf.get(transfer, a.id) is None
    kept = b.node.path / "network" / "chains"
    assert [one.name for one in kept.iterdir()] == [sent.id]


def test_a_peer_that_stalls_keeps_no_other_waiting(three: Three) -> None:
    b, quick, slow = three["nmi"], three["hu-berlin"], three["oslo"]
    end = threading.Event()
    three.wires["nmi", "oslo"].spoil = lambda _k, _n, _s, data: data if end.wait(20) else b""
    stalled = slow.node.send(slow.archived("one"), "marie@nmi")
    b.node.accept(stalled.id, wait=False)
    movers = Movers(b.desk, sources_of(b.node.context))
    movers.run(threading.Event())
    other = quick.node.send(quick.archived("two"), "marie@nmi")
    b.node.accept(other.id, wait=False)
    movers.run(threading.Event())
    try:
        _wait_for(lambda: b.desk.book.get(other.id).state is State.CLOSED)
        assert b.desk.book.get(stalled.id).state is State.TRANSFERRING
    finally:
        end.set()
    _wait_for(lambda: b.desk.book.get(stalled.id).state is State.CLOSED)
    assert len([one for one in threading.enumerate() if one.name.startswith("mover")]) <= 2


def test_mail_of_one_peer_does_not_wait_for_a_dead_one(three: Three) -> None:
    b, alive, dead = three["nmi"], three["hu-berlin"], three["oslo"]
    end, link = threading.Event(), b.desk.ways

    def called(peer: str) -> Link:
        if peer == dead.id and not end.wait(20):  # as long as a connection takes to nowhere
            raise Unreachable("nobody listens there")
        return link(peer)

    alive.desk.ways = unreachable
    sent = alive.node.send(alive.archived("one"), "marie@nmi")
    without_address(b)
    b.desk.ways = called
    (mail,) = [job for job in jobs(b.node.context) if job.name == "messages"]
    stop = threading.Event()
    threading.Thread(target=mail.run, args=(stop,), daemon=True).start()
    try:
        _wait_for(lambda: b.desk.book.find(sent.id) is not None, seconds=10)
    finally:
        stop.set()
        end.set()
    mail.settle(10)


@pytest.fixture
def swallows() -> Iterator[str]:
    """An address at which a connection is taken and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def found_at(side: Side, peer: Side, url: str) -> None:
    """Let a node call a peer, over a real socket, at this address alone."""
    known = side.peers.get(peer.id)
    assert known.note is not None
    note = sign(replace(known.note, urls=(url,), tls=("ab" * 32,)).to_payload(), [PrivateKey.generate()], NOTE_TYPE)
    side.peers.put(known, note=note.to_line())
    link = side.desk.ways
    side.desk.ways = lambda one: Desk.link(side.desk, one) if one == peer.id else link(one)


@pytest.mark.program("the limit of a connection is waited for")
def test_mail_to_a_peer_that_swallows_every_connection_keeps_nobody_waiting(three: Three, swallows: str) -> None:
    a, alive, dead = three["hu-berlin"], three["nmi"], three["oslo"]
    a.desk.ways, link = unreachable, a.desk.ways
    untold = a.node.send(a.archived("one"), "olaf@oslo")
    sent = a.node.send(a.archived("two"), "marie@nmi")
    a.desk.ways = link
    found_at(a, dead, swallows)
    (mail,) = [job for job in jobs(a.node.context) if job.name == "messages"]
    stop, began = threading.Event(), time.monotonic()
    a.node.context.clock = lambda: datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    try:
        mail.run(stop)
        assert time.monotonic() - began < 2, "the others are not told after it, but meanwhile"
        _wait_for(lambda: alive.desk.book.find(sent.id) is not None, seconds=5)
        assert f"messages {dead.id[:12]}" in {thread.name for thread in threading.enumerate()}, "it still waits"
        assert dead.desk.book.find(untold.id) is None
    finally:
        stop.set()
        mail.settle(30)
    assert a.node.transfers.show(untold.id).unsent, "what it did not take waits for it"


@pytest.mark.program("the limit of a connection is waited for")
def test_who_resumes_by_hand_waits_once_for_all_that_swallow_connections(three: Three, swallows: str) -> None:
    a, one, other = three["hu-berlin"], three["nmi"], three["oslo"]
    a.desk.ways, link = unreachable, a.desk.ways
    for user in ("marie@nmi", "olaf@oslo"):
        a.node.send(a.archived(user.partition("@")[0]), user)
    a.desk.ways = link
    for side in (one, other):
        found_at(a, side, swallows)
    began = time.monotonic()
    a.node.transfers.resume()
    assert time.monotonic() - began < 1.6 * CONNECT, "one after the other"


@pytest.mark.parametrize("error", [StoreError("the disk is full"), IntegrityError("it is damaged"), KeyError("bug")])
def test_what_fails_at_this_node_itself_while_it_talks_is_told_by_the_next_run(three: Three, error: Exception) -> None:
    b, other = three["nmi"], three["oslo"]
    b.peers.put(replace(b.peers.get(other.id), state=PeerState.DROPPED))

    def called(_: str) -> Link:
        raise faults[0]

    without_address(b)
    b.desk.ways = called
    (mail,) = [job for job in jobs(b.node.context) if job.name == "messages"]
    faults = [Unreachable("it is away"), Refused("not you"), error]
    while True:
        mail.run(threading.Event())
        mail.settle(10)
        if len(faults) == 1:
            break
        del faults[0]
    with pytest.raises(type(error)):
        mail.run(threading.Event())
    mail.settle(10)


def _wait_for(reached: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_chain_of_another_node_is_not_taken_for_ones_own(three: Three) -> None:
    """The third node hands over, as its own, what the sender said to somebody else."""
    a, b, c = three["hu-berlin"], three["nmi"], three["oslo"]
    a.node.send(a.archived(), "marie@nmi")
    (data,) = three.wires["hu-berlin", "nmi"].sent
    document = canonical.decode(data, where="", limit=1 << 24)
    stolen = canonical.encode({**document, "from": c.id, "id": new_id(), "transfer": new_id()}, where="")
    with pytest.raises(DiademError, match="another node's log"):
        receive(b.desk, c.id, stolen)
