"""The description from heads alone against RosettaSciIO's reader, which reads every pixel."""

from __future__ import annotations

import math
import random
import struct
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rsciio.tia import file_reader

from diadem.errors import ReaderError
from diadem.extract.opening import array_of
from diadem.plugins.tia import files as tia
from diadem.plugins.tia.series import NoElements, read_series
from tests.plugins.opened import Bytes, Held, dictionaries
from tests.plugins.tia.tia_file import STEM, TEM, Dimension, Made, emi, object_info

SPECTRA = np.arange(6 * 5, dtype="<u4").reshape(6, 5)
IMAGES = np.arange(6 * 12, dtype="<i2").reshape(6, 3, 4)


def describe(path: str) -> list[dict[str, Any]]:
    """The signals of a file."""
    return dictionaries("diadem.plugins.tia.files:open", Path(path))


def metres(size: int, **others: Any) -> Dimension:
    """A dimension of positions."""
    return Dimension(size, delta=1e-9, description="Position", units="meters", **others)


def comparable(axis: Mapping[str, Any]) -> dict[str, Any]:
    """An axis in plain types, without its offset, which the reader leaves in metres beside a scale in nm."""
    plain = {key: value for key, value in axis.items() if key != "offset"}
    for key in ("size", "scale", "index_in_array"):
        if key in plain:
            plain[key] = float(np.ravel(plain[key])[0])
    return plain


def same(path: Path, *, lazy: bool = True) -> list[dict[str, Any]]:
    """Compare with the reader: number, order, shapes, types, axes, values."""
    ours, theirs = describe(str(path)), file_reader(str(path), lazy=lazy)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one["data"].shape == other["data"].shape
        assert one["data"].dtype == other["data"].dtype
        for axis, theirs_axis in zip(map(comparable, one["axes"]), map(comparable, other["axes"]), strict=True):
            assert axis.pop("scale") == pytest.approx(theirs_axis.pop("scale"))
            assert axis == theirs_axis
        assert one["metadata"]["General"].items() <= other["metadata"]["General"].items()
        assert np.array_equal(
            np.asarray(one["data"]), np.asarray(other["data"]), equal_nan=one["data"].dtype.kind == "f"
        )
    return ours


# -- real files ----------------------------------------------------------------------------------------------------

#: A diffraction pattern without its .emi file, which the reader calibrates as 1.7e17 nm; positions that are counted.
DIFFER = {"16x16-line_profile_horizontal_5x128x128_EDS_2.ser", "Titan_TEM_4_eds_line_scan_2_dataZeroed"}


@pytest.mark.filterwarnings("ignore")
def test_every_real_file(tia_files: Path) -> None:
    compared = 0
    for path in sorted(tia_files.iterdir()):
        if path.name in DIFFER or any(path.name.startswith(name) for name in DIFFER if "." not in name):
            continue
        same(path)
        compared += 1
    assert compared == 13


@pytest.mark.filterwarnings("ignore")
def test_where_the_reader_is_wrong(tia_files: Path) -> None:
    pattern = tia_files / "16x16-line_profile_horizontal_5x128x128_EDS_2.ser"
    ours, theirs = describe(str(pattern))[0], file_reader(str(pattern), lazy=True)[0]
    assert ours["data"].shape == theirs["data"].shape
    assert [axis["units"] for axis in ours["axes"]] == ["nm", "1 / nm", "1 / nm"]
    assert [axis["units"] for axis in theirs["axes"]] == ["nm", "nm", "nm"]
    assert ours["axes"][2]["scale"] == pytest.approx(0.174353, rel=1e-5)
    positions = describe(str(tia_files / "Titan_TEM_4_eds_line_scan_2_dataZeroed.emi"))[0]["axes"][0]
    assert (positions["size"], positions["scale"], positions["units"]) == (6, 1.0, "")


def test_offsets_are_where_the_beam_was(tia_files: Path) -> None:
    """The tags of a map's elements hold positions; an axis begins half a step before the first."""
    name = "16x16-spectrum_image-5x5x1024_1.ser"
    content = (tia_files / name).read_bytes()
    recorded = read_series(Bytes(content), name)
    position = recorded.stamps[0].position
    assert position is not None
    rows, columns, _ = describe(str(tia_files / name))[0]["axes"]
    assert columns["offset"] * 1e-9 == pytest.approx(position[0] - columns["scale"] * 1e-9 / 2, rel=1e-6)
    assert rows["offset"] * 1e-9 == pytest.approx(position[1] - rows["scale"] * 1e-9 / 2, rel=1e-6)


# -- made-up files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0x210, 0x220])
@pytest.mark.parametrize("dtype", ["|u1", "<u2", "<u4", "|i1", "<i2", "<i4", "<f4", "<f8", "<c8", "<c16"])
@pytest.mark.filterwarnings("ignore")
def test_types_and_versions(tmp_path: Path, dtype: str, version: int) -> None:
    path = tmp_path / "a_1.ser"
    path.write_bytes(Made(IMAGES.astype(dtype), [Dimension(6)], version=version).content())
    same(path)


@pytest.mark.parametrize("elements", [SPECTRA, IMAGES])
@pytest.mark.parametrize(
    ("dimensions", "total", "positions"),
    [
        ([Dimension(6, units="seconds")], 6, ()),
        ([metres(6, element=1)], 6, [(1e-9 * n, 0.0) for n in range(6)]),
        ([Dimension(9)], 9, ()),  # stopped before its end
        ([metres(3), metres(2)], 6, [(n % 3 * 1e-9, n // 3 * 1e-9) for n in range(6)]),
        ([metres(3), metres(2)], 6, [(n // 2 * 1e-9, n % 2 * 1e-9) for n in range(6)]),
        ([metres(3), metres(4)], 12, [(n % 3 * 1e-9, n // 3 * 1e-9) for n in range(6)]),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_series_and_maps(
    tmp_path: Path, elements: Any, dimensions: list[Dimension], total: int, positions: Sequence[tuple[float, float]]
) -> None:
    path = tmp_path / "a_1.ser"
    path.write_bytes(Made(elements, dimensions, total=total, positions=positions).content())
    same(path)


def test_images_along_a_line_of_a_map(tmp_path: Path) -> None:
    """Of a map of one row the reader takes the row's length for one and cannot fill it."""
    path = tmp_path / "a_1.ser"
    path.write_bytes(Made(IMAGES, [metres(6), metres(1)], positions=[(n * 1e-9, 0.0) for n in range(6)]).content())
    (signal,) = describe(str(path))
    assert np.array_equal(np.asarray(signal["data"]), IMAGES[:, ::-1])


@pytest.mark.filterwarnings("ignore")
def test_a_map_that_was_stopped_is_filled(tmp_path: Path) -> None:
    maps = [metres(3), metres(4)]
    for dtype in ("<f4", "<i4"):
        path = tmp_path / f"{dtype[1:]}_1.ser"
        positions = [(n % 3 * 1e-9, n // 3 * 1e-9) for n in range(6)]
        path.write_bytes(Made(SPECTRA.astype(dtype), maps, total=12, positions=positions).content())
        (signal,) = same(path)
        rest = np.asarray(signal["data"])[2:]
        assert np.isnan(rest).all() if dtype == "<f4" else (rest == 0).all()


def test_a_large_map_that_was_hardly_begun_costs_no_memory(tmp_path: Path) -> None:
    maps = [metres(3000), metres(3000)]
    path = tmp_path / "a_1.ser"
    path.write_bytes(Made(SPECTRA[:1], maps, total=9_000_000, positions=[(0.0, 0.0)]).content())
    (signal,) = describe(str(path))
    data = signal["data"]
    assert data.shape[:2] == (3000, 3000)
    assert data.npartitions <= 25_000
    assert np.array_equal(np.asarray(data[0, 0]), SPECTRA[0])


def test_parts_of_the_data_are_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "a_1.ser"
    path.write_bytes(Made(IMAGES, [Dimension(6)]).content())
    data = describe(str(path))[0]["data"]
    assert np.array_equal(np.asarray(data[2]), IMAGES[2][::-1])
    assert np.array_equal(np.asarray(data[::2, ::2, 1]), IMAGES[:, ::-1][::2, ::2, 1])


@pytest.mark.parametrize("labels", [STEM, TEM, ()])
@pytest.mark.parametrize("acquired", ["<CameraNamePath>BM-Ceta</CameraNamePath>", "<FrameTime>1.0</FrameTime>"])
@pytest.mark.filterwarnings("ignore")
def test_several_series_of_one_document_file(tmp_path: Path, labels: Any, acquired: str) -> None:
    """In the order of their numbers; one without an element and one that is not there are passed over."""
    documents = [
        (object_info(labels=labels, acquired=acquired), f"C:\\data\\a_{number}.ser") for number in (1, 2, 3, 4)
    ]
    (tmp_path / "a.emi").write_bytes(emi(*documents))
    (tmp_path / "a_1.ser").write_bytes(Made(IMAGES[:1], [Dimension(1)]).content())
    (tmp_path / "a_2.ser").write_bytes(Made(SPECTRA[:0], [Dimension(6)], total=6).content())
    (tmp_path / "a_4.ser").write_bytes(Made(SPECTRA, [Dimension(6)]).content())
    ours, theirs = describe(str(tmp_path / "a.emi")), file_reader(str(tmp_path / "a.emi"), lazy=True)
    assert [one["metadata"]["General"]["original_filename"] for one in ours] == ["a_1.ser", "a_4.ser"]
    assert [one["data"].shape for one in ours] == [one["data"].shape for one in theirs] == [(3, 4), (6, 5)]


def test_no_series_is_no_signal(tmp_path: Path) -> None:
    (tmp_path / "a.emi").write_bytes(emi((object_info(labels=TEM), "C:\\a_1.ser")))
    assert describe(str(tmp_path / "a.emi")) == file_reader(str(tmp_path / "a.emi")) == []


# -- cost and damage -----------------------------------------------------------------------------------------------


def test_a_large_series_costs_nothing(tmp_path: Path) -> None:
    """400 MB of pixels, most of them a hole in the file: not one is read."""
    path = tmp_path / "large_1.ser"
    frames, edge = 100, 1024
    small = Made(np.zeros((frames, 1, 1), "<i4"), [Dimension(frames)]).content()
    element, table = 50 + 4 * edge * edge + 8, 22 + 8 + 28 + 6 + 4
    start = table + 8 * frames
    starts = [start + number * element for number in range(frames)]
    with path.open("wb") as sink:
        sink.write(small[:start])
        sink.seek(table)
        sink.write(struct.pack(f"<{frames}I", *starts))
        for place in starts:
            sink.seek(place)
            sink.write(struct.pack("<ddIddIHII", 0, 1e-9, 0, 0, 1e-9, 0, 6, edge, edge))
            sink.seek(place + element - 8)
            sink.write(struct.pack("<HHI", 0x4152, 0, 1456138587))
    assert path.stat().st_size > 400e6
    describe(str(path))  # Dask is imported
    tracemalloc.start()
    started = time.process_time()
    (signal,) = describe(str(path))
    seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert signal["data"].shape == (frames, edge, edge)
    assert seconds < 0.5
    assert peak < 2 << 20


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 6), cut=st.integers(0, 60))
def test_damaged_series_end_soon(seed: int, changes: int, cut: int) -> None:
    damage = random.Random(seed)
    content = bytearray(Made(IMAGES, [Dimension(6)], positions=[(0.0, 0.0)] * 6).content())
    for _ in range(changes):
        content[damage.randrange(4, 160)] = damage.randrange(256)
    started = time.process_time()
    with suppress(ReaderError, NoElements):
        read_series(Bytes(bytes(content[: len(content) - cut])), "a.ser")
    assert time.process_time() - started < 1


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 4), cut=st.sampled_from([0, 0, 30, 200]))
def test_a_changed_head_never_leads_out_of_the_file(seed: int, changes: int, cut: int) -> None:
    damage = random.Random(seed)
    content = bytearray(Made(IMAGES, [Dimension(6)]).content())
    for _ in range(changes):
        content[damage.randrange(4, 160)] = damage.randrange(256)
    files = Held({"a.ser": bytes(content[: len(content) - cut])})
    with suppress(ReaderError, ValueError, OSError):
        for signal in tia.open(files).signals:
            large = math.prod(signal.shape) > 1 << 16  # elements that the head promises, and nobody has recorded
            array = array_of(signal, files, "t", lazy=large)
            assert array.shape == signal.shape
            for part in (array[:8], array[-1:]) if large else ():
                assert np.asarray(part).shape == part.shape
    assert files.held["a.ser"].read <= 8 * len(content) + 10_000


def test_elements_at_unequal_distances(tmp_path: Path) -> None:
    """They are read one by one: the array does not lie flat in the file."""
    content = Made(IMAGES, [Dimension(6)]).content()
    path = tmp_path / "a_1.ser"
    length = 50 + IMAGES[0].nbytes + 8
    first = len(content) - 6 * length
    starts = [first + number * length for number in range(6)]
    table = content.index(struct.pack("<6I", *starts))
    gap = content[: first + 2 * length] + bytes(3) + content[first + 2 * length :]
    moved = struct.pack("<6I", *starts[:2], *(start + 3 for start in starts[2:]))
    path.write_bytes(gap[:table] + moved + gap[table + 24 :])
    files = Held({"a_1.ser": path.read_bytes()})
    (signal,) = tia.open(files).signals
    assert signal.array is None
    assert np.array_equal(np.asarray(array_of(signal, files, "t")), IMAGES[:, ::-1])
    (whole,) = tia.open(Held({"a_1.ser": content})).signals
    assert whole.array is not None


def test_a_series_says_how_long_it_must_be() -> None:
    content = Made(IMAGES, [Dimension(6)]).content()
    assert tia.open(Held({"a_1.ser": content})).size == len(content)
    assert tia.open(Held({"a_1.ser": content[:-40]})).size == len(content)
    empty = Made(SPECTRA[:0], [Dimension(6)], total=6).content()
    table = len(empty)  # two places for each element that was planned, none of which is there
    assert tia.open(Held({"a_1.ser": empty})).size == table + 6 * 8
    assert tia.open(Held({"a_1.ser": b"other"})).size == 22
    assert tia.open(Held({"a.emi": b"short", "a_1.ser": content})).size == 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_anything_at_all(content: bytes) -> None:
    with suppress(ReaderError, NoElements):
        read_series(Bytes(struct.pack("<HH", 0x4949, 0x197) + content), "a.ser")


@pytest.mark.parametrize("dimension", [Dimension(2**31), Dimension(2)])
def test_a_map_of_another_size_than_its_elements_is_refused(tmp_path: Path, dimension: Dimension) -> None:
    path = tmp_path / "a_1.ser"
    path.write_bytes(Made(SPECTRA, [dimension, Dimension(1)]).content())
    with pytest.raises(ValueError, match="in a map of"):
        describe(str(path))


def test_a_cut_series_is_left_to_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "a_1.ser"
    content = Made(IMAGES, [Dimension(6)]).content()
    for length in (3, 30, 60, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ReaderError):
            describe(str(path))
