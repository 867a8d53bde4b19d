"""The kit names every fault: each test breaks one promise of an honest plugin."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.testing import PluginFault, check_plugin
from diadem.testing.plugin_examples import spoiled
from diadem.testing.plugin_report import difference
from tests.hooks.distributions import install
from tests.testing.kit_plugin import SOURCE, write, write_example

_COUNT = iter(range(10_000))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the search path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("DIADEM_PLUGINS", raising=False)
    return folder


@pytest.fixture
def module() -> Iterator[str]:
    """A name that no other test has; the module is forgotten afterwards."""
    name = f"kit_under_test_{next(_COUNT)}"
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return write_example(tmp_path / "examples")


def test_an_honest_plugin_passes(site: Path, module: str, example: Path) -> None:
    before = {path: path.read_bytes() for path in example.parent.iterdir()}
    report = check_plugin(write(site, module), examples=[example])
    assert report.ok
    assert [finding.code for finding in report.findings] == ["not-installed"]
    assert report.checked["examples"] == 1
    assert report.checked["offers"] == 5
    assert report.checked["spoiled copies"] > 30
    assert report.checked["fields"] == 2
    assert report.checked["signals loaded"] == 2
    assert {path: path.read_bytes() for path in example.parent.iterdir()} == before


@pytest.mark.program("a reader that takes long to import is waited for")
def test_an_honest_reader_may_import_large_libraries(site: Path, module: str, example: Path) -> None:
    imports = "import dask.array, h5py, tempfile; tempfile.TemporaryFile().close()"
    report = check_plugin(write(site, module, ("# READ", imports)), examples=[example])
    assert report.checked["processes"] == 2
    assert [finding.code for finding in report.findings] == ["not-installed"]


def test_an_installed_plugin_is_found_by_each_of_its_names(site: Path, module: str) -> None:
    install(site, module, SOURCE.replace("MODULE", module), distribution=f"Dist-of-{module}")
    for name in (module, f"dist_of_{module}", f"Dist-of-{module}"):
        report = check_plugin(name)
        assert report.ok
        assert [finding.code for finding in report.findings] == ["no-examples"]


#: Fault by code: what is replaced in the honest plugin. These need no example.
STATIC = {
    "plugin-failed": ('yield PreviewOffer(name="kit"', 'raise RuntimeError("mine"); yield PreviewOffer(name="kit"'),
    "nothing-offered": ("@hookimpl", "# hookimpl"),
    "target-unusable": ('load="MODULE:read"', 'load="MODULE:reed"'),
    "target-unusable 2": ("def draw(path, files, signals):", "def draw(path):"),
    "target-unusable 3": ("def check(path, files, dataset):", "check = 3\n\ndef checks(path, files, dataset):"),
    "table-field": ('Rule("beam.acceleration_voltage"', 'Rule("beam.accelerating_voltage"'),
    "table-unit": ('"voltage", "kV"', '"voltage", "kg"'),
    "table-unit 2": ('"voltage", "kV"', '"voltage", ""'),
    "table-cite": ('"voltage", "kV", cite="this text"', '"voltage", "kV"'),
    "table-cite 2": ('started, cite="this text"', "started"),
    "table-rule": ("TABLE = (", "TABLE = (3,"),
    "schema-unusable": ('"type": "string"', '"type": "nonsense"'),
    "untrue": ('CheckOffer(name="kit", formats=("kit",)', 'CheckOffer(name="kit", formats=("kitt",)'),
}


@pytest.mark.parametrize("fault", STATIC)
@pytest.mark.sweep(6)
def test_a_fault_of_the_offers_is_named(site: Path, module: str, fault: str) -> None:
    code = fault.partition(" ")[0]
    old, new = (text.replace("MODULE", module) for text in STATIC[fault])
    text = SOURCE.replace("MODULE", module)
    assert old in text
    (site / f"{module}.py").write_text(text.replace(old, new))
    with pytest.raises(PluginFault) as caught:
        check_plugin(module)
    errors = [finding.code for finding in caught.value.report.findings if finding.severity == "error"]
    assert code in errors
    assert code in str(caught.value)


#: Fault by code: what is replaced in the honest plugin. These are seen on the example.
DYNAMIC = {
    "not-recognised": ('suffixes=(".kit",), magic', 'suffixes=(".kit",), probe="MODULE:probe", magic'),
    "example-issue": ('if dataset.value("beam.acceleration_voltage") == 1:', "raise ValueError\n    if 0:"),
    "reader-failed": ("# READ", 'raise ValueError("no")'),
    "no-field": ('about, data=line, media_type="application/json"', 'about, data=line, media_type="a/b"'),
    "extension-unjudged": ('Extension("org.example.kit", "1"', 'Extension("org.example.kit", "2"'),
    "preview": ("return np.stack(", "return bytes, np.stack("),
    "unsteady": ('title = about["title"]', "title = str(time.time_ns())"),
    "name-or-time": ('title = about["title"]', "title = os.path.basename(path)"),
    "name-or-time 2": ('title = about["title"]', "title = str(os.path.getmtime(path))"),
    "zone-or-locale": (
        'instant=from_epoch(tree["epoch"])',
        'local=datetime.fromtimestamp(tree["epoch"])',
    ),
    "not-alone": ("# READ", 'Path(path + ".cache").write_text("x")'),
    "not-alone 2": ("# READ", 'import socket; socket.socket().connect_ex(("127.0.0.1", 9))'),
    "not-alone 3": ("# READ", 'os.system("exit")'),
    "not-alone 4": ("# READ", "with contextlib.suppress(OSError): open(path + '/../../other.txt')"),
    "left-open": ("# READ", 'global kept; kept = open(path, "rb")'),
    "crash": ("about = json.loads(line)", "about = json.loads(line) if len(line) > 40 else os._exit(3)"),
    "crash 2": (
        "rows, columns = (int(about[key])",
        'about["kit"] == 1 or os._exit(3); rows, columns = (int(about[key])',
    ),
    "hang": ("# READ", "os.path.getsize(path) > 40 or time.sleep(999)"),
    "incomplete-unseen": (
        "    return np.frombuffer(data, np.uint8)",
        "    data = data.ljust(192)\n    return np.frombuffer(data, np.uint8)",
    ),
    "load": ("    # READ", "    if 'store' in path: raise ValueError"),
    "rule-raised": ("def started(tree):\n", "def started(tree):\n    raise KeyError('mine')\n"),
    "form": ("    return described(path, pixels(path))", "    return [3]"),
}


@pytest.mark.parametrize("fault", DYNAMIC)
@pytest.mark.sweep(5)
def test_a_fault_in_the_work_is_named(site: Path, module: str, example: Path, fault: str) -> None:
    code = fault.partition(" ")[0]
    old, new = (text.replace("MODULE", module) for text in DYNAMIC[fault])
    changes = [(old, new)]
    if code == "incomplete-unseen":  # the size is no longer asked for
        changes.append(("if os.fstat(stream.fileno()).st_size != len(line) + rows * columns:", "if not about:"))
    if code == "not-recognised":
        changes.append(("def check(", "def probe(path):\n    return False\n\n\ndef check("))
    if code == "no-field":
        changes.append(('Rule("beam.acceleration_voltage", "voltage"', 'Rule("beam.acceleration_voltage", "volts"'))
        changes.append(('yield from moments("time', 'return\n    yield from moments("time'))
    name = write(site, module, *changes)
    report = check_plugin(name, examples=[example], seconds=3.0, strict=False, only=[code])
    assert code in [finding.code for finding in report.findings if finding.severity == "error"], str(report)
    assert not report.ok


def test_what_finds_nothing_that_is_looked_for_is_left_out(site: Path, module: str, example: Path) -> None:
    name = write(site, module, ('title = about["title"]', "title = os.path.basename(path)"))
    seen = {"spoiled copies", "renamed copies", "processes", "packages"}
    for only, tried in ((["name-or-time"], {"renamed copies"}), (["crash"], {"spoiled copies"})):
        report = check_plugin(name, examples=[example], strict=False, only=only)
        assert {what for what, count in report.checked.items() if count} & seen == tried
        assert report.ok == (only == ["crash"])


def test_a_reader_that_fails_in_another_zone_is_found_alone(site: Path, module: str, example: Path) -> None:
    fails = 'if os.environ.get("TZ", "").startswith("NZST"): raise ValueError("far away")'
    report = check_plugin(
        write(site, module, ("# READ", fails)), examples=[example], strict=False, only=["reader-failed"]
    )
    assert "reader-failed" in {finding.code for finding in report.findings}


def test_a_misspelt_key_is_named(site: Path, module: str, example: Path) -> None:
    name = write(site, module, ('"voltage", "kV"', '"votlage", "kV"'))
    report = check_plugin(name, examples=[example], only=["rule-untried"])
    (finding,) = [finding for finding in report.findings if finding.code == "rule-untried"]
    assert "beam.acceleration_voltage" in finding.where
    assert "nothing is at 'votlage'" in finding.message


def test_a_foreign_table_is_judged_with_file_and_line(site: Path, module: str) -> None:
    name = f"{module}_toml"
    install(site, name, "")
    (site / f"{name}.py").unlink()
    (site / name).mkdir()
    (site / name / "__init__.py").touch()
    table = '[[table]]\nblock = "b"\nproof = "p"\n[[table.group]]\nfields."stage.xx" = "X"\n'
    (site / name / "formats.toml").write_text(f'[[fields]]\nname = "{name}"\nformats = ["msa"]\n{table}')
    with pytest.raises(
        PluginFault, match=r"(?s)error: untrue: .*formats.toml, line 8: table\[0\].* has no field 'stage.xx'"
    ):
        check_plugin(name)


def test_examples_that_are_none_are_named(site: Path, module: str, example: Path) -> None:
    other = example.with_name("notes.unheard-of")
    other.write_text("x")
    examples = [example.with_name("absent.kit"), other, example.with_suffix(".kitlog")]
    report = check_plugin(write(site, module), examples=examples, strict=False)
    assert sorted(finding.code for finding in report.findings if finding.severity == "error") == [
        "example-missing",
        "example-unclaimed",
        "example-unclaimed",
    ]


def test_a_plugin_that_is_not_there_is_named() -> None:
    with pytest.raises(PluginFault, match="no_such_plugin"):
        check_plugin("no_such_plugin")


def test_the_kit_is_light_until_it_is_used() -> None:
    heavy = "{'numpy', 'dask', 'hyperspy', 'jsonschema_rs'}"
    code = f"import sys, diadem.testing.faults; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_report_is_for_programs_too(site: Path, module: str) -> None:
    report = check_plugin(write(site, module))
    document = json.loads(json.dumps(report.to_dict()))
    assert document["ok"] is True
    assert document["findings"][0]["severity"] == "hint"


def test_spoiled_copies_are_the_same_each_time_and_different_from_each_other() -> None:
    data = bytes(range(256)) * 40
    first, second = list(spoiled(data)), list(spoiled(data))
    assert first == second
    assert len({item.data for item in first}) > 30
    assert all(item.data != data for item in first)
    assert next(spoiled(b"x")).data == b""


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, ""),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "/a/1/b is 2, then 3"),
        ({"a": 1}, {}, "/a is there only at first"),
        ({}, {"a": 1}, "/a is there only then"),
        ([1], [1, 2], "it is [1], then [1, 2]"),
        (1, 1.5, "it is 1, then 1.5"),
    ],
)
def test_a_difference_is_located(one: object, other: object, said: str) -> None:
    assert difference(one, other) == said
