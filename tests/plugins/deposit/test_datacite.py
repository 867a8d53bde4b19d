"""The description for a DOI: from what holds now, by DataCite's own schema; what is missing is asked for."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.advice import COMMAND, unquoted
from diadem.api.nodes import Node
from diadem.errors import Refused, UsageError
from diadem.terms.fields import all_fields
from tests.cli.inside import said
from tests.plugins.nxem.test_nxem import SPECTRUM

schema45 = pytest.importorskip("datacite.schema45")

SESSION = """
[session]
title = "ZnO nanorods, HAADF"
date = "2026-03-14"
description = "Survey of batch 3."
keywords = ["ZnO", "HAADF"]
license = "CC-BY-4.0"
[[people]]
name = "Curie, Marie"
orcid = "0000-0002-1825-0097"
affiliation = "Institut Curie"
affiliation_ror = "https://ror.org/01hcx6992"
[[people]]
name = "Pierre Curie"
[instrument]
name = "Titan 80-300"
vendor = "FEI"
pid = "https://doi.org/10.5442/NI000001"
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    with diadem.Node.create(tmp_path / "node", name="lab", user="marie", store=str(tmp_path / "store")) as made:
        yield made


def archived(node: Node, tmp_path: Path, meta: str = SESSION) -> str:
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "scan.bin").write_bytes(b"scan" * 999)
    return str(node.archive(folder, now=True, metadata=tomllib.loads(meta)).package.id)


def valid(document: Any) -> bool:
    """By the newest schema that the package has: 4.6 only adds words to 4.5, none of which is used."""
    schema45.validator.validate(document)
    return bool(schema45.tostring(document))


def test_record_people_and_corrections_become_a_valid_description(node: Node, tmp_path: Path) -> None:
    package, out = archived(node, tmp_path), tmp_path / "datacite.json"
    node.amend(package, {"session.title": "ZnO nanorods, EELS"}, reason="wrong folder")
    node.assess(package, verdict="limited", purpose="strain")
    options = {"publisher": "Institut Curie", "related": ["isSupplementTo 10.1234/paper"]}
    node.export(package, out, form="datacite", options=options)
    found = json.loads(out.read_bytes())
    assert valid(found)
    first, second = found["creators"]
    assert (first["familyName"], first["givenName"]) == ("Curie", "Marie")
    assert first["nameIdentifiers"][0]["nameIdentifier"] == "https://orcid.org/0000-0002-1825-0097"
    assert first["affiliation"][0]["affiliationIdentifier"] == "https://ror.org/01hcx6992"
    assert (second["name"], "familyName" in second) == ("Pierre Curie", False)
    assert found["titles"] == [{"title": "ZnO nanorods, EELS"}]
    assert found["rightsList"][0]["rightsUri"] == "https://creativecommons.org/licenses/by/4.0/"
    assert {"date": "2026-03-14", "dateType": "Collected"} in found["dates"]
    assert [(one["relationType"], one["relatedIdentifier"]) for one in found["relatedIdentifiers"]] == [
        ("IsCollectedBy", "10.5442/NI000001"),
        ("IsSupplementTo", "10.1234/paper"),
    ]
    texts = {one["descriptionType"]: one["description"] for one in found["descriptions"]}
    assert package in texts["TechnicalInfo"]
    assert "Title is ZnO nanorods, EELS, was ZnO nanorods, HAADF" in texts["Other"]
    assert "Open doubt: marie@lab" in texts["Other"]


def test_a_correction_of_one_dataset_is_told_in_words(node: Node, tmp_path: Path) -> None:
    package, out = archived(node, tmp_path), tmp_path / "datacite.json"
    node.amend(package, {"beam.acceleration_voltage": "300 kV"}, dataset="scan.bin", reason="logbook")
    node.export(package, out, form="datacite", options={"publisher": "HU"})
    texts = {one["descriptionType"]: one["description"] for one in json.loads(out.read_bytes())["descriptions"]}
    label = all_fields()["beam.acceleration_voltage"].label
    assert f"{label} of scan.bin is 300 kV, was not stated (marie@lab on " in texts["Other"]
    assert texts["Other"].endswith(": logbook).")


def test_what_is_missing_is_named_with_the_option_that_supplies_it(node: Node, tmp_path: Path) -> None:
    package, out = archived(node, tmp_path, '[session]\ntitle = "One"\n'), tmp_path / "datacite.json"
    with pytest.raises(Refused, match="who made it; who publishes it") as error:
        node.export(package, out, form="datacite")
    assert "creators=" in str(error.value.next)
    assert "publisher=" in str(error.value.next)
    assert not out.exists()
    said = {"publisher": "HU", "creators": ["Marie Curie 0000-0002-1825-0097", "Pierre Curie"], "year": 2024}
    node.export(package, out, form="datacite", options=said)
    found = json.loads(out.read_bytes())
    assert valid(found)
    assert [one["name"] for one in found["creators"]] == ["Marie Curie", "Pierre Curie"]
    assert found["publicationYear"] == "2024"


@pytest.mark.parametrize(
    ("owners", "made"),
    [
        (["Marie Curie", "sup"], ["Marie Curie"]),
        (["Curie, Marie"], ["Curie, Marie"]),
        (["O'Brien, Ann", "Curie, Marie"], ["O'Brien, Ann", "Curie, Marie"]),
        (["anna", "bert"], ["anna"]),
    ],
)
def test_whom_the_files_name_is_told_with_the_command_that_makes_them_creators(
    node: Node, tmp_path: Path, owners: list[str], made: list[str]
) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    for number, owner in enumerate(owners):
        (folder / f"{number}.msa").write_text(SPECTRUM.format(f"#OWNER       : {owner}\n"))
    package = str(node.archive(folder, now=True).package.id)
    with pytest.raises(Refused) as refused:
        node.export(package, tmp_path / "a.json", form="datacite", options={"year": 2024})
    assert all(owner in refused.value.message for owner in owners)
    (command,) = [unquoted(found[0]) for found in COMMAND.finditer(str(refused.value.next))]
    assert command[3] == "OUT.json"
    said(*command[1:3], tmp_path / "a.json", *command[4:], "--node", node.path)
    found = json.loads((tmp_path / "a.json").read_bytes())
    assert [one["name"] for one in found["creators"]] == made
    assert found["publicationYear"] == "2024"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"creators": ["Marie Curie 0000-0002-1825-0098"]}, "check character"),
        ({"related": ["Likes 10.1234/paper"]}, "no relation"),
        ({"related": ["paper"]}, "related"),
        ({"license": "nonsense"}, "no licence that is known here"),
    ],
)
def test_what_is_mistyped_is_told(node: Node, tmp_path: Path, options: dict[str, Any], told: str) -> None:
    package = archived(node, tmp_path)
    with pytest.raises(UsageError, match=told):
        node.export(package, tmp_path / "out.json", form="datacite", options={"publisher": "HU", **options})


def test_a_comma_in_a_name_makes_no_two_people_of_it(node: Node, tmp_path: Path) -> None:
    package = archived(node, tmp_path)
    with pytest.raises(UsageError, match="Curie; Marie"):
        node.export(package, tmp_path / "a.json", form="datacite", options=["publisher=HU", "creators=Curie, Marie"])
    options = ["publisher=HU", "creators=Curie, Marie; Curie, Pierre 0000-0002-1825-0097"]
    node.export(package, tmp_path / "a.json", form="datacite", options=options)
    people = json.loads((tmp_path / "a.json").read_text("utf-8"))["creators"]
    assert [one["givenName"] for one in people] == ["Marie", "Pierre"]
