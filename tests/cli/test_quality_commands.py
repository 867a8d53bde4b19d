"""Judging, correcting and linking on the command line: plain answers, and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

import diadem
from tests.cli.inside import said, said_json
from tests.node.verbs.conftest import Lab, lab

__all__ = ["lab"]


@pytest.fixture
def package(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of a node that is the default one; bob is a user of it too."""
    lab.node.users.add("bob")
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))
    return lab.archived("ZnO")[7:19]


def test_assess_states_and_lists(package: str) -> None:
    text = said("assess", package, "accept", "--for", "imaging", "--dataset", "scan 0.bin", "--dataset", "d2")
    assert text.count("accept           imaging, scan ") == 2
    text = said("assess", package, "reject", "--for", "imaging", "--dataset", "scan 0.bin", "--user", "bob")
    assert "DISPUTED         imaging: alice@hu-berlin: accept, bob@hu-berlin: reject" in text
    said("assess", package, "limited", "--for", "imaging", "--dataset", "scan 0.bin", "--user", "bob")
    listed = said("assess", package)
    assert "(reject)         imaging, scan 0.bin   bob@hu-berlin" in listed
    document = said_json("assess", package)
    assert [one["counts"] for one in document["assessments"]] == [True, True, False, True]
    assert document["disputes"][0]["said"][1]["verdict"] == "limited"
    found = said("search", "quality:disputed")
    assert "assessed: accept, limited, disputed" in found
    assert "1 of 3 datasets: scan 0.bin" in found


def test_what_is_meant_must_be_said(package: str) -> None:
    assert "no purpose is given" in said("assess", package, "accept", code=2)
    assert "what is the verdict?" in said("assess", package, "--for", "imaging", code=2)
    assert "finds the verdict itself" in said("assess", package, "accept", "--machine", code=2)
    assert "no package" in said("assess", "0123456789ab", "accept", "--for", "imaging", code=3)
    assert "what is to be corrected" in said("amend", package, "--reason", "so", code=2)
    assert "is not key=value" in said("amend", package, "--set", "S-12", code=2)
    assert "given twice" in said("amend", package, "--set", "sample.name=a", "--set", "sample.name=b", code=2)
    assert "what was it made from" in said("derive", "x.csv", code=2)
    assert "nobody has assessed it" in said("assess", package)
    assert "no corrections" in said("amend", package)


def test_amend_says_whose_word_holds(package: str) -> None:
    text = said("amend", package, "--set", "sample.name=ZnO", "--set", "voltage=300 kV", "--reason", "wrong label")
    assert "corrected        beam.acceleration_voltage: 300 kV   alice@hu-berlin" in text
    text = said("amend", package, "--set", "sample.name=", "--user", "bob")
    assert "by others        sample.name: withdrawn   bob@hu-berlin" in text
    assert "only corrections by alice@hu-berlin change the record" in text
    assert "ZnO" in said("search", "kV=300")


def test_doubts_are_shown_wherever_a_result_is(package: str, tmp_path: Path) -> None:
    result = tmp_path / "thickness.csv"
    result.write_text("1,2,3\n")
    (tmp_path / "p.json").write_text('{"cut": 0.5}')
    said("assess", package, "reject", "--for", "EELS", "--comment", "drift")
    made = said("derive", result, "--from", package, "--software", "x=1", "--parameters", tmp_path / "p.json")
    assert "WARNING          made from data with a warning; alice@hu-berlin:" in made
    own = said_json("search", "derived-from:" + package)["rows"][0]["id"]
    assert "! made from data" in said("search", "thickness")
    assert "WARNING          made from data" in said("custody", own)
    assert "WARNING: made from data" in said("get", own, tmp_path / "back")
    assert said_json("assess", own)["warnings"][0]["assessment"]["purpose"] == "EELS"
    assert "must hold one object" in _derived_with(result, package, tmp_path / "p.json", "[1]")
    assert "is not JSON" in _derived_with(result, package, tmp_path / "p.json", "{")
    assert "is not JSON" in _derived_with(result, package, tmp_path / "p.json", "[" * 100_000)
    assert "is not TOML" in _derived_with(result, package, tmp_path / "p.toml", "{")
    missing = ("derive", result, "--from", package, "--parameters", tmp_path / "none.json")
    assert "Check the path after --parameters." in said(*missing, code=3)
    (tmp_path / "editor.toml").write_text("\ufeffcut = 0.6\n", "utf-8")  # as Notepad writes it
    again = said_json("derive", result, "--from", package, "--parameters", tmp_path / "editor.toml")
    assert again["derivations"][-1]["parameters"] == {"cut": 0.6}


def _derived_with(result: Path, package: str, parameters: Path, text: str) -> str:
    parameters.write_text(text)
    return said("derive", result, "--from", package, "--parameters", parameters, code=2)


def test_a_store_that_is_only_read_shows_what_was_said(package: str, lab: Lab) -> None:
    said("assess", package, "reject", "--for", "EELS")
    said("amend", package, "--set", "sample.name=ZnO")
    lab.node.close()
    with diadem.open_node(lab.root / "main") as attached:
        assert attached.get(package).record.value("sample.name") == "ZnO"
        assert [one.assessment.verdict for one in attached.warnings(package)] == ["reject"]
        with pytest.raises(diadem.Refused, match="on the machine"):
            attached.assess(package, "accept", purpose="EELS")
