"""SerialEM's extended header, DE5 files, and MRCZ."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import Block
from diadem.hooks.tables import table, tables
from diadem.plugins.mrc import extended, sidecars
from diadem.plugins.mrc.files import is_mrcz
from tests.plugins.opened import blocks

MRC = tables("diadem.plugins.mrc")
OPEN, OPEN_MRCZ = "diadem.plugins.mrc.files:open", "diadem.plugins.mrc.files:open_mrcz"


def stack(
    sections: list[bytes], mask: int, kind: bytes = b"SERI", length: int | None = None, order: str = "<"
) -> bytes:
    """A stack of 4 x 2 pixels with SerialEM's extended header."""
    head = bytearray(1024)
    struct.pack_into(f"{order}4i", head, 0, 4, 2, len(sections), 1)
    extended = b"".join(sections)
    struct.pack_into(f"{order}i", head, 92, len(extended))
    head[104 : 104 + len(kind)] = kind
    struct.pack_into(f"{order}2h", head, 128, len(sections[0]) if length is None else length, mask)
    return bytes(head) + extended + bytes(16 * len(sections))


def values(path: Path) -> dict[str, Any]:
    """Values by field of the extended header."""
    found: dict[str, Any] = {}
    for block in blocks(OPEN, path):
        if block.kind == "serialem-extended-header":
            found |= {one.field: one.value for one in apply(MRC["serialem-extended-header"], block, "mrc").values}
    return found


@pytest.mark.parametrize("order", ["<", ">"])
def test_serialem_packs_angles_and_positions(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.mrc"
    mask = 1 | 2 | 4 | 8 | 32
    sections = [
        struct.pack(f"{order}h3h2hhf", 1250, 10, 20, 0, -2500, 50, 530, 3.0),
        struct.pack(f"{order}h3h2hhf", -300, 10, 20, 1, -2500, 50, 530, 3.0),
    ]
    path.write_bytes(stack(sections[:1], mask, order=order))
    assert values(path) == {
        "stage.alpha": 12.5,
        "stage.x": pytest.approx(-1e-4),
        "stage.y": pytest.approx(2e-6),
        "optics.magnification": 53000,
    }
    # The tilt of a series is that of no stack.
    path.write_bytes(stack(sections, mask, order=order))
    assert set(values(path)) == {"stage.x", "stage.y", "optics.magnification"}


@pytest.mark.parametrize(("mask", "length", "kind"), [(1, 4, b"SERI"), (0, 2, b"SERI"), (1, 2, b"AGAR"), (-1, 2, b"")])
def test_other_programs_use_the_same_bytes_otherwise(tmp_path: Path, mask: int, length: int, kind: bytes) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(stack([b"\x01\x02"], mask, kind, length))
    assert values(path) == {}


@given(st.binary(max_size=300), st.integers(-32768, 32767), st.integers(-32768, 32767), st.integers(1, 1 << 30))
def test_any_extended_header_ends(data: bytes, mask: int, length: int, count: int) -> None:
    header = {"NZ": count, "NINT": length, "NREAL": mask, "EXTTYPE": "SERI", "byte order": "<"}
    extended.serialem_common(data, header)


def test_settings_in_a_de5_file(tmp_path: Path) -> None:
    path = tmp_path / "movie.de5"
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/settings")
        group.attrs["Camera Model"] = np.bytes_(b"DE-16")
        group.attrs["Server Software Version"] = "2.7"
        group.attrs["Instrument Accelerating Voltage (V)"] = 200000
        group.attrs["Timestamp (seconds since Epoch)"] = "1729539410"
        group.attrs["Local time"] = "Mon Oct 21 14:36:50 2024"
    (block,) = sidecars.in_de5(str(path), [])
    found = {one.field: one.value for one in apply(MRC["de-settings"], block, "direct-electron").values}
    assert found == {
        "beam.acceleration_voltage": 200e3,
        "detector.name": "DE-16",
        "instrument.software": "2.7",
        "time.acquired_start": "2024-10-21T19:36:50Z",
        "time.utc_offset": "-05:00",
    }
    assert block.place == "entry/settings"
    other = path.rename(tmp_path / "movie.emd")
    assert list(sidecars.in_de5(str(other), [])) == []


def test_a_camera_length_that_nobody_has_set(shared_data: Path) -> None:
    text = (shared_data / "mrc" / "20241021_00405_info.txt").read_bytes()
    for said, expected in ((text, None), (text.replace(b"Disconnected", b"Connected"), 0.001)):
        block = Block("de-settings", sidecars.settings(said))
        found = {one.field: one.value for one in apply(MRC["de-settings"], block, "mrc").values}
        assert found.get("optics.camera_length") == expected
        assert found["scan.frame_time"] == pytest.approx(32 * found["scan.dwell_time"], rel=1e-3)


def test_mrcz(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "mrcz", tmp_path / "mrcz")
    (dataset,) = diadem.extract(tmp_path / "mrcz").to_dict()["datasets"]
    fields = dataset["fields"]
    (voltage,) = fields["beam.acceleration_voltage"]
    assert (voltage["value"], voltage["source"]["raw_unit"], voltage["source"]["locator"]) == (
        200e3,
        "kV",
        "header/voltage",
    )
    # What HyperSpy has saved of stage and camera length has lost its unit.
    assert not [key for key in fields if key.startswith("stage.") or key == "optics.camera_length"]
    content = (tmp_path / "mrcz" / "haadf_public.mrcz").read_bytes()
    assert struct.unpack_from("<f", content, 132) == (200.0,)
    length = struct.unpack_from("<I", content, 92)[0]
    assert json.loads(content[1024 : 1024 + length])["Acquisition_instrument"]["TEM"]["magnification"] == 40000.0
    assert fields["optics.magnification"][0]["value"] == 40000.0


def test_axes_of_mrcz_have_no_unit(shared_data: Path) -> None:
    """The file says 0.0053 nm; its source was a Velox file of 5.3 nm."""
    (dataset,) = diadem.extract(shared_data / "mrcz" / "haadf_public.mrcz").datasets
    (signal,) = dataset.signals
    assert [axis.unit for axis in signal.axes] == [None, None, None]
    assert signal.shape == (2, 96, 128)


def test_mrcz_is_told_from_mrc(unpacked_data: Path) -> None:
    told = {path.name: is_mrcz(str(path)) for folder in ("mrc", "mrcz") for path in (unpacked_data / folder).iterdir()}
    assert told == {name: name.endswith(".mrcz") for name in told}
    assert any(told.values())


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"\0" * 1024])
def test_no_mrcz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mrcz"
    path.write_bytes(content)
    assert blocks(OPEN_MRCZ, path) == []


def test_json_that_is_none(tmp_path: Path) -> None:
    head = bytearray(1024)
    struct.pack_into("<4i", head, 0, 4, 2, 1, 0)
    struct.pack_into("<i", head, 92, 4)
    head[104:108] = b"json"
    path = tmp_path / "a.mrcz"
    path.write_bytes(bytes(head) + b"{{{{")
    with pytest.raises(ValueError, match="Expecting"):
        blocks(OPEN_MRCZ, path)
    path.write_bytes(bytes(head) + b"[1] ")
    assert [block.kind for block in blocks(OPEN_MRCZ, path)] == ["mrcz-header"]
    assert apply(table("diadem.plugins.hyperspy/hyperspy-signal"), Block("x", {"metadata": {}}), "x").values == []


def test_a_list_beside_a_tiff_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "frames.tif", np.zeros((3, 8, 8), np.uint8))
    (tmp_path / "frames.tif.mdoc").write_text("Voltage = 300\n\n[FrameSet = 0]\nExposureTime = 1.5\nTiltAngle = 12\n")
    (dataset,) = diadem.extract(tmp_path).to_dict()["datasets"]
    assert [Path(file["path"]).name for file in dataset["files"]] == ["frames.tif", "frames.tif.mdoc"]
    fields = dataset["fields"]
    assert fields["beam.acceleration_voltage"][0]["value"] == 300e3
    assert fields["camera.exposure"][0]["source"]["file"] == "f2"
