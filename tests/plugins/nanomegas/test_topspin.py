"""TopSpin's sessions: a real file against its own text, made-up documents for dates and modes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diadem
from diadem.extract.tables import apply
from diadem.hooks.fields import AMBIGUOUS, Block, Derived
from diadem.hooks.tables import table
from diadem.plugins.nanomegas.topspin import WRITTEN, acquired, document
from tests.plugins.opened import blocks, dictionaries, opened

OPEN = "diadem.plugins.nanomegas.topspin:open"
SESSION = table("diadem.plugins.nanomegas/topspin-session")

FILE = "topspin_test_A.app5"


@pytest.fixture(scope="module")
def dataset(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The real file, extracted."""
    folder = tmp_path_factory.mktemp("app5")
    shutil.copy(shared_data / "app5" / FILE, folder)
    (found,) = diadem.extract(folder).to_dict()["datasets"]
    return found


@pytest.mark.parametrize(
    ("field", "value", "unit"),
    [
        ("beam.acceleration_voltage", 200e3, "V"),
        ("optics.camera_length", 2.8, "m"),
        ("optics.magnification", 10416.6666666667, "1"),
        ("camera.exposure", 0.02, "s"),
        ("scan.dwell_time", 0.01, "s"),
        ("instrument.model", "Talos 200keV", None),
        ("detector.name", "Quantum Detectors/Merlin/1", None),
        ("person.operator", "Edwin Supple", None),
        ("beam.mode", "STEM", None),
        ("signal.technique", "PED", None),
    ],
)
def test_a_real_file(dataset: Any, field: str, value: Any, unit: str | None) -> None:
    (one,) = dataset["fields"][field]
    assert (one["value"], one.get("unit")) == (value, unit)
    assert one.get("applies_to", ["s1", "s2"]) == ["s1", "s2"]


def test_a_date_that_may_be_two_is_decided_by_the_instants_of_the_file(dataset: Any) -> None:
    """05/12/2025 12:27:54 was in May: HDF5's own time of the session's first object is 18:27:54 UTC of that day."""
    times = {key: dataset["fields"][key][0] for key in dataset["fields"] if key.startswith("time.")}
    assert {key: found["value"] for key, found in times.items()} == {
        "time.acquired_start": "2025-05-12T12:27:54-06:00",
        "time.acquired_end": "2025-05-12T12:33:35-06:00",
        "time.utc_offset": "-06:00",
    }
    assert times["time.acquired_start"]["offset_status"] == "derived"


@pytest.mark.parametrize("written", [{}, {"Version": 1747074474}, {"Version": 1747074474, "Thumbnail": 1747074900}])
def test_instants_that_do_not_fit_decide_nothing(written: dict[str, int]) -> None:
    tree = {"StartDateTime": "05/12/2025 12:27:54", "CreatedDateTime": "05/12/2025 12:33:37", WRITTEN: written}
    rule = next(rule for rule in SESSION if isinstance(rule, Derived) and rule.name == "session-time")
    assert [one.status for one in rule.read(tree)] == [AMBIGUOUS]
    assert len(list(rule.read({**tree, WRITTEN: {"Version": 1747074474, "Thumbnail": 1747074817}}))) == 2


@pytest.mark.parametrize(
    ("tag", "field"),
    [
        ("GunHighVoltage", "beam.acceleration_voltage"),
        ("DiffractionCameraLength", "optics.camera_length"),
        ("StemMagnification", "optics.magnification"),
        ("FrameTime", "camera.exposure"),
        ("SeriesFrameTime", "scan.dwell_time"),
        ("Camera", "detector.name"),
        ("IsPrecessionEnabled", "signal.technique"),
        ("StemEnabled", "beam.mode"),
    ],
)
def test_raw_values_against_the_text(dataset: Any, shared_data: Path, tag: str, field: str) -> None:
    with h5py.File(shared_data / "app5" / FILE) as file:
        text = file["Metadata"][()].decode()
    match = re.search(rf">{tag}</Name>\s*<Value[^>]*>([^<]*)</Value>", text)
    assert match is not None
    assert dataset["fields"][field][0]["source"]["raw"] == match[1]


def test_units_go_together(shared_data: Path) -> None:
    """256 pixels of 55 um at the camera length are as wide as the calibration in radians says, to a tenth."""
    with h5py.File(shared_data / "app5" / FILE) as file:
        series = next(item for item in file.values() if isinstance(item, h5py.Group))
        text = series["0"]["Metadata"][()].decode()
    scale = float(re.findall(r"<Scale[^>]*>([^<]*)<", text)[0])
    assert 256 * scale * 2.8 == pytest.approx(256 * 55e-6, rel=0.1)


def test_the_type_of_a_calibration_decides(shared_data: Path) -> None:
    """1.1e-4 of an angle are radians, not metres; X is along the columns."""
    (found,) = diadem.extract(shared_data / "more" / "app5" / "topspin_test_B.app5").to_dict()["datasets"]
    axes = {one["id"]: {axis["name"]: axis for axis in one["axes"]} for one in found["signals"]}
    for signal, prefix in (("s1", "k"), ("s3", "")):
        for direction in "xy":
            axis = axes[signal][prefix + direction]
            assert (axis["unit"], axis["scale"]) == ("rad", pytest.approx(1.09869358753687e-4))
            assert axis["offset"] == pytest.approx(-0.0318621140385692)
    assert [axes["s2"][name]["offset"] for name in "xy"] == pytest.approx([7.23449095547303e-08, -6.6745245825603e-07])
    assert {axis["unit"] for axis in axes["s2"].values()} == {"m"}
    sized = {id_ for one in found["fields"]["image.pixel_size_x"] for id_ in one["applies_to"]}
    assert sized == {"s2", "s4"}


@pytest.mark.parametrize("name", [f"app5/{FILE}", "more/app5/topspin_test_B.app5"])
def test_the_arrays_are_those_of_the_reader(shared_data: Path, name: str) -> None:
    from rsciio.topspin import file_reader

    ours, theirs = dictionaries(OPEN, shared_data / name), file_reader(str(shared_data / name), show_progressbar=False)
    assert len(ours) == len(theirs) >= 2
    for one, other in zip(ours, theirs, strict=True):
        assert one["data"].shape == other["data"].shape
        assert one["data"].dtype == other["data"].dtype
        assert np.array_equal(np.asarray(one["data"]), other["data"])
        assert [axis["size"] for axis in one["axes"]] == [axis["size"] for axis in other["axes"]]
        assert one["metadata"]["Signal"] == other["metadata"]["Signal"]


def test_what_the_reader_says_besides_is_there_when_it_is_loaded(shared_data: Path) -> None:
    from rsciio.topspin import file_reader

    path = shared_data / "app5" / FILE
    for one, other in zip(opened(OPEN, path)[0].signals, file_reader(str(path), show_progressbar=False), strict=True):
        assert one.reader is not None
        told = one.reader()
        assert told["original_metadata"] == other["original_metadata"]
        assert told["metadata"]["General"]["title"] == "Test data A for rsciio"
        assert told["metadata"]["General"]["notes"] == other["metadata"]["General"]["notes"]


def test_a_pattern_is_read_alone(shared_data: Path, tmp_path: Path) -> None:
    package = diadem.pack(shared_data / "app5", tmp_path / "package")
    signal = package.load(FILE)[1]
    assert signal.metadata.General.diadem.verify == "leaves"
    with h5py.File(shared_data / "app5" / FILE) as file:
        series = next(item for item in file.values() if isinstance(item, h5py.Group))
        assert np.array_equal(signal.inav[4, 1].data.compute(), series["9/Data"][()])


def xml(start: str = "", end: str = "", created: str = "", **settings: str) -> bytes:
    """A document."""
    items = "".join(
        f"<Item><Name>{name}</Name><Value Serializer='String'>{value}</Value></Item>"
        for name, value in settings.items()
    )
    times = f"<StartDateTime>{start}</StartDateTime><EndDateTime>{end}</EndDateTime>"
    times += f"<CreatedDateTime>{created}</CreatedDateTime>"
    head = '<?xml version="1.0" encoding="utf-16"?>'
    return f"{head}<Metadata>{times}<HardwareSettings>{items}</HardwareSettings></Metadata>".encode()


def values(data: bytes) -> dict[str, Any]:
    """Values by field."""
    return {one.field: one.value for one in apply(SESSION, Block("x", document(data)), "topspin").values}


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("05/13/2025 12:27:54", "05/13/2025 12:33:35", "2025-05-13T12:27:54"),
        ("13/05/2025 12:27:54", "13/05/2025 12:33:35", "2025-05-13T12:27:54"),
        # The end decides for the start.
        ("05/12/2025 23:59:00", "05/13/2025 00:10:00", "2025-05-12T23:59:00"),
        ("05/06/2025 23:59:00", "06/06/2025 00:10:00", "2025-06-05T23:59:00"),
        ("06/06/2025 12:00:00", "06/06/2025 12:10:00", "2025-06-06T12:00:00"),
        ("05/12/2025 12:27:54", "05/12/2025 12:33:35", None),
        ("05/12/2025 12:27:54", "", None),
        ("not a date", "05/13/2025 12:33:35", None),
        ("", "", None),
    ],
)
def test_order_of_day_and_month(start: str, end: str, expected: str | None) -> None:
    assert values(xml(start, end)).get("time.acquired_start") == expected


def test_modes() -> None:
    image = values(xml(StemEnabled="False", ImagingMode="Imaging", ImageMagnification="120000", StemMagnification="5"))
    assert (image["beam.mode"], image["optics.magnification"]) == ("Imaging", 120000)
    pattern = values(xml(StemEnabled="False", ImagingMode="Diffraction", ImageMagnification="120000"))
    assert pattern == {"beam.mode": "Diffraction"}


def test_a_file_of_several_sessions_tells_their_signals_apart(tmp_path: Path) -> None:
    path = tmp_path / "several.app5"
    guids = [f"{n}{n}{n}{n}{n}{n}{n}{n}-0000-0000-0000-000000000000" for n in range(5)]
    with h5py.File(path, "w") as file:
        for top, voltage, inside in ((guids[0], "200000", guids[2:4]), (guids[1], "80000", guids[4:])):
            file[f"{top}/Metadata"] = np.bytes_(xml(GunHighVoltage=voltage))
            for name in inside:
                file[f"{top}/{name}"] = np.zeros((3, 4))
        file["Version"] = np.bytes_(b"1")
    found = blocks(OPEN, path)
    assert [tuple(block.signals) for block in found] == [(0, 1), (2,)]
    assert [values(block.data)["beam.acceleration_voltage"] for block in found] == [200e3, 80e3]
    assert [signal.shape for signal in opened(OPEN, path)[0].signals] == [(3, 4)] * 3


@pytest.mark.parametrize(
    "data",
    [b"<Other/>", b"<Metadata/>", b'<!DOCTYPE a [<!ENTITY b "c">]><Other>&b;</Other>', b"<Metadata>text</Metadata>"],
)
def test_other_documents_are_empty(data: bytes) -> None:
    assert document(data) == {}


def test_deep_documents_end() -> None:
    data = b"<Metadata>" + b"<a>" * 3000 + b"</a>" * 3000 + b"</Metadata>"
    assert "a" in document(data)


@given(st.text(max_size=30), st.text(max_size=30), st.dictionaries(st.just("GunHighVoltage"), st.text(max_size=20)))
def test_any_text_ends_quietly(start: str, end: str, settings: dict[str, str]) -> None:
    tree = {"StartDateTime": start, "EndDateTime": end, "HardwareSettings": settings}
    apply(SESSION, Block("x", tree), "topspin")


def test_a_document_without_dates_has_no_times() -> None:
    assert list(acquired({"Title": "A"})) == []
