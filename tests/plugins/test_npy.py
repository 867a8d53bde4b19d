"""NumPy's files: arrays of every order and type against NumPy, heads that are cut short or hold something else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.errors import ReaderError
from diadem.extract.opening import array_of
from diadem.hooks.offers import target
from tests.plugins.opened import Held

OPEN = "diadem.plugins.rosettasciio.files:open_npy"


def saved(array: Any, version: tuple[int, int] | None = None) -> bytes:
    """An array as NumPy writes it."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">f4", "<c16", "?", "<M8[s]"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_from_where_they_lie(dtype: str, version: tuple[int, int], order: Any) -> None:
    data = np.asarray(np.arange(60).reshape(3, 1, 4, 5).astype(dtype), order=order)
    files = Held({"a.npy": saved(data, version)})
    opened = target(OPEN)(files)
    assert opened.size == files["a.npy"].size
    (signal,) = opened.signals
    assert signal.dtype == data.dtype
    assert [axis["size"] for axis in signal.axes] == [3, 4, 5]
    assert np.array_equal(array_of(signal, files, "a", lazy=False), data[:, 0])


def test_an_array_stored_by_columns_is_loaded_as_it_was(tmp_path: Path) -> None:
    """RosettaSciIO 0.15 takes it for one stored by rows when it is lazy."""
    data = np.asfortranarray(np.arange(12).reshape(3, 4))
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "a.npy", data)
    signal = diadem.pack(tmp_path / "data", tmp_path / "package").load("a.npy")
    assert signal.metadata.General.diadem.verify == "leaves"
    assert np.array_equal(signal.data.compute(), data)


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((3, 4), [("a", "u1"), ("b", "<f4")]),
        np.array([{}], object),
        np.zeros((0, 4)),
        np.zeros((1, 1)),
        np.zeros(()),
    ],
)
def test_what_is_no_plain_array_is_left_to_the_reader(data: Any) -> None:
    with pytest.raises(OSError, match="no reader"):
        list(target(OPEN)(Held({"a.npy": saved(data)})).signals)


@pytest.mark.parametrize("cut", [7, 60, 129, 400])
def test_a_file_cut_short_says_how_much_is_missing(tmp_path: Path, cut: int) -> None:
    content = saved(np.zeros((8, 8), np.complex64))
    (tmp_path / "a.npy").write_bytes(content[:cut])
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    (issue,) = (one for one in dataset["issues"] if one["code"] == "truncated")
    promised = {7: 10, 60: 128}.get(cut, len(content))
    assert issue["message"] == f"'a.npy' is not complete: its header promises {promised} bytes, {cut} are there"


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_quietly(data: bytes, magic: bool) -> None:
    files = Held({"a.npy": b"\x93NUMPY\1\0\x76\0" + data if magic else data})
    try:
        for signal in target(OPEN)(files).signals:
            assert signal.array.offset + array_of(signal, files, "a", lazy=False).nbytes <= files["a.npy"].size
    except (ReaderError, OSError):
        pass
