"""A store that is elsewhere now: what is not there is missing, and what was copied there counts once it was read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from diadem.model.replicas import MISSING, PRESENT
from diadem.node.node import Node
from tests.node.verbs.conftest import Lab, damage

pytestmark = pytest.mark.catalogue


def _copy(node: Node, package: str) -> tuple[str, bool]:
    copy = next(one for one in node.context.catalogue.replicas(package) if one.store == "second")
    return copy.state, copy.proven


@pytest.fixture
def moved(lab: Lab) -> tuple[Lab, str, str, Path]:
    """Two packages, and a copy of the second store that has one of them."""
    lab.add_second()
    early = lab.archived("early")
    clone = lab.root / "clone"
    shutil.copytree(lab.second, clone)
    return lab, early, lab.archived("late"), clone


def test_what_is_not_at_the_new_place_is_missing_and_written_anew(moved: tuple[Lab, str, str, Path]) -> None:
    lab, early, late, clone = moved
    lab.second.rename(lab.root / "gone")
    lab.node.stores.move("second", str(clone))
    assert _copy(lab.node, early) == (PRESENT, True)  # as far as can be seen, it is the same disk
    assert _copy(lab.node, late) == (MISSING, False)
    assert not lab.node.status().ok
    assert lab.node.repair().ok
    assert _copy(lab.node, late) == (PRESENT, True)
    assert list(clone.glob("*/*late*"))


def test_what_was_copied_to_another_disk_is_unproven_until_it_is_read(moved: tuple[Lab, str, str, Path]) -> None:
    lab, early, _, clone = moved
    lab.node.context.change_settings(lambda now: now.with_store(replace(now.store("second"), seen="another disk")))
    copy = next(one for one in lab.node.context.catalogue.replicas(early) if one.store == "second")
    damage(clone / copy.path / "data/scan 1.bin")
    lab.node.stores.move("second", str(clone))
    assert _copy(lab.node, early) == (PRESENT, False)
    lab.node.reindex()
    assert _copy(lab.node, early) == (PRESENT, False)
    assert [one.package for one in lab.node.scrub("second").damaged if one.state != MISSING] == [early]


def test_a_store_that_only_got_another_name_keeps_its_proofs(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s")
    size = lab.node.context.ledger.size
    lab.second.rename(lab.root / "renamed")
    lab.node.stores.move("second", str(lab.root / "renamed"))
    assert _copy(lab.node, package) == (PRESENT, True)
    assert lab.node.context.ledger.size == size


def test_a_store_that_nobody_named_is_named_after_its_folder(lab: Lab) -> None:
    assert lab.node.stores.add(str(lab.root / "Größe µm")).name == "gr--e--m"
    assert lab.node.stores.add(str(lab.root / f"{'x' * 70}")).name == "x" * 60
