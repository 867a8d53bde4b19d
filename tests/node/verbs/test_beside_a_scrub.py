"""What others find while a scrub is at work counts more than what the scrub read before that."""

from __future__ import annotations

import pytest

from diadem.errors import Interrupted
from diadem.model.ports import Progress
from diadem.model.replicas import DROPPED, PRESENT, SUSPECT
from diadem.node.node import Node
from tests.node.verbs.conftest import Lab, damage

pytestmark = pytest.mark.catalogue


def _state(node: Node, package: str) -> str:
    return next(one.state for one in node.context.catalogue.replicas(package) if one.store == "main")


def test_damage_that_another_process_finds_outweighs_an_earlier_reading(lab: Lab) -> None:
    packages = [lab.archived(name, size=3 << 20) for name in "ab"]
    first, second = packages
    found: list[str] = []

    def meanwhile(progress: Progress) -> None:
        """Once the first package was read it rots, and somebody else looks at it."""
        if not found and progress.done > (3 << 20) * 3 + 1000:
            damage(lab.path(first, "main") / "data/scan 1.bin")
            with lab.reopened() as other:
                found.extend(one.package for one in other.scrub("main", package=first).damaged)
            assert _state(lab.node, first) == SUSPECT

    lab.node.scrub("main", listener=meanwhile)
    assert found == [first]
    assert (_state(lab.node, first), _state(lab.node, second)) == (SUSPECT, PRESENT)
    lab.node.reindex()
    assert _state(lab.node, first) == SUSPECT


def test_a_full_scrub_that_is_gone_on_with_reads_what_was_only_read_by_leaves(lab: Lab) -> None:
    packages = [lab.archived(name) for name in "abc"]

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lab.node.scrub("main", level="full", listener=stop)
    assert lab.node.scrub("main", level="leaves").proven == len(packages)
    again = lab.node.scrub("main", level="full")
    assert (again.proven, again.skipped) == (len(packages), 0)


def test_parity_that_is_made_while_the_copy_is_dropped_brings_no_copy_back(lab: Lab) -> None:
    lab.add_second()
    lab.node.stores.add(str(lab.root / "third"), name="third", place="a third disk")
    package = lab.archived("s", size=2 << 20)
    policy = lab.node.path / "policy.toml"
    policy.write_text("[copies]\nminimum = 3\n", "utf-8")
    with lab.reopened() as node:
        assert node.repair().ok
    policy.write_text("[copies]\nminimum = 1\n[parity]\nenabled = true\nstores = ['main']\n", "utf-8")
    dropped: list[str] = []

    def meanwhile(progress: Progress) -> None:
        if not dropped and progress.done:
            with lab.reopened() as other:
                dropped.extend(other.drop(package, "main", reason="the disk is needed").stores)

    with lab.reopened() as node:
        node.repair(listener=meanwhile)
        assert dropped == ["main"]
        assert _state(node, package) == DROPPED
    assert not list((lab.root / "main").rglob("bagit.txt"))
    assert not list((lab.root / "main").rglob("*.pq"))
