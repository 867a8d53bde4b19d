"""What it costs to take in a message where very many answers are kept, so that nobody is answered twice."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from diadem.model.transfers import new_id
from diadem.network.book_file import network_book
from diadem.network.incoming import receive
from diadem.network.messages import ACCEPTANCE, Message
from tests.transfer.pair import Pair, Side

#: Of each message the same is asked of SQLite, within so much: 20 %.
SAME = 1.2


def steps(side: Side, work: Callable[[], object]) -> int:
    """How many steps of its machine SQLite takes in the book of a node's network: what no other load changes."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    file = network_book(side.node.context)
    with file.reading() as connection:
        connection.set_progress_handler(step, 1)
    try:
        work()
    finally:
        with file.reading() as connection:
            connection.set_progress_handler(None, 1)
    return count


def test_a_message_costs_the_same_with_100_and_with_50000_kept_answers(pair: Pair) -> None:
    a, b = pair.a, pair.b
    sent = a.node.send(a.archived(), "marie@nmi")
    b.node.accept(sent.id, wait=False)
    (acceptance,) = [one for one in map(Message.from_bytes, b.wire.sent) if one.kind == ACCEPTANCE]

    def take() -> None:
        for _ in range(20):
            receive(a.desk, b.id, structs.replace(acceptance, id=new_id()).to_bytes())

    def keep(count: int) -> None:
        moment = a.desk.now.isoformat()
        with network_book(a.node.context).writing() as connection:
            rows = ((new_id(), b.id, moment, b"{}") for _ in range(count))
            connection.executemany("INSERT INTO inbox VALUES (?, ?, ?, ?)", rows)

    keep(100)
    take()  # also what is done at the first of very many
    few = steps(a, take)
    keep(50_000 - 100)
    many = steps(a, take)
    assert many < SAME * few
    again = structs.replace(acceptance, id=new_id())
    first = receive(a.desk, b.id, again.to_bytes())
    assert steps(a, lambda: receive(a.desk, b.id, again.to_bytes())) < few / 20, "it is answered from what is kept"
    assert receive(a.desk, b.id, again.to_bytes()) == first
