"""The example distribution, built as a wheel, installed by pip, and used from outside the source tree."""

from __future__ import annotations

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

import pytest
from PIL import Image

from tests.hooks.distributions import IMPORTS, install

SOURCE = Path(__file__).resolve().parent.parent / "examples" / "diadem-example-format"
HOOKS = ("readers", "fields", "schemas", "previews", "checks")


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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy; offline where the build backend is installed."""
    place = tmp_path_factory.mktemp("build")
    shutil.copytree(SOURCE, place / "source", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ("--no-build-isolation", "--no-index") if importlib.util.find_spec("hatchling") else ()
    pip("wheel", "--no-deps", *offline, "--wheel-dir", str(place), str(place / "source"))
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed it, and beside it a distribution that raises in every hook."""
    folder = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--no-index", "--target", str(folder), str(wheel))
    raising = "".join(
        f"\n@hookimpl\ndef diadem_{hook}():\n    raise RuntimeError('{hook} of mine')\n" for hook in HOOKS
    )
    install(folder, "always_raising", IMPORTS + raising, version="6.6.6")
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A session folder, outside the source tree."""
    return Path(shutil.copytree(SOURCE / "tests" / "data", tmp_path / "session"))


def run(site: Path, cwd: Path, *arguments: str, code: int = 0, plugins: str = "") -> str:
    """Run Python with the installed plugins on the search path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(site), "DIADEM_PLUGINS": plugins},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def diadem(site: Path, cwd: Path, *arguments: str, code: int = 0, plugins: str = "") -> dict[str, Any]:
    """Run a command; its JSON."""
    found = json.loads(run(site, cwd, "-m", "diadem", *arguments, "--json", code=code, plugins=plugins))
    assert isinstance(found, dict)
    return found


def test_the_wheel_holds_what_the_plugin_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "diadem_example_format/schemas/cl-1.0.0.json" in names
    assert not [name for name in names if "tests" in name]


def test_it_is_listed_and_the_one_that_raises_is_named(site: Path, tmp_path: Path) -> None:
    listed = diadem(site, tmp_path, "plugins", code=1)
    plugins = {plugin["distribution"]: plugin for plugin in listed["plugins"]}
    ours = plugins["diadem-example-format"]
    assert (ours["name"], ours["version"], ours["ok"]) == ("xyf", "1.0.0", True)
    assert [ours[kind] for kind in ("formats", "fields", "previews", "checks")] == [["xyf"]] * 4
    assert ours["schemas"] == ["org.example.cl 1.0.0"]
    raising = plugins["always-raising"]["failures"]
    assert len(raising) == len(HOOKS)
    assert all(f"{hook} of mine" in " ".join(raising) for hook in HOOKS)
    assert not [plugin for plugin in listed["plugins"] if plugin["bundled"] and plugin["failures"]]


def test_a_file_is_read_whole(site: Path, session: Path) -> None:
    (dataset,) = diadem(site, session.parent, "extract", "session/zno_film.xyf")["datasets"]
    assert [file["path"] for file in dataset["files"]] == ["zno_film.xyf", "zno_film.xyl"]
    assert dataset["files"][0]["format_evidence"] == ["magic", "suffix"]
    assert dataset["signals"][0]["shape"] == [32, 48]
    (voltage,) = dataset["fields"]["beam.acceleration_voltage"]
    assert (voltage["value"], voltage["unit"], voltage["source"]["raw_unit"]) == (10_000, "V", "kV")
    assert voltage["by"]["plugin"] == "diadem-example-format"
    assert voltage["by"]["version"] == "1.0.0"
    assert dataset["extensions"]["org.example.cl"] == {
        "version": "1.0.0",
        "schema": "https://example.org/schemas/cl/1.0.0",
        "validated": True,
        "by": {"plugin": "diadem-example-format", "version": "1.0.0"},
        "data": {"mirror": "parabolic", "slit_width": 0.0002, "grating_density": 600000.0, "shutter": "open"},
    }
    assert not dataset["issues"]


def test_its_picture_stands_in_the_page_and_the_package_gives_back_the_signal(site: Path, session: Path) -> None:
    packed = diadem(site, session.parent, "pack", "session", "store")
    assert not packed["issues"]
    bag = Path(packed["package"]["path"])
    record = json.loads((bag / "data" / "diadem-record.json").read_text("utf-8"))
    assert record["datasets"][0]["extraction"]["preview"] == "drawn by xyf of diadem-example-format 1.0.0"
    page = (bag / "data" / "ro-crate-preview.html").read_text("utf-8")
    encoded = page.split("data:image/png;base64,")[1].split('"')[0]
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert (picture.mode, picture.size) == ("RGB", (144, 96))  # a map of 48 x 32 points, each three pixels wide
    script = f"import diadem; s = diadem.open({str(bag)!r}).load('zno_film.xyf'); print(s.data.sum().compute())"
    counts = (session / "zno_film.xyf").read_text("utf-8").split("#DATA\n")[1].replace("#END", "").split()
    assert run(site, session.parent, "-c", script).strip() == str(sum(map(int, counts)))


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


def test_its_own_tests_pass_outside_the_source_tree(site: Path, tmp_path: Path) -> None:
    shutil.copytree(SOURCE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    told = run(site, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", plugins="diadem-example-format")
    assert "passed" in told


def test_the_readme_of_the_example_names_every_file() -> None:
    text = (SOURCE / "README.md").read_text("utf-8")
    for path in (SOURCE / "src" / "diadem_example_format").glob("*.py"):
        assert f"{path.name}`" in text
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["diadem"] == {"xyf": "diadem_example_format"}
