"""Somebody leaves: their key signs nothing any more, and what was theirs is another's."""

from __future__ import annotations

import pytest

from diadem.custody.keyring import KeyRing
from diadem.errors import NotFound, Refused, UsageError
from diadem.model.statements import Draft, Subject
from tests.cli.inside import said, said_json
from tests.node.access.test_through_the_node import MARIE, NMI, grant_words, lab, may, taken_in, working
from tests.node.verbs.agreeing import memory, require_agreement
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue

__all__ = ["lab"]


def test_what_was_theirs_is_the_successors(lab: Lab) -> None:
    node = lab.node
    node.users.add("bob")
    package = taken_in(lab, "s", sample={"identifier": "S-1"}, session={"project": "P"})
    other = taken_in(lab, "t", user="bob", session={"project": "P"})
    node.amend(package, {"sample.name": "ZnO"})
    with working(lab, "bob") as bobs:
        bobs.amend(package, {"sample.identifier": "S-2", "sample.name": "TiO2"})
        early = bobs.grant("project:P", "*@nmi", recipient=NMI).grant
    kept = node.grant(package, "marie@nmi", recipient=NMI).grant
    assert node.get(package).record.sample["identifier"] == "S-1"
    card = node.users.retire("alice", "bob", reason="a post elsewhere")
    assert (card.version, card.successor) == (2, "bob@hu-berlin")
    assert card.expires is not None
    with lab.reopened() as again:
        assert again.user == "bob@hu-berlin", "who has left is not at work where nobody is named"
        assert may(again, MARIE, package), "what she granted holds"
        assert {row.owner for row in again.search("owner:bob").rows} == {"bob@hu-berlin"}
        assert again.search("owner:bob").total == 2
        assert again.search("owner=bob@hu-berlin").total == 2
        assert again.search("owner:alice").total == 1
        said_of = again.amendments(package).to_dict()
        assert said_of["owner"] == "bob@hu-berlin"
        assert [one["effective"] for one in said_of["amendments"]] == [True, False], "what he said before was extra"
        assert again.get(package).record.sample["identifier"] == "S-1"
        again.amend(package, {"sample.name": "ZnO, wurtzite"})
        assert again.amendments(package).to_dict()["conflicts"] == [], "he goes on where she stopped"
        assert again.get(package).record.sample["name"] == "ZnO, wurtzite"
        assert again.search('sample="ZnO, wurtzite"').total == 1
        again.revoke(kept.id)
        assert not may(again, MARIE, package), "an earlier grant of his does not reach what he inherited"
        assert may(again, MARIE, other)
        assert early.id in {one.grant.id for one in again.grants(other)}
        assert again.grants(package)[0].state == "revoked"
        again.grant("project:P", "marie@nmi", recipient=NMI)
        assert may(again, MARIE, package)
        require_agreement(again)
        before = memory(again)
    sentences = [step["sentence"] for step in node.custody(card.key_id).to_dict()["steps"]]
    assert any("alice@hu-berlin has retired, and that bob@hu-berlin follows" in one for one in sentences)
    assert all(step["verdict"] == "proved" for step in node.custody(package).to_dict()["steps"])
    assert before["rows"]["total"] == 2


def test_who_has_left_signs_nothing(lab: Lab) -> None:
    node = lab.node
    node.users.add("bob")
    package = taken_in(lab, "s")
    with lab.reopened() as elsewhere:  # opened by another process before she left
        assert elsewhere.user == "alice@hu-berlin"
        node.users.retire("alice", "bob")
        with pytest.raises(Refused, match="cannot grant it"):
            elsewhere.grant(package, "marie@nmi", recipient=NMI)
        with pytest.raises(Refused, match="has retired"):
            elsewhere.grant("project:P", "marie@nmi", recipient=NMI)
        with pytest.raises(Refused, match="has retired"):
            elsewhere.amend(package, {"sample.name": "x"})
    # With her key, past every verb: it stands in the log, and counts for nothing.
    context = node.context
    draft = Draft("grant", (Subject.package(package),), grant_words())
    entry = context.ledger.append([draft], [], user_keys=[context.keys.open("users/alice")])[0]
    assert not may(node, MARIE, package)
    ring = KeyRing(node.id)
    ring.learn(context.ledger.keys())
    assert "was not in force" in str(ring.judge(entry).problem)
    bad = [step for step in node.custody(package).to_dict()["steps"] if step["verdict"] != "proved"]
    assert len(bad) == 1


def test_a_name_that_was_left_is_not_given_again(lab: Lab) -> None:
    node = lab.node
    node.users.add("bob")
    node.users.add("carol")
    for name, to, kind in (
        ("alice", "alice", UsageError),
        ("alice", "dan", NotFound),
        ("dan", "alice", NotFound),
    ):
        with pytest.raises(kind):
            node.users.retire(name, to)
    first = node.users.retire("bob", "carol")
    assert node.users.retire("bob", "carol") == first, "twice is once"
    cards = node.context.ledger.keys()
    assert sum("successor" in entry.statement.predicate for entry in cards) == 1
    for name, to in (("bob", "alice"), ("alice", "bob")):
        with pytest.raises(Refused, match=r"(?s)bob.* has retired"):
            node.users.retire(name, to)
    with pytest.raises(UsageError, match="already"):
        node.users.add("bob")
    with pytest.raises(NotFound, match="has retired"):
        node.grant(taken_in(lab, "s"), "bob")
    assert not node.why("bob", node.search().rows[0].id).allowed


def test_the_commands_of_users(lab: Lab) -> None:
    on = ("--node", lab.node.path)
    lab.node.users.add("bob")
    assert said_json("user", "show", "alice", *on)["user"]["version"] == 1
    assert "bob@hu-berlin follows" in said("user", "retire", "alice", "--to", "bob", "--reason", "left", *on)
    shown = said_json("user", "show", "alice", *on)["user"]
    assert (shown["version"], shown["successor"]) == (2, "bob@hu-berlin")
    listed = said_json("user", "ls", *on)["users"]
    assert [(one["name"], one["successor"]) for one in listed] == [("alice", "bob@hu-berlin"), ("bob", "")]
    assert "retired" in said("user", "ls", *on)
    assert "has retired" in said("archive", lab.session("s"), "--now", "--user", "alice", *on, code=4)
    said("archive", lab.root / "s", "--now", *on)
    assert lab.node.search("owner:bob").total == 1, "who follows is at work where nobody is named"
