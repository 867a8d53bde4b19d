"""A store that is the node's no longer, or lies elsewhere, keeps no part of the log any more."""

from __future__ import annotations

import shutil

import pytest

import diadem
from diadem.custody.log_mirrors import head_key, read_head
from diadem.node.mirrors import KEPT_CHAINS
from diadem.node.node import Node
from diadem.store import open_store
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def owed(node: Node) -> list[str]:
    """What status says of the log."""
    return [one.message for one in node.status().findings if one.rule == "log.unmirrored"]


def test_an_older_copy_of_a_store_gets_what_it_lacks_when_it_takes_its_place(lab: Lab) -> None:
    package = lab.archived("session")
    with lab.reopened() as node:
        clone = lab.root / "clone"
        shutil.copytree(lab.root / "main", clone)
        chain = node.path / KEPT_CHAINS / f"{'ab' * 16}/{'cd' * 32}.json"
        chain.parent.mkdir(parents=True)
        chain.write_bytes(b"{}")
        node.assess(package, purpose="EELS", verdict="accept")
    (lab.root / "main").rename(lab.root / "gone")
    with lab.reopened() as node:
        node.stores.move("main", str(clone))
        home, statements = head_key(node.context.settings.id).rpartition("/")[0], node.context.ledger.total
        head = read_head(open_store(str(clone)), node.context.settings.id)
        assert head is not None
        assert head.size == statements
        assert (clone / f".diadem/{home}/chains/{'ab' * 16}/{'cd' * 32}-2.json").read_bytes() == b"{}"
        with diadem.open_node(str(clone)) as attached:
            assert attached.context.catalogue.count_statements() == statements


def test_what_only_a_former_store_had_is_told(lab: Lab) -> None:
    (lab.node.path / "policy.toml").write_text("[copies]\nminimum = 1\n", "utf-8")
    lab.node.stores.add(str(lab.root / "third"), name="third", place="third disk")
    package = lab.archived("session")
    (lab.root / "main").rename(lab.root / "away")
    with lab.reopened() as node:
        node.assess(package, purpose="EELS", verdict="accept")
        assert owed(node) == []
        node.stores.rm("third")
        assert owed(node) == ["1 batch of the log is on this machine only: no store took it"]


def test_what_only_a_lost_store_had_is_told(lab: Lab) -> None:
    lab.add_second()
    lab.archived("session")
    (lab.root / "main").rename(lab.root / "away")
    with lab.reopened() as node:
        for number in range(3):
            node.samples.add(f"S-{number}")
        assert owed(node) == []
    lab.second.rename(lab.root / "burnt")
    with lab.reopened() as node:
        node.stores.lose("second", reason="burnt")
        assert owed(node) == ["4 batches of the log are on this machine only: no store took them"]
