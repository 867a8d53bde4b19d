"""Tables as TOML: what each form finds, and what a person is told who has made a mistake."""

from __future__ import annotations

import itertools
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import PluginError
from diadem.extract.tables import Applied, apply
from diadem.hooks.fields import Block
from diadem.hooks.manifest import schema
from diadem.hooks.tables import table, tables

_NUMBERS = itertools.count()
#: A tree such as cutters make, from here on.
TREE: dict[str, Any] = {
    "Date": "2019/03/25",
    "Time": "10:22:13",
    "Stamp": "2019:03:25 10:22:14",
    "Epoch": 1553505733.0,
    "Days": 43549.43209490741,
    "Sections": [{"Tilt": 0, "X": 1, "Mark": "a"}, {"Tilt": 0, "X": 2}],
    "SEM": {
        "HV": {"Value": "15,0", "Unit": "kV"},
        "WD": "8100 um",
        "Bare": "8100",
        "Gun": "Helium",
        "Model": "JSM-7000F",
        "Program": "Viewer",
        "Version": 2.5,
        "Off": "0",
        "BinX": 2,
        "BinY": 2,
        "Bin": "4 x 4",
        "Uneven": [1, 2],
        "Serial": "S/N: 12-3",
        "X": 5e7,
        "Y": 3.0,
        "Mode": "STEM nP",
        "Scan": True,
    },
    "Detectors": {"D": [{"Name": "SE2"}, {"Name": "InLens"}], "One": {"Name": "BSE"}},
}

Family = Callable[[str], str]


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    """Make a package with a `formats.toml`; its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def made(text: str) -> str:
        name = f"family_{next(_NUMBERS)}"
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("raise RuntimeError('nobody imports a family to read its tables')")
        (folder / "formats.toml").write_text(text, "utf-8")
        return name

    return made


def applied(package: str, kind: str = "b") -> Applied:
    return apply(table(f"{package}/{kind}"), Block(kind, TREE), "t")


def found(family: Family, statements: str, *, group: str = "", head: str = "") -> list[tuple[Any, ...]]:
    """Field, value, locator and status of what one group finds."""
    text = f"{head}\n[[table]]\nblock = 'b'\nbase = 'SEM/'\n[[table.group]]\nproof = 'p'\n{group}\n{statements}\n"
    values = applied(family(text)).values
    return [(value.field, value.value, value.locator, value.status) for value in values]


@pytest.mark.parametrize(
    ("statements", "value", "locator"),
    [
        ("'instrument.model' = 'Model'", "JSM-7000F", "SEM/Model"),
        (
            "'beam.acceleration_voltage' = {key='HV', value='/Value', unit_at='/Unit', read='positive'}",
            15e3,
            "SEM/HV/Value",
        ),
        ("'beam.acceleration_voltage' = {key='HV/Value', unit_key='HV/Unit', read='number'}", 15e3, "SEM/HV/Value"),
        ("'optics.working_distance' = {key='WD', unit='in the text'}", 8.1e-3, "SEM/WD"),
        ("'optics.working_distance' = {key='Bare', unit='in the text'}", None, ""),
        ("'beam.species' = {key='Gun', means={helium='He', neon='Ne'}}", "He", "SEM/Gun"),
        ("'beam.species' = {key='Gun', means={neon='Ne'}}", None, ""),
        ("'instrument.kind' = {key='Model', means={'JSM*'='sem', '*'='tem'}}", "sem", "SEM/Model"),
        ("'instrument.kind' = {key='Program', means={'JSM*'='sem', '*'='tem'}}", "tem", "SEM/Program"),
        ("'instrument.vendor' = {key='Program', constant='ZEISS'}", "ZEISS", "SEM/Program"),
        ("'instrument.vendor' = {key='Nobody', constant='ZEISS'}", None, ""),
        ("'instrument.software' = {join=['Program', 'Version']}", "Viewer 2.5", "SEM/Program + SEM/Version"),
        ("'instrument.software' = {join=['Program', 'Nobody'], with='-'}", "Viewer", "SEM/Program + SEM/Nobody"),
        ("'instrument.software' = {join=['Nobody', 'Program']}", None, ""),
        ("'camera.binning' = {equal=['BinX', 'BinY']}", 2, "SEM/BinX"),
        ("'camera.binning' = {equal='Bin'}", 4, "SEM/Bin"),
        ("'camera.binning' = {equal='Uneven'}", None, ""),
        ("'camera.binning' = {equal=['BinX', 'Version']}", None, ""),
        ("'beam.spot_index'.first = ['Nobody', 'Off', 'BinX', 'Version']", 2, "SEM/BinX"),
        ("'stage.x' = {first=['Nobody', 'Off', 'Name'], read='number', unit='um'}", 0.0, "SEM/Off"),
        ("'beam.spot_index'.first = ['Nobody', {key='Version', read='positive'}]", 2.5, "SEM/Version"),
        ("'detector.serial' = {key='Serial', part='S/N:(.*)'}", "12-3", "SEM/Serial"),
        ("'detector.serial' = {key='Model', part='S/N:(.*)'}", None, ""),
        ("'instrument.software' = {key='Version', into='Viewer *'}", "Viewer 2.5", "SEM/Version"),
        ("'instrument.software' = {key='Serial', part='S/N:(.*)', into='no. *'}", "no. 12-3", "SEM/Serial"),
        ("'instrument.software' = {key='Nobody', into='Viewer *'}", None, ""),
        ("'stage.x' = {key='X', unit='nm', within=[1e4, 3e8]}", 0.05, "SEM/X"),
        ("'stage.x' = {key='Y', unit='nm', within=[1e4, 3e8]}", None, ""),
        ("'stage.y' = {key='Y', unit='um', drop=[3.0]}", None, ""),
        ("'stage.y' = {key='/SEM/Y', unit='um'}", 3e-6, "SEM/Y"),
        ("'time.acquired_start' = {date='/Date', clock='/Time'}", "2019-03-25T10:22:13", "Date + Time"),
        ("'time.acquired_start' = {date='/Date', clock='/Nothing'}", None, ""),
        ("'time.acquired_start' = {exif='/Stamp'}", "2019-03-25T10:22:14", "Stamp"),
        ("'time.acquired_start' = {iso='/Nothing', exif='/Stamp'}", "2019-03-25T10:22:14", "Stamp"),
        ("'time.acquired_start' = {ole='/Days'}", "2019-03-25T10:22:13", "Days"),
        ("'time.acquired_start' = {ole='/Date'}", None, ""),
        ("'time.acquired_start' = {epoch='/Epoch'}", "2019-03-25T09:22:13Z", "Epoch"),
        (
            "'time.acquired_start' = {date='/Date', clock='/Time', epoch='/Epoch'}",
            "2019-03-25T10:22:13+01:00",
            "Date + Time + Epoch",
        ),
    ],
)
def test_forms(family: Family, statements: str, value: Any, locator: str) -> None:
    several = found(family, f"fields.{statements}")
    if value is None:
        assert several == []
    else:
        assert (several[0][1], several[0][2]) == (pytest.approx(value) if isinstance(value, float) else value, locator)


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("{key='Mode', matches='^stem'}", True),
        ("{key='Mode', is='TEM'}", False),
        ("{key='Mode', is_not=['TEM', 'stem np']}", False),
        ("{key='Nobody', is_not='x'}", True),
        ("{key='Nobody', exists=false}", True),
        ("{key='Scan', is='true'}", True),
        ("{key='BinX', above=2}", False),
        ("{key='/Epoch', above=0}", True),
        ("{nonzero=['Off', 'Y']}", True),
        ("{nonzero=['Off', 'Nobody']}", False),
        ("{all_same='/Sections/*/Tilt'}", True),
        ("{all_same='/Sections/*/X'}", False),
        ("{all_same='/Sections/*/Mark'}", False),
        ("['scans', {key='BinX', is=2}]", True),
        ("'scans'", True),
        ("'not scans'", False),
        ("['not scans', 'scans']", False),
    ],
)
def test_conditions(family: Family, condition: str, met: bool) -> None:
    head = "[when]\nscans = {key='SEM/Mode', matches='stem'}"
    assert bool(found(family, f"fields.'instrument.model' = {{key='Model', when={condition}}}", head=head)) is met


@pytest.mark.parametrize("form", ["part = '(.*)a.*b'", "means = { '*a*b' = 'x' }", "when = 'slow'"])
def test_a_pattern_is_tried_on_short_texts_alone(family: Family, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """On a long one it would take minutes; of a part of it nobody knows what the whole says."""
    monkeypatch.setitem(TREE["SEM"], "Long", "a" * 200_000)
    head = "[when]\nslow = { key = 'SEM/Long', matches = 'a.*b' }"
    started = time.process_time()
    assert found(family, f"fields.'sample.name' = {{ key = 'Long', {form} }}", head=head) == []
    assert time.process_time() - started < 10


def test_several_statements_of_a_field_count_in_their_order(family: Family) -> None:
    several = found(family, "fields.'instrument.model' = ['Program', 'Nobody', {key='Model', status='derived'}]")
    assert [(value, status) for _, value, _, status in several] == [("Viewer", "stated"), ("JSM-7000F", "derived")]


@pytest.mark.parametrize(
    ("base", "locators"),
    [
        ("Detectors/D/*/", ["Detectors/D/0/Name", "Detectors/D/1/Name"]),
        ("Detectors/D[]/", ["Detectors/D/0/Name", "Detectors/D/1/Name"]),
        ("Detectors/One[]/", ["Detectors/One/Name"]),
        ("Detectors/*/", ["Detectors/One/Name"]),
        ("Detectors/Nobody[]/", []),
    ],
)
def test_bases_that_stand_for_several(family: Family, base: str, locators: list[str]) -> None:
    several = found(family, f"base = '{base}'\nfields.'detector.name' = 'Name'")
    assert [locator for _, _, locator, _ in several] == locators


def test_several_bases_and_tables_of_one_kind(family: Family) -> None:
    text = """
        [[table]]
        block = ["b", "c"]
        [[table.group]]
        base = ["Nobody/", "SEM/"]
        proof = "p"
        fields."instrument.model" = "Model"
        [[table]]
        block = "b"
        proof = "p"
        [[table.group]]
        fields."instrument.name" = "SEM/Model"
    """
    package = family(text)
    assert [value.field for value in applied(package).values] == ["instrument.model", "instrument.name"]
    assert [value.field for value in applied(package, "c").values] == ["instrument.model"]


def test_a_function_gets_what_lies_at_its_base(family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = f"meaning_{next(_NUMBERS)}"
    code = (
        "from diadem.hooks.fields import Found\n"
        "def twice(tree):\n    yield Found('beam.spot_index', 2 * tree['BinX'], 'BinX + /Date', tree['BinX'])\n"
    )
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (value,) = found(family, f"base = 'SEM/'\npython = '{module}:twice'")
    assert value[:3] == ("beam.spot_index", 4, "SEM/BinX + Date")
    assert found(family, f"base = 'Nobody/'\npython = '{module}:twice'") == []
    sys.modules.pop(module)


def test_a_function_says_where_statements_count(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"places_{next(_NUMBERS)}"
    code = (
        "def second(tree):\n    yield 'Detectors/D/1/'\n"
        "def nowhere(tree):\n    yield from ()\n"
        "def fails(tree):\n    yield tree['Nobody']\n"
    )
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    name = "fields.'detector.name' = {{ key = 'Name', when = {{ key = 'Name', is = '{}' }} }}"
    for place, wanted in {"second": ["Detectors/D/1/Name"], "nowhere": [], "fails": []}.items():
        several = found(family, name.format("InLens"), group=f"places = '{module}:{place}'")
        assert [locator for _, _, locator, _ in several] == wanted
    assert found(family, name.format("SE2"), group=f"places = '{module}:second'") == []
    with pytest.raises(PluginError, match=r"(?s)line \d+: .*no_such"):
        found(family, name.format("SE2"), group=f"places = '{module}:no_such'")
    sys.modules.pop(module)


GOOD = """\
[[table]]
block = "b"

[[table.group]]
proof = "p"
fields."instrument.model" = "Model"

[[table.group]]
fields."stage.x" = { key = "X", unit = "um", proof = "p" }
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ('"Model"', "Model", 6, "not valid TOML"),
        ('unit = "um"', 'unti = "um"', 9, "there is no such key"),
        ('block = "b"', 'blok = "b"', 2, "there is no such key"),
        ('key = "X"', "key = 1", 9, "is not of type 'string'"),
        (', proof = "p" }', " }", 9, "nothing says how it is known"),
        ('key = "X", ', "", 9, "nothing says where the value is"),
        ('unit = "um"', 'when = "scans"', 9, "there is no condition 'scans'"),
        ('unit = "um"', 'part = "("', 9, "not a regular expression"),
        ('unit = "um"', 'read = "nowhere.at:all"', 9, "cannot be imported"),
        ('unit = "um"', 'read = "positiv"', 9, "positiv"),
        ('fields."instrument.model" = "Model"', 'python = ".nowhere:at"', 6, "cannot be imported"),
        ('"stage.x"', '"Stage X"', 9, "Stage X"),
    ],
)
def test_a_fault_is_told_by_file_line_and_rule(family: Family, old: str, new: str, line: int, told: str) -> None:
    assert old in GOOD
    package = family(GOOD.replace(old, new, 1))
    with pytest.raises(PluginError) as refused:
        tables(package)
    message = str(refused.value)
    assert "formats.toml" in message
    assert f"line {line}" in message
    assert told in message


def test_where_there_is_no_table(family: Family) -> None:
    with pytest.raises(PluginError, match="has no table for blocks 'c'; it has b"):
        table(f"{family(GOOD)}/c")
    with pytest.raises(PluginError, match=r"has no formats\.toml"):
        table("diadem.hooks/b")
    with pytest.raises(PluginError, match=r"has no formats\.toml"):
        table("nobody_has_this/b")


def test_a_family_in_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "plugins.zip", "w") as archive:
        archive.writestr("family_in_zip/__init__.py", "")
        archive.writestr("family_in_zip/formats.toml", GOOD)
    monkeypatch.syspath_prepend(tmp_path / "plugins.zip")
    assert [rule.cite for rule in table("family_in_zip/b")] == ["p", "p"]


def test_the_documented_example(family: Family) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text("utf-8")
    section = text.partition("## What values mean: tables")[2].partition("\n## ")[0]
    said = section.partition("```toml\n")[2].partition("```")[0]
    tree = {
        "Scan": {"On": True},
        "Column": {"HT": {"Value": "200", "Unit": "kV"}, "Dwell": {"Value": "2,5", "Unit": "us"}},
        "WD": "8100 um", "Model": "M1", "Name": "Old lady", "Mag of print": 5000, "Gas": "Helium", "Program": "Scan",
        "Version": "1.2", "Bin X": 2, "Bin Y": "2", "Serial": "S/N: 17", "Date": "3 Mar 2024", "Time": "1:02:03 PM",
    }  # fmt: skip
    done = apply(table(f"{family(said)}/my-log"), Block("my-log", tree), "t")
    assert not done.issues
    assert [(value.field, value.value) for value in done.values] == [
        ("beam.acceleration_voltage", 200e3),
        ("scan.dwell_time", 2.5e-6),
        ("optics.working_distance", 8.1e-3),
        ("instrument.model", "M1"),
        ("instrument.model", "Old lady"),
        ("optics.magnification", 5000),
        ("beam.species", "He"),
        ("instrument.software", "Scan 1.2"),
        ("camera.binning", 2),
        ("detector.serial", "17"),
        ("instrument.kind", "him"),
        ("time.acquired_start", "2024-03-03T13:02:03"),
    ]
    properties = schema()["$defs"]["statement"]["properties"]
    assert [name for name in properties if f"`{name}`" not in section and f"{name} = " not in section] == []


def test_what_became_of_each_rule(family: Family) -> None:
    text = """
        [[table]]
        block = "b"
        base = "SEM/"
        proof = "p"
        [[table.group]]
        [table.group.fields]
        "instrument.model" = "Model"
        "instrument.name" = "Modle"
        "stage.x" = { key = "X", unit = "furlong" }
        "stage.y" = { key = "Y", unit = "um", when = { key = "Mode", is = "TEM" } }
        "stage.z" = { key = "Y", unit = "um", read = "math:factorial" }
        "detector.serial" = { join = ["Nobody", "Serial"] }
    """
    outcomes = {outcome.rule: outcome for outcome in applied(family(text)).outcomes}
    assert {rule: outcome.verdict for rule, outcome in outcomes.items()} == {
        "instrument.model": "found",
        "instrument.name": "nothing there",
        "stage.x": "dropped",
        "stage.y": "dropped",
        "stage.z": "raised",
        "detector.serial": "nothing there",
    }
    assert outcomes["instrument.name"].keys == "SEM/Modle"
    assert outcomes["detector.serial"].keys == "SEM/Nobody + SEM/Serial"
    assert "furlong cannot be given in m" in outcomes["stage.x"].why
    assert "condition" in outcomes["stage.y"].why
    assert "TypeError" in outcomes["stage.z"].why


def test_a_family_without_code_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `formats.toml` and nothing else, in a folder as in an archive."""
    (tmp_path / "family_of_text").mkdir()
    (tmp_path / "family_of_text" / "formats.toml").write_text(GOOD, "utf-8")
    with zipfile.ZipFile(tmp_path / "plugins.zip", "w") as archive:
        archive.writestr("family_of_zipped_text/", "")
        archive.writestr("family_of_zipped_text/formats.toml", GOOD)
    monkeypatch.syspath_prepend(tmp_path / "plugins.zip")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("family_of_text", "family_of_zipped_text"):
        assert [rule.cite for rule in table(f"{name}/b")] == ["p", "p"]
