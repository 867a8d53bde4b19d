"""Small values of HDF5 files: what is read, what is not followed, and where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from diadem.hooks.hdf5 import MOST_ITEMS, Left, attributes, child, children, groups, is_array, plain, shows, values


@pytest.fixture
def root(tmp_path: Path) -> Iterator[h5py.File]:
    """A file with a value of every kind, and with links of every kind."""
    with h5py.File(tmp_path / "elsewhere.h5", "w") as other:
        other["secret"] = 1
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("group")
        group.attrs.update({"text": "µm", "bytes": np.bytes_("nm"), "one": np.array([3.5]), "many": np.arange(3)})
        group.attrs["empty"] = h5py.Empty("f4")
        group["number"] = 2
        group["number"].attrs["units"] = np.bytes_("s")
        group["texts"] = np.array([b"a", b"b"])
        group["long"] = np.zeros(100_000)
        group["nothing"] = h5py.Empty("f4")
        group.create_dataset("outside", (4,), "u1", external=[(str(tmp_path / "elsewhere.h5"), 0, 4)])
        group.create_group("inner")["deep"] = True
        group["soft"] = h5py.SoftLink("/group/number")
        group["broken"] = h5py.SoftLink("/nowhere")
        group["away"] = h5py.ExternalLink("elsewhere.h5", "/secret")
        group["loop"] = group
        yield file


def test_values_and_attributes_are_plain(root: h5py.File) -> None:
    found = attributes(root["group"])
    assert {name: found[name] for name in found if name != "empty"} == {
        "text": "µm", "bytes": "nm", "one": 3.5, "many": [0, 1, 2],
    }  # fmt: skip
    assert values(root["group"]) == {"number": 2, "texts": ["a", "b"]}
    assert values(root["group"], most=1, unit="units") == {"number": {"value": 2, "units": "s"}}
    assert type(values(root["group"])["number"]) is int


def test_links_that_lead_away_are_not_followed(root: h5py.File) -> None:
    group = root["group"]
    assert {name for name, _ in children(group)} == {
        "number", "texts", "long", "nothing", "outside", "inner", "loop",
    }  # fmt: skip
    assert {name for name, _ in children(group, soft=True)} - {name for name, _ in children(group)} == {"soft"}
    assert set(groups(group)) == {"inner", "loop"}
    assert child(group, "number")[()] == 2
    assert child(group, "soft") is child(group, "away") is child(group, "not there") is None
    assert list(children(None)) == list(children(group["number"])) == []


def test_what_is_no_value_of_this_file(root: h5py.File) -> None:
    group = root["group"]
    assert [name for name, item in children(group) if is_array(item)] == ["long", "number", "texts"]
    assert is_array(group["texts"], "S")
    assert not is_array(group["texts"], "iu")


def test_there_is_an_end(root: h5py.File) -> None:
    left = Left(3)
    assert len(attributes(root["group"], left)) == 3
    assert not left
    assert values(root["group"], left) == {}
    assert len(plain(np.arange(100_000))) == MOST_ITEMS
    assert plain(np.array([[b"\xff"]])) == "�"


def test_a_probe_closes_the_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["mine"] = 1
    assert shows(str(tmp_path / "a.h5"), lambda root: "mine" in root)
    assert not shows(str(tmp_path / "a.h5"), lambda root: "yours" in root)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["mine"]
