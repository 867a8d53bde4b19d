"""Amendments: the owner's change what holds and is found, others' are shown beside it; packages stay as they are."""

from __future__ import annotations

import json
import zipfile

import pytest

import diadem
from diadem.errors import UsageError
from diadem.model.statements import Draft, Subject
from diadem.node.node import Node
from diadem.terms.fields import UnknownField
from tests.cli.inside import said as told
from tests.node.verbs.agreeing import rebuilt
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


@pytest.fixture
def bob(lab: Lab) -> Node:
    """The same node, as another user of it."""
    lab.node.users.add("bob")
    return diadem.open_node(lab.node.path, "bob")


def ids(node: Node, query: str) -> list[str]:
    return [row.id for row in node.search(query)]


def test_the_owner_changes_the_record_and_not_the_package(lab: Lab) -> None:
    folder = lab.session("ZnO")
    metadata = {"sample": {"identifier": "S-21", "name": "ZnO film"}}
    package = str(lab.node.archive(folder, now=True, metadata=metadata).package.id)
    said = lab.node.amend(package, {"sample.identifier": "S-12", "voltage": "300 kV"}, reason="the label was wrong")
    assert (said.by, said.predecessor, said.changes[1].value) == ("alice@hu-berlin", "", 300_000.0)
    got = lab.node.get(package)
    assert got.record.sample == {"identifier": "S-12", "name": "ZnO film"}
    assert got.record.value("sample.identifier") == "S-12"
    (assertion,) = got.record.datasets[1].assertions("beam.acceleration_voltage")
    assert (assertion.source["statement"], assertion.preferred) == (said.statement_id, True)
    assert got.sealed_record.sample["identifier"] == "S-21"
    assert diadem.open(got.url).record.sample["identifier"] == "S-21"
    assert got.verify(level="full").ok
    assert ids(lab.node, "sample:S-12 kV=300") == [package]
    assert ids(lab.node, "S-21") == []
    assert lab.node.search().rows[0].sample == "ZnO film"


def test_one_dataset_is_corrected_and_a_value_withdrawn(lab: Lab) -> None:
    package = lab.archived("ZnO")
    lab.node.amend(package, {"hv": "200kV"})
    lab.node.amend(package, {"hv": "300 kV"}, dataset="scan 1.bin")
    assert [one.path for one in lab.node.search("kV=300").rows[0].matched] == ["scan 1.bin"]
    assert [one.path for one in lab.node.search("kV=200").rows[0].matched] == ["scan 0.bin", "scan 2.bin"]
    record = lab.node.get(package).record
    assert [one.value("beam.acceleration_voltage") for one in record.datasets] == [2e5, 3e5, 2e5]
    lab.node.amend(package, {"hv": None}, dataset="d1")
    assert lab.node.get(package).record.datasets[0].value("beam.acceleration_voltage") is None
    assert [one.path for one in lab.node.search("kV=200").rows[0].matched] == ["scan 2.bin"]
    lab.node.amend(package, {"hv": "80 kV"})
    assert {one.value("beam.acceleration_voltage") for one in lab.node.get(package).record.datasets} == {8e4}


def test_what_others_say_is_found_and_never_preferred(lab: Lab, bob: Node) -> None:
    package = lab.archived("ZnO")
    bob.amend(package, {"sample.identifier": "Z-7", "sample.elements": "Zn, O"})
    record = bob.get(package).record
    assert record.value("sample.identifier") is None
    assert [one.value for one in record.datasets[0].assertions("sample.identifier")] == ["Z-7"]
    assert not record.sample
    assert ids(bob, "sample:Z-7") == ids(bob, "element:Zn") == [package]
    lab.node.amend(package, {"sample.identifier": "S-12"})
    record = bob.get(package).record
    assert record.value("sample.identifier") == "S-12"
    assert [one.preferred for one in record.datasets[0].assertions("sample.identifier")] == [True, False]
    assert ids(bob, "sample:Z-7") == ids(bob, "sample:S-12") == [package]
    bob.amend(package, {"sample.identifier": None})
    assert ids(bob, "sample:Z-7") == []


def test_two_that_follow_the_same_one_are_a_conflict_until_it_is_decided(lab: Lab) -> None:
    package = lab.archived("ZnO")
    first = lab.node.amend(package, {"sample.name": "ZnO"})
    for name, project in (("TiO2", "A"), ("GaN", "A")):  # as two machines would that did not know of each other
        changes = [{"field": "sample.name", "value": name}, {"field": "session.project", "value": project}]
        said = {"predecessor": first.statement_id, "changes": changes, "by": "alice@hu-berlin"}
        lab.node.context.say([Draft("amendment", (Subject.package(package),), said)], as_user=True)
    record = lab.node.get(package).record
    assert (record.value("sample.name"), record.value("session.project")) == ("ZnO", "A")
    assert [one.value for one in record.datasets[0].assertions("sample.name")] == ["ZnO", "TiO2", "GaN"]
    shown = lab.node.amendments(package).to_dict()
    assert [one["value"] for one in shown["conflicts"][0]["said"]] == ["TiO2", "GaN"]
    assert len(shown["forks"][0]) == 2
    assert ids(lab.node, "sample:GaN") == ids(lab.node, "sample:ZnO") == [package]
    decided = lab.node.amend(package, {"sample.name": "GaN"})
    assert len(decided.joins) == 1
    assert lab.node.get(package).record.value("sample.name") == "GaN"
    assert not lab.node.amendments(package).to_dict()["conflicts"]
    assert ids(lab.node, "sample:ZnO") == ids(lab.node, "sample:TiO2") == []


def test_nobody_speaks_in_the_name_of_another(lab: Lab, bob: Node) -> None:
    package = lab.archived("ZnO")
    said = {"predecessor": None, "changes": [{"field": "sample.name", "value": "mine"}], "by": "alice@hu-berlin"}
    bob.context.say([Draft("amendment", (Subject.package(package),), said)], as_user=True)
    judged = {"purpose": "imaging", "verdict": "accept", "target": {}, "by": "alice@hu-berlin"}
    bob.context.say([Draft("assessment", (Subject.package(package),), judged)], as_user=True)
    assert bob.get(package).record.value("sample.name") is None
    assert ids(bob, "sample:mine") == ids(bob, "assessed-by:alice") == []
    assert not bob.assessments(package).said


#: What a field cannot hold, and what is said of it.
WRONG: tuple[tuple[dict[str, object], str], ...] = (
    ({}, "there is nothing to correct"),
    ({"beam.acceleration_voltage": "300 nm"}, "another kind"),
    ({"beam.acceleration_voltage": -1}, "more than 0"),
    ({"beam.acceleration_voltage": "fast"}, "not a number"),
    ({"beam.acceleration_voltage": True}, "is a number in V"),
    ({"beam.acceleration_voltage": float("nan")}, "is a number in V"),
    ({"sample.elements": "Zn, Ox"}, "cannot be"),
    ({"sample.elements": 7}, "cannot be"),
    ({"sample.name": " "}, "cannot be"),
    ({"sample.name": {1}}, "cannot be"),
    ({"time.acquired_start": "14.03.2026"}, "RFC 3339"),
    ({"time.acquired_start": "2026-02-30T10:00:00"}, "cannot be"),
    ({"time.acquired_start": "2026-02-27T10:00:00+99:00"}, "cannot be"),
    ({"sample.preparation_date": "2026-02-30"}, "cannot be"),
    ({"instrument.pid": "not an address"}, "cannot be"),
    ({"session.title": None}, "not empty"),
)


def test_a_value_is_judged_by_its_field(lab: Lab) -> None:
    package = lab.archived("ZnO")
    for values, said in WRONG:
        with pytest.raises(UsageError, match=said):
            lab.node.amend(package, values)
    assert not lab.node.amendments(package).said
    assert lab.node.amend(package, {"beam.acceleration_voltage": "300"}).changes[0].value == 300.0
    assert lab.node.amend(package, {"sample.elements": ("Zn", "O")}).changes[0].value == ["Zn", "O"]


@pytest.mark.parametrize("when", ["2026-02-27T16:00:00+01:00", "2026-02-27"])
def test_what_was_corrected_can_be_written_again(lab: Lab, when: str) -> None:
    package = lab.archived("ZnO")
    lab.node.amend(package, {"sample.preparation_date": when, "instrument.pid": "https://doi.org/10.5442/NI000001"})
    for number, part in enumerate((None, "record")):
        assert lab.node.export(package, lab.root / f"{number}.zip", for_="Marie", redact=True, only=part).done
    with zipfile.ZipFile(lab.root / "1.zip") as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("/diadem-record.json")]
        assert json.loads(archive.read(name))["sample"]["preparation_date"] == "2026-02-27"


def test_a_value_that_another_program_stated_stops_no_reader(lab: Lab) -> None:
    package = lab.archived("ZnO")
    said = {"predecessor": None, "changes": [{"field": "sample.preparation_date", "value": 5}], "by": "alice@hu-berlin"}
    lab.node.context.say([Draft("amendment", (Subject.package(package),), said)], as_user=True)
    assert lab.node.get(package).record.sample.get("preparation_date") in (None, "5")
    assert lab.node.show(package).to_dict()["id"] == package


def test_an_unknown_field_is_answered_with_one_that_comes_close(lab: Lab) -> None:
    package = lab.archived("ZnO")
    with pytest.raises(UnknownField, match=r"sample\.identifier"):
        lab.node.amend(package, {"sample.identifer": "S-12"})
    asked = told("amend", package, "--set", "qqqq=1", "--node", lab.node.path, code=2)
    assert "field_keys" not in asked
    assert "docs/fields.md" in asked


def test_the_answer_tells_what_counts_from_what_was_replaced(lab: Lab) -> None:
    package, node = lab.archived("ZnO"), ("--node", lab.node.path)
    told("amend", package, "--set", "sample.name=old", "--set", "hv=200 kV", "--dataset", "d1", *node, code=0)
    told("amend", package, "--set", "sample.name=other", *node)
    lines = told("amend", package, "--set", "sample.name=new", *node).splitlines()
    marks = [
        (line[:16].strip(), line[17:].split("   ")[0]) for line in lines if "sample.name" in line or "beam" in line
    ]
    assert marks == [
        ("replaced", "sample.name of d1: old"),
        ("corrected", "beam.acceleration_voltage of d1: 200 kV"),
        ("replaced", "sample.name: other"),
        ("corrected", "sample.name: new"),
    ]


def test_the_log_alone_gives_the_same_record(lab: Lab, bob: Node) -> None:
    package = lab.archived("ZnO")
    lab.node.amend(package, {"session.title": "ZnO, second look", "sample.name": "ZnO", "hv": "200 kV"})
    lab.node.amend(package, {"hv": "300 kV"}, dataset="d2")
    bob.amend(package, {"sample.name": "zinc oxide"})
    queries = ("", "kV=300", "kV=200", "title:second", "zinc", "sample:ZnO")
    before = {query: [row.to_dict() for row in lab.node.search(query)] for query in queries}
    assert before[""][0]["title"] == "ZnO, second look"
    record = lab.node.get(package).record.to_dict()
    bob.close()
    lab.node.close()
    with rebuilt(lab.node.path) as node:
        assert {query: [row.to_dict() for row in node.search(query)] for query in queries} == before
        assert node.get(package).record.to_dict() == record


def test_words_that_were_corrected_are_not_found_and_names_in_other_labs_are(lab: Lab) -> None:
    metadata = {
        "session": {"title": "mislabelled"},
        "sample": {"identifier": "S-21", "other_names": {"NMI": "K-7"}},
    }
    package = str(lab.node.archive(lab.session("s"), metadata=metadata, now=True).package.id)
    assert ids(lab.node, "mislabelled") == ids(lab.node, "sample:K-7") == [package]
    lab.node.amend(package, {"session.title": "ZnO", "sample.identifier": "S-12"})
    assert ids(lab.node, "mislabelled") == ids(lab.node, "sample:S-21") == []
    assert ids(lab.node, "ZnO") == ids(lab.node, "sample:K-7") == ids(lab.node, "sample:S-12") == [package]
    found = lab.node.facets(fields=["sample"])["sample"]
    assert [value.text for value in found] == ["K-7", "S-12"], "counts follow, too"
    lab.node.close()
    with rebuilt(lab.node.path) as again:
        assert again.facets(fields=["sample"])["sample"] == found
