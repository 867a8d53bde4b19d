"""TIFF files and pictures opened: arrays where they lie, sizes that the head promises, axes that the tags state."""

from __future__ import annotations

import gc
import json
import os
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from rsciio.tiff import file_reader

import diadem
from tests.hooks.distributions import install
from tests.plugins import opened
from tests.plugins.tiff.files import write

OPEN, LOAD = "diadem.plugins.tiff.files:open", "rsciio.tiff:file_reader"
#: Height and width of a pixel in metres by the vendors' own tags; RosettaSciIO's differ or are missing.
SIZES = {
    "tif-fei/FEI-Helios-navcam.tif": (0.135155 / 512, 0.202732 / 768),
    "tif-fei/titan_tem_bf_image_dataZeroed.tif": (1 / 275445235.2, 1 / 275445235.2),
    "tif-jeol/JEOL-SightX-TEM-mag-dummy.tif": (1 / 3642 / 150000, 1 / 3642 / 150000),
    "tif-tescan/tescan-pfib_dataZeroed.tif": (1.5625e-9, 1.5625e-9),
    "tif-zeiss-orion/orion-zeiss_dataZeroed.tif": (9.7656606023011e-10, 9.765625e-10),
}


pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _files_that_the_reader_leaves_open() -> Iterator[None]:
    """RosettaSciIO leaves to the garbage collector what it has opened for lazy arrays."""
    yield
    gc.collect()


def signals(path: Path) -> list[dict[str, Any]]:
    """As RosettaSciIO would return them."""
    assert opened.opened(OPEN, path)[0].size <= path.stat().st_size
    return opened.dictionaries(OPEN, path, LOAD)


def reference(path: Path) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read: list[dict[str, Any]] = file_reader(str(path), lazy=False)
    return read


def test_real_files_are_what_the_reader_makes_of_them(unpacked_data: Path) -> None:
    flat = 0
    for path in sorted(unpacked_data.glob("tif-*/*.tif")):
        flat += all(signal.array is not None for signal in opened.opened(OPEN, path, LOAD)[0].signals)
        for mine, other in zip(signals(path), reference(path), strict=True):
            assert np.array_equal(np.asarray(mine["data"]), other["data"]), path.name
            assert mine["data"].dtype == other["data"].dtype
            assert mine["metadata"] == other["metadata"]
            assert mine["axes"] == other["axes"]
    assert flat >= 10


PIXELS = np.arange(5 * 32 * 48, dtype=np.uint16).reshape(5, 32, 48)
COLOURS = PIXELS[:3].astype(np.uint8).transpose(1, 2, 0)
GREY: dict[str, Any] = {"photometric": "minisblack"}


def scattered(path: Path) -> None:
    """Pages with what belongs to each between them."""
    with tifffile.TiffWriter(path) as file:
        for page in PIXELS:
            file.write(page, **GREY, contiguous=False, metadata=None, rowsperstrip=7)


FORMS: Mapping[str, tuple[bool, Callable[[Path], object]]] = {
    "a picture": (True, lambda path: tifffile.imwrite(path, PIXELS[0])),
    "a stack in one piece": (True, lambda path: tifffile.imwrite(path, PIXELS, **GREY)),
    "of ImageJ": (True, lambda path: tifffile.imwrite(path, PIXELS, imagej=True)),
    "without descriptions": (True, lambda path: tifffile.imwrite(path, PIXELS, metadata=None)),
    "page by page": (True, scattered),
    "the highest byte first": (True, lambda path: tifffile.imwrite(path, PIXELS, byteorder=">", bigtiff=True)),
    "of real numbers": (True, lambda path: tifffile.imwrite(path, PIXELS.astype(np.float64))),
    "of complex numbers": (True, lambda path: tifffile.imwrite(path, PIXELS.astype(np.complex64))),
    "in tiles": (False, lambda path: tifffile.imwrite(path, PIXELS, tile=(16, 16))),
    "compressed": (False, lambda path: tifffile.imwrite(path, PIXELS, compression="zlib", predictor=True)),
    "in colours": (False, lambda path: tifffile.imwrite(path, COLOURS, photometric="rgb")),
    "of bits": (False, lambda path: tifffile.imwrite(path, PIXELS > 99)),
    "in planes": (True, lambda path: tifffile.imwrite(path, PIXELS[:3], **GREY, planarconfig="separate")),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_pixels_are_read_from_where_they_lie_or_decoded(tmp_path: Path, form: str) -> None:
    flat, make = FORMS[form]
    path = tmp_path / "a.tif"
    make(path)
    lie = [signal.array is not None for signal in opened.opened(OPEN, path, LOAD)[0].signals]
    assert lie == [flat] * len(lie)
    mine, theirs = signals(path), reference(path)
    assert len(mine) == len(theirs) == len(lie)
    for one, other in zip(mine, theirs, strict=True):
        assert one["data"].dtype.newbyteorder("=") == other["data"].dtype  # the file's own order is kept
        assert np.array_equal(np.asarray(one["data"]), other["data"])
        assert one["axes"] == other["axes"]


def test_several_pictures_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for picture in (PIXELS[0], PIXELS[0, :7], PIXELS[1]):
            file.write(picture, **GREY, metadata=None, contiguous=False)
    found = list(opened.opened(OPEN, path, LOAD)[0].signals)
    assert all(signal.array is not None for signal in found)
    for one, other in zip(signals(path), reference(path), strict=True):
        assert np.array_equal(np.asarray(one["data"]), other["data"])


@pytest.mark.parametrize("form", ["a picture", "page by page", "the highest byte first", "compressed", "in tiles"])
def test_a_file_cut_short_is_known(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.tif"
    FORMS[form][1](path)
    whole = path.read_bytes()
    promised = opened.opened(OPEN, path)[0].size
    assert len(whole) - 40 < promised <= len(whole)  # tifffile ends its files with bytes that nothing refers to
    for kept in (len(whole) - 40, len(whole) // 2 + 1):
        path.write_bytes(whole[:kept])
        assert opened.opened(OPEN, path)[0].size > kept
        (dataset,) = diadem.extract(path).datasets
        assert "truncated" in {issue["code"] for issue in dataset.issues}


def test_a_loop_of_pages_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\x00" + struct.pack("<IHI", 8, 0, 8))
    assert opened.opened(OPEN, path)[0].size == 14


@pytest.mark.parametrize("pages", [1, 300])
def test_a_list_that_is_named_again_and_again_is_not_read_again_and_again(tmp_path: Path, pages: int) -> None:
    data, count = b"II*\x00" + struct.pack("<I", 8), 1_000_000  # strips: a million numbers, from the beginning on
    for number in range(pages):
        entries = [struct.pack("<HHII", code, 4, count, 0) for code in (273, 279)] * (4096 // 2 if pages == 1 else 1)
        size = 2 + 12 * len(entries) + 4
        after = 8 + (number + 1) * size if number + 1 < pages else 0
        data += struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", after)
    path = tmp_path / "a.tif"
    path.write_bytes(data + bytes(4 * count))
    started = time.process_time()
    assert opened.opened(OPEN, path)[0].size > 0
    assert time.process_time() - started < 5


def axes_of(path: Path) -> dict[str, tuple[float | None, str | None]]:
    (dataset,) = diadem.extract(path).datasets
    return {axis.name: (axis.scale, axis.unit) for axis in dataset.signals[0].axes}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_as_stated(unpacked_data: Path, name: str) -> None:
    height, width = axes_of(unpacked_data / name).values()
    assert (height[0], width[0]) == pytest.approx(SIZES[name], rel=1e-9)
    assert (height[1], width[1]) == ("m", "m")


def test_the_sizes_that_the_reader_makes_out_are_others(unpacked_data: Path) -> None:
    """Where a new version does it itself, tables need no longer go first."""
    for name, stated in SIZES.items():
        (read,) = reference(unpacked_data / name)
        sizes = [axis["scale"] * {"m": 1.0, "nm": 1e-9, None: 1.0}[axis["units"]] for axis in read["axes"]]
        assert sizes != pytest.approx(stated, rel=1e-9), name


def test_a_damaged_tag_leaves_the_readers_axes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", {51023: b"<Fibics><Scan>"})
    assert axes_of(path) == {"height": (1.0, None), "width": (1.0, None)}


def test_what_is_loaded_is_proven_leaf_by_leaf_and_has_the_records_axes(unpacked_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    for name in SIZES:
        (folder / Path(name).name).write_bytes((unpacked_data / name).read_bytes())
    package = diadem.pack(folder, tmp_path / "packed")
    for dataset in package.record.datasets:
        signal = package.load(dataset.path)
        proof = "proven-file" if "orion" in dataset.path else "leaves"  # that picture is compressed
        assert signal.metadata.General.diadem.verify == proof
        for axis, stated in zip(signal.axes_manager.signal_axes[::-1], dataset.signals[0].axes, strict=True):
            factor = {"m": 1.0, "nm": 1e-9}[str(axis.units)]
            assert (axis.name, axis.scale * factor) == (stated.name, pytest.approx(stated.scale, rel=1e-12))


FAMILY = """
[[fields]]
name    = "basement"
formats = ["tiff", "image"]
cut     = [
    { block = "basement-lines", tag = 270, contains = '\\ABasement SEM' },
    { block = "basement-side", file = ".txt", contains = 'Basement SEM', form = ".reading:side" },
]

[[table]]
block = ["basement-lines", "basement-side"]
base  = ["ImageDescription/", ""]
proof = "we have built it"
[[table.group]]
unit  = "in the text"
fields."image.pixel_size_x" = "Step X"
fields."image.pixel_size_y" = "Step Y"
"""
SIDE = """
from diadem.hooks.text import decode, ini


def side(data):
    return ini(decode(data)).get("", {})
"""


PACKED = """
import json, sys, warnings
import diadem

warnings.simplefilter("ignore")
package = diadem.pack(sys.argv[1], sys.argv[2])
for dataset in package.record.datasets:
    signal = package.load(dataset.path)
    loaded = [[axis.name, axis.scale, axis.units] for axis in signal.axes_manager.signal_axes[::-1]]
    stated = [[axis.name, axis.scale, axis.unit] for axis in dataset.signals[0].axes]
    print(json.dumps([dataset.path, signal.metadata.General.diadem.verify, stated, loaded]))
"""


@pytest.mark.program("an installed plugin, read in new processes")
def test_a_family_from_elsewhere_calibrates_axes_too(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "basement", "", entry="basement_sem")
    (site / "basement_sem").mkdir()
    (site / "basement_sem" / "__init__.py").write_text("")
    (site / "basement_sem" / "reading.py").write_text(SIDE)
    (site / "basement_sem" / "formats.toml").write_text(FAMILY)
    folder = tmp_path / "session"
    folder.mkdir()
    text = b"Basement SEM\nStep X=2 nm\nStep Y=3 nm\n"
    tifffile.imwrite(folder / "a.tif", PIXELS[0], description=text.decode(), metadata=None)
    tifffile.imwrite(folder / "b.tif", PIXELS[0], metadata=None)
    (folder / "b.txt").write_bytes(text)
    done = subprocess.run(
        [sys.executable, "-c", PACKED, str(folder), str(tmp_path / "packed")],
        env={**os.environ, "PYTHONPATH": str(site), "DIADEM_PLUGINS": ""},
        capture_output=True,
        check=False,
        text=True,
    )
    axes = [["height", pytest.approx(3e-9), "m"], ["width", pytest.approx(2e-9), "m"]]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told == [["a.tif", "leaves", axes, axes], ["b.tif", "leaves", axes, axes]], done.stderr


def test_width_and_height_of_a_picture(shared_data: Path) -> None:
    path = shared_data / "image" / "renishaw_wire.jpg"
    (signal,) = opened.dictionaries("diadem.plugins.pictures.files:open", path, "rsciio.image:file_reader")
    axes = {axis["name"]: (axis["size"], axis["scale"]) for axis in signal["axes"]}
    assert axes == {"x": (752, pytest.approx(1821.4 / 752)), "y": (480, pytest.approx(1201.837 / 480))}
    assert signal["data"].shape == (480, 752)
    assert all("index_in_array" not in axis for axis in signal["axes"])


def test_vendors_bytes_are_kept_with_their_places(shared_data: Path) -> None:
    path = shared_data / "tif-fei" / "scios_xml_metadata.tif"
    (dataset,) = diadem.extract(path).to_dict()["datasets"]
    pieces = [path.read_bytes()[slice(*raw["byte_range"])] for raw in dataset["raw"] if raw.get("byte_range")]
    assert [piece[:6] for piece in pieces] == [b"[User]", b"<?xml "]


def test_a_streak_camera_has_no_pixel_size(real: Mapping[str, Any]) -> None:
    fields = real["tif-hamamatsu/test_hamamatsu_streak_FOCUS.tif"].fields
    assert not {field for field in fields if field.startswith("image.")}
