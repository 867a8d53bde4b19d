"""From nothing to a node with two proven copies, step by step."""

from __future__ import annotations

from pathlib import Path

import pytest

import diadem
from diadem.errors import NotFound, Refused, UsageError
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def test_one_copy_is_said_to_be_too_few_and_a_second_one_mends_it(lab: Lab) -> None:
    package = lab.archived("2026-03-14 ZnO")
    status = lab.node.status()
    assert not status.ok
    assert [finding.rule for finding in status.findings if finding.severity == "error"] == ["copies.minimum"]
    lab.add_second()
    repaired = lab.node.repair()
    assert repaired.ok
    assert [(one, copy.store) for one, copy in repaired.copies] == [(package, "second")]
    lab.confirm_recovery()
    assert lab.node.status().ok
    for store in ("main", "second"):
        assert diadem.verify(lab.path(package, store), level="full").package_id == package


def test_with_two_stores_the_archive_writes_both(lab: Lab) -> None:
    lab.add_second()
    archived = lab.node.archive(lab.session("both"), now=True)
    assert [copy.store for copy in archived.copies] == ["main", "second"]
    assert archived.debts == []
    assert lab.node.get(archived.package.id).id == archived.package.id


def test_a_second_store_on_the_same_disk_gets_a_copy_that_does_not_count(lab: Lab) -> None:
    lab.node.stores.add(str(lab.root / "same"), name="same")
    archived = lab.node.archive(lab.session("s"), now=True)
    assert [copy.store for copy in archived.copies] == ["main", "same"]
    rules = {finding.rule for finding in lab.node.status().findings}
    assert {"copies.minimum", "copies.same-disk"} <= rules
    assert lab.node.archive(lab.root / "s", now=True).what == "already"


def test_the_same_folder_again_is_recognised_and_more_files_continue_it(lab: Lab) -> None:
    session = lab.session("s")
    first = lab.node.archive(session, now=True)
    again = lab.node.archive(session, now=True)
    assert (again.what, again.package.id) == ("already", first.package.id)
    (session / "later.bin").write_bytes(b"later")
    more = lab.node.archive(session, now=True)
    assert (more.what, more.predecessor) == ("continuation", first.package.id)
    assert [entry.name for entry in more.package.files] == ["later.bin"]
    assert {row.session for row in lab.node.search().rows} == {str(first.package.id)}


def test_a_store_that_is_away_is_a_debt_that_repair_pays(lab: Lab) -> None:
    lab.add_second()
    lab.second.rename(lab.root / "unplugged")
    node = lab.reopened()
    archived = node.archive(lab.session("s"), now=True)
    assert [copy.store for copy in archived.copies] == ["main"]
    assert [debt.store for debt in archived.debts] == ["second"]
    assert not node.status().ok
    node.close()
    (lab.root / "unplugged").rename(lab.second)
    node = lab.reopened()
    assert [copy.store for _, copy in node.repair().copies] == ["second"]
    assert not [finding for finding in node.status().findings if finding.severity == "error"]
    node.close()


def test_another_folder_in_the_place_of_a_store_is_not_written_to(lab: Lab) -> None:
    lab.add_second()
    lab.second.rename(lab.root / "unplugged")
    lab.second.mkdir()
    node = lab.reopened()
    archived = node.archive(lab.session("s"), now=True)
    assert [debt.store for debt in archived.debts] == ["second"]
    assert "no store" in archived.debts[0].reason
    assert list(lab.second.iterdir()) == []
    node.close()


def test_a_node_refuses_places_that_would_lose_it(tmp_path: Path) -> None:
    for folder, store in (("node", "node/store"), ("store/node", "store"), ("same", "same")):
        with pytest.raises(Refused):
            diadem.Node.create(tmp_path / folder, name="n", user="u", store=str(tmp_path / store))
    with pytest.raises(UsageError, match="cannot be the name"):
        diadem.Node.create(tmp_path / "node", name="HU Berlin", user="u", store=str(tmp_path / "store"))
    with pytest.raises(Refused, match="recovery file"):
        diadem.Node.create(
            tmp_path / "node", name="n", user="u", store=str(tmp_path / "s"), recovery_file=tmp_path / "node" / "r.txt"
        )
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize("place", ["node", ".", "main/inner", "node/store"])
def test_a_store_lies_apart_from_the_node_and_from_other_stores(lab: Lab, place: str) -> None:
    with pytest.raises(Refused, match=r"is in|holds|own folder"):
        lab.node.stores.add(str(lab.root / place), name="odd")
    assert lab.node.context.stores.names == ["main"]


def test_a_node_is_one_machines(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_MACHINE", "another")
    with pytest.raises(Refused, match="is written by the machine"):
        lab.reopened()


def test_where_no_node_is_the_next_step_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("DIADEM_NODE", raising=False)
    with pytest.raises(NotFound, match="no node yet"):
        diadem.open_node()
    with pytest.raises(NotFound, match="neither a node nor a store"):
        diadem.open_node(tmp_path)


def test_a_recovery_file_that_was_not_moved_is_not_confirmed(lab: Lab) -> None:
    lab.node.close()
    on, file = ("--node", lab.node.path), lab.root / "node-recovery.txt"
    refused = said("init", "--confirm-recovery", *on, code=4)
    assert str(file) in refused
    assert "confirmed as moved away" not in said("status", *on)
    file.rename(lab.root / "stick.txt")
    assert "confirmed as moved away" in said("init", "--confirm-recovery", *on)
    assert "confirmed as moved away" in said("status", *on)
    (lab.root / "stick.txt").rename(file)  # whoever puts it back is told
    assert f"is at {file}" in " ".join(said("status", *on).split())
    assert str(file) in said("doctor", *on)
