"""Users of a node: each has a key and a card in the log; what is archived names who did it."""

from __future__ import annotations

import threading

import pytest

from diadem.errors import DiademError, NotFound, UsageError
from diadem.node.config import UserSettings
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import require_agreement
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def card(lab: Lab, name: str) -> list[str]:
    """Names in the cards of a user."""
    return [
        str(entry.statement.predicate["name"])
        for entry in lab.node.context.ledger.all_entries()
        if entry.statement.predicate.get("name") == f"{name}@hu-berlin"
    ]


def test_a_user_is_introduced_and_signs_what_they_archive(lab: Lab) -> None:
    bob = lab.node.users.add("Bob", full_name="Bob B.")
    assert (bob.name, bob.custody) == ("bob", "node-held")
    assert card(lab, "bob") == ["bob@hu-berlin"]
    document = said_json("archive", lab.session("s"), "--now", "--user", "bob", "--node", lab.node.path)
    package = document["package"]["id"]
    assert lab.node.search("owner:bob").total == 1
    assert lab.node.search("owner:alice").total == 0
    ingest = lab.node.context.ledger.of_subject(package.removeprefix("diadem:"))[0]
    assert (ingest.statement.predicate["owner"], len(ingest.signers)) == ("bob@hu-berlin", 2)
    assert any("bob@hu-berlin" in step["sentence"] for step in lab.node.custody(package).to_dict()["steps"])
    require_agreement(lab.node)


def test_names_are_unique_and_unknown_ones_are_named(lab: Lab) -> None:
    for name in ("alice", "ALICE ", "no spaces", "", "../../etc"):
        with pytest.raises(UsageError) as refused:
            lab.node.users.add(name)
        assert refused.value.next
    assert [user.name for user in lab.node.users] == ["alice"]
    error = said_json("archive", lab.session("s"), "--now", "--user", "carol", "--node", lab.node.path, code=3)["error"]
    assert "carol" in error["message"]
    assert "alice" in error["next"]
    with pytest.raises(NotFound, match="carol"):
        lab.node.context.settings.user("carol@hu-berlin")
    assert lab.node.context.settings.user("alice@hu-berlin").name == "alice"


def test_two_who_add_one_name_at_once_get_one_user(lab: Lab) -> None:
    made: list[UserSettings] = []
    refused: list[DiademError] = []
    nodes = [lab.reopened() for _ in range(3)]
    begin = threading.Barrier(len(nodes))

    def add(number: int) -> None:
        begin.wait()
        try:
            made.append(nodes[number].users.add("bob"))
        except UsageError as error:
            refused.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(len(nodes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for node in nodes:
        node.close()
    assert (len(made), len(refused)) == (1, 2)
    assert card(lab, "bob") == ["bob@hu-berlin"]
    key = lab.node.context.keys.open("users/bob")
    assert key.public.to_text() == made[0].key
    with lab.reopened() as node:
        assert [user.name for user in node.users] == ["alice", "bob"]


def test_the_commands(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    node = lab.node.path
    document = said_json("user", "add", "bob", "--full-name", "Bob B.", "--node", node)
    assert document["user"]["address"] == "bob@hu-berlin"
    monkeypatch.setenv("DIADEM_PASSPHRASE", "correct horse")
    told = said("user", "add", "carol", "--protect", "passphrase", "--node", node)
    assert "only its user can open it" in told
    assert [line for line in told.splitlines() if line != line.rstrip()] == []
    assert "already" in said("user", "add", "bob", "--node", node, code=2)
    assert "protection" in said("user", "add", "dan", "--protect", "hope", "--node", node, code=2)
    listed = said_json("user", "ls", "--node", node)["users"]
    assert [(user["name"], user["full_name"], user["protection"]) for user in listed] == [
        ("alice", "", "file"),
        ("bob", "Bob B.", "file"),
        ("carol", "", "passphrase"),
    ]
    text = said("user", "ls", "--node", node)
    assert "PRIVATE" not in text
    assert "bob@hu-berlin" in text
