"""`diadem plugins`: who offers what, and who failed and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.hooks.manager import bundled
from tests import zygote
from tests.hooks.distributions import HONEST, IMPORTS, install
from tests.plugins.tiff.files import write
from tests.services import free_ports


def run(site: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run `diadem plugins` with a folder of distributions on the search path."""
    done = zygote.run(
        [sys.executable, "-m", "diadem", "plugins", *arguments],
        env={**os.environ, "PYTHONPATH": str(site), "DIADEM_PLUGINS": "", "COLUMNS": "90", **environment},
        cwd=site,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert not done.stderr
    return done.stdout


def listed(site: Path, *, code: int = 0, **environment: str) -> dict[str, dict[str, Any]]:
    """The same as JSON, by name."""
    document = json.loads(run(site, "--json", code=code, **environment))
    assert document["ok"] is (code == 0)
    return {plugin["name"]: plugin for plugin in document["plugins"]}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Distributions: an honest one, and those that fail at import, in every hook, and by a schema that is none."""
    folder = tmp_path / "site"
    install(folder, "honest_1", HONEST.format(n=1), distribution="Honest", version="2.1")
    install(folder, "broken", "import nothing_of_this_name")
    install(folder, "raising", IMPORTS + "\n@hookimpl\ndef diadem_formats():\n    raise RuntimeError('of mine')\n")
    schema = (
        '\n@hookimpl\ndef diadem_formats():\n    yield SchemaOffer("org.example.bad", {"1": {"type": "nonsense"}})\n'
    )
    install(folder, "misshapen", IMPORTS + schema)
    return folder


def test_json_lists_every_plugin(site: Path) -> None:
    plugins = listed(site, code=1)
    assert [name for name, plugin in plugins.items() if plugin["bundled"]] == [plugin.name for plugin in bundled()]
    assert plugins["diadem.plugins.rosettasciio"]["version"] == diadem.__version__
    assert "digitalmicrograph" in plugins["diadem.plugins.gatan"]["formats"]
    assert plugins["honest_1"] == {
        "name": "honest_1",
        "module": "honest_1",
        "distribution": "Honest",
        "version": "2.1",
        "bundled": False,
        "ok": True,
        "formats": ["honest-1"],
        "fields": ["honest-1"],
        "schemas": ["org.example.honest1 1.0.0"],
        "previews": ["honest-1"],
        "checks": ["honest-1"],
        "carriers": ["honest-1"],
        "exporters": ["honest-1"],
        "failures": [],
    }


def test_what_failed_is_named_and_hides_nothing(site: Path) -> None:
    plugins = listed(site, code=1)
    (broken,) = plugins["broken"]["failures"]
    assert "nothing_of_this_name" in broken
    (raising,) = plugins["raising"]["failures"]
    assert "of mine" in raising
    (misshapen,) = plugins["misshapen"]["failures"]
    assert "org.example.bad 1 cannot be used" in misshapen
    assert plugins["misshapen"]["schemas"] == ["org.example.bad 1"]


def test_the_table_can_be_read(site: Path) -> None:
    text = run(site, code=1)
    assert f"diadem-em {diadem.__version__} (bundled, {len(bundled())} plugins)" in text
    assert "in services      serve and watch load these only where DIADEM_PLUGINS names them: Honest," in text
    assert "Honest 2.1\n  honest_1 (honest_1)\n    reads        honest-1\n" in text
    assert "    extensions   org.example.honest1 1.0.0\n" in text
    assert "failed           plugin 'broken': cannot be loaded: ModuleNotFoundError" in text
    assert max(map(len, text.splitlines())) <= 90


def test_the_environment_leaves_plugins_out(site: Path) -> None:
    plugins = listed(site, DIADEM_PLUGINS="off")
    assert all(plugin["bundled"] for plugin in plugins.values())
    assert "No other plugin" in run(site, DIADEM_PLUGINS="off")
    plugins = listed(site, DIADEM_PLUGINS="honest")
    assert [name for name, plugin in plugins.items() if not plugin["bundled"]] == ["honest_1"]
    plugins = listed(site, code=1, DIADEM_PLUGINS="honest,absent")
    assert plugins["absent"]["failures"]


@pytest.mark.parametrize("command", ["watch --once", "serve --listen 127.0.0.1:"])
@pytest.mark.sweep(1)
def test_a_service_loads_the_plugins_that_were_named_for_it_and_no_other(tmp_path: Path, command: str) -> None:
    if command.endswith(":"):
        command += str(free_ports(1)[0])
    place, site, mark = tmp_path / "node", tmp_path / "site", tmp_path / "imported"
    diadem.Node.create(place, name="hu-berlin", user="alice", store=str(tmp_path / "store")).close()
    body = f"open({str(mark)!r}, 'w').close()\n" + HONEST.format(n=1)
    install(site, "honest_1", body, distribution="Honest", version="2.1")
    for named in ("", "honest") if command.startswith("watch") else ("",):
        process = zygote.start(
            [sys.executable, "-m", "diadem", *command.split(), "--node", str(place)],
            env={**os.environ, "PYTHONPATH": str(site), "DIADEM_PLUGINS": named},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        if command.startswith("serve"):
            process.terminate()
        _, told = process.communicate(timeout=60)
        assert mark.exists() == bool(named)
        assert ("not loaded here: Honest; to load them, set DIADEM_PLUGINS=Honest" in told) == (not named)


@pytest.mark.parametrize(("named", "words"), [("broken", "nothing_of_this_name"), ("absent", "no such plugin")])
def test_a_service_says_at_its_start_what_it_cannot_load(site: Path, tmp_path: Path, named: str, words: str) -> None:
    diadem.Node.create(tmp_path / "node", name="hu-berlin", user="alice", store=str(tmp_path / "store")).close()
    done = zygote.run(
        [sys.executable, "-m", "diadem", "watch", "--once", "--node", str(tmp_path / "node")],
        env={**os.environ, "PYTHONPATH": str(site), "DIADEM_PLUGINS": named},
    )
    assert done.returncode == 0
    assert f"plugins          plugin '{named}'" in done.stderr
    assert words in done.stderr


def test_a_failing_plugin_does_not_keep_files_from_being_read(site: Path) -> None:
    lines = ("FORMAT : EMSA/MAS Spectral Data File", "VERSION : 1.0", "TITLE : a", "NPOINTS : 2", "XPERCHAN : 1")
    end = ("DATATYPE : Y", "NCOLUMNS : 1", "SPECTRUM : ", "1.0", "2.0", "ENDOFDATA : ")
    text = "\n".join(line if line[0].isdigit() else f"#{line}" for line in (*lines, *end))
    (site / "a.msa").write_text(text + "\n")
    done = zygote.run(
        [sys.executable, "-m", "diadem", "extract", "a.msa", "--json"],
        env={**os.environ, "PYTHONPATH": str(site), "DIADEM_PLUGINS": ""},
        cwd=site,
    )
    assert done.returncode == 0, done.stderr
    (dataset,) = json.loads(done.stdout)["datasets"]
    assert dataset["files"][0]["format"] == "msa"
    assert dataset["signals"][0]["shape"] == [2]
    assert not dataset["issues"]


def test_a_file_is_explained_rule_by_rule(site: Path, tmp_path: Path) -> None:
    write(tmp_path / "a.tif")
    lines = [
        "[SemImageFile]",
        "InstructName=SU8230",
        "WorkingDistance=8100 furlong",
        "SerialNumbr=1",
        "Magnification=0",
    ]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    text = run(site, "--explain", str(tmp_path / "a.tif"), DIADEM_PLUGINS="off")
    assert "read as tiff" in text
    assert "found          instrument.model = SU8230 at SemImageFile/InstructName" in text
    said = json.loads(run(site, "--explain", str(tmp_path / "a.tif"), "--json", DIADEM_PLUGINS="off"))
    verdicts = {rule["rule"]: (rule["verdict"], rule["why"]) for rule in said["rules"] if "Sem" in rule["keys"]}
    assert verdicts["instrument.serial"] == ("nothing there", "")
    assert verdicts["optics.working_distance"][0] == verdicts["optics.magnification"][0] == "dropped"
    assert "furlong cannot be given in m" in verdicts["optics.working_distance"][1]
    assert said["format"] == "tiff"


def test_a_file_that_is_not_there_is_not_explained(site: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "diadem", "plugins", "--explain", str(tmp_path / "no.tif")]
    done = zygote.run(command, env={**os.environ, "DIADEM_PLUGINS": "off"}, cwd=site)
    assert done.returncode != 0
    assert "there is no file" in done.stderr
