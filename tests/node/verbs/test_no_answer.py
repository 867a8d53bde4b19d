"""No answer is no answer: what could not be read is neither missing nor proven."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import diadem
from diadem.model.ports import Listing
from diadem.model.replicas import PRESENT, SUSPECT
from diadem.store.bags import LocalBundle
from diadem.store.folder import FolderStore
from diadem.testing.faulty_store import Fault, FaultyStore
from tests.node.verbs.conftest import Lab, damage

pytestmark = pytest.mark.catalogue


class _StaleOnce(LocalBundle):
    """A folder on a share that has forgotten it for a moment."""

    stale = True

    def listing(self) -> Listing:
        if _StaleOnce.stale:
            _StaleOnce.stale = False
            raise OSError(errno.ESTALE, "Stale file handle")
        return super().listing()


class _StaleStore(FolderStore):
    """A store on such a share."""

    def bundle(self, path: str) -> LocalBundle:
        return _StaleOnce(super().bundle(path).url)


@pytest.fixture
def pair(lab: Lab) -> tuple[Lab, str]:
    """A package with two copies."""
    lab.add_second()
    return lab, lab.archived("s")


def _faulty(lab: Lab, *faults: Fault) -> FaultyStore:
    store = FaultyStore(FolderStore(lab.second), faults)
    lab.node.context.stores.put("second", store)
    return store


def _state(lab: Lab, package: str) -> str:
    return next(one.state for one in lab.node.context.catalogue.replicas(package) if one.store == "second")


def _last_fixity(lab: Lab) -> dict[str, Any]:
    kinds = [entry.statement for entry in lab.node.context.ledger.all_entries() if entry.statement.kind == "fixity"]
    return dict(kinds[-1].predicate)


def test_a_damaged_copy_that_does_not_answer_for_a_moment_is_not_proven(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    damage(lab.path(package, "second") / "data/scan 1.bin")
    assert not lab.node.scrub("second").ok
    size = lab.node.context.ledger.total
    store = _faulty(lab, Fault("read", "unreachable"))
    (left,) = lab.node.repair().left
    assert "does not answer" in left.reason
    assert store.happened == [("read", "unreachable")]
    assert (_state(lab, package), lab.node.context.ledger.total) == (SUSPECT, size)
    assert [made.path for _, _, made in lab.node.repair().mended] == ["data/scan 1.bin"]
    assert diadem.verify(lab.path(package, "second"), level="full").ok


def test_a_damaged_copy_that_could_not_be_listed_is_read_again_and_mended(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    damage(lab.path(package, "second") / "data/scan 1.bin")
    assert not lab.node.scrub("second").ok
    _StaleOnce.stale = True
    lab.node.context.stores.put("second", _StaleStore(lab.second))
    repaired = lab.node.repair()
    assert not _StaleOnce.stale
    assert (repaired.ok, [made.path for _, _, made in repaired.mended]) == (True, ["data/scan 1.bin"])
    assert diadem.verify(lab.path(package, "second"), level="full").ok


def test_a_copy_in_which_nothing_was_written_is_proven_only_by_reading_all_of_it(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    store = _faulty(lab, Fault("read", "flip", skip=9))
    assert not lab.node.scrub("second", level="full").ok  # the line changed a byte, not the disk
    store.fail(Fault("read", "flip", skip=9))
    repaired = lab.node.repair()
    assert len(store.happened) == 2
    assert (repaired.ok, repaired.mended, _state(lab, package)) == (True, [], PRESENT)
    said = _last_fixity(lab)
    assert (said["level"], said["proven"]) == ("full", [package])
    assert said["checked"]["files"] == 6  # three files, and what is derived from them


def test_a_scrub_goes_on_with_the_copies_that_answer(pair: tuple[Lab, str]) -> None:
    lab, _ = pair
    packages = [lab.archived(f"s{number}") for number in range(2)]
    _faulty(lab, Fault("read", "unreachable"))
    scrubbed = lab.node.scrub("second")
    ((name, reason),) = scrubbed.unread
    assert (name, scrubbed.proven, scrubbed.damaged, scrubbed.ok) == ("second", 2, [], False)
    assert reason.startswith("2026/")
    assert {_state(lab, package) for package in packages} == {PRESENT}


def test_a_share_that_is_stale_for_a_moment_is_not_stated_to_have_lost_its_copy(pair: tuple[Lab, str]) -> None:
    lab, package = pair
    _StaleOnce.stale = True
    lab.node.context.stores.put("second", _StaleStore(lab.second))
    (found,) = lab.node.scrub("second").damaged
    assert (found.state, _state(lab, package)) == (SUSPECT, SUSPECT)
    assert lab.node.repair().ok
    assert _state(lab, package) == PRESENT
