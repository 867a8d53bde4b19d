"""Grants and revocations through a node, its log and its commands; and who tries what they may not."""

from __future__ import annotations

import dataclasses
import datetime
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.access import Asker, Right
from diadem.model.statements import Draft, Subject
from diadem.node.access.askers import require, user_of_key, visible
from diadem.node.node import Node
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import require_agreement
from tests.node.verbs.conftest import Lab, lab

pytestmark = pytest.mark.catalogue

__all__ = ["lab"]

NMI = "b" * 64
MARIE = Asker(NMI, "marie@nmi")


def taken_in(lab: Lab, name: str, *, user: str = "", **metadata: dict[str, Any]) -> str:
    """Archive a small session in somebody's name."""
    with working(lab, user) as node:
        folder = lab.session(name, files=2, size=10)
        return str(node.archive(folder, now=True, metadata=metadata).package.id)


@contextmanager
def working(lab: Lab, user: str) -> Iterator[Node]:
    """The node with another user at work."""
    context = lab.node.context
    yield Node(dataclasses.replace(context, user=user)) if user else lab.node


def may(node: Node, asker: Asker, package: str, right: Right = Right.READ) -> bool:
    try:
        require(node.context, asker, right, package)
    except NotFound:
        return False
    return True


def local(node: Node, name: str) -> Asker:
    return Asker(node.id, f"{name}@{node.name}", kind="user")


def forge(lab: Lab, kind: str, subjects: tuple[Subject, ...], said: dict[str, Any], *, user: str) -> str:
    """Let somebody sign a statement that no verb would sign."""
    with working(lab, user) as node:
        return node.context.say([Draft(kind, subjects, said)], as_user=True)[0].statement_id


def grant_words(**other: Any) -> dict[str, Any]:
    words = {"to": "marie@nmi", "recipient": NMI, "rights": ["read"], "expires": None, "by": "alice@hu-berlin"}
    return words | other


@contextmanager
def at(node: Node, moment: datetime.datetime) -> Iterator[None]:
    """Another time on this machine's clock."""
    before, node.context.clock = node.context.clock, lambda: moment
    try:
        yield
    finally:
        node.context.clock = before


def test_a_grant_opens_and_a_revocation_closes(lab: Lab) -> None:
    node, package = lab.node, taken_in(lab, "s")
    assert not may(node, MARIE, package)
    made = node.grant(package, "marie@nmi", recipient=NMI, expires="2099-01-01", purpose="the paper")
    assert (made.packages, made.grant.to, made.grant.recipient) == (1, "marie@nmi", NMI)
    assert may(node, MARIE, package)
    assert may(node, MARIE, package, Right.LIST)
    assert not may(node, MARIE, package, Right.ASSESS)
    for other in (
        Asker("c" * 64, "marie@nmi"),
        Asker(NMI, "eve@nmi"),
        Asker(NMI),
        Asker(NMI, "marie@nmi", kind="pending"),
        Asker(NMI, "marie@nmi", kind="user"),
        Asker(node.id, "marie@nmi"),
    ):
        assert not may(node, other, package), other
    with at(node, datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)):
        assert not may(node, MARIE, package)
        assert [one.state for one in node.grants()] == ["ended"]
    taken = node.revoke(made.grant.id[:10], reason="wrong person")
    assert not may(node, MARIE, package)
    assert node.revoke(made.grant.id) == taken
    assert [(one.state, one.revocation) for one in node.grants(package, "marie@nmi")] == [("revoked", taken)]
    sentences = [step["sentence"] for step in node.custody(package).to_dict()["steps"]]
    assert any("allowed marie@nmi to read 1 package" in one for one in sentences)
    assert any("revoked" in one and "wrong person" in one for one in sentences)
    require_agreement(node)


def test_everybody_of_a_node_and_requirements(lab: Lab) -> None:
    node, package = lab.node, taken_in(lab, "s")
    node.grant([package], "*@nmi", ["assess"], recipient=NMI, require=["direct-only"], not_before="2020-01-01")
    assert require(node.context, Asker(NMI), Right.ASSESS, package).requirements == ("direct-only",)
    assert may(node, Asker(NMI, "eve@nmi"), package, Right.LIST)
    assert not may(node, MARIE, package, Right.READ)


def test_colleagues_see_nothing_unless_it_is_granted_or_the_policy_opens_it(lab: Lab) -> None:
    node, package = lab.node, taken_in(lab, "s")
    node.users.add("bob")
    bob = local(node, "bob")
    assert may(node, local(node, "alice"), package, Right.ASSESS)
    assert not may(node, bob, package)
    node.grant(package, "bob")
    assert may(node, bob, package)
    assert not may(node, bob, package, Right.ASSESS)
    other = taken_in(lab, "t")
    assert not may(node, bob, other)
    path = node.path / "policy.toml"
    path.write_text(path.read_text("utf-8").replace('default = "private"', 'default = "node"'), "utf-8")
    node.context.refresh()
    assert may(node, bob, other)
    assert not may(node, bob, other, Right.ASSESS)
    assert not may(node, MARIE, other)
    assert visible(node.context, bob).everything


def test_only_the_owner_grants_and_only_the_grantor_revokes(lab: Lab) -> None:
    node, package = lab.node, taken_in(lab, "s")
    node.users.add("bob")
    mine = node.grant(package, "marie@nmi", recipient=NMI).grant
    with working(lab, "bob") as bobs:
        with pytest.raises(Refused, match="belongs to alice@hu-berlin"):
            bobs.grant(package, "marie@nmi", recipient=NMI)
        with pytest.raises(Refused, match="grant is by alice"):
            bobs.revoke(mine.id)
    subject = Subject.package(package)
    forge(
        lab,
        "revocation",
        (Subject.statement(mine.id), subject),
        {"revokes": mine.id, "by": "bob@hu-berlin"},
        user="bob",
    )
    assert may(node, MARIE, package), "what another takes back holds"
    forge(lab, "revocation", (Subject.statement(mine.id),), {"revokes": mine.id, "by": "alice@hu-berlin"}, user="bob")
    assert may(node, MARIE, package), "nor does it help to speak in her name"
    node.revoke(mine.id)
    forge(lab, "grant", (subject,), grant_words(), user="bob")  # in Alice's name, by Bob's key
    forge(lab, "grant", (subject,), grant_words(by="bob@hu-berlin"), user="bob")  # of what is not his
    forge(lab, "grant", (subject,), grant_words(recipient="c" * 64), user="")  # to a node that calls itself nmi
    assert not may(node, MARIE, package)
    assert len(node.grants()) == 3, "the one whose name and key differ is none"
    reasons = " ".join(node_reasons(node, package))
    assert "was revoked by alice@hu-berlin" in reasons


def node_reasons(node: Node, package: str) -> tuple[str, ...]:
    node.context.peer_id = {"nmi": NMI}.get
    return node.why("marie@nmi", package).reasons


def test_a_project_is_what_the_sealed_record_and_the_owner_say(lab: Lab) -> None:
    node = lab.node
    node.users.add("bob")
    inside = taken_in(lab, "s", session={"project": "ZnO 26"})
    outside = taken_in(lab, "t", session={"project": "TiO2"})
    bobs = taken_in(lab, "u", user="bob", session={"project": "ZnO 26"})
    made = node.grant("project:zno-26", "marie@nmi", recipient=NMI)
    assert (made.packages, made.grant.scope, made.grant.label) == (1, "project", "zno-26")

    def allowed() -> list[bool]:
        found = [may(node, MARIE, one, Right.LIST) for one in (inside, outside, bobs)]
        listed = {row.id for row in node.context.catalogue.search(within=visible(node.context, MARIE)).rows}
        assert found == [one in listed for one in (inside, outside, bobs)]
        return found

    assert allowed() == [True, False, False]
    with working(lab, "bob") as other:
        other.amend(outside, {"session.project": "ZnO 26"})
        other.amend(inside, {"session.project": "gone"})
    assert allowed() == [True, False, False], "what others say brings nothing in, and takes nothing out"
    node.amend(outside, {"session.project": "ZnO 26"})
    assert allowed() == [True, True, False]
    node.amend(inside, {"session.project": "TiO2"})
    assert allowed() == [False, True, False]
    later = taken_in(lab, "v", session={"project": "ZnO 26"})
    assert may(node, MARIE, later), "what is archived later belongs to it as well"
    assert [one.grant for one in node.grants(later)] == [made.grant]
    assert node.grants(inside) == []


def test_a_sample_is_called_what_its_owner_calls_it(lab: Lab) -> None:
    node = lab.node
    node.users.add("bob")
    sample = node.samples.add("S-12", name="ZnO")
    ours = taken_in(lab, "s", sample={"identifier": "S-12"})
    secret = taken_in(lab, "t", sample={"identifier": "S-99"})
    node.grant("sample:S-12", "marie@nmi", recipient=NMI)
    assert (may(node, MARIE, ours), may(node, MARIE, secret)) == (True, False)
    with working(lab, "bob") as other:
        other.samples.link("S-12", "S-99", lab="NMI", reason="the same thing, says Bob")
    assert node.search("sample:S-12").total == 2, "a search follows what Bob said"
    assert not may(node, MARIE, secret), "a grant does not"
    assert node.context.catalogue.search(within=visible(node.context, MARIE)).total == 1
    node.samples.change("S-12", names={"NMI": "S-99"})
    assert may(node, MARIE, secret)
    assert node.context.catalogue.search(within=visible(node.context, MARIE)).total == 2
    assert [one.grant.subjects for one in node.grants("sample:S-12")] == [(sample.id,)]


@contextmanager
def counted(node: Node) -> Iterator[Callable[[], tuple[int, int]]]:
    """How often catalogue and log are asked, and that no store is."""
    asked: list[str] = []
    told: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(str(arguments[2]))

    log: sqlite3.Connection = node.context.ledger._file._connection
    event.listen(Engine, "before_cursor_execute", note)
    log.set_trace_callback(told.append)
    stores, node.context.stores = node.context.stores, None  # type: ignore[assignment]
    try:
        yield lambda: (len(asked), len(told))
    finally:
        node.context.stores = stores
        log.set_trace_callback(None)
        event.remove(Engine, "before_cursor_execute", note)


def test_unknown_forbidden_revoked_and_deleted_have_one_answer_and_one_cost(lab: Lab) -> None:
    node = lab.node
    node.users.add("bob")
    node.samples.add("S-12")
    forbidden = taken_in(lab, "s", session={"project": "P"}, sample={"identifier": "S-12"})
    revoked = taken_in(lab, "t")
    allowed = taken_in(lab, "u", sample={"identifier": "S-1"})
    node.amend(forbidden, {"sample.identifier": "S-13", "session.project": "Q"})
    node.grant("sample:S-12", "marie@nmi", recipient=NMI)
    node.revoke(node.grant(revoked, "marie@nmi", recipient=NMI).grant.id)
    node.grant(allowed, "marie@nmi", recipient=NMI)
    may(node, MARIE, allowed)
    answers, costs = set(), set()
    for package in (forbidden, revoked, "diadem:" + "0" * 64, forbidden[:19], "no id at all", "", "\ud800", allowed):
        with counted(node) as count:
            try:
                require(node.context, MARIE, Right.READ, package)
                assert package == allowed
            except NotFound as error:
                answers.add(str(error.to_dict()))
            costs.add(count())
    assert len(answers) == 1
    answer = answers.pop()
    assert not any(word in answer for word in ("revoked", "forbidden", "diadem:"))
    assert len(costs) == 1
    catalogue, log = costs.pop()
    assert catalogue <= 12
    assert log == 2


def test_what_another_process_says_counts_at_once(lab: Lab) -> None:
    package = taken_in(lab, "s")
    with lab.reopened() as server:
        assert not may(server, MARIE, package)
        made = lab.node.grant(package, "marie@nmi", recipient=NMI).grant
        assert may(server, MARIE, package)
        lab.node.revoke(made.id)
        assert not may(server, MARIE, package)


def test_a_log_of_an_earlier_version_gets_its_index(lab: Lab) -> None:
    package = taken_in(lab, "s")
    lab.node.grant(package, "marie@nmi", recipient=NMI)
    lab.node.close()
    path = lab.node.path / "log" / "log.sqlite"
    with sqlite3.connect(path) as log:
        log.execute("DROP INDEX entries_of_access")
    log.close()
    with lab.reopened() as node:
        assert may(node, MARIE, package)
        plan = node.context.ledger._file._connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%access'")
        assert plan.fetchall() == [("entries_of_access",)]


def test_what_cannot_be_granted_is_said(lab: Lab) -> None:
    node, package = lab.node, taken_in(lab, "s")
    cases: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
        (NotFound, "no node is called 'nmi'", (package, "marie@nmi"), {}),
        (UsageError, "not the id of a node", (package, "marie@nmi"), {"recipient": "xyz"}),
        (UsageError, "is the node", (package, "bob@hu-berlin"), {"recipient": NMI}),
        (NotFound, "no user 'bob", (package, "bob"), {}),
        (UsageError, "is you", (package, "alice"), {}),
        (UsageError, "not an address", (package, "marie @nmi"), {}),
        (UsageError, "not a right", (package, "marie@nmi", ["write"]), {"recipient": NMI}),
        (UsageError, "no right is named", (package, "marie@nmi", []), {"recipient": NMI}),
        (UsageError, "never be in force", (package, "marie@nmi"), {"recipient": NMI, "expires": "2020-01-01"}),
        (UsageError, "not a date", (package, "marie@nmi"), {"recipient": NMI, "expires": "tomorrow"}),
        (UsageError, "cannot require", (package, "marie@nmi"), {"recipient": NMI, "require": ["a hub"]}),
        (UsageError, "at a time", (["project:P", package], "marie@nmi"), {"recipient": NMI}),
        (UsageError, "names no project", ("project:--", "marie@nmi"), {"recipient": NMI}),
        (UsageError, "nothing was named", ([], "marie@nmi"), {"recipient": NMI}),
        (NotFound, "no sample is called", ("sample:S-1", "marie@nmi"), {"recipient": NMI}),
        (NotFound, "no package", ("diadem:" + "0" * 64, "marie@nmi"), {"recipient": NMI}),
    ]
    before = node.context.ledger.total
    for kind, words, arguments, options in cases:
        with pytest.raises(kind, match=words):
            node.grant(*arguments, **options)
    dry = node.grant(package, "marie@nmi", recipient=NMI, dry_run=True)
    assert (dry.grant.id, dry.packages) == ("", 1)
    for text, kind in (("00000000", NotFound), ("xyz", UsageError)):
        with pytest.raises(kind):
            node.revoke(text)
    assert node.context.ledger.total == before


def test_the_commands(lab: Lab) -> None:
    package = taken_in(lab, "s")
    on = ("--node", lab.node.path)
    lab.node.users.add("bob")
    refused = said("grant", "why", "bob", package, *on, code=1)
    assert "NOT allowed" in refused
    assert "operating system" in " ".join(refused.split()), "whom grants do not bind is said"
    made = said_json(
        "grant", package, "--to", "bob", "--right", "read", "--expires", "2099-01-01", "--purpose", "x", *on
    )
    assert (made["grant"]["to"], made["packages"], made["dry_run"]) == ("bob@hu-berlin", 1, False)
    text = said("grant", "why", "bob", package, *on)
    assert "alice@hu-berlin allows bob@hu-berlin to read it until 2099-01-01" in text
    assert made["grant"]["id"][:12] in text
    assert "operating system" in " ".join(said("grant", package, "--to", "*@hu-berlin", "--dry-run", *on).split())
    listed = said("grant", "ls", package, *on)
    assert "in force" in listed
    assert "bob@hu-berlin" in listed
    assert "revoked" in said("revoke", made["grant"]["id"][:12], "--reason", "done", *on)
    decision = said_json("grant", "why", "bob", package, "--right", "list", *on, code=1)
    assert decision["grant"]["id"] == made["grant"]["id"]
    assert "was revoked by alice@hu-berlin" in decision["reasons"][-1]
    assert said_json("grant", "ls", "--to", "bob", *on)["grants"][0]["revocation"]["reason"] == "done"
    assert "not a right" in said("grant", "why", "bob", package, "--right", "eat", *on, code=2)
    assert "through the server" in said("doctor", *on)


def test_a_key_of_a_user_is_theirs_until_they_leave(lab: Lab) -> None:
    node = lab.node
    node.users.add("bob")
    key = node.users.show("bob").key_id
    assert user_of_key(node.context, key) == Asker(node.id, "bob@hu-berlin", key, "user")
    assert user_of_key(node.context, node.id) is None
    node.users.retire("bob", "alice")
    assert user_of_key(node.context, key) is None
    assert Path(node.path / "keys" / "users" / "bob.pem").exists()
