"""The example distributions, built as wheels, installed by pip, and used from outside the source tree."""

from __future__ import annotations

import ast
import base64
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import zygote
from tests.hooks.distributions import IMPORTS, install

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = ("diadem-example-format", "diadem-example-extras")
DATA = EXAMPLES / NAMES[0] / "tests" / "data"
#: Lines of Python, without blank ones, comments and docstrings, that a format may cost.
MOST_LINES = 40


def pip(*arguments: str) -> None:
    """Run pip; without a package index only what needs none is possible."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "Could not find a version" in done.stdout + done.stderr:
        pytest.skip("hatchling is not installed, and no package index can be reached: pip install hatchling")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels, built from copies; offline where the build backend is installed."""
    place = tmp_path_factory.mktemp("build")
    offline = ("--no-build-isolation", "--no-index") if importlib.util.find_spec("hatchling") else ()
    for name in NAMES:
        shutil.copytree(EXAMPLES / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        pip("wheel", "--no-deps", *offline, "--wheel-dir", str(place), str(place / name))
    return sorted(place.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed them, and beside them a distribution that raises."""
    folder = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--no-index", "--target", str(folder), *map(str, wheels))
    raising = "\n@hookimpl\ndef diadem_formats():\n    raise RuntimeError('of mine')\n"
    install(folder, "always_raising", IMPORTS + raising, version="6.6.6")
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A session folder, outside the source tree."""
    return Path(shutil.copytree(DATA, tmp_path / "session"))


def run(site: Path, cwd: Path, *arguments: str, code: int = 0, plugins: str = "") -> str:
    """Run Python with the installed plugins on the search path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(site), "DIADEM_PLUGINS": plugins}
    done = zygote.run([sys.executable, *arguments], cwd=cwd, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def diadem(site: Path, cwd: Path, *arguments: str, code: int = 0, plugins: str = "") -> dict[str, Any]:
    """Run a command; its JSON."""
    found = json.loads(run(site, cwd, "-m", "diadem", *arguments, "--json", code=code, plugins=plugins))
    assert isinstance(found, dict)
    return found


def test_the_wheels_hold_what_the_plugins_need(wheels: list[Path]) -> None:
    names = [name for wheel in wheels for name in zipfile.ZipFile(wheel).namelist()]
    assert "diadem_example_format/formats.toml" in names
    assert "diadem_example_extras/schemas/cl-1.0.0.json" in names
    assert not [name for name in names if "tests" in name]


def test_a_format_costs_few_lines() -> None:
    folder = EXAMPLES / NAMES[0] / "src" / "diadem_example_format"
    assert sum(map(lines_of, folder.glob("*.py"))) <= MOST_LINES


def lines_of(path: Path) -> int:
    """Lines of Python that are neither blank nor comment nor docstring."""
    text = path.read_text("utf-8")
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            told |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(map(str.strip, text.splitlines()), 1)
    return sum(bool(line) and line[0] != "#" and number not in told for number, line in lines)


def test_it_is_listed_and_the_one_that_raises_is_named(site: Path, tmp_path: Path) -> None:
    listed = diadem(site, tmp_path, "plugins", code=1)
    plugins = {plugin["distribution"]: plugin for plugin in listed["plugins"]}
    ours = plugins["diadem-example-format"]
    assert (ours["name"], ours["version"], ours["ok"]) == ("xyf", "2.0.0", True)
    assert [ours[kind] for kind in ("formats", "fields", "previews", "checks")] == [["xyf"], ["xyf"], [], []]
    extras = plugins["diadem-example-extras"]
    assert [extras[kind] for kind in ("formats", "fields", "previews")] == [[], ["cl"], ["cl"]]
    assert (extras["checks"], extras["schemas"]) == (["cl-light", "cl-counter"], ["org.example.cl 1.0.0"])
    (raising,) = plugins["always-raising"]["failures"]
    assert "of mine" in raising
    assert not [plugin for plugin in listed["plugins"] if plugin["bundled"] and plugin["failures"]]


def test_a_file_is_read_whole(site: Path, session: Path) -> None:
    (dataset,) = diadem(site, session.parent, "extract", "session/zno_film.xyf")["datasets"]
    assert [file["path"] for file in dataset["files"]] == ["zno_film.xyf", "zno_film.xyl"]
    assert dataset["files"][0]["format_evidence"] == ["magic", "suffix"]
    assert dataset["signals"][0]["shape"] == [32, 48]
    (voltage,) = dataset["fields"]["beam.acceleration_voltage"]
    assert (voltage["value"], voltage["unit"], voltage["source"]["raw_unit"]) == (10_000, "V", "kV")
    assert voltage["by"]["plugin"] == "diadem-example-format"
    assert voltage["by"]["version"] == "2.0.0"
    assert dataset["extensions"]["org.example.cl"] == {
        "version": "1.0.0",
        "schema": "https://example.org/schemas/cl/1.0.0",
        "validated": True,
        "by": {"plugin": "diadem-example-extras", "version": "1.0.0"},
        "data": {"mirror": "parabolic", "slit_width": 0.0002, "grating_density": 600000.0, "shutter": "open"},
    }
    assert not dataset["issues"]


@pytest.mark.program("an installed plugin from its file to the page")
def test_its_picture_stands_in_the_page_and_the_package_gives_back_the_signal(site: Path, session: Path) -> None:
    packed = diadem(site, session.parent, "pack", "session", "store")
    assert not packed["issues"]
    bag = Path(packed["package"]["path"])
    record = json.loads((bag / "data" / "diadem-record.json").read_text("utf-8"))
    assert record["datasets"][0]["extraction"]["preview"] == "drawn by cl of diadem-example-extras 1.0.0"
    page = (bag / "data" / "ro-crate-preview.html").read_text("utf-8")
    encoded = page.split("data:image/png;base64,")[1].split('"')[0]
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert (picture.mode, picture.size) == ("RGB", (144, 96))  # a map of 48 x 32 points, each three pixels wide
    script = f"import diadem; s = diadem.open({str(bag)!r}).load('zno_film.xyf'); print(s.data.sum().compute())"
    counts = (session / "zno_film.xyf").read_bytes().partition(b"#DATA\n")[2]
    assert run(site, session.parent, "-c", script).strip() == str(int(np.frombuffer(counts, "<u2").sum()))
    proof = f"import diadem; print(diadem.open({str(bag)!r}).load('zno_film.xyf').metadata.General.diadem.verify)"
    assert run(site, session.parent, "-c", proof).strip() == "leaves"


def test_a_package_outlives_its_plugin(site: Path, session: Path) -> None:
    bag = diadem(site, session.parent, "pack", "session", "store")["package"]["path"]
    script = (
        f"import diadem; package = diadem.open({bag!r}); dataset = package.record.datasets[0]\n"
        "print(package.verify().ok, dataset.value('stage.x'), dataset.extensions['org.example.cl']['data']['mirror'])\n"
        "try: package.load('zno_film.xyf')\n"
        "except diadem.DiademError as error: print(error.message)"
    )
    first, second = run(site, session.parent, "-c", script, plugins="off").splitlines()
    assert first == "True 0.00125 parabolic"
    assert "no reader knows this file" in second


def test_without_plugins_the_file_is_of_no_known_format(site: Path, session: Path) -> None:
    document = diadem(site, session.parent, "extract", "session", plugins="off")
    assert {file["format"] for item in document["datasets"] for file in item["files"]} == {"unknown"}
    chosen = diadem(site, session.parent, "extract", "session", plugins="diadem-example-format")
    assert chosen["datasets"][0]["files"][0]["format"] == "xyf"


def test_what_a_person_writes_under_the_namespace_is_judged_too(site: Path, session: Path) -> None:
    meta = session.parent / "meta.json"

    def said(mirror: str) -> None:
        meta.write_text(
            json.dumps({"extensions": {"org.example.cl": {"version": "1.0.0", "data": {"mirror": mirror}}}})
        )

    said("round")
    refused = diadem(site, session.parent, "pack", "session", "store", "--meta", "meta.json", code=2)
    assert "$.mirror" in refused["error"]["message"]
    assert not (session.parent / "store").exists()
    said("flat")
    bag = Path(diadem(site, session.parent, "pack", "session", "store", "--meta", "meta.json")["package"]["path"])
    record = json.loads((bag / "data" / "diadem-record.json").read_text("utf-8"))
    assert record["extensions"]["org.example.cl"]["validated"] is True


@pytest.mark.program("the tests of the example distributions are run, installed")
@pytest.mark.parametrize("name", NAMES)
def test_its_own_tests_pass_outside_the_source_tree(site: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(EXAMPLES / name / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    told = run(site, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", plugins=",".join(NAMES))
    assert "passed" in told


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_of_the_example_names_every_file(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text("utf-8")
    (folder,) = (EXAMPLES / name / "src").iterdir()
    for path in folder.glob("[!_]*.*"):
        assert f"{path.name}`" in text
    project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text("utf-8"))["project"]
    assert list(project["entry-points"]["diadem"].values()) == [folder.name]


@pytest.mark.parametrize(
    ("old", "new", "code", "told"),
    [
        ('= "Stage Y"', '= "Stage YY"', "rule-untried", "Stage YY"),
        ('= "Operator"', '= { key = "Operator", read = ".files:upper" }', "rule-raised", "no operator of mine"),
        ('"stage.x" ', '"stage.xx" ', "untrue", "line 28: table[0].group[1].fields.stage.xx: the record has no field"),
    ],
)
@pytest.mark.sweep(1)
def test_a_mistake_in_the_table_is_named(site: Path, tmp_path: Path, old: str, new: str, code: str, told: str) -> None:
    """A misspelt key, a rule that raises, a field that does not exist."""
    copy = Path(shutil.copytree(site / "diadem_example_format", tmp_path / "example_with_a_mistake"))
    text = (copy / "formats.toml").read_text("utf-8")
    assert old in text
    (copy / "formats.toml").write_text(text.replace(old, new).replace(".xyf", ".xyg"), "utf-8")
    raising = "\ndef upper(text):\n    raise RuntimeError('no operator of mine')\n"
    (copy / "files.py").write_text((copy / "files.py").read_text("utf-8") + raising)
    example = Path(shutil.copy(DATA / "zno_film.xyf", tmp_path / "zno_film.xyg"))
    shutil.copy(DATA / "zno_film.xyl", tmp_path)
    script = (
        "from diadem.testing import check_plugin\n"
        f"report = check_plugin('example_with_a_mistake', [{str(example)!r}], strict=False, only=[{code!r}])\n"
        "print(*report.findings, sep='\\n')"
    )
    found = run(site, tmp_path, "-c", script, plugins="off")
    assert [line for line in found.splitlines() if f": {code}: " in line and told in line], found
