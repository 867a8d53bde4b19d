"""What programs may rely on: the public list, the verbs of the command line, and the first import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import diadem
from diadem.errors import DiademError

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = {"pack", "open", "verify", "extract", "extract_many", "scan", "Package", "Record", "Report", "Finding"}


def test_the_public_list_is_sorted_short_and_every_name_is_there_and_documented() -> None:
    names = [name for name in dir(diadem) if not name.startswith("_")]
    assert set(names) >= EXPECTED
    assert len(names) <= 40
    for name in names:
        assert getattr(diadem, name).__doc__, name
    stub = ast.parse((ROOT / "diadem" / "__init__.pyi").read_text(encoding="utf-8"))
    modules = [node.module for node in stub.body if isinstance(node, ast.ImportFrom)]
    assert modules == sorted(modules, key=str)


def test_each_name_has_a_page_of_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "python.rst").read_text("utf-8")
    entries = [line.strip() for line in text.splitlines() if line.startswith("   ") and ":" not in line]
    listed = {part for entry in entries for part in entry.split(".")}
    assert {name for name in dir(diadem) if not name.startswith("_")} <= listed


def test_a_verb_stays_a_verb_when_the_room_of_its_name_is_imported(tmp_path: Path) -> None:
    (tmp_path / "notes.dat").write_text("nothing known")
    code = (
        "import sys, diadem, diadem.extract.pool\n"
        "from diadem.extract import survey\n"
        "for _ in range(2): print(diadem.extract(sys.argv[1]).datasets[0].path, survey.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["notes.dat diadem.extract.survey"] * 2


def test_the_error_tree_is_drawn_and_has_exit_codes() -> None:
    import diadem.errors as errors

    drawn = errors.__doc__ or ""
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, DiademError)]
    assert len(classes) > 10
    for kind in classes:
        assert kind.__name__ in drawn
        assert kind.exit_code in range(1, 7)


def test_importing_diadem_imports_nothing_heavy() -> None:
    heavy = {"numpy", "h5py", "fsspec", "rsciio", "hyperspy", "click", "dask"}
    code = f"import sys, diadem; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_does_not_import_the_readers() -> None:
    code = (
        "import sys\n"
        "from diadem.cli.main import command_line\ncommand_line()\n"
        "print(*sorted({'h5py','rsciio','hyperspy','dask','numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_every_command_of_a_node_imports_reads_no_documents_of_others() -> None:
    code = (
        "import sys, diadem.node.node, diadem.network.desk, diadem.network.hub.hub, diadem.network.network_verbs\n"
        "import diadem.network.peer_verbs, diadem.network.transfer_verbs\n"
        "print(*sorted({'msgspec','http.server','granian'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_dependency_is_justified() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    reasons = (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text(encoding="utf-8")
    for requirement in wanted:
        name = re.split(r"[\[<>=;! ]", requirement)[0]
        assert name == "diadem-em" or name in reasons, name


def test_the_tested_set_fits_what_is_asked_for() -> None:
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned: dict[str, str] = {}
    for line in lines:
        if not line.startswith("#"):
            name, version = line.split("==")
            assert re.fullmatch(r"[a-z0-9-]+", name), line
            assert re.fullmatch(r"[0-9][0-9a-z.+!]*", version), line
            pinned[name] = version
    assert list(pinned) == sorted(pinned)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    running = ("formats", "s3", "sftp", "postgres", "keyring", "server", "dask")
    for line in (*project["dependencies"], *(item for extra in running for item in extras[extra])):
        wanted = Requirement(line)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), line
