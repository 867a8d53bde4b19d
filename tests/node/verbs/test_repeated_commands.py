"""A command that was killed, given again, finishes or says that all is done."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

import pytest

import diadem
from tests.cli.inside import said, said_json
from tests.kill_points import killed
from tests.node.verbs.conftest import Lab
from tests.node.verbs.test_doctor import wrong

pytestmark = [pytest.mark.catalogue, pytest.mark.skipif(os.name == "nt", reason="a process is forked")]
#: Changes of the disk before which a command is killed.
POINTS = [1, 8, 21, 40, 60, 85, 120]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.sweep(4)
def test_init_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int) -> None:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_RECOVERY_PASSPHRASE", "")
    words = ("init", tmp_path / "node", "--store", tmp_path / "store", "--name", "n", "--user", "alice")
    dead = killed(point, tmp_path, *words)
    text = said(*words)
    assert dead or "already" in text
    for _ in range(2):
        with diadem.open_node(tmp_path / "node") as node:
            assert wrong(node) == {}
            assert [(store.name, store.reachable) for store in node.stores] == [("main", True)]
            assert node.id in (tmp_path / "node-recovery.txt").read_text("utf-8")
            assert [one for one in node.status().findings if one.severity == "error"] == []
        assert "already" in said(*words)  # once more
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    shutil.rmtree(tmp_path / "node")
    said("init", tmp_path / "node", "--recover", tmp_path / "store", "--recovery-file", tmp_path / "node-recovery.txt")


@pytest.mark.parametrize("point", [4, 16, 40, 80, 130])
def test_a_recovery_that_was_killed_goes_on(lab: Lab, point: int) -> None:
    package = lab.archived("s")
    lab.node.close()
    shutil.rmtree(lab.node.path)
    words = ("init", lab.node.path, "--recover", lab.root / "main", "--recovery-file", f"{lab.node.path}-recovery.txt")
    killed(point, lab.root, *words)
    said(*words)
    assert "nothing is missing" in said(*words)
    with lab.reopened() as node:
        assert (node.context.ledger.epoch, node.get(package).id, wrong(node)) == (2, package, {})
        assert [path.name for path in node.path.iterdir() if path.name.startswith(".")] == []
    assert [path.name for path in lab.root.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("point", [5, 14, 35])
def test_what_was_given_up_is_given_up_once(lab: Lab, point: int) -> None:
    policy = lab.node.path / "policy.toml"
    policy.write_text("[copies]\nminimum = 3\n[retention]\nyears = 0\n", "utf-8")
    lab.add_second()
    lab.node.stores.add(str(lab.root / "third"), name="third", place="a third disk")
    with lab.reopened() as node:
        package = str(node.archive(lab.session("s"), now=True).package.id)
    policy.write_text("[retention]\nyears = 0\n", "utf-8")
    lab.node.close()
    for words in (["drop", package, "--store", "third"], ["delete", package]):
        command = (*words, "--reason", "room", "--node", lab.node.path)
        killed(point, lab.root, *command)
        assert said_json(*command)["done"]
        assert "already" in said(*command)
        assert said_json(*command, "--dry-run")["done"]
    assert [path for path in lab.root.rglob("scan 0.bin") if path.parent.parent.parent.name != "s"] == [
        lab.root / "s" / "scan 0.bin"
    ]
    error = said_json("verify", package, "--node", lab.node.path, code=3)["error"]
    assert "was deleted" in error["message"]
    assert (
        said_json("get", package, lab.root / "out", "--node", lab.node.path, code=3)["error"]["message"]
        == (error["message"])
    )


@pytest.mark.parametrize("point", [3, 10, 15, 28])
def test_a_store_that_was_being_added_is_added(lab: Lab, point: int) -> None:
    lab.node.close()
    words = ("store", "add", lab.root / "second", "--name", "second", "--node", lab.node.path)
    killed(point, lab.root, *words)
    said(*words)
    assert "already" in said(*words)
    assert "already" in said("store", "add", lab.root / "second", "--node", lab.node.path)
    error = said_json("store", "add", lab.root / "second", "--name", "another", "--node", lab.node.path, code=2)[
        "error"
    ]
    assert "this is the store 'second'" in error["message"]
    with lab.reopened() as node:
        assert ([store.name for store in node.stores], wrong(node)) == (["main", "second"], {})
    said("search", "--node", lab.root / "second")


@pytest.mark.parametrize("point", [3, 5, 9, 13])
def test_a_user_who_was_being_added_can_sign(lab: Lab, point: int) -> None:
    lab.node.close()
    words = ("user", "add", "bob", "--node", lab.node.path)
    dead = killed(point, lab.root, *words)
    there = "bob@hu-berlin" in said("user", "ls", "--node", lab.node.path)
    assert "diadem user" in said(*words, code=2 if there else 0) or dead
    with lab.reopened() as node:
        assert node.context.settings.user("bob").key == node.users.show("bob").key
        if "log" in (found := wrong(node)):
            assert found["log"]["next"] == "Connect a store: diadem repair"
            node.repair()
        assert wrong(node) == {}
    package = said_json("archive", lab.session("s"), "--now", "--user", "bob", "--node", lab.node.path)["package"]["id"]
    said("grant", package, "--to", "alice", "--user", "bob", "--node", lab.node.path)
    assert len(said_json("grant", "ls", "--node", lab.node.path)["grants"]) == 1


def test_doctor_finds_users_whom_log_and_settings_know_differently(lab: Lab) -> None:
    lab.node.users.add("bob")
    lab.node.close()
    path = lab.node.path / "node.toml"
    good = path.read_text("utf-8")
    bob = good.rpartition("[[users]]")[2].partition("[[")[0]
    other = diadem.Node.create(lab.root / "other", name="o", user="bob", store=str(lab.root / "o"))
    key, mine = other.users.show("bob").key, str(tomllib.loads(good)["users"][1]["key"])
    other.close()
    for bent in (good.replace("[[users]]" + bob, ""), good.replace(mine, key)):
        path.write_text(bent, "utf-8")
        with lab.reopened() as node:
            found = wrong(node)["keys"]
        assert "bob" in found["message"]
        said(*found["next"].split()[1:], "--node", lab.node.path)
        with lab.reopened() as node:
            assert wrong(node) == {}
            assert node.context.settings.user("bob").key == node.users.show("bob").key


@pytest.mark.parametrize("point", range(50, 60))
@pytest.mark.sweep(4)
def test_a_folder_whose_adoption_was_killed_is_known_after_a_reindex(lab: Lab, point: int) -> None:
    """Between the moment at which it is kept and that at which the log says so lie some changes of the disk."""
    session = lab.session("s")
    lab.node.close()
    words = ("archive", session, "--in-place", "--now", "--node", lab.node.path)
    killed(point, lab.root, *words)
    with lab.reopened() as node:
        node.reindex()
        known = list(node.context.catalogue.package_states())
        copies = [(one.store, one.path) for state in known for one in state.replicas if one.adopted]
        assert copies == [("in-place", str(session))] * len(known)
        assert [state.signed for state in known] == [True] * len(known)
    assert said_json("archive", session, "--in-place", "--now", "--node", lab.node.path)["what"] == (
        "already" if known else "new"
    )
