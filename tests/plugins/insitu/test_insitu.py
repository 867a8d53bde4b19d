"""What the records of holders' and mass spectrometers' logs state, against the files' texts and bytes."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diadem.extract.tables import apply
from diadem.hooks.fields import Block, Table
from diadem.hooks.tables import tables
from diadem.plugins.insitu.files import experiment_log, notes
from tests.plugins.opened import blocks

INSITU = tables("diadem.plugins.insitu")
OPEN = "diadem.plugins.insitu.files:open_"

HEATER, IMPULSE = "file1.dens", "StubExperiment_Heat raw.csv"
GAS, THERMAL = "protochips_gas_cell.csv", "protochips_thermal.csv"
BARS, AIR, IONS = "1-50amu-2cycles.sbc", "airdemo.sac", "pfib-tofwerk opened.h5"


@pytest.fixture(scope="module")
def logs(unpacked_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the real files of all formats of this family."""
    target = tmp_path_factory.mktemp("logs")
    for name in ("dens", "impulse", "protochips", "quadstar", "tofwerk"):
        shutil.copytree(unpacked_data / name, target / name)
    return target


@pytest.fixture(scope="module")
def datasets(real: Mapping[str, Any]) -> Mapping[str, Any]:
    folders = ("dens/", "impulse/", "protochips/", "quadstar/", "tofwerk/")
    return {Path(path).name: dataset for path, dataset in real.items() if path.startswith(folders)}


def test_the_order_of_an_ambiguous_date_is_not_guessed(datasets: Mapping[str, Any]) -> None:
    """06-08-2021 is in June or in August."""
    assert datasets[IMPULSE].assertions("time.acquired_start") == ()


def test_the_sample_stands_in_the_side_file(datasets: Mapping[str, Any]) -> None:
    dataset = datasets[IMPULSE]
    files = {file.id: file.path for file in dataset.files}
    assert files[dataset.assertions("sample.name")[0].source["file"]].endswith("StubExperiment_Metadata.log")


def test_values_against_the_bytes(logs: Path, datasets: Mapping[str, Any]) -> None:
    for name in (BARS, AIR):
        data = (logs / "quadstar" / name).read_bytes()
        second, minute, hour, day, month, year = struct.unpack_from("<6B", data, 8)
        assert datasets[name].value("time.acquired_start") == dt.datetime(1900 + year, month, day, hour, minute, second).isoformat()  # fmt: skip # noqa: DTZ001, E501
        assert data[14:100].partition(b"\0")[0].decode().strip() == datasets[name].value("person.operator")
    for name in (GAS, THERMAL):
        text = (logs / "protochips" / name).read_text("latin-1")
        found = {key: value.strip() for key, value in re.findall(r",\s*([^,=\n]+?) = ([^,\n]+),", text)}
        stated = f"{found['Date (yyyy.mm.dd)'].replace('.', '-')}T{found['Time (hh:mm:ss.ms)']}"
        assert datasets[name].value("time.acquired_start") == stated
        assert datasets[name].value("person.operator") == found["User agreeing to terms"]


def test_tofdaqs_log_against_hdf5(logs: Path, datasets: Mapping[str, Any]) -> None:
    """The FILETIME of each entry is the instant that its text is with its offset."""
    with h5py.File(logs / "tofwerk" / IONS) as file:
        ticks = file["AcquisitionLog/Log"]["timestamp"]
        settings = file.attrs["Configuration File Contents"]
        volts = float(file["FIBParams"].attrs["Voltage"][0])
    dataset = datasets[IONS]
    for field, tick in zip(("time.acquired_start", "time.acquired_end"), ticks, strict=True):
        instant = dt.datetime(1601, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=int(tick) // 10)
        assert abs(dt.datetime.fromisoformat(dataset.value(field)) - instant) < dt.timedelta(seconds=1)
    assert dataset.value("beam.acceleration_voltage") == volts
    kept = next(block for block in dataset.vendor() if block.media_type == "text/plain")
    assert kept.data.decode() == (settings if isinstance(settings, str) else settings.decode())


def fields_of(table: Table, tree: Mapping[str, Any]) -> dict[str, Any]:
    applied = apply(table, Block("test", tree), "test")
    assert applied.issues == []
    return {value.field: (value.value, value.offset_status) for value in applied.values}


def test_tofdaq_without_a_log_derives_the_offset() -> None:
    """The local time of the file and the instant of its first extraction are 2 h apart."""
    instant = dt.datetime(2025, 4, 3, 9, 31, 45, 600_000, dt.UTC) - dt.datetime(1601, 1, 1, tzinfo=dt.UTC)
    tree = {
        "TofDAQ Version": 1.97,
        "HDF5 File Creation Time": "03.04.2025 11:31:45",
        "TimingData": {"AcquisitionTimeZero": instant // dt.timedelta(microseconds=1) * 10},
        "AcquisitionLog": {"Log": []},
        "FIBParams": {"Voltage": 30000.0},
    }
    found = fields_of(INSITU["tofdaq-file"], tree)
    assert found["time.acquired_start"] == ("2025-04-03T11:31:45+02:00", "derived")
    assert "beam.acceleration_voltage" not in found
    tree["TimingData"] = {}
    assert fields_of(INSITU["tofdaq-file"], tree)["time.acquired_start"] == ("2025-04-03T11:31:45", "unknown")


@pytest.mark.parametrize(
    ("date", "expected"),
    [("23-08-2021", "2021-08-23T13:40:19"), ("08/23/2021", "2021-08-23T13:40:19"), ("06-08-2021", None), ("", None)],
)
def test_dates_of_impulse(date: str, expected: str | None) -> None:
    tree = experiment_log(f'Experiment date, {date}\nExperiment time, 13:40:19\nSample, ""\nLive notes, a\nb, c\n')
    assert tree["Live notes"] == "a\nb, c"
    applied = apply(INSITU["impulse-log"], Block("test", tree), "test")
    assert [one.value for one in applied.values] == ([] if expected is None else [expected])
    assert [one["code"] for one in applied.issues] == (["ambiguous-date"] if date == "06-08-2021" else [])


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("03/04/'16 09:05\tDigiheater 3.1", "2016-04-03T09:05:00"),
        ("31/02/'16 09:05\tDigiheater 3.1", None),
        ("2016-04-03 09:05\tDigiheater 3.1", None),
    ],
)
def test_dates_of_the_heater(tmp_path: Path, first: str, expected: str | None) -> None:
    path = tmp_path / "log.dens"
    path.write_text(f"\n{first}\nR0 = 282.7\ta =  0.0\tb = 0.225\nTsample = 330 [ms]\n")
    times = [
        fields_of(INSITU["digiheater-header"], block.tree).get("time.acquired_start")
        for block in blocks(f"{OPEN}dens", path)
    ]
    assert [time for time in times if time] == ([(expected, "unknown")] if expected else [])


def test_a_quadstar_header_without_a_date() -> None:
    parts = dict.fromkeys(("second", "minute", "hour", "day", "month", "year"), 0)
    assert fields_of(INSITU["quadstar"], {"general_header": {**parts, "username": ""}}) == {}


def test_another_file_of_hdf5_has_no_blocks(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    assert blocks(f"{OPEN}tofwerk", tmp_path / "other.h5") == []


@given(st.text(max_size=400))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    assert isinstance(experiment_log(text), dict)
    assert isinstance(notes(text), dict)
    for table in INSITU.values():
        tree = {"Date": text, "Version": text, "Experiment date": text, "Experiment time": text}
        assert all(value.value for value in apply(table, Block("test", tree), "test").values)


NAMES = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)


@given(st.dictionaries(NAMES, NAMES, max_size=6))
def test_notes_that_are_written_are_read(pairs: dict[str, str]) -> None:
    lines = [f"{number}, {name} = {value}, 25" for number, (name, value) in enumerate(pairs.items())]
    assert notes("\n".join(["Time, Notes, Temperature", *lines, "9, , 25"])) == pairs


def test_the_text_of_a_dialogue_is_no_operator() -> None:
    for user, expected in (("Enter User Name", []), ("eric", ["eric"])):
        block = Block("protochips-notes", {"User agreeing to terms": user})
        applied = apply(INSITU["protochips-notes"], block, "protochips").values
        assert [value.value for value in applied if value.field == "person.operator"] == expected
