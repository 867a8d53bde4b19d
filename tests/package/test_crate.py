"""The crate, judged by roc-validator and by its own context."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.model.facts import MAX_DESCRIBED, DatasetFacts, PackageFacts
from diadem.package.crate import CONTEXT, crate_json
from tests.oracles import CONTEXT_FILE, validate_crate

HOSTILE = [
    "a folder/scan 1.dm4",
    "#1 50% 100%25.mrc",
    "'single' \"double\" <b>&amp;.emd",
    "Größe/日本語/Å.ser",
    "é" * 125 + ".dm3",
    "[1]{2}^`~|;=,@!$.blo",
    "C:colon.tif",
    "~tilde -dash.tiff",
    "mailto:x@y.hspy",
]
VOLTAGE = ("beam.acceleration_voltage", "https://example.org/terms/voltage", 200000.0, "V")


def dataset(number: int, primary: str, **changes: Any) -> DatasetFacts:
    """A dataset with a value that all share and one of its own."""
    own = ("time.acquired_start", "", f"2026-03-14T10:{number:04}", "")
    plain = DatasetFacts(f"d{number}", primary, "digitalmicrograph", 4, 1, ["HAADF, 4 × 4"], properties=[own, VOLTAGE])
    return replace(plain, **changes)


def package(datasets: Sequence[DatasetFacts] = (), **changes: Any) -> PackageFacts:
    """Facts of a package without people, sample or instrument."""
    count = len(datasets)
    plain = PackageFacts("ZnO nanorods", "2026-03-14T10:05:00+01:00", "ab" * 32, count, 4 * count, count, datasets)
    return replace(plain, **changes)


RICH: dict[str, Any] = {
    "description": "Survey of batch 3.",
    "license": "CC-BY-4.0",
    "session": {
        "title": "ZnO",
        "date": "2026-03-14",
        "end_date": "2026-03-15",
        "keywords": ["ZnO"],
        "project": "oxides",
    },
    "sample": {"identifier": "S-12", "elements": ["Zn", "O"], "thickness": 6e-8, "other_names": {"NMI": "Z-3"}},
    "instrument": {"name": "Titan", "vendor": "FEI", "serial": "D3094", "pid": "https://doi.org/10.5442/NI000001"},
    "people": [
        {"name": "Marie Curie", "orcid": "0000-0002-1825-0097", "affiliation": "Institut Curie", "role": "operator"},
        {"name": "Marie again", "orcid": "https://orcid.org/0000-0002-1825-0097"},
        {
            "name": "Irène",
            "affiliation": "HU",
            "affiliation_ror": "https://ror.org/01hcx6992",
            "email": "i@example.org",
        },
    ],
    "omitted": [("link", "symlink", "not a file")],
    "software": "diadem-em 0.1.0",
    "continues": "diadem:" + "cd" * 32,
}


def entities(data: bytes) -> dict[str, dict[str, Any]]:
    """The graph by `@id`, after checking that each occurs once."""
    document = json.loads(data)
    assert document["@context"] == CONTEXT
    found = {entity["@id"]: entity for entity in document["@graph"]}
    assert len(found) == len(document["@graph"])
    return found


def write_crate(facts: PackageFacts, folder: Path) -> Path:
    """The payload directory that the facts describe."""
    for item in facts.datasets:
        (folder / item.primary).parent.mkdir(parents=True, exist_ok=True)
        (folder / item.primary).write_bytes(b"data")
    (folder / "diadem-record.json").write_text("{}")
    (folder / "ro-crate-preview.html").write_text("<!DOCTYPE html>")
    (folder / "ro-crate-metadata.json").write_bytes(crate_json(facts))
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot hold these names")
@pytest.mark.program("another program judges a crate of everything")
def test_validator_accepts_hostile_names_and_everything_stated(tmp_path: Path) -> None:
    facts = package([dataset(number, name) for number, name in enumerate(HOSTILE, 1)], **RICH)
    assert validate_crate(write_crate(facts, tmp_path)) == []


def test_validator_accepts_the_least_and_finds_the_crate_in_a_bag(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "bagit.txt").write_text("BagIt-Version: 1.0\n")
    assert validate_crate(write_crate(package([dataset(1, "scan.dm4")]), data).parent) == []


@pytest.mark.parametrize("count", [50, 20_000])  # the validator's time grows with the square: 1,000 take it a minute
@pytest.mark.program("another program judges what is written")
def test_validator_accepts_many_datasets(tmp_path: Path, count: int) -> None:
    described = [dataset(number, f"frames/{number}.tif") for number in range(1, min(count, MAX_DESCRIBED) + 1)]
    facts = package(described, dataset_count=count, file_count=count, **RICH)
    assert validate_crate(write_crate(facts, tmp_path)) == []


def test_the_validator_can_refuse(tmp_path: Path) -> None:
    facts = package([dataset(1, "scan.dm4")])
    folder = write_crate(facts, tmp_path)
    (folder / "scan.dm4").unlink()
    document = json.loads((folder / "ro-crate-metadata.json").read_text())
    document["@graph"][1]["frobnication"] = "no such term"
    (folder / "ro-crate-metadata.json").write_text(json.dumps(document))
    complaints = "\n".join(validate_crate(folder))
    assert "scan.dm4" in complaints
    assert "frobnication" in complaints


def test_root_says_who_when_what_and_under_which_licence() -> None:
    found = entities(crate_json(package([dataset(1, "scan.dm4")], **RICH)))
    root = found["./"]
    assert root["name"] == "ZnO nanorods"
    assert root["datePublished"] == "2026-03-14T10:05:00+01:00"
    assert root["description"].startswith("Survey of batch 3. 1 dataset in 1 file, 4 bytes.")
    assert root["license"] == {"@id": "https://creativecommons.org/licenses/by/4.0/"}
    assert root["author"][0] == {"@id": "https://orcid.org/0000-0002-1825-0097"}
    assert [found[author["@id"]]["name"] for author in root["author"]] == ["Marie Curie", "Marie again", "Irène"]
    assert found["#payload-id"]["value"] == "ab" * 32
    assert found["#external-identifier"]["value"].startswith("urn:uuid:")
    assert found["#acquisition"]["instrument"] == {"@id": "https://doi.org/10.5442/NI000001"}
    assert found["#sample"]["alternateName"] == ["Z-3"]
    assert found[root["isBasedOn"]["@id"]]["identifier"] == "diadem:" + "cd" * 32
    assert {"@id": "ro-crate-preview.html"} not in root["hasPart"]


def test_what_nobody_said_the_files_say() -> None:
    """Instruments, operator and days of the datasets: in the words of schema.org, a `CreateAction` with its agent."""
    stated: dict[str, Any] = {
        "instruments": [
            {"model": "Talos", "vendor": "FEI", "serial": "6308", "pid": "https://doi.org/10.5442/NI000002"}
        ],
        "operators": ["Marie Curie"],
        "days": ("2026-03-14", "2026-03-15"),
    }
    found = entities(crate_json(package([dataset(1, "scan.dm4")], **stated)))
    action = found["#acquisition"]
    assert action["@type"] == "CreateAction"
    assert (action["startTime"], action["endTime"]) == stated["days"]
    assert found["./"]["temporalCoverage"] == "2026-03-14/2026-03-15"
    instrument = found[action["instrument"]["@id"]]
    assert instrument["@id"] == "https://doi.org/10.5442/NI000002"
    assert (instrument["name"], instrument["serialNumber"]) == ("Talos", "6308")
    assert found[instrument["manufacturer"]["@id"]]["name"] == "FEI"
    assert [found[one["@id"]]["name"] for one in action["agent"]] == ["Marie Curie"]
    assert "author" not in found["./"], "who sat at the instrument need not be an author"
    two = package(**{**stated, "instruments": [*stated["instruments"], {"model": "Scios"}]})
    assert len(entities(crate_json(two))["#acquisition"]["instrument"]) == 2


def test_what_a_person_says_goes_before_the_files() -> None:
    files: dict[str, Any] = {
        "instruments": [{"model": "Talos"}],
        "operators": ["Somebody"],
        "days": ("1970-01-01", "1970-01-01"),
    }
    found = entities(crate_json(package([dataset(1, "scan.dm4")], **{**RICH, **files})))
    assert found["#acquisition"]["instrument"] == {"@id": "https://doi.org/10.5442/NI000001"}
    assert found["./"]["temporalCoverage"] == "2026-03-14/2026-03-15"
    assert "Somebody" not in json.dumps(found)
    zone = package(instrument={"time_zone": "Europe/Berlin"}, instruments=[{"model": "Talos"}])
    assert entities(crate_json(zone))["#instrument"]["name"] == "Talos"


@pytest.mark.program("another program judges what is written")
def test_validator_accepts_what_the_files_say(tmp_path: Path) -> None:
    facts = package(
        [dataset(1, "scan.dm4")],
        instruments=[{"model": "Talos", "vendor": "FEI"}, {"model": "Scios"}],
        operators=["Marie Curie"],
        days=("2026-03-14", "2026-03-15"),
    )
    assert validate_crate(write_crate(facts, tmp_path)) == []


def test_a_licence_that_nobody_stated_is_said_to_be_unstated() -> None:
    found = entities(crate_json(package()))
    assert found[found["./"]["license"]["@id"]]["name"] == "No licence stated; ask the owner"


@pytest.mark.parametrize(
    "text", ["All rights reserved", "http://a b/<script>", "javascript:alert(1)", "https://x.org/\nmore"]
)
def test_a_licence_that_is_no_address_is_text(text: str) -> None:
    found = entities(crate_json(package(license=text)))
    assert found["./"]["license"] == {"@id": "#license"}
    assert found["#license"]["name"] == text.strip()


def test_each_dataset_has_its_primary_file_under_an_encoded_id() -> None:
    facts = package([dataset(number, name) for number, name in enumerate(HOSTILE, 1)])
    found = entities(crate_json(facts))
    for number, name in enumerate(HOSTILE, 1):
        (part,) = found[f"#dataset-{number}"]["hasPart"]
        assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", part["@id"])
        assert unquote(part["@id"]) == name
        assert found[part["@id"]]["@type"] == "File"


def test_two_datasets_of_one_file_and_equal_values_are_described_once() -> None:
    found = entities(crate_json(package([dataset(1, "both.emd"), dataset(2, "both.emd")])))
    assert found["#dataset-1"]["hasPart"] == found["#dataset-2"]["hasPart"] == [{"@id": "both.emd"}]
    voltages = [entity for entity in found.values() if entity.get("name") == VOLTAGE[0]]
    expected = {"propertyID": VOLTAGE[1], "value": 200000.0, "unitText": "V"}
    assert [{key: entity[key] for key in expected} for entity in voltages] == [expected]


def test_at_the_limit_every_dataset_is_reached_from_the_root() -> None:
    described = [dataset(number, f"{number}.tif") for number in range(1, MAX_DESCRIBED + 1)]
    data = crate_json(package(described))
    found = entities(data)
    files = [found[part["@id"]]["hasPart"][0]["@id"] for part in found["./"]["hasPart"] if part["@id"].startswith("#")]
    assert files == [f"{number}.tif" for number in range(1, MAX_DESCRIBED + 1)]
    assert len(data) < 2_000_000


def test_above_the_limit_only_the_count_is_told() -> None:
    described = [dataset(number, f"{number}.tif") for number in range(1, MAX_DESCRIBED + 1)]
    found = entities(crate_json(package(described, dataset_count=20_000, file_count=20_000)))
    assert found["#dataset-count"]["value"] == 20_000
    assert not any(identifier.startswith("#dataset-1") for identifier in found)
    assert len(found) < 12


def test_the_order_in_which_fields_were_found_leaves_no_trace() -> None:
    first = dataset(1, "scan.dm4")
    second = replace(first, properties=list(reversed(first.properties)))
    shuffled = {key: dict(reversed(RICH[key].items())) for key in ("session", "sample", "instrument")}
    assert crate_json(package([first], **RICH)) == crate_json(package([second], **{**RICH, **shuffled}))


@pytest.mark.parametrize(
    ("value", "stated"),
    [(float("nan"), "nan"), ([3, 1, 2], "[3, 1, 2]"), (True, True), (0, 0), ("a\x00\ud800b", "a\ufffd\ufffdb")],
)
def test_values_that_json_ld_cannot_hold_become_text(value: Any, stated: Any) -> None:
    found = entities(crate_json(package([dataset(1, "a.tif", properties=[("x.y", "", value, "")])])))
    assert found["#property-1"]["value"] == stated


@pytest.mark.parametrize("value", [None, ""])
def test_unknown_is_absent(value: Any) -> None:
    found = entities(crate_json(package([dataset(1, "a.tif", properties=[("x.y", "", value, "m")])])))
    assert "#acquisition-1" not in found


ANY_TEXT = st.text(st.characters(), max_size=40)
OBJECTS = st.dictionaries(
    ANY_TEXT | st.sampled_from(["name", "identifier", "orcid", "pid", "title", "vendor"]), ANY_TEXT
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(text=ANY_TEXT, path=st.text(min_size=1, max_size=60), objects=OBJECTS, value=st.none() | st.floats() | ANY_TEXT)
def test_any_text_gives_valid_json_of_known_terms(text: str, path: str, objects: Mapping[str, str], value: Any) -> None:
    one = DatasetFacts(text, path, text, 1, 2, [text], [(text, text)], [(text, text, value, text)], [text])
    facts = PackageFacts(
        text, text, text, 1, 1, 1, [one], text, text, objects, objects, objects, [objects], [(text, text, text)], text
    )
    data = crate_json(facts)
    assert "\x00" not in data.decode()
    known = {*json.loads(CONTEXT_FILE.read_text(encoding="utf-8"))["@context"], "@id", "@type"}
    found = entities(data)
    assert {term for entity in found.values() for term in entity} <= known
    for reference in re.findall(r'\{\s*"@id": ("(?:[^"\\]|\\.)*")\s*\}', data.decode()):
        identifier = json.loads(reference)
        assert identifier in found or identifier.startswith("https://w3id.org/ro/crate/")
