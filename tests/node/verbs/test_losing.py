"""A store that is gone for good: what it held is missing, what is left is copied anew, and all of it is in the log."""

from __future__ import annotations

import pytest

import diadem
from diadem.errors import Refused, Unreachable, UsageError
from tests import catalogues
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def lose_second(lab: Lab) -> None:
    """The second place is away, and looked for anew."""
    lab.second.rename(lab.root / "in the sea")


def test_a_lost_store_is_made_up_for(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("session")
    lose_second(lab)
    with lab.reopened() as node:
        assert node.status().holds["copies.minimum"]  # nobody has said that it is gone for good
        lost = node.stores.lose("second", reason="fell into the sea")
        assert lost.to_dict() == {"store": "second", "copies": 1, "last": []}
        assert not node.status().holds["copies.minimum"]
        node.stores.add(str(lab.root / "third"), name="third", place="third disk")
        assert [copy["store"] for copy in node.repair().to_dict()["copies"]] == ["third"]
        assert node.status().ok
        assert "second" not in [state.name for state in node.stores]
        said = [entry.statement for entry in node.context.ledger.of_subject(package.removeprefix("diadem:"))]
        assert "fell into the sea" in said[-2].predicate["findings"][0]["message"]


def test_it_outlives_the_catalogue(lab: Lab) -> None:
    lab.add_second()
    lab.archived("session")
    lose_second(lab)
    with lab.reopened() as node:
        node.stores.lose("second", reason="stolen")
    catalogues.forget(lab.node.path)
    with diadem.open_node(lab.node.path, rebuild=True) as node:
        node.reindex()
        assert not node.status().holds["copies.minimum"]
        assert node.status().totals.copies == 1


def test_the_last_copy_is_named(lab: Lab) -> None:
    lab.add_second()
    first = lab.archived("session")
    lose_second(lab)
    with lab.reopened() as node:
        alone = str(node.archive(lab.session("later"), now=True).package.id)
    (lab.root / "in the sea").rename(lab.second)
    (lab.root / "main").rename(lab.root / "burnt")
    with lab.reopened() as node:
        lost = node.stores.lose("main", reason="burnt")
        assert lost.copies == 2
        assert lost.last == ((alone, "later"),)
        assert node.get(first).verify().ok


def test_what_answers_is_not_lost(lab: Lab) -> None:
    lab.add_second()
    with pytest.raises(Refused, match="answers"):
        lab.node.stores.lose("second", reason="I do not like it")
    with pytest.raises(UsageError, match="reason"):
        lab.node.stores.lose("second", reason=" ")


def test_the_only_store_stays(lab: Lab) -> None:
    (lab.root / "main").rename(lab.root / "gone")
    with lab.reopened() as node, pytest.raises(UsageError, match="only store"):
        node.stores.lose("main", reason="burnt")


def test_where_a_store_lies_can_be_said_later(lab: Lab) -> None:
    lab.node.stores.add(str(lab.second), name="second")
    before = {state.name: state.place for state in lab.node.stores}
    if None in before.values():
        pytest.skip("this system does not say on which disk a folder lies")
    assert before["main"] == before["second"]
    assert lab.node.stores.move("second", str(lab.second), place="usb-disk-2").place == "usb-disk-2"
    assert lab.node.stores.move("second", str(lab.second)).place == "usb-disk-2"
    assert lab.node.stores.move("second", str(lab.second), place="").place == before["main"]


def test_a_lost_store_leaves_no_warning_and_is_not_called_adopted(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("session")
    lose_second(lab)
    with lab.reopened() as node:
        with pytest.raises(Refused, match="holds 1 copy") as refused:
            node.stores.rm("second")
        assert 'diadem store rm second --lost --reason "..."' in str(refused.value.next)
        node.stores.lose("second", reason="fell into the sea")
        node.stores.add(str(lab.root / "third"), name="third", place="third disk")
        node.repair()
        assert not [finding for finding in node.status().findings if "second" in finding.message]
        for store in ("main", "third"):
            (lab.root / store).rename(lab.root / f"{store} away")
    with lab.reopened() as node, pytest.raises(Unreachable) as missing:
        node.get(package)
    assert "second: no store of this node any more, missing" in missing.value.message


def test_giving_up_a_store_that_answers_is_not_advised(lab: Lab) -> None:
    lab.archived("session")
    with pytest.raises(Refused, match="holds 1 copy") as refused:
        lab.node.stores.rm("main")
    assert "--lost" not in str(refused.value.next)
