"""A folder adopted where it lies: people work in it, the node follows, and nothing in it is ever written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem.errors import Refused, StoreError, UsageError
from diadem.model.replicas import MISSING, PRESENT, SUSPECT
from diadem.store.system import flush_folder
from tests.cli.inside import said, said_json
from tests.node.test_adopting import everything
from tests.node.verbs.agreeing import memory, require_agreement
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


@pytest.fixture
def alone(lab: Lab) -> Iterator[Lab]:
    """A lab whose policy is content with one copy, so that an adopted folder stays the only one."""
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n", "utf-8")
    with lab.reopened() as node:
        yield Lab(lab.root, node)


def states(lab: Lab, package: str) -> dict[str, str]:
    return {replica.store: replica.state for replica in lab.node.context.catalogue.replicas(package)}


def test_a_folder_is_adopted_and_copied_besides(lab: Lab) -> None:
    session = lab.session("s")
    before = everything(session)
    adopted = lab.node.archive(session, now=True, in_place=True)
    assert (adopted.what, [copy.store for copy in adopted.copies]) == ("new", ["in-place", "main"])
    package = str(adopted.package.id)
    assert lab.node.archive(session, now=True, in_place=True).what == "already"
    assert everything(session) == before
    assert states(lab, package) == {"in-place": PRESENT, "main": PRESENT}
    assert diadem.verify(lab.path(package, "main"), level="full").package_id == package
    assert lab.node.scrub().proven == 1  # the adopted copy is not scrubbed
    require_agreement(lab.node)


def test_an_adopted_folder_is_a_package_like_others(alone: Lab, tmp_path: Path) -> None:
    session = alone.session("s")
    package = str(alone.node.archive(session, now=True, in_place=True).package.id)
    assert states(alone, package) == {"in-place": PRESENT}
    assert not list(alone.root.glob("main/20*"))
    (row,) = alone.node.search("s").rows
    assert row.id == package
    assert alone.node.get(package[:20]).verify(level="full").ok
    assert said_json("get", package, tmp_path / "back", "--node", alone.node.path)["files"] == 3
    assert alone.node.custody(package).ok
    require_agreement(alone.node)


def test_a_full_copy_made_later_is_the_same_package(alone: Lab) -> None:
    session = alone.session("s")
    package = str(alone.node.archive(session, now=True, in_place=True).package.id)
    again = alone.node.archive(session, now=True)
    assert (again.what, str(again.package.id)) == ("already", package)
    assert [(copy.store, copy.created) for copy in again.copies] == [("in-place", False), ("main", True)]
    assert states(alone, package) == {"in-place": PRESENT, "main": PRESENT}
    assert diadem.verify(alone.path(package, "main"), level="full").package_id == package
    assert alone.node.search().total == 1
    require_agreement(alone.node)


def test_a_folder_that_was_archived_is_adopted_under_the_same_id(alone: Lab) -> None:
    session = alone.session("s")
    package = str(alone.node.archive(session, now=True).package.id)
    adopted = alone.node.archive(session, now=True, in_place=True)
    assert str(adopted.package.id) == package
    assert states(alone, package) == {"in-place": PRESENT, "main": PRESENT}
    with pytest.raises(Refused):  # a copy that people may edit does not make another one dispensable
        alone.node.drop(package, "main", reason="it lies there anyway")
    require_agreement(alone.node)


def test_renames_are_followed_and_edits_are_told_and_never_called_damage(lab: Lab) -> None:
    session = lab.session("s")
    package = str(lab.node.archive(session, now=True, in_place=True).package.id)
    (session / "scan 0.bin").rename(session / "renamed.bin")
    (found,) = lab.node.rescan()
    assert found.complete
    assert [(change.state, change.before, change.now) for change in found.changes] == [
        ("renamed", "scan 0.bin", "renamed.bin")
    ]
    assert states(lab, package)["in-place"] == PRESENT

    good = (session / "scan 1.bin").read_bytes()
    (session / "scan 1.bin").write_bytes(b"worked on")
    (found,) = lab.node.rescan()
    assert not found.complete
    assert states(lab, package) == {"in-place": SUSPECT, "main": PRESENT}
    assert "adopted.changed" in {finding.rule for finding in lab.node.status().findings}
    text = said("rescan", "--node", lab.node.path, code=1)
    assert "scan 1.bin" in text
    assert "damage" not in text.lower()
    assert lab.node.repair().ok is not None
    assert (session / "scan 1.bin").read_bytes() == b"worked on"  # never mended by us

    (session / "scan 1.bin").write_bytes(good)
    (found,) = lab.node.rescan(full=True)
    assert found.proven
    assert states(lab, package) == {"in-place": PRESENT, "main": PRESENT}
    known = memory(lab.node)
    with lab.reopened() as other:
        assert memory(other) == known
    require_agreement(lab.node)


def test_a_folder_that_was_moved_is_found_where_one_looks(lab: Lab) -> None:
    session = lab.session("s")
    package = str(lab.node.archive(session, now=True, in_place=True).package.id)
    (lab.root / "elsewhere").mkdir()
    session.rename(lab.root / "elsewhere" / "s 2026")
    (found,) = lab.node.rescan()
    assert "gone" in str(found.folder)
    assert states(lab, package)["in-place"] == MISSING
    document = said_json("rescan", "--look-in", lab.root / "elsewhere", "--full", "--node", lab.node.path)
    assert document["folders"][0]["root"] == str(lab.root / "elsewhere" / "s 2026")
    assert states(lab, package)["in-place"] == PRESENT
    replica = next(one for one in lab.node.context.catalogue.replicas(package) if one.adopted)
    assert replica.path == str(lab.root / "elsewhere" / "s 2026")
    require_agreement(lab.node)


def test_an_adopted_folder_that_was_given_up_and_not_forgotten_is_forgotten_by_the_same_command(lab: Lab) -> None:
    session = lab.session("s")
    package = str(lab.node.archive(session, now=True, in_place=True).package.id)
    shutil.rmtree(session)
    list(lab.node.rescan())
    kept = lab.node.path / "adopted"
    shutil.copytree(kept, lab.root / "kept")
    give_up = ("drop", package, "--store", "in-place", "--reason", "gone", "--node", lab.node.path)
    said(*give_up)
    shutil.rmtree(kept)
    (lab.root / "kept").rename(kept)  # as where the process was killed between its statement and that
    assert "dropped already" in said(*give_up, "--dry-run")
    assert "dropped already" in said(*give_up)
    assert list(lab.node.rescan()) == []
    assert "no folder is adopted" in said(*give_up, code=3)


def test_what_is_kept_of_a_folder_is_forced_to_disk_before_it_is_said_to_be_adopted(
    alone: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, forced = alone.session("s"), list[str]()

    def flush(path: str) -> None:
        if Path(path).name == "adopted":
            forced.append(path)
            if len(forced) == 1:
                raise OSError(errno.EIO, "the disk fails")
        flush_folder(path)

    monkeypatch.setattr("diadem.store.adopted.flush_folder", flush)
    with pytest.raises(StoreError):
        alone.node.archive(session, now=True, in_place=True)
    alone.node.archive(session, now=True, in_place=True)
    assert len(forced) > 1


def test_a_folder_that_nobody_may_write_in_can_be_adopted(alone: Lab) -> None:
    session = alone.session("s")
    for path in (*session.iterdir(), session):
        path.chmod(0o555)
    try:
        assert alone.node.archive(session, now=True, in_place=True).what == "new"
        assert [found.complete for found in alone.node.rescan(full=True)] == [True]
    finally:
        session.chmod(0o755)


def test_the_command(lab: Lab) -> None:
    assert "no folder is adopted" in said("rescan", "--node", lab.node.path)
    session = lab.session("s")
    document = said_json("archive", session, "--in-place", "--now", "--node", lab.node.path)
    assert document["copies"][0]["store"] == "in-place"
    assert document["copies"][0]["path"] == str(session)
    os.unlink(session / "scan 2.bin")
    found = said_json("rescan", "--node", lab.node.path, code=1)["folders"][0]
    assert [(change["state"], change["before"]) for change in found["changes"]] == [("missing", "scan 2.bin")]


def test_no_store_has_the_name_of_adopted_copies(lab: Lab) -> None:
    """A copy in it would take the place of the adopted one in the catalogue, and that one could not be told of."""
    with pytest.raises(UsageError, match="in-place"):
        lab.node.stores.add(str(lab.root / "second"), name="in-place")
    assert lab.node.stores.add(str(lab.root / "in-place")).name == "in-place-2"
    session = lab.session("s")
    package = str(lab.node.archive(session, now=True, in_place=True).package.id)
    assert [one.path for one in lab.node.context.catalogue.replicas(package) if one.adopted] == [str(session)]
