"""Offers and transfers on the command line, between two users of one node."""

from __future__ import annotations

import pytest

from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]


@pytest.fixture
def package(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of a node that is the default one; bob is a user of it too."""
    lab.node.users.add("bob")
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))
    return lab.archived("ZnO")


def test_an_offer_from_hand_to_hand(package: str) -> None:
    sent = said_json("send", package[:20], "bob@hu-berlin", "--comment", "look\x1b[2J", "--expires", "3 days")
    transfer = sent["transfer"]["id"]
    assert "1 offer to answer" in said("status", code=1)
    assert "nothing is offered to you" in said("inbox")
    told = said("inbox", "--user", "bob")
    assert "from alice@hu-berlin" in told
    assert "\x1b" not in told
    assert said_json("inbox", "--user", "bob")["offers"][0]["record"]["title"] == "ZnO"
    assert "confirmed" in said("accept", transfer[:8], "--user", "bob")
    shown = said_json("transfer", "show", transfer[:8])["transfer"]
    assert [event["state"] for event in shown["events"]][-2:] == ["received", "closed"]
    assert "confirmed" in said("transfer", "show", transfer)
    assert transfer[:8] in said("transfer", "ls")
    again = said_json("send", package, "bob@hu-berlin")["transfer"]["id"]
    assert "declined" in said("decline", again, "--reason", "seen", "--user", "bob")
    short = said_json("send", package, "bob")["transfer"]  # as for a grant, who is named without a node is here
    assert (short["recipient"], short["state"]) == ("bob@hu-berlin", "offered")
    third = said_json("send", package, "bob@hu-berlin")["transfer"]["id"]
    assert third == short["id"], "the same offer is not made twice"
    assert "withdrawn" in said("transfer", "cancel", third, "--reason", "a mistake")
    assert "transfer is withdrawn" in said("transfer", "pause", third, code=4)
    assert said_json("transfer", "resume")["transfers"] == []
    assert [one["state"] for one in said_json("transfer", "ls")["transfers"]].count("closed") == 1


def test_what_cannot_be_sent(package: str) -> None:
    assert "is not an address" in said("send", package, "bob@@nmi", code=2)
    assert "the node has no user 'eve'" in said("send", package, "eve", code=3)
    assert "you have this package already" in said("send", package, "alice", code=2)
    assert "no node is called 'nmi'" in said("send", package, "marie@nmi", code=3)
    assert "you have this package already" in said("send", package, "alice@hu-berlin", code=2)
    assert "no transfer" in said("accept", "0123abcd", code=3)
    assert "not the id of a transfer" in said("transfer", "show", "../x", code=2)
    assert "an offer lasts a year at most" in said("send", package, "bob@hu-berlin", "--expires", "5years", code=2)


@pytest.mark.usefixtures("package")
def test_rules() -> None:
    rule = said_json("rule", "add", "*@nmi", "--max", "50GB", "--project", "ZnO", "--expires", "90days")["rules"][0]
    assert (rule["max_bytes"], rule["by"]) == (50 * 10**9, "alice@hu-berlin")
    assert "accepts from *@nmi up to 50 GB, of the project ZnO" in said("rule", "ls")
    assert "Only its user" in said("rule", "rm", rule["id"][:8], "--user", "bob", code=4)
    said("rule", "rm", rule["id"][:8])
    assert "no rules" in said("rule", "ls")


def test_a_revocation_names_the_transfers_that_it_stops(package: str) -> None:
    sent = said_json("send", package, "bob@hu-berlin")["transfer"]
    told = said("revoke", sent["grant"][:12])
    assert f"diadem transfer cancel {sent['id'][:8]}" in told
    assert f"diadem send {package[7:19]} bob@hu-berlin" in told
    assert "may not read" in said("transfer", "ls")
    assert f"diadem send {package[7:19]} bob@hu-berlin" in said("transfer", "show", sent["id"][:8], code=1)
    assert "may not read" in said("inbox", "--user", "bob")
