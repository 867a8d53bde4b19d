"""No file decides what code runs when it is loaded."""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diadem
from diadem.archive.load.files import load
from diadem.archive.load.safe import Neutraliser, evaluate
from diadem.archive.load.signals import build
from diadem.errors import ReaderError
from diadem.testing.samples import Axis, signal_dictionary, write_zspy
from tests.archive.load_sources import Payload, offer

CANARY = "DIADEM_CANARY"
X = np.linspace(0.5, 2.0, 4)
HOSTILE = "__import__('os').environ.__setitem__('DIADEM_CANARY', 'fired')"
ORIGIN = {"package": "diadem:0", "path": "a.hspy", "verify": "leaves", "reader": "hspy"}


@pytest.fixture(autouse=True)
def canary(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The environment variable that hostile content sets, if it runs."""
    monkeypatch.delenv(CANARY, raising=False)
    yield
    assert CANARY not in os.environ


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("a / x + b", 3 / X + 2),
        ("a*x^2 - b", 3 * X**2 - 2),
        ("-exp(-x) + sqrt(a) * 1e-3", -np.exp(-X) + math.sqrt(3) * 1e-3),
        ("b", np.full(4, 2.0)),
        ("+log(x)", np.log(X)),
    ],
)
def test_arithmetic(expression: str, wanted: Any) -> None:
    assert np.allclose(evaluate(expression, {"x": X, "a": 3, "b": 2.0}), wanted)


@pytest.mark.parametrize(
    "expression",
    [
        HOSTILE,
        "x.__class__",
        "().__class__.__bases__[0].__subclasses__()",
        "[i for i in x]",
        "lambda: x",
        "x if x else a",
        "exp(x, x)",
        "exp(x=x)",
        "open(x)",
        "'text'",
        "True",
        "1j",
        "unknown",
        "x; a = 2",
        "1/0",
        "9**9**9**9",
        "(" * 300 + "x" + ")" * 300,
        "-" * 400 + "x",
        "x" * 501,
        "",
        "x @ x",
        "x == x",
        "\0",
    ],
)
def test_what_is_no_plain_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"formula|plain arithmetic"):
        evaluate(expression, {"x": X, "a": 3.0})


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.sampled_from("x+-*/^()1.eabs,exp_[]'\" "), max_size=40))
def test_any_text_is_a_value_or_a_value_error(expression: str) -> None:
    try:
        found = evaluate(expression, {"x": X, "a": 3.0})
    except ValueError:
        return
    assert found.shape == X.shape
    assert np.isfinite(found).all()


def _dictionary(**more: Any) -> dict[str, Any]:
    axes = [{"name": "E", "size": 4, "scale": 1.0, "offset": 0.0, "units": "eV", "navigate": False}]
    given = {"data": np.arange(4.0), "axes": axes, "metadata": {"General": {"title": "t"}}, "original_metadata": {}}
    return {**given, **more}


def _functional(expression: str) -> dict[str, Any]:
    x = {"size": 4, "scale": 0.5, "offset": 0.5, "navigate": False}
    return {"name": "E", "units": "eV", "navigate": False, "size": 4, "x": x, "a": 3, "expression": expression}


def test_an_honest_formula_gives_its_values() -> None:
    (signal,) = build([_dictionary(axes=[_functional("a / x")])], False, ORIGIN)
    axis = signal.axes_manager[0]
    assert type(axis).__name__ == "DataAxis"
    assert np.allclose(axis.axis, 3 / (0.5 + 0.5 * np.arange(4)))
    assert (axis.name, axis.units) == ("E", "eV")
    assert signal.metadata.General.diadem.notes == ["an axis given by a formula was replaced by its values"]


def test_a_hostile_formula_gives_an_index(caplog: pytest.LogCaptureFixture) -> None:
    (signal,) = build([_dictionary(axes=[_functional(HOSTILE)])], False, ORIGIN)
    assert list(signal.axes_manager[0].axis) == [0.0, 1.0, 2.0, 3.0]
    assert "replaced by its index" in caplog.text
    assert "a.hspy" in caplog.text


def test_no_module_is_imported_for_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hostile_package.py").write_text(f"import os\nos.environ['{CANARY}'] = 'fired'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    nested = {"_sig_inner": _dictionary(package="hostile_package")}
    build([_dictionary(package="hostile_package", metadata={"General": nested})], False, ORIGIN)
    assert "hostile_package" not in sys.modules


@pytest.mark.parametrize("place", ["metadata", "original_metadata"])
def test_formulas_hidden_in_metadata(place: str) -> None:
    axes = [_functional(HOSTILE)]
    tree = {
        "_sig_array": _dictionary(axes=axes),
        "_sig_text": {"data": "text", "axes": axes},
        "_sig_list": [{"axes": axes}],
        "_hspy_AxesManager_m": axes,
        "_hspy_Axis_a": _functional(HOSTILE),
        "list": [{"_sig_": _dictionary(axes=axes)}, {"_sig_x": {"axes": axes}}],
        "tuple": ({"deep": {"_sig_": {"data": 1, "axes": axes}}},),
    }
    (signal,) = build([_dictionary(**{place: {"General": {"title": "t"}, "Inner": tree}})], False, ORIGIN)
    str(signal.metadata)
    str(signal.original_metadata)
    assert signal.metadata.General.title in ("t", "")


def test_models_and_foreign_attributes_are_left_out() -> None:
    given = _dictionary(
        models={"a": {"components": {}}},
        attributes={
            "axes_manager": {"events": 1},
            "data": 3,
            "_lazy": True,
            "learning_results": {"factors": [1], "__class__": 2},
        },
    )
    neutraliser = Neutraliser()
    kept = neutraliser.signal(given)
    assert kept["attributes"] == {"_lazy": True, "learning_results": {"factors": [1]}}
    assert "models" not in kept
    assert neutraliser.notes == ["models stored with the signal were left out: restoring one can run code"]
    (signal,) = build([given], False, ORIGIN)
    assert len(signal.models) == 0
    assert not signal._lazy


def test_endless_metadata_is_refused() -> None:
    tree: dict[str, Any] = {}
    for _ in range(500):
        tree = {"a": tree}
    with pytest.raises(ReaderError, match="nested"):
        build([_dictionary(original_metadata=tree)], False, ORIGIN)


def test_what_the_file_claims_of_its_origin_is_overwritten() -> None:
    claim = {"General": {"title": "t", "diadem": {"verify": "proven-file", "package": "diadem:1", "extra": 1}}}
    (signal,) = build([_dictionary(metadata=claim)], False, ORIGIN)
    assert signal.metadata.General.diadem.as_dictionary() == ORIGIN


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("verify", ["proof", "never"])
def test_the_hostile_file_loads_without_its_code(shared_data: Path, tmp_path: Path, lazy: bool, verify: Any) -> None:
    name = "hostile_functional_axis.hspy"
    shutil.copyfile(shared_data / "bad" / name, tmp_path / name)
    signal = load(Payload(tmp_path).source(name), offer=offer("hspy"), lazy=lazy, verify=verify)
    assert "formula" in signal.metadata.General.diadem.notes[0]
    assert type(signal.axes_manager[0]).__name__ == "UniformDataAxis"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("external_link.hspy", "links to another file"),
        ("external_raw.hspy", "keeps its values in another file"),
        ("self_loop.hspy", "contains itself"),
    ],
)
@pytest.mark.parametrize("verify", ["proof", "always", "never"])
def test_hdf5_that_leads_out_or_in_circles_is_refused(
    shared_data: Path, tmp_path: Path, name: str, message: str, verify: Any
) -> None:
    shutil.copyfile(shared_data / "bad" / name, tmp_path / name)
    with pytest.raises(ReaderError, match=message):
        load(Payload(tmp_path).source(name), offer=offer("hspy"), verify=verify)


def test_a_declared_size_costs_nothing(shared_data: Path, tmp_path: Path) -> None:
    name = "huge_declared.hspy"
    shutil.copyfile(shared_data / "bad" / name, tmp_path / name)
    signal = load(Payload(tmp_path).source(name), offer=offer("hspy"))
    assert signal.data.nbytes > 1 << 40


@pytest.mark.parametrize("name", ["zero.dm3", "trunc50.dm3", "png_named.dm4"])
def test_broken_dm_files_are_reader_errors(shared_data: Path, tmp_path: Path, name: str) -> None:
    shutil.copyfile(shared_data / "bad" / name, tmp_path / name)
    for lazy in (True, False):
        with pytest.raises(ReaderError) as caught:
            load(Payload(tmp_path).source(name), offer=offer("digitalmicrograph"), lazy=lazy)
        assert caught.value.where == name


@pytest.mark.parametrize(
    ("name", "reader"),
    [("trunc50.mrc", "mrc"), ("garbage.ser", "tia-ser"), ("trunc50.emd", "emd"), ("billion_laughs.spx", "bruker")],
)
def test_other_broken_files_are_reader_errors(shared_data: Path, tmp_path: Path, name: str, reader: str) -> None:
    shutil.copyfile(shared_data / "bad" / name, tmp_path / name)
    with pytest.raises(ReaderError) as caught:
        load(Payload(tmp_path).source(name), offer=offer(reader))
    assert caught.value.where == name


# -- the code that a Zarr store names to decode its arrays ---------------------------------------------------------


class _Shell:
    """Unpickled, it is a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (HOSTILE,)


def _stored(folder: Path, **changes: Any) -> Path:
    """A session with a small image in Zarr whose array says something else of itself; its chunk is a pickle."""
    place = folder / "session" / "a.zspy"
    place.parent.mkdir(parents=True)
    axes = tuple(Axis(name, 1.0, "nm") for name in "yx")
    write_zspy(place, signal_dictionary(np.arange(12.0).reshape(3, 4), axes, {"General": {"title": "t"}}))
    (described,) = place.glob("Experiments/*/data/.zarray")
    document = json.loads(described.read_bytes())
    if changes:
        document |= {"compressor": None, "filters": None} | changes
        next(described.parent.rglob("0/0")).write_bytes(pickle.dumps(_Shell()))
    described.write_text(json.dumps(document), "utf-8")
    return place.parent


PICKLE = {"id": "pickle"}


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": [PICKLE]},
        {"compressor": PICKLE},
        {"filters": [{"id": "zlib"}, {"id": "pickle", "protocol": 2}]},
        {"filters": PICKLE},
        {"codecs": [{"name": "numcodecs.pickle"}]},
        {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": [{"name": "numcodecs.pickle"}]}}]},
        {"consolidated_metadata": {"metadata": {"a": {"codecs": ["numcodecs.pickle"]}}}},
        {"zarr_consolidated_format": 1, "metadata": {"a/.zarray": {"filters": [PICKLE]}}},
    ],
)
def test_no_pickle_decodes_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    # what numcodecs was before 0.15.2, and is where somebody has switched it on
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    session = _stored(tmp_path, **changes)
    if changes == {"compressor": PICKLE}:  # one of them as an archive
        shutil.make_archive(str(tmp_path / "a"), "zip", session / "a.zspy")
        shutil.rmtree(session / "a.zspy")
        (tmp_path / "a.zip").rename(session / "a.zspy")
    package = diadem.pack(session, tmp_path / "store")
    (dataset,) = package.record.datasets
    (found,) = dataset.issues
    assert "pickle" in found["message"]
    assert "not known to be harmless" in found["message"]
    for verify in ("proof", "never"):
        with pytest.raises(ReaderError, match=r"could not be read when it was archived|known to be harmless"):
            package.load("a.zspy", verify=verify)


def test_honest_codecs_decode(tmp_path: Path) -> None:
    package = diadem.pack(_stored(tmp_path), tmp_path / "store")
    assert not package.record.datasets[0].issues
    assert package.load("a.zspy", lazy=False).data.tolist() == np.arange(12.0).reshape(3, 4).tolist()
