"""A removal that was killed after it was stated is finished by the next run; a copy that counts again is left alone."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import diadem
from diadem.catalogue import Catalogue
from diadem.errors import Refused, StoreError
from diadem.model.replicas import DROPPED, PRESENT
from diadem.node.keep.copies import PackageCopies
from diadem.node.node import Node
from diadem.store.folder import FolderStore
from tests import catalogues
from tests.node.verbs.conftest import Lab, remove

pytestmark = pytest.mark.catalogue


class _Killed(FolderStore):
    """A store whose process ends at the moment at which it should remove something."""

    def remove(self, path: str) -> None:
        raise KeyboardInterrupt(path)


class _Busy(Catalogue):
    """A catalogue that another process holds for too long, once."""

    busy = False

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        if self.busy:
            self.busy = False
            raise Refused("another process has held the catalogue for 60 s")
        with super().together():
            yield


class _Refusing(FolderStore):
    """A store from which nothing may be removed."""

    def remove(self, path: str) -> None:
        raise StoreError("the store may not be written", where=path)


@pytest.fixture
def pair(lab: Lab) -> tuple[Lab, str]:
    """A package with two copies, of which the policy wants one and keeps none for long."""
    policy = lab.root / "node" / "policy.toml"
    text = re.sub(r"minimum = \d+", "minimum = 1", policy.read_text("utf-8"))
    lab.add_second()
    package = lab.archived("s")
    policy.write_text(re.sub(r"years = \d+", "years = 0", text), "utf-8")
    return lab, package


def _states(node: Node, package: str) -> dict[str, str]:
    return {replica.store: replica.state for replica in node.context.catalogue.replicas(package)}


def _killed_drop(lab: Lab, package: str) -> None:
    node = lab.reopened()
    node.context.stores.put("second", _Killed(lab.second))
    with pytest.raises(KeyboardInterrupt):
        node.drop(package, "second", reason="disk full")


def _killed_delete(lab: Lab, package: str, store: str) -> None:
    node = lab.reopened()
    node.context.stores.put(store, _Killed(lab.root / store))
    with pytest.raises(KeyboardInterrupt):
        node.delete(package, reason="not needed")


def test_a_drop_is_finished_by_the_next_repair(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    second = lab.path(package, "second")
    _killed_drop(lab, package)
    assert second.exists()
    with lab.reopened() as node:
        assert any("finished the removal" in note for note in node.repair().notes)
        assert not second.exists()
        assert _states(node, package) == {"main": PRESENT, "second": DROPPED}


def test_a_reindex_finishes_a_drop_rather_than_count_the_copy_again(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    second = lab.path(package, "second")
    _killed_drop(lab, package)
    with lab.reopened() as node:
        assert any("finished the removal" in note for note in node.reindex().notes)
        assert _states(node, package) == {"main": PRESENT, "second": DROPPED}
    assert not second.exists()


def test_a_copy_that_a_reindex_found_again_is_not_removed_later(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    second = lab.path(package, "second")
    _killed_drop(lab, package)
    with lab.reopened() as node:  # the removal cannot be finished yet, and the reindex counts what it finds
        node.context.stores.put("second", _Refusing(lab.second))
        node.reindex()
        assert _states(node, package) == {"main": PRESENT, "second": PRESENT}
        node.context.stores.put("second", FolderStore(lab.second))
        assert node.repair().notes == []
        assert second.exists()
        assert node.scrub().ok


def test_a_deletion_goes_on_in_the_stores_that_were_not_reached(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    main, second = lab.path(package, "main"), lab.path(package, "second")
    _killed_delete(lab, package, "second")
    assert (main.exists(), second.exists()) == (False, True)
    with lab.reopened() as node:
        assert any("second" in note for note in node.repair().notes)
        assert not second.exists()
        assert node.repair().notes == []


def test_what_was_archived_again_after_a_killed_deletion_stays(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    _killed_delete(lab, package, "main")
    with lab.reopened() as node:
        again = node.archive(lab.root / "s", now=True)
        assert again.package.id == package
        node.repair()
        assert _states(node, package)["main"] == PRESENT
    assert diadem.verify(lab.path(package, "main"), level="full").ok


@pytest.fixture
def three(pair: tuple[Lab, str]) -> tuple[Lab, str]:
    """A package with three copies."""
    lab, package = pair
    lab.node.stores.add(str(lab.root / "third"), name="third", place="a third disk")
    assert [copy.store for copy in PackageCopies(lab.node.context, package).replicate(["third"])[0]] == ["third"]
    return lab, package


def _unfinished_drop(node: Node, package: str, store: str) -> None:
    context = node.context
    real = context.stores.open(store)
    context.stores.put(store, _Refusing(Path(real.url)))
    with pytest.raises(StoreError, match="may not be written"):
        node.drop(package, store, reason="disk full")


def test_a_removal_that_cannot_be_finished_blocks_no_other(three: tuple[Lab, str]) -> None:
    lab, package = three
    second, third = lab.path(package, "second"), lab.path(package, "third")
    with lab.reopened() as node:
        _unfinished_drop(node, package, "second")
        assert node.drop(package, "third", reason="disk full").done
        assert (second.exists(), third.exists()) == (True, False)
        assert any("cannot be finished" in note for note in node.repair().notes)
        assert node.delete(package, reason="no use").done
        node.context.stores.put("second", FolderStore(lab.second))
        (note,) = node.repair().notes
        assert note == f"finished the removal of {package[:19]}… from second"
        assert not second.exists()
        assert node.repair().notes == []


def test_a_store_that_was_declared_lost_is_not_waited_for(three: tuple[Lab, str]) -> None:
    lab, package = three
    with lab.reopened() as node:
        _unfinished_drop(node, package, "second")
    lab.second.rename(lab.root / "broken")
    with lab.reopened() as node:
        assert any("cannot be finished" in note for note in node.repair().notes)
        node.stores.lose("second", reason="the disk died")
        assert node.drop(package, "third", reason="disk full").done
        assert node.delete(package, reason="no use").done
        assert node.repair().notes == []
    assert list((lab.node.path / "jobs").glob("*.note")) == []


def test_a_package_is_deleted_although_one_of_its_stores_is_lost(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    lab.second.rename(lab.root / "broken")
    with lab.reopened() as node:
        node.stores.lose("second", reason="the disk died")
        assert node.delete(package, reason="no use").stores == ["main"]


def test_a_folder_that_somebody_emptied_counts_as_removed(three: tuple[Lab, str]) -> None:
    lab, package = three
    third = lab.path(package, "third")
    for path in [path for path in third.rglob("*") if path.is_file()]:
        remove(path)
    with lab.reopened() as node:
        assert node.drop(package, "third", reason="disk full").done
        assert not third.exists()
        assert node.drop(package, "second", reason="disk full").done
        assert _states(node, package) == {"main": PRESENT, "second": DROPPED, "third": DROPPED}
        assert node.repair().notes == []


@pytest.mark.skipif(os.name == "nt", reason="Windows makes links for administrators only")
def test_a_folder_in_which_something_else_is_left_is_not_touched(three: tuple[Lab, str]) -> None:
    lab, package = three
    third = lab.path(package, "third")
    for path in [path for path in third.rglob("*") if path.is_file()]:
        remove(path)
    third.chmod(0o755)
    (third / "link").symlink_to(lab.root)
    with lab.reopened() as node:
        with pytest.raises(Refused, match="cannot be told from other files"):
            node.drop(package, "third", reason="disk full")
        assert _states(node, package)["third"] == PRESENT
    assert (third / "link").is_symlink()
    shutil.rmtree(third)


def _unfollowed(node: Node, giving_up: Callable[[], object]) -> None:
    """Give something up while the catalogue cannot be written: the log says it, and nothing else has happened."""
    node.context.catalogue.close()
    node.context.catalogue = catalogue = _Busy.open(catalogues.address(node.path))
    catalogue.busy = True
    with pytest.raises(Refused, match="has held the catalogue"):
        giving_up()
    assert not catalogue.busy


@pytest.mark.parametrize("verb", ["repair", "reindex"])
def test_a_deletion_that_the_catalogue_did_not_hear_of_is_carried_out(pair: tuple[Lab, str], verb: str) -> None:
    lab, package = pair
    main, second = lab.path(package, "main"), lab.path(package, "second")
    with lab.reopened() as node:
        _unfollowed(node, lambda: node.delete(package, reason="wrong data"))
        assert (main.exists(), second.exists()) == (True, True)
        notes = getattr(node, verb)().notes
        assert any(f"finished the removal of {package[:19]}… from main, second" in note for note in notes)
        assert (main.exists(), second.exists()) == (False, False)
        assert node.reindex().notes == ()
        assert node.context.catalogue.package_state(package).tombstoned


def test_a_drop_that_the_catalogue_did_not_hear_of_is_carried_out_by_the_next(three: tuple[Lab, str]) -> None:
    lab, package = three
    second, third = lab.path(package, "second"), lab.path(package, "third")
    with lab.reopened() as node:
        _unfollowed(node, lambda: node.drop(package, "second", reason="disk full"))
        assert second.exists()
        assert node.drop(package, "third", reason="disk full").done
        assert (second.exists(), third.exists()) == (False, False)
        assert _states(node, package) == {"main": PRESENT, "second": DROPPED, "third": DROPPED}


def test_a_drop_relies_on_no_copy_that_the_log_has_given_up(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    with lab.reopened() as node:
        _unfollowed(node, lambda: node.drop(package, "second", reason="disk full"))
        with pytest.raises(Refused, match="not dropped"):
            node.drop(package, "main", reason="disk full")
        assert diadem.verify(lab.path(package, "main"), level="full").ok
