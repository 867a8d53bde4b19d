"""Every hook is documented with its exact signature, and the example beside it runs."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import diadem
from diadem.api import trying
from diadem.hooks import specs
from diadem.hooks.gathering import HOOKS
from diadem.hooks.targets import target
from diadem.testing import check_plugin
from diadem.testing.carriers import check_carrier

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
SECTIONS = {
    heading.partition("(")[0]: (heading, body)
    for heading, body in re.findall(r"^### `([^`]+)`\n(.*?)(?=^### |^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}


def signature(hook: str) -> str:
    """A hook as it is written in the specifications."""
    return f"{hook}{inspect.signature(getattr(specs, hook))}".replace("'", "")


def example(hook: str) -> str:
    """The code beside a hook."""
    (code,) = re.findall(r"```python\n(.*?)```", SECTIONS[hook][1], re.DOTALL)
    return str(code)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for the example's module, whose folder is on the search path."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("DIADEM_PLUGINS", raising=False)
    name = f"my_plugin_{request.node.callspec.params['hook']}"
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A file for each example: a map of the made-up format, and a spectrum with a lab's own lines."""
    folder = tmp_path / "files"
    folder.mkdir()
    head = b"MYF1" + np.array([12, 16, 500], "<u4").tobytes()
    (folder / "a.myf").write_bytes(head + bytes(range(192)))
    (folder / "a.txt").write_text("beside it")
    lines = ["#FORMAT      : EMSA/MAS Spectral Data File", "#VERSION     : 1.0", "#TITLE       : spectrum"]
    lines += ["#NPOINTS     : 4", "#NCOLUMNS    : 1", "#XUNITS      : eV", "#YUNITS      : counts", "#DATATYPE    : Y"]
    lines += ["#XPERCHAN    : 10.0", "#OFFSET      : 0.0", "##STAGE_TEMPERATURE: 93.5 K", "##MIRROR: flat"]
    lines += ["#SPECTRUM    : Spectral Data Starts Here", "1.0", "20.0", "300.0", "4.0", "#ENDOFDATA   : "]
    (folder / "a.msa").write_text("\n".join(lines) + "\n")
    return folder


def test_every_hook_is_specified_offered_and_documented() -> None:
    specified = {name for name in vars(specs) if name.startswith("diadem_")}
    assert specified == set(HOOKS) == set(SECTIONS)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_exact_signature_is_documented(hook: str) -> None:
    assert SECTIONS[hook][0] == signature(hook)
    assert signature(hook).endswith(f"-> Iterable[{HOOKS[hook].__name__}]")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_attribute_of_its_offers_is_documented(hook: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", SECTIONS[hook][1], re.MULTILINE)
    assert sorted(listed) == sorted(field.name for field in fields(HOOKS[hook]))
    described = inspect.getdoc(HOOKS[hook]) or ""
    for name in listed:
        assert re.search(rf"^{name} : ", described, re.MULTILINE), name


@pytest.mark.parametrize("hook", HOOKS)
def test_the_specification_has_an_example_that_offers_what_it_says(hook: str) -> None:
    text = inspect.getdoc(getattr(specs, hook)) or ""
    code = inspect.cleandoc(text.split("::\n")[1])
    from diadem.hooks import offers

    space = {**vars(offers), "hookimpl": specs.hookimpl}
    exec(code, space)
    offered = list(space[hook]())
    assert offered
    assert all(isinstance(item, HOOKS[hook]) for item in offered)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_keeps_every_promise(module: str, files: Path, tmp_path: Path, hook: str) -> None:
    code = example(hook)
    assert "my_plugin" in code
    (tmp_path / f"{module}.py").write_text(code.replace("my_plugin", module), encoding="utf-8")
    file = files / ("a.myf" if hook == "diadem_readers" else "a.msa")
    report = check_plugin(module, examples=[file])
    assert report.checked["examples"] == 1
    with trying(module) as offers:
        assert module in {origin.name for (name, _), origin in offers.origins.items() if name == hook}
        found = diadem.extract(file).datasets[0]
        drawn = diadem.pack(file, tmp_path / "store").record.datasets[0].extraction.get("preview")
    if hook == "diadem_readers":
        assert (found.primary.format, found.signals[0].shape) == ("my-format", (12, 16))
        assert found.value("image.pixel_size_x") == pytest.approx(0.5e-9)
        assert len(found.files) == 2
    elif hook == "diadem_fields":
        assert found.value("stage.temperature") == 93.5
    elif hook == "diadem_schemas":
        assert found.extensions["org.example.my-lab"]["data"] == {"mirror": "flat"}
        assert found.extensions["org.example.my-lab"]["validated"] is True
    elif hook == "diadem_transports":
        connect = target(f"{module}:connect")
        check_carrier(lambda: connect("my-bucket:memory://packages")).raise_for_findings()
    elif hook == "diadem_previews":
        assert str(drawn).startswith(f"drawn by my-spectra of {module}")
    else:
        (issue,) = [issue for issue in found.issues if issue["code"].startswith("my-lab-")]
        assert issue["severity"] == "info"


def test_what_the_text_promises_of_limits_is_true() -> None:
    from diadem.extract.extraction import MAX_PNG, SIDE
    from diadem.extract.tables import MAX_EXTENSION as MAX_BYTES
    from diadem.hooks.vetting import REACH

    assert f"at most {MAX_BYTES >> 10} KiB" in TEXT
    assert f"at most {SIDE} pixels a side and a PNG of {MAX_PNG:,} bytes" in TEXT
    assert f"in the first {REACH:,}" in TEXT
