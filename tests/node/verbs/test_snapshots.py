"""The snapshot of the catalogue that stores keep: made when something changed, and rarely where it takes long."""

from __future__ import annotations

import json
import tempfile

import pytest

import diadem
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def seen_elsewhere(lab: Lab) -> int:
    """Packages that another PC finds in the store."""
    with diadem.open_node(lab.root / "main") as node:
        return node.search().total


def pretend(lab: Lab, *, seconds: float, at: float | None = None) -> None:
    """Let the last snapshot have taken so long, at that moment."""
    path = lab.node.path / "snapshot.json"
    note = json.loads(path.read_text())
    path.write_text(json.dumps(note | {"seconds": seconds} | ({} if at is None else {"at": at})))


def test_a_quick_snapshot_is_made_after_each_change(lab: Lab) -> None:
    for number in (1, 2, 3):
        with lab.reopened() as node:
            node.archive(lab.session(f"s{number}"), now=True)
        assert seen_elsewhere(lab) == number
        pretend(lab, seconds=0.1)  # also on a machine that has much to do


def test_a_slow_one_is_made_after_a_while_and_what_came_meanwhile_is_in_it(lab: Lab) -> None:
    with lab.reopened() as node:
        node.archive(lab.session("first"), now=True)
    pretend(lab, seconds=18)
    with lab.reopened() as node:
        node.archive(lab.session("second"), now=True)
    assert seen_elsewhere(lab) == 1
    pretend(lab, seconds=18, at=0)
    with lab.reopened() as node:
        node.scrub()
    assert seen_elsewhere(lab) == 2


def test_a_damaged_note_or_a_clock_that_was_set_back_only_cost_one_more(lab: Lab) -> None:
    (lab.node.path / "snapshot.json").write_text("{")
    with lab.reopened() as node:
        node.archive(lab.session("first"), now=True)
    assert seen_elsewhere(lab) == 1
    pretend(lab, seconds=18, at=4e9)
    with lab.reopened() as node:
        node.archive(lab.session("second"), now=True)
    assert seen_elsewhere(lab) == 2


def test_it_needs_no_room_for_temporary_files_and_leaves_nothing_beside_the_node(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".snapshot.sqlite", "..snapshot.sqlite.partial", ".snapshot.json.0123abcd"):
        (lab.node.path / name).write_bytes(b"of a process that was killed")
    (lab.node.path / "policy.snapshot.toml").write_text("a person's")
    with lab.reopened() as node:
        node.archive(lab.session("first"), now=True)
        monkeypatch.setattr(tempfile, "tempdir", str(lab.root / "a folder in memory that is full"))
    assert seen_elsewhere(lab) == 1
    assert [path.name for path in lab.node.path.glob("*.snapshot*")] == ["policy.snapshot.toml"]
