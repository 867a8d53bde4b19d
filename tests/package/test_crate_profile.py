"""Crates keep the profile for electron microscopy: judged by pySHACL with the shapes that others have, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyshacl
import pytest
import rdflib

from diadem.archive.package import Package
from diadem.package.crate import PROFILE, crate_json
from tests.oracles import CONTEXT_FILE
from tests.package.test_crate import RICH, dataset, package

SHAPES = Path(__file__).parents[2] / "schemas" / "crate-profile" / "1.0.0" / "em.ttl"
SHACL = rdflib.Namespace("http://www.w3.org/ns/shacl#")
EMG = "https://purls.helmholtz-metadaten.de/emg/"
KNOWN = (("beam.acceleration_voltage", f"{EMG}EMG_00000004", 200000.0, "V"), ("signal.technique", "", "STEM", ""))


@cache
def shapes() -> rdflib.Graph:
    return rdflib.Graph().parse(SHAPES, format="turtle")


def judged(document: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What breaks a MUST of the profile, and what a SHOULD."""
    terms = json.loads(CONTEXT_FILE.read_text(encoding="utf-8"))["@context"]
    local = {**document, "@context": [terms, *document["@context"][1:]]}  # nothing is fetched
    graph = rdflib.Graph().parse(data=json.dumps(local), format="json-ld", publicID="https://example.org/session/")
    _, report, _ = pyshacl.validate(graph, shacl_graph=shapes(), inference="none")
    assert isinstance(report, rdflib.Graph)

    def said(severity: str) -> Iterator[str]:
        for result in report.subjects(SHACL.resultSeverity, SHACL[severity]):
            yield str(report.value(result, SHACL.resultMessage))

    return sorted(said("Violation")), sorted(said("Warning"))


def crate(**changes: Any) -> dict[str, Any]:
    """The crate of a session of which much is known."""
    facts = package([dataset(1, "scan.dm4", properties=KNOWN), dataset(2, "eels.dm4")], **{**RICH, **changes})
    document: dict[str, Any] = json.loads(crate_json(facts))
    return document


def test_a_crate_of_which_much_is_known_keeps_the_profile_without_a_warning() -> None:
    assert judged(crate()) == ([], [])


def test_what_nobody_knows_breaks_nothing_and_is_warned_of() -> None:
    broken, warned = judged(json.loads(crate_json(package([dataset(1, "scan.dm4", properties=())]))))
    assert broken == []
    assert any("SHOULD be the result of a CreateAction" in one for one in warned)
    assert any("on which days" in one for one in warned)


def test_the_crate_of_real_files_keeps_the_profile(corpus: Package) -> None:
    with corpus.open("ro-crate-metadata.json") as file:
        document = json.loads(file.read())
    found = {entity["@id"]: entity for entity in document["@graph"]}
    assert judged(document)[0] == []
    actions = [one for name, one in found.items() if name.startswith("#acquisition-")]
    assert len(actions) > 50
    measured = {
        found[one["@id"]].get("propertyID") for action in actions for one in action.get("additionalProperty", ())
    }
    assert f"{EMG}EMG_00000004" in measured
    instruments = {action["instrument"]["@id"] for action in actions if "instrument" in action}
    assert len(instruments) > 1, "each dataset names its own microscope"
    assert all(found[one]["@type"] == "IndividualProduct" for one in instruments)


Spoil = Callable[[dict[str, dict[str, Any]]], object]
SPOILED: dict[str, tuple[str, Spoil]] = {
    "no profile": ("conforms to this profile", lambda found: found["./"].pop("conformsTo")),
    "settings of the dataset": (
        "not in variableMeasured",
        lambda found: found["#dataset-1"].update(variableMeasured="HV"),
    ),
    "a sample that is a thing": ("a Sample of Bioschemas", lambda found: found["#sample"].update({"@type": "Thing"})),
    "a sample without a name": ("A sample MUST have a name", lambda found: found["#sample"].pop("name")),
    "an instrument in words": ("an IndividualProduct", lambda found: found["#acquisition"].update(instrument="Titan")),
    "an instrument of no name": (
        "instrument MUST have a name",
        lambda found: found["https://doi.org/10.5442/NI000001"].pop("name"),
    ),
    "an agent in words": ("a Person or an Organization", lambda found: found["#acquisition"].update(agent="Marie")),
    "an action without result": ("as its result", lambda found: found["#acquisition-1"].pop("result")),
    "an action of no session": (
        "mention its actions",
        lambda found: found["./"].update(mentions={"@id": "#acquisition"}),
    ),
    "a setting in words": (
        "a PropertyValue",
        lambda found: found["#acquisition-1"].update(additionalProperty="200 kV"),
    ),
    "a number without unit": ("unit in unitText", lambda found: _of(found, KNOWN[0][0]).pop("unitText")),
    "a value that is missing": ("one value", lambda found: _of(found, KNOWN[0][0]).pop("value")),
    "days in words": ("first and last day", lambda found: found["./"].update(temporalCoverage="in March")),
    "a dataset without file": ("that it is read from", lambda found: found["#dataset-1"].pop("hasPart")),
}


def _of(found: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in found.values() if one.get("name") == name)


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_spoiled_crate_is_refused(spoiled: str) -> None:
    says, spoil = SPOILED[spoiled]
    document = crate()
    spoil({entity["@id"]: entity for entity in document["@graph"]})
    assert any(says in one for one in judged(document)[0])


def test_a_registered_sample_is_found_by_its_igsn() -> None:
    for written in ("igsn:10.60510/ABC.1", "10.60510/ABC.1", "https://doi.org/10.60510/ABC.1"):
        found = {one["@id"]: one for one in crate(sample={"identifier": written, "name": "ZnO"})["@graph"]}
        sample = found["https://doi.org/10.60510/ABC.1"]
        assert (sample["@type"], sample["identifier"], sample["name"]) == ("Sample", written, "ZnO")
        assert found["#acquisition"]["object"] == found["#acquisition-1"]["object"] == {"@id": sample["@id"]}


def test_an_action_for_each_dataset_says_with_what_and_when_it_was_taken() -> None:
    found = {one["@id"]: one for one in crate()["@graph"]}
    action = found["#acquisition-1"]
    assert action["result"] == {"@id": "#dataset-1"}
    assert action["instrument"] == {"@id": "https://doi.org/10.5442/NI000001"}
    assert [found[one["@id"]]["name"] for one in action["agent"]] == ["Marie Curie"], "the operator, no other author"
    names = {found[one["@id"]]["name"]: found[one["@id"]] for one in action["additionalProperty"]}
    assert (names[KNOWN[0][0]]["propertyID"], names[KNOWN[0][0]]["unitText"]) == (KNOWN[0][1], "V")
    assert found["#dataset-1"]["measurementTechnique"] == "STEM"
    assert found["#acquisition-2"]["startTime"] == "2026-03-14T10:0002"
    assert not any("variableMeasured" in one for one in found.values())


def test_each_dataset_has_the_instrument_that_it_states() -> None:
    talos, scios = {"model": "Talos", "vendor": "FEI"}, {"model": "Scios", "vendor": "FEI"}
    described = [dataset(1, "a.emd", instrument=scios), dataset(2, "b.tif", instrument=talos), dataset(3, "c.tif")]
    facts = package(described, instruments=[talos, scios])
    found = {one["@id"]: one for one in json.loads(crate_json(facts))["@graph"]}
    models = [
        found.get(found[f"#acquisition-{one}"].get("instrument", {}).get("@id", ""), {}).get("name")
        for one in (1, 2, 3)
    ]
    assert models == ["Scios", "Talos", None]


def test_document_shapes_and_crates_name_the_same_profile() -> None:
    text = (SHAPES.parents[3] / "docs" / "crate-profile.md").read_text(encoding="utf-8")
    assert (PROFILE in text, PROFILE in SHAPES.read_text(encoding="utf-8")) == (True, True)
