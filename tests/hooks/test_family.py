"""Families that say what they offer in `formats.toml`: read without their code, and found out where they lie."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import h5py
import pytest

from diadem.hooks.inventory import PluginSummary, summaries
from diadem.hooks.manager import Offers, bundled, collect
from diadem.hooks.manifest import prober
from diadem.hooks.offers import KINDS, CheckOffer, FieldsOffer, Group, Magic
from tests.hooks.distributions import fields_of, install

EVERYTHING = """
[[format]]
name = "made-up"
suffixes = [".mup"]
magic = ["MUP1", { at = 208, text = "MAP " }, { at = 2, hex = "d0CF" }]
groups = [{ primary = "{stem}.mup", sidecars = ["{stem}.txt"], required = true }]
load = ".code:read"
options = { fast = true }
priority = 3

[[fields]]
name = "made-up"
formats = ["made-up", "tiff"]
blocks = ".code:blocks"

[[preview]]
name = "made-up"
formats = ["made-up"]
draw = ".code:draw"

[[check]]
name = "made-up"
formats = ["*"]
check = ".code:check"
when = "assess"

[[schema]]
namespace = "org.example.made-up"
versions = { "1" = "schemas/one.json" }

[[carrier]]
scheme = "made-up"
connect = ".code:connect"

[[exporter]]
name = "made-up"
title = "Made up"
export = ".code:export"
suffix = ".mup"
options.deep = { type = "boolean", default = false }

[[table]]
block = ["a", "b"]
proof = "p"
[[table.group]]
fields."instrument.model" = "Model"
when = { key = "Clock", is_not = "12:00" }

[when]
midnight = { key = "Clock", is = "00:00" }
"""
CODE = "def read(): pass\nblocks = draw = check = export = 1\nfrom os import path as connect\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the search path."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("DIADEM_PLUGINS", raising=False)
    return tmp_path


def made(site: Path, name: str, text: str, *, code: str = CODE) -> None:
    """Install a package with a `formats.toml`."""
    install(site, name, "")
    (site / f"{name}.py").unlink()
    (site / name / "schemas").mkdir(parents=True)
    (site / name / "schemas" / "one.json").write_text('{"type": "object"}')
    (site / name / "__init__.py").write_text("")
    (site / name / "code.py").write_text(code)
    (site / name / "formats.toml").write_text(text, "utf-8")


def summary(offers: Offers, name: str) -> PluginSummary:
    return next(item for item in summaries(offers) if item.name == name)


def test_all_that_can_be_offered_is_read_without_importing_the_family(site: Path) -> None:
    made(site, "family_of_all", EVERYTHING)
    (site / "family_of_all" / "__init__.py").write_text("raise RuntimeError('imported')")
    offers = collect()
    assert "family_of_all" not in sys.modules
    assert not [failure for failure in offers.failures if failure.where == "family_of_all"]
    assert {kind for (kind, _), origin in offers.origins.items() if origin.name == "family_of_all"} == set(KINDS)
    reader = next(offer for offer in offers.readers if offer.name == "made-up")
    assert reader.load == "family_of_all.code:read"
    assert reader.magic == (Magic(0, b"MUP1"), Magic(208, b"MAP "), Magic(2, b"\xd0\xcf"))
    assert reader.groups == (Group("{stem}.mup", sidecars=("{stem}.txt",), required=True),)
    assert (dict(reader.options), reader.priority) == ({"fast": True}, 3)
    fields = next(offer for offer in offers.of(FieldsOffer) if offer.name == "made-up")
    assert dict(fields.tables) == {"a": "family_of_all/a", "b": "family_of_all/b"}
    assert offers.schema_table["org.example.made-up"] == {"1": {"type": "object"}}
    assert next(offer for offer in offers.of(CheckOffer) if offer.name == "made-up").when == "assess"


@pytest.mark.parametrize(
    ("said", "name", "known"),
    [
        ("{ matches = ['\\A<mup', '(?m)^mine='] }", "a.mup", True),
        ("{ matches = ['\\A<mup', '(?m)^yours='] }", "a.mup", False),
        ('{ holds = "Data" }', "a.h5", True),
        ('{ holds = ["Data", "Log"] }', "a.h5", False),
        ('".code:probe"', "a.mup", True),
    ],
)
def test_what_a_file_of_a_format_holds(
    site: Path, said: str, name: str, known: bool, request: pytest.FixtureRequest
) -> None:
    (site / "a.mup").write_bytes(b"<mup>\n" + b" " * 5000 + b"\nmine=1\n")
    with h5py.File(site / "a.h5", "w") as file:
        file["Data"] = 1
    family = f"probed_{abs(hash(request.node.name)) % 10**9}"
    made(site, family, EVERYTHING.replace("priority = 3", f"probe = {said}"), code=f"{CODE}probe = bool\n")
    offers = collect()
    assert summary(offers, family).ok
    assert prober(next(one.probe for one in offers.readers if one.name == "made-up"))(str(site / name)) is known


def test_an_honest_family_has_no_failures(site: Path) -> None:
    made(site, "family_honest", EVERYTHING)
    assert summary(collect(), "family_honest").failures == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('".code:read"', '".code:reed"', "line 7: format[0].load: there is no 'reed' in 'family_{n}.code'"),
        ('".code:blocks"', '".cod:blocks"', "line 14: fields[0].blocks: there is no module 'family_{n}.cod'"),
        ('["made-up", "tiff"]', '["tif"]', "line 13: fields[0].formats: no reader reads the format 'tif'"),
        ('"schemas/one.json"', '"schemas/two.json"', "line 27: schema[0]"),
        ('suffixes = [".mup"]', 'suffixes = ["mup"]', "suffixes are lower case and start with a dot"),
        ('suffixes = [".mup"]', "suffixes = [.mup]", "is not valid TOML"),
        ('suffixes = [".mup"]', 'suffix = [".mup"]', "line 4: format[0].suffix: there is no such key"),
        ("priority = 3", 'probe = { matches = "(" }', "'(' is not a regular expression"),
        ("priority = 3", 'probe = { starts = "MUP" }', "line 9: format[0].probe"),
        ('fields."instrument.model" = "Model"', 'python = ".code:nothing"', "there is no 'nothing'"),
    ],
)
@pytest.mark.sweep(2)
def test_a_lie_is_named_and_hides_no_other_family(
    site: Path, old: str, new: str, told: str, request: pytest.FixtureRequest
) -> None:
    number = abs(hash(request.node.name)) % 10**9
    made(site, f"honest_{number}", EVERYTHING.replace("made-up", "made-well").replace(".mup", ".mwl"))
    assert old in EVERYTHING
    made(site, f"family_{number}", EVERYTHING.replace(old, new, 1))
    offers = collect()
    found = summary(offers, f"family_{number}")
    assert not found.ok
    assert told.format(n=number) in " ".join(found.failures), found.failures
    assert summary(offers, f"honest_{number}").ok
    assert not [item for item in summaries(offers) if item.bundled and item.failures]


def statement(text: str) -> tuple[str, str]:
    """What stands in place of the one statement."""
    return 'fields."instrument.model" = "Model"', f"fields.{text}"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            *statement('"instrument.modle" = "Model"'),
            "the record has no field 'instrument.modle'; did you mean instrum",
        ),
        (*statement('"stage.x" = { key = "X", unit = "furlong" }'), "the unit 'furlong' is not known"),
        (*statement('"stage.x" = { key = "X", unit = "kV" }'), "'kV', which does not convert to the field's, m"),
        (*statement('"stage.x" = "X"'), "the statement says no unit, which does not convert to the field's, m"),
        (*statement('"stage.x".first = ["X", { key = "Y", unit = "um" }]'), "the statement says no unit"),
        (
            *statement('"sample.name" = { key = "X", unit = "um" }'),
            "the field has no unit, and the statement says 'um'",
        ),
        (*statement('"sample.name" = { key = "X", part = "(" }'), "not a regular expression"),
        (*statement('"sample.name" = { key = "X", part = "S/N.*" }'), "the pattern has one group, ( )"),
        (*statement('"stage.x" = { key = "X", unit = "m", within = [2, 1] }'), "no number is within these bounds"),
        (*statement('"sample.name" = { key = "X", read = ".code:nothing" }'), "there is no 'nothing' in 'judged_"),
        (*statement('"sample.name" = { key = "X", when = "noon" }'), "there is no condition 'noon'"),
        (
            *statement('"sample.name" = { key = "X", when = ["midnight", "not midnight"] }'),
            "nothing meets both 'midnight'",
        ),
        (
            *statement('"sample.name" = { key = "X", when = ["midnight", { key = "Clock", is = "12:00" }] }'),
            "no value at 'Clock' can meet it",
        ),
        ('{ key = "Clock", is_not = "12:00" }', '{ key = "C", is = ["a", 1], is_not = ["A", 1.0] }', "no value at 'C'"),
        ('{ key = "Clock", is_not = "12:00" }', '{ key = "C", exists = false, matches = "." }', "no value at 'C'"),
        ('{ key = "Clock", is_not = "12:00" }', '{ key = "C", is = 3, above = 3 }', "no value at 'C'"),
        ('{ key = "Clock", is_not = "12:00" }', '{ key = "C", matches = "(" }', "not a regular expression"),
        ('{ key = "Clock", is = "00:00" }', '["midnight"]', "the condition refers to itself"),
        ('proof = "p"', 'base = ""', "nothing says how it is known"),
        (
            'formats = ["made-up", "tiff"]',
            'formats = ["made-upp"]',
            "no reader reads the format 'made-upp'; did you mean",
        ),
        ('formats = ["*"]', 'formats = ["tif"]', "no reader reads the format 'tif'"),
        ('blocks = ".code:blocks"', 'tables = { a = "/c" }', "there is no [[table]] for blocks 'c'"),
    ],
)
@pytest.mark.sweep(11)
def test_what_a_table_says_and_cannot_be_is_named(
    site: Path, old: str, new: str, told: str, request: pytest.FixtureRequest
) -> None:
    """With file, line and rule, of a foreign plugin as of a bundled one; nothing of it is imported."""
    name = f"judged_{abs(hash(request.node.name)) % 10**9}"
    assert EVERYTHING.count(old) == 1
    made(site, name, EVERYTHING.replace(old, new), code=f"{CODE}\nraise RuntimeError('imported')")
    message = next(text for text in summary(collect(), name).failures if told in text)
    line = EVERYTHING[: EVERYTHING.index(old)].count("\n") + 1
    assert f"{name}/formats.toml, line {line}: " in message or old == 'proof = "p"', message
    assert f"{name}.code" not in sys.modules


def test_functions_for_what_only_a_program_can_tell(site: Path) -> None:
    code = (
        "from diadem.hooks.offers import ReaderOffer, hookimpl\n"
        "@hookimpl\ndef diadem_formats():\n    return [ReaderOffer('told', ('.told',), 'family_both.code:read')]\n"
    )
    made(site, "family_both", 'python = ".code"\n' + EVERYTHING, code=CODE + code)
    offers = collect()
    assert summary(offers, "family_both").offers["formats"] == ["made-up", "told"]
    sys.modules.pop("family_both.code")
    sys.modules.pop("family_both")


def test_bundled_families_do_not_lie() -> None:
    ours = [plugin.module for plugin in bundled()]
    assert {item.module: item.failures for item in summaries(collect()) if item.bundled} == dict.fromkeys(ours, ())
    assert [offer.name for offer in fields_of("diadem.plugins.zeiss")] == ["zeiss"]
    assert [offer.name for offer in fields_of("diadem.plugins.tescan")] == ["tescan"]


def test_a_family_without_code_in_an_archive_that_was_imported(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = site / "bare"
    (folder / "family_bare").mkdir(parents=True)
    (folder / "family_bare" / "formats.toml").write_text(
        '[[format]]\nname = "bare"\nsuffixes = [".bare"]\nload = "json:load"\n'
    )
    monkeypatch.syspath_prepend(shutil.make_archive(str(site / "bare"), "zip", folder))
    importlib.import_module("family_bare")
    assert summary(collect(["family_bare"]), "family_bare").failures == ()
    assert summary(collect(["family_bare"]), "family_bare").offers["formats"] == ["bare"]


def test_a_family_in_an_archive(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = site / "zipped"
    made(folder, "family_zipped", EVERYTHING)
    packed = shutil.make_archive(str(site / "all"), "zip", folder)
    monkeypatch.syspath_prepend(packed)
    offers = collect(["family_zipped"])
    assert summary(offers, "family_zipped").failures == ()
    assert summary(offers, "family_zipped").offers["schemas"] == ["org.example.made-up 1"]
