"""What an owner says of a package later reaches the node that it was sent on to, by the command that is told."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from diadem.model.transfers import State
from diadem.node.terminal import with_node
from tests.cli.inside import said, said_json
from tests.transfer.pair import Side, deliver_all
from tests.transfer.test_judgements_travel import judged
from tests.transfer.test_third_node import Three, three

__all__ = ["three"]


def given(giver: Side, taker: Side, package: str, to: str) -> str:
    """Send a package, and take it; the transfer."""
    done = taker.node.accept(giver.node.send(package, to).id)
    assert done.state is State.CLOSED
    return str(done.id)


def sent_on(three: Three) -> str:
    """A package of the first node that the second has, and has sent on to the third."""
    package = three["hu-berlin"].archived()
    given(three["hu-berlin"], three["nmi"], package, "marie@nmi")
    given(three["nmi"], three["oslo"], package, "olaf@oslo")
    return package


def corrected(a: Side, package: str) -> None:
    a.node.amend(package, {"sample.name": "EMSA-REF"}, reason="the label was wrong")
    a.node.assess(package, "reject", purpose="EELS")


@pytest.mark.parametrize("way", ["sent", "zip", "disk"])
@pytest.mark.sweep(1)
def test_what_is_said_later_reaches_the_third_node_by_the_command_that_is_told(
    three: Three, tmp_path: Path, way: str
) -> None:
    a, b, c = (three[name] for name in ("hu-berlin", "nmi", "oslo"))
    package = sent_on(three)
    corrected(a, package)
    place = ("--node", str(b.node.path))
    came, file = "", tmp_path / ("given.zip" if way == "zip" else "disk")
    if way == "sent":
        came = given(a, b, package, "marie@nmi")
        told, command = b.node.transfers.show(came).behind[0]
        text = said("transfer", "show", came, *place)
    else:
        if way == "zip":
            a.node.export(package, file, for_="Marie Curie")
        else:
            a.node.export(package, file, to="marie@nmi")
        text = said("import", file, *place)
        (one,) = said_json("import", file, *place)["behind"]
        told, command = one["to"], one["next"]
    pasted = with_node(command, f" --node {b.node.path}")
    assert told == "olaf@oslo"
    assert f"olaf@oslo has it without the corrections and assessments that came since: {pasted}" in text
    assert judged(c.node, package) == []
    program, *words = shlex.split(command)
    assert program == "diadem"
    offered = said_json(*words, *place)["transfer"]
    # It is on its way: nobody is told to send it a second time.
    again = ("transfer", "show", came) if way == "sent" else ("import", file)
    assert "without the corrections" not in said(*again, *place)
    deliver_all(b.desk, due=False)
    assert c.node.accept(offered["id"]).state is State.CLOSED
    assert judged(c.node, package) == [("alice@hu-berlin", "reject", "EELS")]
    assert c.node.get(package).record.sample["name"] == "EMSA-REF"
    if way == "sent":
        assert b.node.transfers.show(came).behind == []


def test_nobody_is_named_who_has_it_or_of_whom_nothing_new_came(three: Three) -> None:
    a, b, c = (three[name] for name in ("hu-berlin", "nmi", "oslo"))
    package = sent_on(three)
    again = given(a, b, package, "marie@nmi")  # nothing was said
    assert b.node.transfers.show(again).behind == []
    c.node.assess(package, "limited", purpose="imaging")
    back = given(c, b, package, "marie@nmi")
    assert b.node.transfers.show(back).behind == []  # the third node said it itself
    corrected(a, package)
    given(a, b, package, "marie@nmi")
    fourth = c.archived(files={"other.bin": b"other"})
    other = given(c, b, fourth, "marie@nmi")
    assert b.node.transfers.show(other).behind == []
