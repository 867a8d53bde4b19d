"""The guide for authors is true: every key is described, and what it shows runs."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diadem
from diadem.api import trying
from diadem.hooks import offers
from diadem.hooks.manifest import schema
from diadem.hooks.offers import KINDS
from diadem.testing import check_plugin

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
#: What a section of the file offers: its schema, and keys that have another name in the descriptor.
SECTIONS: dict[str, dict[str, Any]] = {
    "formats": schema()["$defs"]["format"]["properties"],
    "fields": schema()["$defs"]["metadata"]["properties"],
    **{kind: schema()["properties"][kind[:-1]]["items"]["properties"] for kind in list(KINDS)[2:]},
}


def section(heading: str, level: str = "##") -> str:
    """The text below a heading."""
    found = TEXT.partition(f"\n{level} {heading}\n")[2]
    assert found, heading
    return re.split(rf"^{level} ", found, flags=re.MULTILINE)[0]


def code(text: str, language: str) -> str:
    """The first example of a section."""
    return text.partition(f"```{language}\n")[2].partition("```")[0]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the search path, whose modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("DIADEM_PLUGINS", raising=False)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_plugin")]:
        del sys.modules[name]


def test_every_hook_is_documented_with_its_signature() -> None:
    hooks = [name for name in vars(offers) if name.startswith("diadem_")]
    assert hooks == ["diadem_formats", "diadem_exporters"]
    for name in hooks:
        signature = f"{name}{inspect.signature(getattr(offers, name))}".replace("'", "")
        assert section(f"`{signature}`", "###")


#: Keys of a `formats.toml` that stand for others of the offer.
SHORT_FORMS = {"container", "cut"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_section_is_an_attribute_of_its_offer_and_documented(kind: str) -> None:
    attributes = {field.name for field in fields(KINDS[kind])}
    assert set(SECTIONS[kind]) - SHORT_FORMS == attributes
    described = inspect.getdoc(KINDS[kind]) or ""
    told = section("A format") if kind == "formats" else section("More to offer")
    for name in SECTIONS[kind]:
        assert name in SHORT_FORMS or re.search(rf"^[\w, ]*\b{name}\b[\w, ]* : ", described, re.MULTILINE), name
        assert f"`{name}`" in told, name


@pytest.mark.parametrize(
    ("hook", "offered"), [("diadem_formats", ["ReaderOffer", "CheckOffer"]), ("diadem_exporters", ["ExporterOffer"])]
)
def test_the_specification_has_an_example_that_offers_what_it_says(hook: str, offered: list[str]) -> None:
    text = inspect.getdoc(getattr(offers, hook)) or ""
    space = dict(vars(offers))
    exec(inspect.cleandoc(text.split("::\n")[1]), space)
    assert [type(item).__name__ for item in space[hook]()] == offered


@pytest.mark.program("the plugin of the documentation goes through the whole kit")
def test_the_format_keeps_every_promise(site: Path) -> None:
    package = site / "my_plugin"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "formats.toml").write_text(code(section("A format"), "toml"))
    (package / "files.py").write_text(code(section("A format"), "python"))
    file = site / "files" / "a.myf"
    file.parent.mkdir()
    file.write_bytes(b"MYF1" + np.array([12, 16, 500], "<u4").tobytes() + bytes(range(192)))
    file.with_suffix(".txt").write_text("beside it")
    assert check_plugin("my_plugin", examples=[file]).checked["examples"] == 1
    with trying("my_plugin"):
        found = diadem.extract(file).datasets[0]
        loaded = diadem.open(diadem.pack(file.parent, site / "store").url).load("a.myf")
    assert (found.primary.format, found.signals[0].shape) == ("my-format", (12, 16))
    assert found.value("image.pixel_size_x") == pytest.approx(0.5e-9)
    assert len(found.files) == 2
    assert loaded.metadata.General.diadem.verify == "leaves"


@pytest.mark.program("the plugin of the documentation goes through the whole kit")
def test_the_hook_offers_what_it_says(site: Path) -> None:
    (site / "my_plugin.py").write_text(code(section("`diadem_formats() -> Iterable[Any]`", "###"), "python"))
    lines = ["#FORMAT      : EMSA/MAS Spectral Data File", "#VERSION     : 1.0", "#TITLE       : spectrum"]
    lines += ["#NPOINTS     : 4", "#NCOLUMNS    : 1", "#XUNITS      : eV", "#YUNITS      : counts", "#DATATYPE    : Y"]
    lines += ["#XPERCHAN    : 10.0", "#OFFSET      : 0.0", "#LIVETIME  -s: 3.0"]
    lines += ["#SPECTRUM    : Spectral Data Starts Here", "1.0", "20.0", "300.0", "4.0", "#ENDOFDATA   : "]
    file = site / "files" / "a.msa"
    file.parent.mkdir()
    file.write_text("\n".join(lines) + "\n")
    assert check_plugin("my_plugin", examples=[file]).ok
    with trying("my_plugin") as found:
        assert [name for (kind, name), by in found.origins.items() if by.name == "my_plugin" and kind == "checks"]
        issues = diadem.extract(file).datasets[0].issues
    assert [issue["code"] for issue in issues if issue["code"].startswith("no-")] == ["no-dead-time-stated"]


def test_what_the_text_promises_of_limits_is_true() -> None:
    from diadem.extract.extraction import MAX_PNG, SIDE
    from diadem.extract.tables import MAX_EXTENSION as MAX_BYTES
    from diadem.hooks.manager import REACH
    from diadem.hooks.values import LONGEST

    assert f"at most {MAX_BYTES >> 10} KiB" in TEXT
    assert f"at most {SIDE} pixels a side and a PNG of {MAX_PNG:,} bytes" in TEXT
    assert f"in the first {REACH:,}" in TEXT
    assert f"at most {LONGEST:,} letters" in TEXT
