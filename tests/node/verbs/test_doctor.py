"""`diadem doctor`: everything that it calls wrong is made wrong here, and what it advises mends it."""

from __future__ import annotations

import datetime
import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.api.nodes import tools_of_now
from diadem.errors import NotFound
from diadem.node.context import utc_now
from diadem.node.node import Node
from diadem.node.open import open_context
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue

needs_permissions = pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions otherwise")
needs_mount = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a small disk needs root"
)


def wrong(node: Node) -> dict[str, dict[str, str]]:
    """What is wrong, by the name of the check; each says what to do."""
    document: dict[str, Any] = node.doctor()
    found = {check["name"]: check for check in document["checks"] if check["verdict"] == "wrong"}
    assert document["ok"] == (not found)
    assert all(check["message"] and check["next"] for check in found.values())
    return found


def test_a_healthy_node(lab: Lab) -> None:
    lab.archived("s")
    assert wrong(lab.node) == {}
    document = said_json("doctor", "--node", lab.node.path)
    named = {check["name"] for check in document["checks"]}
    assert named == {"versions", "clock", "disk", "keys", "policy", "log", "catalogue", "stores", "jobs", "access"}
    text = said("doctor", "--node", lab.node.path)
    assert "WRONG" not in text
    assert "--confirm-recovery" in text
    lab.confirm_recovery()
    assert "--confirm-recovery" not in said("doctor", "--node", lab.node.path)


@needs_permissions
def test_a_key_that_others_may_read(lab: Lab) -> None:
    path = lab.node.path / "keys/online.pem"
    path.chmod(0o644)
    found = wrong(lab.node)["keys"]
    assert "online.pem" in found["message"]
    assert "WRONG" in said("doctor", "--node", lab.node.path, code=1)
    subprocess.run(found["next"], shell=True, check=True)
    assert wrong(lab.node) == {}


def test_a_key_that_is_gone(lab: Lab) -> None:
    path = lab.node.path / "keys/online.pem"
    data = path.read_bytes()
    path.unlink()
    assert "online" in wrong(lab.node)["keys"]["message"]
    path.write_bytes(data)
    with suppress(OSError):
        path.chmod(0o600)
    assert wrong(lab.node) == {}


def test_a_store_that_is_away_and_a_log_that_is_on_this_machine_only(lab: Lab) -> None:
    (lab.root / "main").rename(lab.root / "unplugged")
    with lab.reopened() as node:
        assert set(wrong(node)) == {"stores"}
        assert "main" in wrong(node)["stores"]["message"]
        node.users.add("bob")
        found = wrong(node)
        assert set(found) == {"stores", "log"}
        assert "in no store" in found["log"]["message"]
        (lab.root / "unplugged").rename(lab.root / "main")
        assert set(wrong(node)) == {"log"}
        node.repair()  # as it advises
        assert wrong(node) == {}


def test_a_clock_that_is_behind_the_log(lab: Lab) -> None:
    lab.archived("s")

    def yesterday() -> datetime.datetime:
        return utc_now() - datetime.timedelta(days=1)

    late = Node(open_context(lab.node.path, user=None, gather=tools_of_now(), clock=yesterday))
    found = wrong(late)["clock"]
    assert "behind" in found["message"]
    assert "clock.behind" in {finding.rule for finding in late.status().findings}
    late.close()
    assert wrong(lab.node) == {}


def test_a_catalogue_that_is_behind(lab: Lab) -> None:
    lab.archived("s")
    lab.node.context.catalogue.forget_statements()
    assert "not in the catalogue" in wrong(lab.node)["catalogue"]["message"]
    lab.node.reindex()  # as it advises
    assert wrong(lab.node) == {}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET line = (SELECT line FROM entries WHERE place % 1024 = 1) WHERE place % 1024 = 2",
        "UPDATE nodes SET hash = zeroblob(32) WHERE rowid % 3 = 0",
        "DELETE FROM subjects",
        "UPDATE batches SET checkpoint = replace(checkpoint, '4', '5')",
    ],
)
def test_a_log_that_was_changed(lab: Lab, change: str) -> None:
    lab.archived("s")
    lab.node.close()
    with closing(sqlite3.connect(lab.node.path / "log/log.sqlite")) as connection, connection:
        connection.execute(change)
    told = said_json("doctor", "--node", lab.node.path, code=1)
    if "error" in told:  # it is noticed on opening
        assert ("damaged" in told["error"]["message"], "--recover" in told["error"]["next"]) == (True, True)
    else:
        (first, *_) = [check for check in told["checks"] if check["verdict"] == "wrong"]
        assert (first["name"], "damaged" in first["message"], "--recover" in first["next"]) == ("log", True, True)


@pytest.mark.parametrize("content", [b"no database" * 1000, b""], ids=["other", "words"])
def test_a_damaged_book_of_transfers_is_told(lab: Lab, content: bytes) -> None:
    book = lab.node.path / "network" / "book.sqlite"
    book.parent.mkdir(exist_ok=True)
    if content:
        book.write_bytes(content)
    else:  # SQLite quotes the damaged file in its error, and Python cannot read that as text
        with closing(sqlite3.connect(book)) as connection, connection:
            connection.execute("CREATE TABLE parts (number INTEGER)")
        book.write_bytes(book.read_bytes().replace(b"CREATE TABLE", b"CREATE\xa0TABLE"))
    assert "network/book.sqlite is damaged" in wrong(lab.node)["network"]["message"]


def test_a_killed_job_is_told(lab: Lab) -> None:
    lab.node.scrub()
    (path,) = (lab.node.path / "jobs").glob("*.json")
    killed = json.loads(path.read_text()) | {"state": "running", "ended": ""}
    path.write_text(json.dumps(killed))  # what a process leaves that had no time to write how it ended
    document = lab.node.doctor()
    (note,) = [check for check in document["checks"] if check["name"] == "jobs" and check["verdict"] == "note"]
    assert (document["ok"], "killed" in note["message"], note["next"]) == (True, True, "diadem scrub")
    lab.node.scrub()
    assert [check["verdict"] for check in lab.node.doctor()["checks"] if check["name"] == "jobs"] == ["ok"]


def test_two_stores_on_one_disk_are_noted(lab: Lab) -> None:
    lab.node.stores.add(str(lab.root / "same"), name="same")
    notes = [check["message"] for check in lab.node.doctor()["checks"] if check["name"] == "stores"]
    assert any("count as one copy" in note for note in notes)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 40 MB."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_mount
def test_a_disk_that_is_full_and_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as small, small_disk(tmp_path / "other") as other:
        with diadem.Node.create(small / "node", name="n", user="u", store=str(other / "store")) as node:
            assert set(wrong(node)) == {"disk"}
            subprocess.run(["mount", "-o", "remount,ro", str(other)], check=True)
        with diadem.open_node(small / "node") as node:
            found = wrong(node)
            assert set(found) == {"disk", "stores"}
            assert "main" in found["stores"]["message"]


def test_without_a_node_the_next_step_is_named(tmp_path: Path) -> None:
    assert said_json("doctor", "--node", tmp_path, code=3)["error"]["next"]
    with pytest.raises(NotFound):
        diadem.open_node(tmp_path)


@needs_permissions
def test_a_policy_that_is_gone_is_put_back(lab: Lab) -> None:
    path = lab.node.path / "policy.toml"
    assert "policy.missing" not in {finding.rule for finding in lab.node.status().findings}
    path.write_text("[copies]\nminimum = 3\n[copies.kinds]\noffsite = 1\n", "utf-8")
    (lab.root / "node-recovery.txt").rename(lab.root / "stick.txt")
    with lab.reopened() as node:
        node.confirm_recovery()  # it is mirrored
    path.unlink()
    with lab.reopened() as node:
        status = node.status()
        (finding,) = [one for one in status.findings if one.rule == "policy.missing"]
        assert "the defaults hold: 2 copies" in finding.message
        assert status.steps[0].command == wrong(node)["policy"]["next"]
        node.confirm_recovery()  # which leaves the copy in the store as it is
        subprocess.run(status.steps[0].command, shell=True, check=True)
    with lab.reopened() as node:
        assert node.context.policy.copies.minimum == 3
        assert wrong(node) == {}
        path.unlink()
        (lab.root / "main").rename(lab.root / "away")
    with lab.reopened() as node:
        assert "write another" in wrong(node)["policy"]["next"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_new_store_is_closed_to_other_accounts_and_doctor_names_an_open_one(lab: Lab) -> None:
    lab.add_second()
    assert [(lab.root / name).stat().st_mode & 0o777 for name in ("main", "second")] == [0o750, 0o750]

    def opened() -> list[dict[str, str]]:
        return [check for check in lab.node.doctor()["checks"] if "every account" in check["message"]]

    assert opened() == []
    lab.second.chmod(0o757)
    (found,) = opened()
    assert "can read and write second" in found["message"]
    subprocess.run(shlex.split(found["next"]), check=True)
    assert opened() == []
