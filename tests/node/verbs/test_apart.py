"""A node is never archived: its private keys would lie in the stores, in clear text."""

from __future__ import annotations

import datetime
import os
import shutil
import sys
from pathlib import Path

import pytest

import diadem
from diadem.errors import Refused
from diadem.model.scan import PlannedSession
from diadem.node.separation import relation_of
from tests.cli.inside import said_json
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue

posix = pytest.mark.skipif(sys.platform == "win32", reason="making links needs rights on Windows")
PLACES = ["node", "node/keys", "node/keys/log.pem", "."]


def nothing_is_archived(lab: Lab) -> None:
    assert lab.node.search().total == 0
    assert not (lab.node.path / "adopted").exists()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("in_place", [False, True])
def test_the_node_and_what_holds_it_are_refused(lab: Lab, place: str, in_place: bool) -> None:
    option = ("--in-place",) if in_place else ()
    command = ("archive", lab.root / place, "--now", "--as-one", "--node", lab.node.path, *option)
    error = said_json(*command, code=4)["error"]
    assert ("holds the node" if place == "." else "the node: private keys") in error["message"]
    assert error["next"]
    assert said_json(*command, "--dry-run", code=4)["error"]["message"] == error["message"]
    nothing_is_archived(lab)


@posix
def test_a_link_to_the_node_is_the_node(lab: Lab) -> None:
    (lab.root / "link").symlink_to(lab.node.path)
    with pytest.raises(Refused, match="is the node"):
        lab.node.archive(lab.root / "link", now=True, as_one=True)
    nothing_is_archived(lab)


def test_what_holds_the_recovery_file_or_a_store_is_refused(lab: Lab) -> None:
    recovery = Path(lab.node.context.settings.recovery_file)
    session = lab.session("s")
    lab.node.stores.add(str(session / "store"), name="odd", place="another disk")
    with pytest.raises(Refused, match="holds the store 'odd'"):
        lab.node.archive(session, now=True)
    with pytest.raises(Refused, match="recovery file"):
        lab.node.archive(recovery, now=True)
    nothing_is_archived(lab)


@pytest.mark.parametrize(("parts", "is_refused"), [((), True), (("node/",), True), (("s/",), False), (("*",), True)])
def test_of_a_plan_the_parts_count(lab: Lab, parts: tuple[str, ...], is_refused: bool) -> None:
    lab.session("s")
    session = PlannedSession("0" * 12, archive=True, title="s", date="", folder=str(lab.root), parts=parts)
    for dry_run in (True, False):
        (result,) = lab.node.archive_all([session], now=True, dry_run=dry_run)
        assert isinstance(result.error, Refused) == is_refused
    assert lab.node.search().total == (0 if is_refused else 1)


def test_files_beside_the_node_are_archived_where_only_they_are_meant(lab: Lab) -> None:
    (lab.root / "notes.txt").write_text("beside it")
    session = PlannedSession("0" * 12, archive=True, title="s", date="", folder=str(lab.root), parts=("*",))
    (refused,) = lab.node.archive_all([session], now=True)
    assert refused.error is not None
    assert "recovery file" in refused.error.message
    Path(lab.node.context.settings.recovery_file).unlink()  # it was moved away
    (result,) = lab.node.archive_all([session], now=True)
    assert result.archived is not None
    assert [entry.name for entry in result.archived.package.files] == ["notes.txt"]


def test_a_node_that_was_handed_in_is_refused(lab: Lab) -> None:
    lab.node.close()
    folder = lab.root / "main/incoming/session"
    folder.mkdir(parents=True)
    (folder / "scan.dat").write_bytes(b"scan" * 100)
    shutil.copytree(lab.node.path, folder / "node")
    with diadem.open_node(folder / "node") as node:
        now = node.context.clock
        node.context.clock = lambda: now() + datetime.timedelta(days=2)
        (handed,) = node.watch(once=True)
        assert isinstance(handed.error, Refused)
        assert "holds the node" in handed.error.message
        assert node.search().total == 0


def test_a_recovery_file_in_a_watched_folder_is_refused_also_beside_a_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loose files that share their stem are archived together: the root key would be in every store."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    titan, store = tmp_path / "titan", tmp_path / "main"
    titan.mkdir()
    with diadem.Node.create(
        tmp_path / "node", name="hu", user="alice", store=str(store), recovery_file=titan / "scan.txt"
    ) as node:
        (node.path / "policy.toml").write_text('[archive]\nquiet = "0 s"\n[copies]\nminimum = 1\n', "utf-8")
        (titan / "scan.bin").write_bytes(b"scan" * 100)
        (told,) = node.watch(titan, once=True, poll=True)
        assert isinstance(told.error, Refused)
        assert "recovery file" in told.error.message
        assert node.search().total == 0


def test_how_places_lie_to_each_other(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    pairs = {
        ("a", "a"): "is",
        ("a", "a/b"): "holds",
        ("a/b/c", "a"): "is in",
        ("a/b", "a/bc"): None,
        ("x", "a"): None,
    }
    assert {pair: relation_of(tmp_path / pair[0], tmp_path / pair[1]) for pair in pairs} == pairs
    if os.name == "posix":
        (tmp_path / "link").symlink_to("a")
        assert relation_of(tmp_path / "link/b", tmp_path / "a") == "is in"
        assert relation_of(tmp_path / "link", tmp_path / "a/b/c") == "holds"
