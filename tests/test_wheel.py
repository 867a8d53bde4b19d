"""The built wheel, from an empty folder: with what is installed here, in an empty environment, and with each extra."""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.server.conftest import free_ports

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    faulthandler.cancel_dump_traceback_later()  # a slow package index is no deadlock
    target = tmp_path_factory.mktemp("dist")
    offline = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "build", *offline, "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "Could not find a version" in done.stdout + done.stderr:
        pytest.skip("no package index can be reached to build in isolation")
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = target.glob("*.whl")  # made from the source distribution, which is thereby proven whole
    return path


@pytest.mark.program("it builds the wheel")
def test_the_wheel_ships_schemas_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "schemas").rglob("*.json"):
        assert f"diadem/schemas/{path.relative_to(ROOT / 'schemas').as_posix()}" in names
    assert {"diadem/py.typed", "diadem/__init__.pyi"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


@pytest.mark.program("it builds and installs the wheel")
def test_it_runs_outside_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*command, "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)
    runs(tmp_path, sys.executable, {"PYTHONPATH": str(site)}, found=site)


#: What an extra promises: packages that can be imported, and modules of `diadem` that need them. See `tried`.
EXTRAS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "page": (("python_multipart", "starlette", "uvicorn"), ("diadem.page",)),
    "s3": (("botocore",), ("diadem.store",)),
    "server": (("granian",), ("diadem.network",)),
    "notebook": (("ipykernel", "nbclient", "nbformat", "pandas", "pooch"), ("diadem.notebook", "diadem.examples")),
}
#: Packages of other extras, without which some modules cannot be imported.
_OF_OTHER_EXTRAS = {"paramiko", "psycopg"}
#: Imports every module; prints the module and the missing package of each that cannot be imported.
_IMPORT_ALL = """
import importlib, pkgutil, diadem
for module in pkgutil.walk_packages(diadem.__path__, "diadem."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            print(module.name, error.name)
"""


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    python: Path

    @classmethod
    def make(cls, place: Path, *requirements: str, over: Environment | None = None) -> Environment:
        """Make one with requirements; also with all that is installed in another one, if that is given."""
        faulthandler.cancel_dump_traceback_later()
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        made = cls(place / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
        if over is not None:
            (made.site_packages() / "below.pth").write_text(str(over.site_packages()), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "--python", str(made.python), "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--no-compile", *requirements]  # few of the modules are imported
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode and "Could not find a version" in done.stderr:
            pytest.skip("no package index can be reached to install the dependencies")
        assert done.returncode == 0, done.stderr
        return made

    def site_packages(self) -> Path:
        """Where its packages lie."""
        return Path(self.said("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())

    def said(
        self, *words: object, code: int = 0, cwd: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run Python with arguments; what it prints."""
        usual = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(word) for word in (self.python, *words)]
        done = subprocess.run(
            command, cwd=cwd, env=usual | dict(variables or {}), capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def missing(self, folder: Path) -> dict[str, str]:
        """The modules of `diadem` that cannot be imported, and the package that each misses."""
        lines = self.said("-c", _IMPORT_ALL, cwd=folder).splitlines()
        return dict(line.split() for line in lines if line.startswith("diadem."))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment in which the wheel is installed, without any extra."""
    return Environment.make(tmp_path_factory.mktemp("bare") / "venv", str(wheel))


@pytest.mark.program("it installs everything that the project depends on into empty environments")
@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_an_extra_brings_what_it_promises(extra: str, bare: Environment, wheel: Path, tmp_path: Path) -> None:
    """Each extra alone, over what is installed in any case; ``""`` for none."""
    others = {package for name, (packages, _) in EXTRAS.items() if name != extra for package in packages}
    if not extra:
        assert set(bare.missing(tmp_path).values()) <= others | _OF_OTHER_EXTRAS
        runs(tmp_path, bare.python, {}, found=bare.python.parent.parent)
        return
    packages, modules = EXTRAS[extra]
    with_extra = Environment.make(tmp_path / "venv", f"{wheel}[{extra}]", over=bare)
    with_extra.said("-c", f"import {', '.join(packages)}", cwd=tmp_path)
    missing = with_extra.missing(tmp_path)
    assert not set(missing.values()) & set(packages)
    still = [name for name in missing if name.startswith(modules) and missing[name] not in _OF_OTHER_EXTRAS]
    assert not still, missing
    tried(extra, with_extra, bare, tmp_path)


def tried(extra: str, environment: Environment, bare: Environment, folder: Path) -> None:
    """Run a command that needs an extra; without the extra it says which one to install."""
    if extra == "notebook":
        (notebook,) = (ROOT / "notebooks").glob("01_*.ipynb")
        lines = "import sys, nbformat, nbclient; nbclient.NotebookClient(nbformat.read(sys.argv[1], 4)).execute()"
        environment.said("-c", lines, notebook, cwd=folder, variables={"PATH": str(environment.python.parent)})
        return
    environment.said("-m", "diadem", "demo", "try", cwd=folder)
    port = str(free_ports(1)[0])
    words, answer = {
        "page": (["page", "try", "--no-browser", "--port", port], "<html"),
        "server": (["serve", "--node", "try", "--listen", f"127.0.0.1:{port}"], ""),
        "s3": (["verify", "s3://bucket/package"], ""),
    }[extra]
    needs = bare.said("-m", "diadem", *words, cwd=folder, code=2)
    assert f"diadem-em[{extra}]" in needs
    if extra == "s3":
        away = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        environment.said("-m", "diadem", *words, cwd=folder, code=5, variables=away)
        return
    log = folder / "log"
    with log.open("wb") as output:
        command = [str(environment.python), "-m", "diadem", *words]
        started = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
    try:
        end = time.monotonic() + 60
        while "127.0.0.1" not in log.read_text("utf-8", "replace") or not answers(int(port)):
            assert started.poll() is None, log.read_text("utf-8", "replace")
            assert time.monotonic() < end, log.read_text("utf-8", "replace")
            time.sleep(0.1)
        if answer:
            (address,) = re.findall(r"http://127\.0\.0\.1\S+", log.read_text("utf-8", "replace"))[:1]
            with urlopen(address) as shown:
                assert answer in shown.read().decode().lower()
    finally:
        started.terminate()
        started.wait(30)


def answers(port: int) -> bool:
    """Whether somebody listens at a port of this machine."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def runs(tmp_path: Path, python: Path | str, variables: dict[str, str], *, found: Path) -> None:
    """Run the demo and archive its session, from an empty folder, with the package that is found in a folder."""
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables

    def said(*words: str) -> str:
        done = subprocess.run([python, *words], cwd=empty, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert said("-c", "import diadem; print(diadem.__file__)").startswith(str(found))
    assert "Signal2D" in said("-m", "diadem", "demo", "work")
    packed = json.loads(said("-m", "diadem", "pack", "work/session", "store", "--json"))
    assert not {code for code in packed["issues"] if code != "truncated"}
