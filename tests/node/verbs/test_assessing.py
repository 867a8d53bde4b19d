"""Assessments: kept side by side, found by the dataset that they are about, and never averaged."""

from __future__ import annotations

import pytest

import diadem
from diadem.errors import NotFound, Refused, UsageError
from diadem.node.node import Node
from tests.node.verbs.agreeing import rebuilt
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


@pytest.fixture
def bob(lab: Lab) -> Node:
    """The same node, as another user of it."""
    lab.node.users.add("bob")
    return diadem.open_node(lab.node.path, "bob")


def found(node: Node, query: str) -> dict[str, list[str]]:
    """Datasets of each package that a search finds."""
    return {row.id: [dataset.path for dataset in row.matched] for row in node.search(query)}


def test_two_purposes_are_no_dispute_and_one_is(lab: Lab, bob: Node) -> None:
    package = lab.archived("ZnO S-12")
    lab.node.assess(package, "accept", purpose="imaging", dataset="scan 0.bin", comment="sharp")
    bob.assess(package[7:19], "reject", purpose="EELS", criterion="drift", dataset="scan 0.bin")
    assert not lab.node.assessments(package).disputes
    assert found(bob, "quality:accept purpose:imaging") == {package: ["scan 0.bin"]}
    assert found(bob, "quality:accept purpose:EELS") == {}, "accepted for one purpose, judged for another"
    assert found(bob, "quality:reject purpose:eels") == {package: ["scan 0.bin"]}
    assert found(bob, "quality:disputed") == {}
    bob.assess(package, "reject", purpose="Imaging", dataset="scan 0.bin")
    said = bob.assessments(package)
    assert [(one.by, one.verdict) for one in said.disputes[0].assessments] == [
        ("alice@hu-berlin", "accept"),
        ("bob@hu-berlin", "reject"),
    ]
    assert len(said) == 3
    assert found(bob, "quality:disputed") == found(bob, "quality:disputed purpose:imaging")
    assert found(bob, "quality:disputed") == {package: ["scan 0.bin"]}
    assert found(bob, "quality:disputed purpose:EELS") == {}
    row = bob.search("quality:disputed").rows[0]
    assert row.quality == ("accept", "reject", "disputed")
    bob.assess(package, "accept", purpose="imaging", dataset="scan 0.bin")
    assert not bob.assessments(package).disputes
    assert len(bob.assessments(package).said) == 4, "what was said before is kept"
    assert found(bob, "quality:disputed") == {}


def test_who_asks_finds_the_dataset(lab: Lab, bob: Node) -> None:
    first, second = lab.archived("one"), lab.archived("two", seed=1)
    lab.node.assess(first, "limited", purpose="EELS", criterion="drift", dataset="d2", value=1.2, unit="nm/min")
    bob.assess(second, "accept", purpose="imaging")
    assert found(bob, "criterion:drift") == {first: ["scan 1.bin"]}
    assert (
        found(bob, "assessed-by:bob")
        == found(bob, "assessed-by:bob@hu-berlin")
        == {second: ["scan 0.bin", "scan 1.bin", "scan 2.bin"]}
    )
    assert found(bob, "assessed-by:bob@nmi") == {}
    assert found(bob, "quality:none") == found(bob, "not:assessed") == {first: ["scan 0.bin", "scan 2.bin"]}
    assert found(bob, "not not:assessed") == found(bob, "assessed-by:bob or assessed-by:alice")
    assert found(bob, "not quality:accept") == {first: ["scan 0.bin", "scan 1.bin", "scan 2.bin"]}
    assert found(bob, "quality:limited scan file:1") == {first: ["scan 1.bin"]}
    assert found(bob, "quality:limited file:0") == {}, "what is judged is another dataset"
    assert found(bob, "purpose:EELS (quality:limited or quality:reject)") == {first: ["scan 1.bin"]}
    assert found(bob, "not (quality:limited purpose:imaging) criterion:drift") == {first: ["scan 1.bin"]}
    assert bob.assessments(first).counting[0].value == 1.2


def test_a_judgement_is_corrected_by_its_own_assessor_only(lab: Lab, bob: Node) -> None:
    package = lab.archived("ZnO")
    typo = lab.node.assess(package, "accept", purpose="imagin")
    with pytest.raises(Refused, match="one's own"):
        bob.assess(package, "accept", purpose="imaging", replaces=typo.statement_id)
    lab.node.assess(package, "accept", purpose="imaging", replaces=typo.statement_id[:12])
    assert [one.purpose for one in lab.node.assessments(package)] == ["imaging"]
    assert found(bob, "purpose:imagin") == {}


def test_a_scheme_of_the_policy_says_what_is_looked_at(lab: Lab) -> None:
    package = lab.archived("ZnO")
    policy = lab.node.path / "policy.toml"
    policy.write_text(
        policy.read_text("utf-8") + '\n[quality.schemes.eels]\npurpose = "EELS"\ncriteria = ["Thickness", "drift"]\n'
    )
    with lab.reopened() as node:
        said = node.assess(package, "limited", scheme="eels", criterion="thickness", value=0.9, unit="λ")
        assert (said.purpose, said.criterion, said.scheme) == ("EELS", "Thickness", "eels")
        for wrong in ("colour", None):
            with pytest.raises(UsageError, match="Thickness, drift"):
                node.assess(package, "accept", scheme="eels", criterion=wrong)
        with pytest.raises(UsageError, match="is for EELS"):
            node.assess(package, "accept", scheme="eels", criterion="drift", purpose="imaging")
        with pytest.raises(NotFound, match="Did you mean eels"):
            node.assess(package, "accept", scheme="eel", criterion="drift")


def test_what_cannot_be_meant_is_refused_before_anything_is_signed(lab: Lab) -> None:
    package = lab.archived("ZnO")
    for wrong, said in (
        ({"purpose": ""}, "no purpose"),
        ({"dataset": "scan 7.bin"}, "no dataset"),
        ({"signal": "s1"}, "Name the dataset"),
        ({"unit": "nm"}, "a unit needs a value"),
        ({"value": float("nan")}, "fits"),
        ({"evidence": ["my notes"]}, "not evidence"),
        ({"evidence": ["0123456789"]}, "no package"),
        ({"replaces": "0123"}, "no assessment"),
    ):
        with pytest.raises(diadem.DiademError, match=said):
            lab.node.assess(package, "accept", **{"purpose": "imaging", **wrong})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="accept, limited, reject"):
        lab.node.assess(package, "good", purpose="imaging")
    assert not lab.node.assessments(package).said


def test_the_log_alone_gives_the_same_answers(lab: Lab, bob: Node) -> None:
    package, other = lab.archived("ZnO"), lab.archived("TiO2", seed=3)
    lab.node.assess(package, "accept", purpose="imaging", dataset="d1")
    bob.assess(package, "reject", purpose="imaging", dataset="d1")
    bob.assess(package, "limited", purpose="EELS", signal="s1", dataset="d2")
    bob.assess(other, "accept", purpose="imaging", evidence=[package])
    queries = ("quality:disputed", "quality:accept", "not:assessed", "assessed-by:bob", "purpose:imaging", "")
    before = {query: [row.to_dict() for row in lab.node.search(query)] for query in queries}
    bob.close()
    lab.node.close()
    with rebuilt(lab.node.path) as node:
        assert {query: [row.to_dict() for row in node.search(query)] for query in queries} == before
        assert len(node.assessments(package).said) == 3
        assert node.custody(package).ok


def test_what_was_deleted_is_judged_no_more_and_not_found(lab: Lab) -> None:
    package = lab.archived("ZnO")
    lab.node.assess(package, "accept", purpose="imaging")
    lab.node.amend(package, {"sample.name": "ZnO"})
    policy = lab.node.path / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace("years = 10", "years = 0"))
    with lab.reopened() as node:
        node.delete(package, reason="a test")
        for query in ("", "quality:accept", "not:assessed", "sample:ZnO", "assessed-by:alice"):
            assert node.search(query).total == 0, query
        with pytest.raises(NotFound, match="was deleted"):
            node.assess(package, "accept", purpose="imaging")
        node.reindex()
        assert node.search("quality:accept").total == node.search("sample:ZnO").total == 0
        assert len(node.assessments(package).said) == 1
