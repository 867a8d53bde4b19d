"""Sessions as `.eln` files: what the consortium's rules and roc-validator say of them, and what a reader finds."""

from __future__ import annotations

import hashlib
import html.parser
import json
import tracemalloc
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest

import diadem
from diadem.cli.main import run as command_line
from diadem.errors import DigestMismatch, Interrupted
from diadem.model.ports import Progress
from diadem.testing import check_plugin
from diadem.testing.samples import write_image_session, write_large
from tests.node.verbs.conftest import Lab, damage
from tests.oracles import validate_crate

DATA = Path(__file__).parents[2] / "data"
#: What notebooks take an entity's properties for: texts, and where they refer to one or several others.
TEXTS = (
    "dateCreated", "dateModified", "version", "name", "encodingFormat", "url", "genre", "creativeWorkStatus",
    "identifier", "keywords", "text",
)  # fmt: skip
REFERS = {"type": "object", "properties": {"@id": {"type": "string"}}, "required": ["@id"]}
SCHEMA = {
    "required": ["@context", "@graph"],
    "properties": {
        "@graph": {
            "items": {
                "required": ["@id", "@type"],
                "properties": {
                    **{key: {"type": "string"} for key in TEXTS},
                    **dict.fromkeys(("about", "conformsTo", "sdPublisher", "author"), REFERS),
                    **{key: {"type": "array", "items": REFERS} for key in ("hasPart", "comment")},
                },
            }
        }
    },
}
HOSTILE = "</p><script>alert(1)</script>\u202e&amp;"
METADATA: dict[str, Any] = {
    "session": {"title": "ZnO rods", "project": "oxides", "keywords": ["ZnO", "HAADF, STEM"], "license": "CC-BY-4.0"},
    "sample": {"identifier": "S-12", "elements": ["Zn", "O"]},
    "people": [
        {"name": "Marie Curie", "orcid": "0000-0002-1825-0097", "role": "operator"},
        {"name": "Irène", "affiliation": "HU"},
    ],
}


def session(lab: Lab, name: str = "zno", **changes: Any) -> str:
    """Archive images under names that no address can hold; the package id."""
    folder = lab.root / name
    write_image_session(folder / "Ü #1 100%", sample="ZnO", date="2026-03-14")
    (folder / "notes 1.txt").write_text(f"of {name}")
    (folder / "notes_1.txt").write_text("told apart by its blank only")
    return str(lab.node.archive(folder, now=True, metadata={**METADATA, **changes}).package.id)


def export(lab: Lab, package: str, name: str = "out.eln", **options: Any) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The file, and its entities by their `@id`."""
    path = lab.root / name
    lab.node.export(package, path, form="eln", options=options)
    return path, entities(path)


def entities(path: Path) -> dict[str, dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        graph = json.loads(archive.read(f"{path.stem}/ro-crate-metadata.json"))["@graph"]
    found = {one["@id"]: one for one in graph}
    assert len(found) == len(graph)
    return found


def experiments(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [found[one["@id"]] for one in found["./"]["hasPart"]]


def properties(found: dict[str, dict[str, Any]], of: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {found[one["@id"]]["propertyID"]: found[one["@id"]] for one in of.get("variableMeasured", ())}


def faults(path: Path, work: Path) -> list[str]:
    """What breaks a rule of SPECIFICATION.md, what notebooks take properties for, or RO-Crate."""
    said = []
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        archive.extractall(work)
        document = json.loads(archive.read(f"{path.stem}/ro-crate-metadata.json"))
    found = entities(path)
    tops = {PurePosixPath(name).parts[0] for name in names}
    said += [f"one root folder, of the name of the file: {tops}"] if tops != {path.stem} else []
    said += [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)]
    for one in found.values():
        if one["@type"] == "Dataset":
            said += [f"{one['@id']} has no name"] if not one.get("name") else []
            said += [f"unknown part {part}" for part in one.get("hasPart", ()) if part["@id"] not in found]
        if one["@type"] == "File":
            data = (work / path.stem / one["@id"]).read_bytes()
            true = {"contentSize": str(len(data)), "sha256": hashlib.sha256(data).hexdigest()}
            said += [f"{name} of {one['@id']}" for name, value in true.items() if one.get(name) != value]
        if one["@type"] == "PropertyValue" and not isinstance(one["value"], (str, bool, int, float)):
            said.append(f"value of {one['propertyID']}")
    files = {name for name in names if not name.endswith("ro-crate-metadata.json")}
    described = {f"{path.stem}/{one['@id'].removeprefix('./')}" for one in found.values() if one["@type"] == "File"}
    said += [f"not described: {name}" for name in sorted(files ^ described)]
    publisher = found[found["ro-crate-metadata.json"]["sdPublisher"]["@id"]]
    said += [] if publisher["@type"] == "Organization" and publisher["url"] else ["no publisher"]
    return said + validate_crate(work / path.stem, version="1.1")


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.sweep(1)
def test_the_consortiums_rules_and_roc_validator_have_nothing_to_say(lab: Lab, files: bool) -> None:
    path, found = export(lab, session(lab), files=files, link="https://em.example.org/s/{id}")
    assert faults(path, lab.root / "unpacked") == []
    names = sorted(one["name"] for one in found.values() if "/files/" in one["@id"])
    assert [name for name in names if name.endswith(".txt")] == (["notes 1.txt", "notes_1.txt"] if files else [])
    (experiment,) = experiments(found)
    assert experiment["url"].startswith("https://em.example.org/s/diadem:")


@pytest.mark.program("another program judges what is written")
def test_the_rules_can_be_broken(lab: Lab) -> None:
    path, _ = export(lab, session(lab))
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(lab.root / "bad.eln", "w") as bad:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("ro-crate-metadata.json"):
                document = json.loads(data)
                for one in document["@graph"]:
                    one.update({"keywords": ["a"]} if one.get("genre") else {})
                    one.update({"frobnication": 1} if one["@id"] == "./" else {})
                    one.update({"sha256": "0" * 64} if one["@type"] == "File" else {})
                data = json.dumps(document).encode()
            bad.writestr(name.replace("out/", "bad/"), data)
        bad.writestr("beside.txt", "")
    complaints = "\n".join(faults(lab.root / "bad.eln", lab.root / "unpacked"))
    for said in ("one root folder", "is not of type 'string'", "frobnication", "sha256 of", "not described"):
        assert said in complaints


def test_values_are_typed_and_say_their_units_and_meanings(lab: Lab) -> None:
    package = session(lab)
    _, found = export(lab, package)
    (experiment,) = experiments(found)
    stated = properties(found, experiment)
    voltage = stated["beam.acceleration_voltage"]
    assert (voltage["value"], voltage["unitText"], voltage["name"]) == (300000.0, "V", "Acceleration voltage")
    assert voltage["identifier"] == "https://purls.helmholtz-metadaten.de/emg/EMG_00000004"
    assert (stated["diadem.package"]["value"], experiment["identifier"]) == (package, package)
    assert (stated["sample.elements"]["value"], stated["session.project"]["value"]) == ("Zn, O", "oxides")
    extra = json.loads(stated["elabftw_metadata"]["value"])["extra_fields"]
    assert extra["Acceleration voltage"] | {"position": 0} == {
        "type": "number", "value": "300000.0", "unit": "V", "units": ["V"], "position": 0,
        "description": "beam.acceleration_voltage",
    }  # fmt: skip
    own = [found[one["@id"]] for one in experiment["hasPart"] if found[one["@id"]]["@type"] == "Dataset"]
    assert len(own) > 1
    assert all("beam.acceleration_voltage" not in properties(found, one) for one in own), "what all share is said once"
    assert any("variableMeasured" in one for one in own)
    assert found[experiment["author"]["@id"]]["name"] == "Marie Curie"
    assert [found[one["@id"]]["name"] for one in experiment["contributor"]] == ["Irène"]
    assert experiment["keywords"] == "ZnO,HAADF  STEM"
    assert experiment["license"] == {"@id": "https://creativecommons.org/licenses/by/4.0/"}
    pictures = [one for one in found.values() if "/previews/" in one["@id"]]
    assert {one["encodingFormat"] for one in pictures} <= {"image/png", "image/jpeg"}
    assert pictures


@pytest.mark.program("another program judges what is written")
def test_what_the_registry_says_of_the_sample_is_told(lab: Lab) -> None:
    samples = lab.node.samples
    samples.add("W-3", identifiers={"igsn": "10.58052/IEABC0003"})
    samples.add(
        "S-12",
        name=HOSTILE.replace("\u202e", ""),
        names={"NMI": "K-2026-007"},
        identifiers={"igsn": "10.58052/IEABC0012"},
        parents=["W-3"],
        how="split",
        composition="ZnO with 2 % Mn",
        elements=["Zn", "Mn"],
        preparation=[{"step": "milled", "date": "2026-03-09"}],
        comment="for us alone",
    )
    path, found = export(lab, session(lab))
    assert faults(path, lab.root / "unpacked") == []
    (experiment,) = experiments(found)
    stated = {key: one["value"] for key, one in properties(found, experiment).items()}
    assert stated["sample.registered.1.identifiers.igsn"] == "10.58052/IEABC0012"
    assert stated["sample.registered.1.names"] == "K-2026-007 (NMI)"
    assert stated["sample.registered.1.parents"] == "W-3 (10.58052/IEABC0003), split"
    assert stated["sample.registered.1.composition"] == "ZnO with 2 % Mn"
    assert stated["sample.registered.1.preparation"] == "milled (2026-03-09)"
    assert stated["sample.elements"] == "Zn, O", "what the record states stays"
    text = Tags(experiment["text"])
    assert all(word in text.words for word in ("K-2026-007 (NMI)", "Sample S-12: IGSN", "10.58052/IEABC0012"))
    assert "script" not in text.tags
    with zipfile.ZipFile(path) as archive:
        every = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".json"))
        (record,) = (json.loads(archive.read(one)) for one in archive.namelist() if one.endswith("/record.json"))
    assert [(one["identifier"], one["called"]) for one in record["samples"]] == [("S-12", ["S-12"])]
    assert b"for us alone" not in every


class Tags(html.parser.HTMLParser):
    """The tags of a text, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.words = set[str](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_corrections_judgements_and_doubts_are_told_in_words_and_as_properties(lab: Lab) -> None:
    package = session(lab, sample={"name": "EMSA-OLD"})
    lab.node.amend(package, {"sample.name": "EMSA-REF"}, reason=HOSTILE)
    lab.node.assess(package, "limited", purpose="EELS", comment=HOSTILE)
    source = session(lab, "source", sample={"name": HOSTILE})
    _, found = export(lab, package)
    (experiment,) = experiments(found)
    stated = properties(found, experiment)
    assert stated["sample.name"]["value"] == "EMSA-REF"
    text = Tags(experiment["text"])
    for key, words in (
        ("correction.1", "Sample is EMSA-REF, was EMSA-OLD"),
        ("judgement.1", "usable with limits for EELS"),
        ("doubt.1", "usable with limits for EELS"),
    ):
        assert words in stated[key]["value"]
        assert words in text.words
        assert "alice@hu-berlin" in stated[key]["value"]
    assert "1 value corrected since." in text.words
    assert any(one["value"] == stated["correction.1"]["value"] for one in _extra(stated).values())
    assert text.tags <= {"p", "strong", "h2", "ul", "li", "code", "table", "tr", "th", "td", "br", "a"}
    assert "\u202e" not in experiment["text"]
    (other,) = experiments(export(lab, source, "other.eln")[1])
    assert "script" not in Tags(other["text"]).tags
    assert "diadem get" in other["text"]


def _extra(stated: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    extra: dict[str, dict[str, Any]] = json.loads(stated["elabftw_metadata"]["value"])["extra_fields"]
    return extra


@pytest.mark.program("another program judges what is written")
def test_a_search_gives_one_experiment_for_each_session(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    ids = {session(lab, name) for name in ("a", "b")} | {str(lab.archived("other"))}
    path = lab.root / "all.eln"
    command = ["export", "bytes > 0", str(path), "--as", "eln", "--search", "--node", str(lab.node.path), "--json"]
    lab.node.close()
    with pytest.raises(SystemExit) as ended:
        command_line(command)
    told = capsys.readouterr()
    assert ended.value.code == 0, told
    found = entities(path)
    assert {one["identifier"] for one in experiments(found)} == ids
    assert json.loads(told.out)["told"] == {
        "experiments": "3",
        "files": "not put in; each experiment names its package",
    }
    assert found["./"]["name"] == "Sessions found by: bytes > 0"
    assert found["./"]["license"] == {"@id": "#licences"}
    assert faults(path, lab.root / "unpacked") == []


def test_a_damaged_file_is_never_put_in_and_leaves_nothing(lab: Lab) -> None:
    package = session(lab)
    for file in (lab.path(package, "main") / "data").rglob("*.txt"):
        damage(file, at=0, data=b"S")
    before = sorted(one.name for one in lab.root.iterdir())
    with pytest.raises(DigestMismatch):
        export(lab, package, files=True)
    assert sorted(one.name for one in lab.root.iterdir()) == before
    path, _ = export(lab, package)  # what is not put in is not read
    assert path.exists()


def test_it_is_stopped_in_the_middle_of_a_file(lab: Lab) -> None:
    write_large(lab.root / "large", 4 << 20)
    package = str(lab.node.archive(lab.root / "large", now=True).package.id)

    def stop(progress: Progress) -> None:
        if progress.stage == "export" and progress.done == 2 << 20:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lab.node.export(package, lab.root / "out.eln", form="eln", options={"files": True}, listener=stop)
    assert not list(lab.root.glob("*out.eln*"))


@pytest.mark.program("a session of 160 MiB")
def test_memory_stays_flat(tmp_path: Path) -> None:
    write_large(tmp_path / "session", 160 << 20)
    package = diadem.pack(tmp_path / "session", tmp_path / "store")
    tracemalloc.start()
    try:
        package.export("eln", tmp_path / "out.eln", options={"files": True})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out.eln").stat().st_size > 160 << 20
    assert peak < 96 << 20, "proven reading looks some 64 MiB ahead, whatever the size of the file"


def test_the_kit_finds_it_steady(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    image, *_ = write_image_session(tmp_path / "images", sample="ZnO", date="2026-03-14")
    assert check_plugin("diadem.plugins.eln", [image], options={"files": True}).checked["exports"] > 3


def test_no_name_leads_out_of_it_and_none_stands_in_the_way_of_another(lab: Lab) -> None:
    folder = lab.root / "names"
    names = [
        "试.试.试/试.试.试/试.试.试/试.试.试/evil.txt",
        "a b",
        "a_b/x.txt",
        "试.txt",
        "样.txt",
        "试.样",
        "c d.txt",
        "c_d.txt",
    ]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    package = str(lab.node.archive(folder, now=True).package.id)
    for target in ("out.eln", "...eln"):
        lab.node.export(package, lab.root / target, form="eln", options={"files": True})
        with zipfile.ZipFile(lab.root / target) as archive:
            members = archive.namelist()
            assert not [name for name in members for part in name.split("/") if not part.strip(".")]
            taken = {name.casefold() for name in members}
            assert len(taken) == len(members)
            assert not [name for name in taken for parent in PurePosixPath(name).parents if str(parent) in taken]
            put_in = [name for name in members if "/files/" in name]
            assert sorted(archive.read(name).decode() for name in put_in) == sorted(names)
            assert sum(name.endswith(".txt") for name in put_in) == 6, "endings stay"
