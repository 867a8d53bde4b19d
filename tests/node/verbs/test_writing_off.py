"""A package of which no copy is left: told once, written off by a person, never while something of it may be left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import diadem
from diadem.errors import Refused, UsageError
from diadem.policy.status import Status
from tests import catalogues
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab, damage, remove

pytestmark = pytest.mark.catalogue


def take_away(folder: Path) -> Path:
    """Move a sealed folder out of its store; where it is now."""
    away = folder.parents[2] / f"taken from {folder.parents[1].name}"
    folder.chmod(0o755)
    return folder.rename(away)


@pytest.fixture
def gone(lab: Lab) -> str:
    """A package whose folder is in no store any more, as a scrub has found out."""
    lab.add_second()
    package = lab.archived("s")
    for store in ("main", "second"):
        take_away(lab.path(package, store))
    assert {one.state for one in lab.node.scrub().damaged} == {"missing"}
    return package


def lost_step(status: Status) -> str:
    """The command that writes a package off."""
    (step,) = [step for step in status.steps if "--lost" in step.command]
    return step.command


def statements(lab: Lab, package: str) -> int:
    """How much the log says of a package."""
    return len(lab.node.context.ledger.of_subject(package.removeprefix("diadem:")))


def test_what_is_lost_is_written_off_and_all_is_green(lab: Lab, gone: str) -> None:
    status = lab.node.status()
    assert lost_step(status) == f'diadem delete {gone[7:19]} --lost --reason "..."'
    assert "diadem repair" not in {step.command for step in status.steps}
    with pytest.raises(Refused, match="keeps it until") as refused:
        lab.node.delete(gone, reason="both disks died")
    assert "--lost" in str(refused.value.next)
    with pytest.raises(UsageError, match="reason"):
        lab.node.delete(gone, reason=" ", lost=True)
    assert not lab.node.delete(gone, reason="both disks died", lost=True, dry_run=True).done
    assert lab.node.status().totals.packages == 1
    text = said("delete", gone, "--lost", "--reason", "both disks died", "--node", lab.node.path, "--quiet")
    assert text.startswith("written off ")
    assert "no copy is left, once in main, second" in text
    with lab.reopened() as node:
        assert node.status().ok
        assert node.status().totals.tombstoned == 1
        last = node.context.ledger.of_subject(gone.removeprefix("diadem:"))[-1].statement
        assert (last.kind, last.predicate["lost"], last.predicate["retention"]) == ("tombstone", True, None)
        assert "wrote the package off" in said("custody", gone, "--node", lab.node.path)
        node.reindex()
        assert node.status().totals.tombstoned == 1


def test_of_another_package_at_the_place_of_a_copy_no_file_is_read(lab: Lab, gone: str) -> None:
    again = lab.node.archive(lab.root / "s", now=True, metadata={"session": {"title": "again"}}).package.id
    path, read = Path(lab.node.get(str(again)).url), list[int]()
    path.chmod(0o755)
    path.rename(lab.root / "main" / lab.node.context.catalogue.replicas(gone)[0].path)
    lab.node.reindex()
    lab.node.scrub("main", package=gone, listener=lambda progress: read.append(progress.done))
    assert not any(read)


def test_a_repair_states_nothing_anew_and_says_what_helps(lab: Lab, gone: str) -> None:
    before = statements(lab, gone)
    for _ in range(2):
        repaired = lab.node.repair()
        assert not repaired.ok
        assert not repaired.debts
        (left,) = repaired.left
        assert f"diadem delete {gone[7:19]} --lost" in left.reason
    assert statements(lab, gone) == before


def test_a_folder_that_another_package_took_is_missing_and_the_files_are_safe(lab: Lab, gone: str) -> None:
    again = lab.node.archive(lab.root / "s", now=True, metadata={"session": {"title": "again"}}).package.id
    assert str(again) != gone
    path = Path(lab.node.get(str(again)).url)
    path.chmod(0o755)
    path.rename(lab.root / "main" / lab.node.context.catalogue.replicas(gone)[0].path)
    lab.node.reindex()
    before = statements(lab, gone)
    text = said("scrub", "main", "--node", lab.node.path, "--quiet", code=1)
    assert f"another package is at its place: {again[:19]}" in text
    assert {copy.state for copy in lab.node.context.catalogue.replicas(gone)} == {"missing"}
    safe = f"the same files are safe in {again[:19]}"
    assert any(safe in finding.message for finding in lab.node.status().findings)
    assert any(safe in step.reason for step in lab.node.status().steps)
    (left,) = lab.node.repair().left
    assert safe in left.reason
    assert statements(lab, gone) == before + 1  # the scrub's
    assert safe in lab.node.delete(gone, reason="archived again", lost=True).notes[0]
    assert lab.node.get(str(again)).verify().ok
    assert lab.node.status().holds["replica.missing"]


def test_something_that_is_left_is_not_lost(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s")
    main, second = lab.path(package, "main"), lab.path(package, "second")
    take_away(second)
    damage(main / "data" / "scan 0.bin")
    lab.node.scrub()
    with pytest.raises(Refused, match="where its copy in 'main' is"):
        lab.node.delete(package, reason="I give up", lost=True)
    remove(main / "tagmanifest-sha256.txt")
    with pytest.raises(Refused, match="where its copy in 'main' is"):
        lab.node.delete(package, reason="I give up", lost=True)


def test_a_copy_that_was_moved_by_hand_is_found(lab: Lab, gone: str) -> None:
    (lab.root / "taken from second").rename(lab.second / "put back elsewhere")
    with pytest.raises(Refused, match="put back elsewhere") as refused:
        lab.node.delete(gone, reason="lost", lost=True)
    assert "reindex" in str(refused.value.next)
    lab.node.reindex()
    lab.node.scrub()
    assert lab.node.repair().ok
    assert lab.node.status().ok


def test_a_store_that_is_away_may_hold_it(lab: Lab, gone: str) -> None:
    lab.second.rename(lab.root / "unplugged")
    with lab.reopened() as node:
        assert not [step for step in node.status().steps if "delete" in step.command]
        with pytest.raises(Refused, match="'second' cannot be searched for"):
            node.delete(gone, reason="lost", lost=True)
        node.stores.lose("second", reason="fell into the sea")
        assert lost_step(node.status())
        assert node.delete(gone, reason="lost", lost=True).done


def test_what_was_written_off_may_come_back(lab: Lab, gone: str) -> None:
    kept = lab.root / "taken from main"
    place = lab.root / "main" / lab.node.context.catalogue.replicas(gone)[0].path
    lab.node.delete(gone, reason="lost", lost=True)
    shutil.copytree(kept, place)
    lab.node.reindex()
    lab.node.scrub()
    lab.node.repair()
    assert lab.node.status().ok
    assert lab.node.status().totals.packages == 1
    assert lab.node.get(gone).verify().ok
    catalogues.forget(lab.node.path)
    with diadem.open_node(lab.node.path, rebuild=True) as node:
        node.reindex()
        assert node.status().totals.packages == 1
