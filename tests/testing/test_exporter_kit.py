"""The kit finds what an exporter does wrong, each fault by its code, and says nothing of one that does it right."""

from __future__ import annotations

from pathlib import Path

import pytest

from diadem.testing import check_plugin

HEAD = """
import os, time
from diadem.hooks.offers import ExporterOffer, hookimpl

@hookimpl
def diadem_exporters():
    yield ExporterOffer(name="mine", title="Mine", export=__name__ + ":export", suffix=".txt", options={OPTIONS})

def export(source, target, digits=6):
    package = source.package
    source.progress(0, 1, package.id)
"""
OPTIONS = "{'digits': {'type': 'integer', 'description': 'Digits.', 'default': 6}}"
#: An honest end, and what each other end breaks.
HONEST = "    target.path.write_bytes(b''.join(package.open(one.name).read() for one in package.files))\n"
BODIES = {
    "": HONEST,
    "export-unsteady": "    target.path.write_text(str(time.time_ns()))\n",
    "export-left": HONEST + "    (target.path.parent.parent / 'beside').write_text('mine')\n",
    "export-failed": "    raise KeyError('of mine')\n",
    "export-refused": "    from diadem.errors import Refused\n    raise Refused('no date')\n",
    "export-damage": (
        "    data = b''\n    for one in package.files:\n        try:\n"
        "            data += package.open(one.name).read()\n"
        "        except Exception as error:\n            data += b'damaged'\n    target.path.write_bytes(data)\n"
    ),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the search path, with an example in it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.msa").write_text(
        "#FORMAT      : EMSA/MAS Spectral Data File\n#VERSION     : 1.0\n#TITLE       : spectrum\n#NPOINTS     : 2\n"
        "#NCOLUMNS    : 1\n#XUNITS      : eV\n#YUNITS      : counts\n#DATATYPE    : Y\n#XPERCHAN    : 10.0\n"
        "#OFFSET      : 0.0\n#SPECTRUM    : Spectral Data Starts Here\n1.0\n20.0\n#ENDOFDATA   :\n"
    )
    return tmp_path


def codes(site: Path, name: str, source: str) -> set[str]:
    (site / f"{name}.py").write_text(source)
    report = check_plugin(name, [site / "a.msa"], strict=False)
    assert report.checked["exports"]
    return {finding.code for finding in report.findings} - {"not-installed"}


@pytest.mark.parametrize("code", BODIES)
@pytest.mark.sweep(2)
def test_each_fault_is_found(site: Path, code: str) -> None:
    source = HEAD.replace("{OPTIONS}", OPTIONS) + BODIES[code]
    assert codes(site, f"kit_{code.replace('-', '_') or 'honest'}", source) == ({code} if code else set())


def test_options_that_take_anything_and_a_stop_that_is_swallowed_are_found(site: Path) -> None:
    loose = HEAD.replace("{OPTIONS}", "{'digits': {'description': 'Digits.', 'default': 6}}") + HONEST
    assert codes(site, "kit_loose", loose) == {"export-options"}
    deaf = HEAD.replace("{OPTIONS}", OPTIONS).replace(
        "    source.progress(0, 1, package.id)\n",
        "    try:\n        source.progress(0, 1, package.id)\n    except BaseException:\n        pass\n",
    )
    assert codes(site, "kit_deaf", deaf + HONEST) == {"export-silent"}


def test_what_can_be_said_without_an_example_is_said(site: Path) -> None:
    odd = "{'digits': {'type': 'nonsense'}, 'other': {'type': 'integer', 'default': 'one', 'description': 'x'}}"
    (site / "kit_odd.py").write_text(HEAD.replace("{OPTIONS}", odd) + HONEST)
    found = check_plugin("kit_odd", strict=False).findings
    assert [one.code for one in found if one.severity == "error"] == [
        "target-unusable",
        "option-schema",
        "option-schema",
    ]


def test_the_example_outside_the_tree_keeps_every_promise_in_sixty_lines(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(__file__).parents[2] / "examples" / "diadem-example-exporter" / "src"
    monkeypatch.syspath_prepend(folder)
    report = check_plugin("diadem_example_exporter", [site / "a.msa"])
    assert report.checked["exports"] == 5
    files = [path for path in folder.rglob("*") if path.suffix in (".py", ".toml")]
    assert sum(len(path.read_text().splitlines()) for path in files) <= 60
