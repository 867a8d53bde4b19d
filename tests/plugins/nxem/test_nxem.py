"""A dataset leaves as a NeXus file: valid by pynxtools, the same arrays and axes when it is read back, or refused with
all that is missing.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import hyperspy.api as hs
import numpy as np
import pytest

import diadem
from diadem.advice import COMMAND, unquoted
from diadem.archive.package import Package
from diadem.cli.main import run
from diadem.errors import DigestMismatch, ReaderError, Refused, UsageError
from diadem.model.record import Dataset
from diadem.terms.units import to_si
from diadem.testing import check_plugin
from tests.node.verbs.conftest import Lab, damage, lab

__all__ = ["lab"]

#: Readers leave files open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

#: What a lab knows once for all of its data.
KNOWN: dict[str, Any] = {
    "atom_types": ["Si", "O"],
    "preparation_date": "1990-01-01T12:00:00+01:00",
    "is_simulation": False,
    "time_zone": "Europe/Berlin",
    "vendor": "A maker",
    "model": "A model",
}
#: Pictures, colours, complex numbers, scans, spectra, a series in time, axes without steps of one size.
SOME = (
    "blo/test1.blo",
    "delmic/sparc-hyperspectral.h5",
    "dm/EELS_SI.dm4",
    "elid/Elid2Version0.elid",
    "emd-velox/fei_example_dpc_titles.emd",
    "tia/16x16-line_profile_horizontal_5x128x128_EDS.emi",
    "tif-zeiss-orion/orion-zeiss_dataZeroed.tif",
    "tvips/test_tvips_2233_000.tvips",
)
SPECTRUM = """#FORMAT      : EMSA/MAS Spectral Data File
#VERSION     : 1.0
#TITLE       : spectrum
{}#NPOINTS     : 4
#NCOLUMNS    : 1
#XUNITS      : eV
#YUNITS      : counts
#DATATYPE    : Y
#XPERCHAN    : 10.0
#OFFSET      : 0.0
#BEAMKV   -kV: 200.0
#SPECTRUM    : Spectral Data Starts Here
1.0
20.0
300.0
4.0
#ENDOFDATA   :
"""


def problems(files: Sequence[Path]) -> dict[str, list[str]]:
    """What pynxtools' validator finds in each file."""
    if find_spec("pynxtools") is None:
        pytest.skip("pynxtools, which knows the definition, is not installed: pip install 'diadem-em[test]'")
    program = validator()
    assert program.stdin is not None
    assert program.stdout is not None
    with _ASKS:
        print(json.dumps([str(file) for file in files]), file=program.stdin, flush=True)
        found: dict[str, list[str]] = json.loads(program.stdout.readline())
    assert len(found) == len(files)
    return found


_ASKS = threading.Lock()


@cache
def validator() -> subprocess.Popen[str]:
    """The validator, which takes seconds to begin, as one process for all tests of this one."""
    program = Path(__file__).with_name("validator.py")
    command = [sys.executable, str(program)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    atexit.register(started.communicate)
    return started


def session(folder: Path, date: str = "") -> Path:
    """A folder with one spectrum."""
    folder.mkdir()
    (folder / "a.msa").write_text(SPECTRUM.format(date))
    return folder


def plots(file: h5py.File) -> dict[str, str]:
    """Paths of the arrays' groups by their signals."""
    found: dict[str, str] = {}

    def note(name: str, group: Any) -> None:
        if group.attrs.get("NX_class") == "NXdata":
            found[name.split("/")[-2].partition("_")[2]] = name

    file.visititems(note)
    return found


def assert_same(dataset: Dataset, path: Path) -> None:
    """That arrays and axes are those of the package, for h5py and for HyperSpy."""
    loaded = dataset.load(lazy=False)
    with h5py.File(path) as file:
        found = plots(file)
        assert sorted(found) == sorted(signal.id for signal in dataset.signals)
        for stated, signal in zip(dataset.signals, loaded if isinstance(loaded, list) else [loaded], strict=True):
            group = file[found[stated.id]]
            values = signal.data
            axes = sorted(signal.axes_manager.navigation_axes + signal.axes_manager.signal_axes, key=place)
            names = list(group.attrs["axes"])
            if values.dtype.names:
                values = np.stack([values[colour] for colour in values.dtype.names])
                assert names.pop(0) == "indices_image"
            written = group[group.attrs["signal"]]
            assert written.dtype == values.dtype
            assert np.array_equal(written[()], values, equal_nan=values.dtype.kind in "fc")
            for name, axis in zip(names, axes, strict=True):
                assert np.array_equal(group[name][()], axis.axis)
                unit = group[name].attrs.get("units", "<undefined>")
                if unit not in ("pixel", "<undefined>"):
                    assert to_si(unit) == to_si(axis.units)
                elif axis.units != "<undefined>":  # a unit that NeXus has not: points
                    assert group[name].attrs["long_name"] == f"{axis.name} ({axis.units})"
            read = hs.load(path, dataset_path=f"/{found[stated.id]}", nxdata_only=True)
            assert np.array_equal(read.data, values, equal_nan=values.dtype.kind in "fc")
            known = sorted(read.axes_manager.navigation_axes + read.axes_manager.signal_axes, key=place)
            for one, axis in zip(known[-len(axes) :], axes, strict=True):
                if axis.is_uniform and axis.scale > 0 and axis.size > 1:  # of others RosettaSciIO's reader says less
                    assert np.allclose([one.scale, one.offset], [axis.scale, axis.offset], rtol=1e-6, atol=0)


def code(*arguments: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as left:
        run([*arguments])
    return int(left.value.code or 0)


def place(axis: Any) -> int:
    return int(axis.index_in_array)


def test_it_is_valid_and_reads_back_the_same(corpus: Package, tmp_path: Path) -> None:
    datasets = [corpus.record.datasets[name] for name in SOME]
    files = [tmp_path / f"{dataset.id}.nxs" for dataset in datasets]
    for dataset, file in zip(datasets, files, strict=True):
        corpus.export("nxem", file, dataset=dataset, options=KNOWN)
        assert_same(dataset, file)
    assert problems(files) == {str(file): [] for file in files}


def test_what_the_record_states_stands_where_nxem_wants_it(corpus: Package, tmp_path: Path) -> None:
    dataset = corpus.record.datasets["emd-velox/fei_example_dpc_titles.emd"]
    corpus.export("nxem", tmp_path / "a.nxs", dataset=dataset, options={**KNOWN, "vendor": "not this one"})
    with h5py.File(tmp_path / "a.nxs") as file:
        entry = file[dataset.id]
        assert entry["start_time"][()].decode() == dataset.value("time.acquired_start")
        assert entry["measurement/instrument/fabrication/vendor"][()].decode() == dataset.value("instrument.vendor")
        event = entry["measurement/event1/instrument"]
        voltage = event["ebeam_column/electron_source/voltage"]
        assert (voltage[()], voltage.attrs["units"]) == (dataset.value("beam.acceleration_voltage"), "V")
        stage = [dataset.value(f"stage.{axis}") for axis in "xyz"]
        assert list(event["stage/position"]) == pytest.approx(
            [np.nan if one is None else one for one in stage], nan_ok=True
        )
        origin = entry["measurement/event1/image_s1/process/input"]
        assert origin["checksum"][()].decode() == dataset.primary.sha256
        assert origin["file_name"][()].decode() == dataset.path
        detector = entry["measurement/event1/image_s1/process/detector_identifier"][()].decode()
        name = entry[f"measurement/instrument/{detector}/name"][()].decode()
        assert name == dataset.value("detector.name", "s1")
        assert entry["sample_reference_frame/type"][()] == b"undefined"
        said = entry["record/beam.acceleration_voltage/said1"]
        assert said.attrs["locator"] == dataset.assertions("beam.acceleration_voltage")[0].source["locator"]
        assert set(entry["record"]) == set(dataset.fields)


def test_ions_have_a_column_of_their_own(corpus: Package, tmp_path: Path) -> None:
    dataset = corpus.record.datasets["tif-zeiss-orion/orion-zeiss_dataZeroed.tif"]
    corpus.export("nxem", tmp_path / "a.nxs", dataset=dataset, options=KNOWN)
    with h5py.File(tmp_path / "a.nxs") as file:
        for place in ("instrument", "event1/instrument"):
            assert file[f"{dataset.id}/measurement/{place}/ibeam_column/ion_source/probe/name"][()] == b"He"
            assert not file[f"{dataset.id}/measurement/{place}/ebeam_column"].keys()
        source = file[f"{dataset.id}/measurement/event1/instrument/ibeam_column/ion_source"]
        assert source["voltage"][()] == dataset.value("beam.acceleration_voltage")


def test_a_package_is_one_file_with_an_entry_for_each_dataset(lab: Lab) -> None:
    folder = session(lab.root / "two")
    (folder / "b.msa").write_text(SPECTRUM.format("#DATE        : 03-MAR-2023\n#TIME        : 10:00\n"))
    (folder / "notes.bin").write_bytes(bytes(100))
    package = str(lab.node.archive(folder, now=True).package.id)
    out = lab.root / "two.nxs"
    done = lab.node.export(package, out, form="nxem", options={**KNOWN, "start_time": "2023-03-02T09:00:00"})
    assert dict(done.told)["left out, for nothing is known of it"] == "notes.bin"
    with h5py.File(out) as file:
        starts = {group["title"][()].decode(): group["start_time"][()].decode() for group in file.values()}
    assert starts == {"a.msa": "2023-03-02T09:00:00+01:00", "b.msa": "2023-03-03T10:00:00+01:00"}
    assert problems([out]) == {str(out): []}


def test_all_that_is_missing_is_said_with_how_to_supply_it(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    package = str(lab.node.archive(session(lab.root / "one"), now=True).package.id)
    out = lab.root / "one.nxs"
    command = ["export", package, str(out), "--as", "nxem", "--node", str(lab.node.path)]
    assert code(*command) == 4
    said = " ".join(capsys.readouterr().err.split())
    options = ["atom_types=Zn,O", "preparation_date=2026-02-27T16:00:00+01:00", "is_simulation=false", "vendor=JEOL"]
    options += ["model=JEM-ARM200F"]
    assert all(f"--option {one}" in said for one in options)
    assert "start_time" in said
    assert not out.exists()
    # As it was advised: some by options, the others as corrections of the record.
    corrections = {"time.acquired_start": "2026-03-01T10:30:00+01:00", "sample.elements": "Zn,O", "sample.name": "S-12"}
    lab.node.amend(package, corrections, reason="from the notebook")
    assert code(*command, *(word for one in options[1:] for word in ("--option", one))) == 0
    with h5py.File(out) as file:
        assert file["d1/start_time"][()] == b"2026-03-01T10:30:00+01:00"
        assert file["d1/sample/atom_types"][()] == b"Zn,O"
        assert file["d1/sample/name"][()] == b"S-12"
        told = [json.loads(one) for one in file["d1/record/corrections"].asstr()]
    assert {one["field"] for one in told} == set(corrections)
    assert problems([out]) == {str(out): []}


def test_no_half_of_an_instrument_counts_for_another(lab: Lab) -> None:
    package = str(lab.node.archive(session(lab.root / "one"), now=True).package.id)
    lab.node.amend(package, {"instrument.vendor": "Carl Zeiss"})
    given = {**KNOWN, "start_time": "2026-03-01T10:30:00+01:00", "vendor": "JEOL", "model": "JEM-ARM200F"}
    with pytest.raises(Refused, match="the option is of another instrument than 'Carl Zeiss'") as refused:
        lab.node.export(package, lab.root / "one.nxs", form="nxem", options=given)
    assert f"diadem amend {package} --dataset a.msa --set instrument.model=" in str(refused.value.next)
    lab.node.amend(package, {"instrument.model": "Sigma 500"}, dataset="a.msa")
    lab.node.export(package, lab.root / "one.nxs", form="nxem", options=given)
    with h5py.File(lab.root / "one.nxs") as file:
        made = file["d1/measurement/instrument/fabrication"]
        assert [made[name].asstr()[()] for name in ("vendor", "model")] == ["Carl Zeiss", "Sigma 500"]


def test_no_advice_corrects_what_another_dataset_states(lab: Lab) -> None:
    folder = session(lab.root / "two")
    (folder / "b.msa").write_text(SPECTRUM.format("#DATE        : 03-MAR-2023\n#TIME        : 10:00\n"))
    package = str(lab.node.archive(folder, now=True).package.id)
    with pytest.raises(Refused) as refused:
        lab.node.export(package, lab.root / "two.nxs", form="nxem")
    advice = str(refused.value.next)
    for option in ("time_zone=", "start_time=", "atom_types=", "vendor="):
        assert f"--option {option}" in advice
    assert "--set instrument.vendor=" in advice, "nobody states it"
    assert "time.acquired_start" not in advice, "one of them states it"


@pytest.mark.parametrize("way", ["options", "a correction"])
@pytest.mark.sweep(1)
def test_what_is_advised_of_one_dataset_is_of_it_alone_and_works(
    way: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = session(lab.root / "two", "#DATE        : 03-MAR-2023\n#TIME        : 10:00\n")
    (folder / "b c.msa").write_text(SPECTRUM.format(""))
    package = str(lab.node.archive(folder, now=True).package.id)
    monkeypatch.chdir(lab.root)
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))
    given = {name: value for name, value in KNOWN.items() if name not in ("time_zone", "atom_types")}
    with pytest.raises(Refused) as refused:
        lab.node.export(package, "OUT.nxs", form="nxem", dataset="b c.msa", options=given)
    export, _, correct = str(refused.value.next).removeprefix("Give what you know: ").partition("; or ")
    if way == "options":
        assert code(*unquoted(export)[1:]) == 0, capsys.readouterr().err
    else:
        assert code(*unquoted(correct.removeprefix("correct the record: "))[1:]) == 0, capsys.readouterr().err
        lab.node.export(package, "OUT.nxs", form="nxem", dataset="b c.msa", options=given)
    with h5py.File("OUT.nxs") as file:
        (entry,) = file.values()
        assert entry["title"][()] == b"b c.msa"
        assert entry["start_time"][()] == b"2026-03-01T10:30:00+01:00"
        assert entry["measurement/instrument/fabrication/vendor"][()] == b"A maker"
    record = lab.node.get(package).record
    assert record.datasets["a.msa"].value("time.acquired_start") == "2023-03-03T10:00:00"
    assert problems([lab.root / "OUT.nxs"]) == {str(lab.root / "OUT.nxs"): []}


@pytest.mark.parametrize(
    ("date", "zone", "told"),
    [
        ("29-OCT-2023", "", "in no time zone"),
        ("29-OCT-2023", "Europe/Berlin", "when the clocks of Europe/Berlin were changed"),
        ("30-OCT-2023", "Europe/Berlin", "2023-10-30T02:30:00+01:00"),
        ("30-OCT-2023", "-05:30", "2023-10-30T02:30:00-05:30"),
    ],
)
def test_a_start_without_zone_gets_that_of_the_lab(date: str, zone: str, told: str, tmp_path: Path) -> None:
    folder = session(tmp_path / "a", f"#DATE        : {date}\n#TIME        : 02:30\n")
    package = diadem.pack(folder, tmp_path / "store")
    options = {**KNOWN, "time_zone": zone}
    if not zone:
        del options["time_zone"]
    try:
        package.export("nxem", tmp_path / "a.nxs", options=options)
    except Refused as error:
        said = error.message
    else:
        with h5py.File(tmp_path / "a.nxs") as file:
            said = file["d1/start_time"][()].decode()
    assert told in said


@pytest.mark.parametrize("prepared", ["", "2026-10-25T02:10:00"])
def test_an_hour_that_was_there_twice_is_told_as_it_is_advised(
    prepared: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night = "#DATE        : 25-OCT-2026\n#TIME        : 02:30\n"
    folder = session(lab.root / "night", night)
    (folder / "b c.msa").write_text(SPECTRUM.format(night))
    (folder / "day.msa").write_text(SPECTRUM.format("#DATE        : 26-OCT-2026\n#TIME        : 10:00\n"))
    package = str(lab.node.archive(folder, now=True).package.id)
    given = dict(KNOWN)
    if prepared:
        lab.node.amend(package, {"sample.preparation_date": prepared}, reason="from the notebook")
        del given["preparation_date"]
    monkeypatch.chdir(lab.root)
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))
    with pytest.raises(Refused, match=r"clocks of Europe/Berlin were changed, 2026-10-25T02:30:00") as refused:
        lab.node.export(package, "OUT.nxs", form="nxem", options=given)
    commands = [found[0] for found in COMMAND.finditer(str(refused.value.next))]
    assert len(commands) == 2 + bool(prepared)
    for command in commands:
        assert code(*unquoted(command)[1:]) == 0, capsys.readouterr().err
    lab.node.export(package, "OUT.nxs", form="nxem", options=given)
    with h5py.File("OUT.nxs") as file:
        starts = {group["title"][()].decode(): group["start_time"][()].decode() for group in file.values()}
        days = {group["sample/preparation_date"][()].decode() for group in file.values()}
    assert starts["a.msa"] == starts["b c.msa"] == "2026-10-25T02:30:00+01:00"
    assert starts["day.msa"] == "2026-10-26T10:00:00+01:00"
    assert days == {f"{prepared}+01:00" if prepared else KNOWN["preparation_date"]}


@pytest.mark.parametrize("option", ["start_time", "preparation_date"])
def test_an_option_of_an_hour_that_was_there_twice_is_advised_with_its_offset(
    option: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = str(lab.node.archive(session(lab.root / "one"), now=True).package.id)
    monkeypatch.chdir(lab.root)
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))
    given = {**KNOWN, "start_time": "2026-10-26T10:00:00", option: "2026-10-25T02:30:00"}
    with pytest.raises(Refused, match="were changed") as refused:
        lab.node.export(package, "OUT.nxs", form="nxem", options=given)
    (command,) = [found[0] for found in COMMAND.finditer(str(refused.value.next))]
    assert code(*unquoted(command)[1:]) == 0, capsys.readouterr().err
    with h5py.File("OUT.nxs") as file:
        place = option if option == "start_time" else f"sample/{option}"
        assert file[f"d1/{place}"][()] == b"2026-10-25T02:30:00+01:00"


def test_a_preparation_takes_no_offset_across_summer_time(tmp_path: Path) -> None:
    package = diadem.pack(session(tmp_path / "a"), tmp_path / "store")
    given = {**KNOWN, "start_time": "2026-07-01T10:30:00+02:00", "preparation_date": "2026-01-01T09:00:00"}
    del given["time_zone"]
    with pytest.raises(Refused, match="sample/preparation_date") as refused:
        package.export("nxem", tmp_path / "a.nxs", options=given)
    assert "--option time_zone=" in str(refused.value.next)
    package.export("nxem", tmp_path / "a.nxs", options={**given, "time_zone": "Europe/Berlin"})
    package.export("nxem", tmp_path / "day.nxs", options={**given, "preparation_date": "2026-01-01"})
    found = []
    for name in ("a.nxs", "day.nxs"):
        with h5py.File(tmp_path / name) as file:
            found.append(file["d1/sample/preparation_date"][()].decode())
    assert found == ["2026-01-01T09:00:00+01:00", "2026-01-01T00:00:00+02:00"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("start_time", "2026-02-30T10:00:00"),
        ("start_time", "2026-03-01T25:00:00+01:00"),
        ("start_time", "2026-03-01T10:00:00+99:00"),
        ("preparation_date", "2026-02-29"),
        ("preparation_date", "2026-13-01T10:00:00"),
    ],
)
def test_a_time_that_no_calendar_has_is_refused_by_name(
    option: str, value: str, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    package = str(lab.node.archive(session(lab.root / "a"), now=True).package.id)
    out = lab.root / "a.nxs"
    command = ["export", package, str(out), "--as", "nxem", "--node", str(lab.node.path), "--dry-run"]
    assert code(*command, "--option", f"{option}={value}") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"option '{option}' of 'nxem': '{value}' is not a possible moment" in said
    assert code(*command, "--option", f"{option}=2028-02-29T10:00:00+01:00") == 0  # a leap year


@pytest.mark.parametrize("first", ["cut", "whole"])
def test_a_dataset_that_is_cut_short_is_named_and_the_others_can_be_exported(
    first: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = session(lab.root / "some")
    (folder / "a.msa").rename(folder / f"{'z' if first == 'cut' else 'a'} one.msa")
    np.save(folder / "m cut.npy", np.zeros((64, 64)))
    os.truncate(folder / "m cut.npy", 4000)
    package = str(lab.node.archive(folder, now=True).package.id)
    monkeypatch.chdir(lab.root)
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))
    given = {**KNOWN, "start_time": "2023-03-02T09:00:00"}
    for dataset in ("", "m cut.npy"):
        with pytest.raises(ReaderError, match="the header promises") as refused:
            lab.node.export(package, "OUT.nxs", form="nxem", dataset=dataset, options=given)
        assert "'m cut.npy'" in refused.value.message
        assert "Copy it again from the instrument" in str(refused.value.next)
        command, *more = [found[0] for found in COMMAND.finditer(str(refused.value.next))]
        assert more == ["diadem archive FOLDER"]
        assert "--dataset" in command
        assert code(*unquoted(command)[1:]) == 0, capsys.readouterr().err
        with h5py.File("OUT.nxs") as file:
            assert [group["title"][()].decode()[1:] for group in file.values()] == [" one.msa"]
        (lab.root / "OUT.nxs").unlink()


def test_a_scan_without_its_raw_file_is_told_which_to_add(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lab.root / "scan"
    folder.mkdir()
    inside = '<raw_file filename="a.raw"/><pix_x>2</pix_x><pix_y>3</pix_y><timestamp isoformat="2017-05-03T10:20:30"/>'
    (folder / "a.xml").write_text(f'<?xml version="1.0"?><root name="a">{inside}</root>')
    package = str(lab.node.archive(folder, now=True).package.id)
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))
    with pytest.raises(ReaderError, match=r"'a.xml' cannot be read: .*'a.raw' is not beside") as refused:
        lab.node.export(package, lab.root / "OUT.nxs", form="nxem", options=KNOWN)
    assert "Put a.raw beside it" in str(refused.value.next)
    command = [found[0] for found in COMMAND.finditer(str(refused.value.next))][-1]
    np.ones((3 * 2, 130, 128), "<f4").tofile(folder / "a.raw")
    assert code(*unquoted(command.replace("FOLDER", str(folder)))[1:], "--now") == 0, capsys.readouterr().err
    (again,) = (one.id for one in lab.node.search() if str(one.id) != package)
    lab.node.export(str(again), lab.root / "OUT.nxs", form="nxem", options=KNOWN)
    with h5py.File(lab.root / "OUT.nxs") as file:
        (data,) = (file[name] for name in plots(file).values())
        assert data[data.attrs["signal"]].shape == (3, 2, 128, 128)


def test_every_next_step_is_a_command_that_works(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = session(lab.root / "some", "#DATE        : 30-OCT-2023\n#TIME        : 02:30\n")
    (folder / "notes.bin").write_bytes(bytes(100))
    hs.signals.Signal2D(np.zeros((2, 2, 2, 3, 3))).save(folder / "deep.hspy")
    package = str(lab.node.archive(folder, now=True).package.id)
    monkeypatch.chdir(lab.root)
    monkeypatch.setenv("DIADEM_NODE", str(lab.node.path))
    for dataset, options, said in (
        ("notes.bin", {}, "nothing is known"),
        ("deep.hspy", {}, "dimensions"),
        ("a.msa", {"time_zone": "Europe/Berln"}, "no time zone 'Europe/Berln'"),
        ("a.msa", {"time_zone": "Nowhere/City"}, "no time zone"),
    ):
        given = {**KNOWN, **options}
        with pytest.raises((Refused, UsageError), match=said) as refused:
            lab.node.export(package, "OUT.nxs", form="nxem", dataset=dataset, options=given)
        (command,) = [found[0] for found in COMMAND.finditer(str(refused.value.next))]
        assert code(*unquoted(command)[1:]) == 0, capsys.readouterr().err
        with h5py.File("OUT.nxs") as file:
            assert file["d1/title"][()] == b"a.msa"
        (lab.root / "OUT.nxs").unlink()


def test_a_correction_of_the_session_makes_no_dataset_of_a_note(lab: Lab) -> None:
    folder = session(lab.root / "some", "#DATE        : 30-OCT-2023\n#TIME        : 14:30\n")
    (folder / "notes.txt").write_text("drift")
    package = str(lab.node.archive(folder, now=True).package.id)
    lab.node.amend(package, {"sample.name": "S-12"})
    done = lab.node.export(package, lab.root / "a.nxs", form="nxem", options=KNOWN)
    assert dict(done.told) == {"entries": "1", "left out, for nothing is known of it": "notes.txt"}
    lab.node.amend(package, {"sample.name": "S-13"}, dataset="notes.txt")
    with pytest.raises(Refused, match=r"start_time of notes\.txt"):
        lab.node.export(package, lab.root / "b.nxs", form="nxem", options=KNOWN)


def test_what_the_registry_says_of_the_sample_stands_in_the_file(lab: Lab) -> None:
    samples = lab.node.samples
    wafer = samples.add("W-3", identifiers={"igsn": "10.58052/IEABC0003"})
    steps = [{"step": "cut", "date": "2026-02-20"}, {"step": "milled", "date": "2026-03-09"}]
    samples.add(
        "S-12",
        name="ZnO nanorods",
        names={"NMI": "K-2026-007"},
        identifiers={"igsn": "10.58052/IEABC0012"},
        parents=["W-3"],
        how="split",
        composition="ZnO with 2 % Mn",
        elements=["Zn", "O", "Mn"],
        preparation=steps,
        comment="for us alone",
    )
    folder = session(lab.root / "two")
    (folder / "b.msa").write_text(SPECTRUM.format(""))
    (folder / "c.msa").write_text(SPECTRUM.format(""))
    package = str(lab.node.archive(folder, now=True).package.id)
    lab.node.amend(package, {"sample.name": "k 2026-007"}, dataset="a.msa", reason="from the notebook")
    lab.node.amend(package, {"sample.identifier": "S-12", "sample.elements": "Zn"}, dataset="b.msa", reason="same")
    given = {"start_time": "2026-03-01T10:30:00+01:00", "vendor": "A maker", "model": "A model"}
    with pytest.raises(Refused, match=r"sample/atom_types of c\.msa; sample/preparation_date of c\.msa"):
        lab.node.export(package, lab.root / "OUT.nxs", form="nxem", options=given)
    outs = [lab.root / f"{name}.nxs" for name in "abc"]
    for out in outs:
        more = KNOWN if out.stem == "c" else {}
        dataset = f"{out.stem}.msa"
        lab.node.export(package, out, form="nxem", dataset=dataset, options={**more, **given})
    found = []
    for out in outs:
        with h5py.File(out) as file:
            (entry,) = file.values()
            texts = {name: one[()] for name, one in entry["sample"].items() if name != "is_simulation"}
            assert not entry["sample/is_simulation"][()]
            kinds = {name: one.attrs["type"] for name, one in entry["sample"].items() if "identifier" in name}
            record = entry["record"]
            registered = [json.loads(one) for one in record["samples"].asstr()] if "samples" in record else []
        found.append(({name: text.decode() for name, text in texts.items()}, kinds, registered))
    (first, kinds, (said,)), (second, others, _), (third, _, nothing) = found
    igsn = "10.58052/IEABC0012"
    both = {"identifier_parent": "10.58052/IEABC0003", "preparation_date": "2026-02-20T00:00:00+01:00"}
    assert first == {**both, "name": "k 2026-007", "atom_types": "Zn,O,Mn", "identifier_sample": igsn}
    stated = {"atom_types": "Zn", "identifier_sample": "S-12"}
    assert second == {**both, **stated, "name": "ZnO nanorods", "identifier_igsn": igsn}
    assert kinds == {"identifier_parent": "IGSN", "identifier_sample": "IGSN"}
    assert others == {"identifier_igsn": "IGSN", "identifier_parent": "IGSN", "identifier_sample": "local"}
    assert (nothing, third["atom_types"]) == ([], "Si,O")
    assert said["composition"] == "ZnO with 2 % Mn"
    assert said["names"] == [{"name": "K-2026-007", "lab": "NMI"}]
    assert [(one["id"], one["how"]) for one in said["parents"]] == [(wafer.id, "split")]
    assert "for us alone" not in json.dumps(said)
    assert problems(outs) == {str(out): [] for out in outs}


def test_a_name_that_two_samples_have_says_nothing(lab: Lab) -> None:
    lab.node.samples.add("S-1", names={"NMI": "K-7"}, elements=["Zn"])
    lab.node.samples.add("S-2", names={"FZ": "K-7"}, elements=["Si"])
    package = str(lab.node.archive(session(lab.root / "one"), now=True).package.id)
    lab.node.amend(package, {"sample.name": "K-7"}, reason="from the notebook")
    with pytest.raises(Refused, match="sample/atom_types"):
        lab.node.export(package, lab.root / "OUT.nxs", form="nxem")
    lab.node.samples.link("S-1", "S-2", reason="one piece, by both labels")
    with pytest.raises(Refused) as refused:
        lab.node.export(package, lab.root / "OUT.nxs", form="nxem")
    assert "atom_types" not in refused.value.message


@pytest.mark.parametrize("zone", ["+99:99", "+15:00", "-05:61", "5"])
def test_an_offset_that_no_clock_has_is_refused(zone: str, tmp_path: Path) -> None:
    package = diadem.pack(session(tmp_path / "a"), tmp_path / "store")
    with pytest.raises(UsageError, match="time_zone"):
        package.export("nxem", tmp_path / "a.nxs", options={**KNOWN, "time_zone": zone})


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    folder = session(tmp_path / "a", "#DATE        : 30-OCT-2023\n#TIME        : 02:30\n")
    hs.signals.Signal2D(np.zeros((2, 2, 2, 3, 3))).save(tmp_path / "a" / "deep.hspy")
    store = tmp_path / "store"
    package = diadem.pack(folder, store)
    out = tmp_path / "a.nxs"
    with pytest.raises(UsageError, match="no time zone 'Nowhere/City'"):
        package.export("nxem", out, dataset="a.msa", options={**KNOWN, "time_zone": "Nowhere/City"})
    with pytest.raises(Refused, match="one to 4 dimensions"):
        package.export("nxem", out, options=KNOWN)
    file = next(store.rglob("a.msa"))
    damage(file, at=file.stat().st_size - 40)
    with pytest.raises(DigestMismatch):
        package.export("nxem", out, dataset="a.msa", options=KNOWN)
    assert not [one for one in tmp_path.iterdir() if one.name not in ("a", "store")]


def test_it_keeps_what_every_exporter_promises(tmp_path: Path) -> None:
    session(tmp_path / "a")
    options = {**KNOWN, "start_time": "2023-03-02T09:00:00"}
    report = check_plugin("diadem.plugins.nxem", [tmp_path / "a" / "a.msa"], options=options)
    assert report.checked["exports"] > 3


@pytest.mark.program("all real files are exported, and another program judges them")
def test_all_of_the_corpus_is_exported_valid_or_says_what_is_missing(
    corpus: Package, shared_data: Path, tmp_path: Path
) -> None:
    for name in ("bad", "more"):  # what nobody can read, and files that came later
        shutil.copytree(shared_data / name, tmp_path / "data" / name)
    files, refused = {}, []
    for package in (corpus, diadem.pack(tmp_path / "data", tmp_path / "store")):
        for dataset in package.record.datasets:
            file = tmp_path / f"{package.id.hex[:12]}-{dataset.id}.nxs"
            try:
                package.export("nxem", file, dataset=dataset, options=KNOWN, listener=lambda _: None)
            except (ReaderError, Refused) as error:
                refused.append((dataset, error))
            else:
                files[str(file)] = dataset.path
    halves = [[Path(file) for file in files][start::2] for start in (0, 1)]
    with ThreadPoolExecutor(2) as both:
        found = {file: said for some in both.map(problems, halves) for file, said in some.items()}
    assert {files[name]: said for name, said in found.items() if said} == {}
    assert len(files) >= 77, len(files)
    lost = {dataset.path: one.message for dataset, one in refused if not isinstance(one, Refused)}
    raw = "empad/EMPAD_v1.2.2_x32_y64_size0.8.xml"
    assert {*lost} == {raw, "bad/trunc50.bcf", "bad/trunc50.mrc"}
    assert all(("is not beside" if path == raw else "the header promises") in said for path, said in lost.items())
    for dataset, one in refused:
        if dataset.path not in lost:
            known = bool(dataset.fields or dataset.signals)
            if known and "the option is of another instrument" in one.message:  # of some the file names half of it
                assert None in (dataset.value("instrument.vendor"), dataset.value("instrument.model"))
                continue
            assert one.message.endswith("stated: start_time") if known else "nothing is known" in one.message
            assert "T" not in str(dataset.value("time.acquired_start"))


@pytest.mark.parametrize("unit", ["µm", "μm", "um"], ids=["micro sign", "Greek letter", "letter"])
@pytest.mark.sweep(1)
def test_a_micrometre_is_written_in_letters_that_every_reader_knows(unit: str, tmp_path: Path) -> None:
    import hyperspy.api as hs

    signal = hs.signals.Signal2D(np.arange(12.0).reshape(3, 4))
    for axis in signal.axes_manager.signal_axes:
        axis.units, axis.scale = unit, 0.5
    (tmp_path / "a").mkdir()
    signal.save(tmp_path / "a" / "a.hspy")
    package = diadem.pack(tmp_path / "a", tmp_path / "store")
    package.export("nxem", tmp_path / "a.nxs", options={**KNOWN, "start_time": "2026-03-01T10:30:00+01:00"})
    found = []
    with h5py.File(tmp_path / "a.nxs") as file:
        file.visititems(lambda name, one: found.append(dict(one.attrs)) if name.endswith("/axis_i") else None)
    assert [(one["units"], one["long_name"][-5:]) for one in found] == [("um", " (um)")]
    assert problems([tmp_path / "a.nxs"]) == {str(tmp_path / "a.nxs"): []}


def spectra(folder: Path, *axes: dict[str, Any]) -> Package:
    """A package with one array of two, three, four … points along such axes."""
    folder.mkdir()
    shape = range(2, 2 + len(axes))
    every = [{"size": size, **axis} for size, axis in zip(shape, axes, strict=True)]
    hs.signals.Signal1D(np.arange(np.prod(shape)).reshape(shape), axes=every).save(folder / "a.hspy")
    return diadem.pack(folder, folder.parent / "store")


X = {"name": "x", "units": "NM", "scale": 2.0}


@pytest.mark.parametrize(
    ("unit", "written"),
    [("EV", "eV"), ("KEV", "keV"), ("Kev", "keV"), ("Energy (EV)", "eV"), ("Energy Loss (keV)", "keV"), ("meV", "meV")],
)
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.sweep(4)
def test_an_axis_of_energies_is_one_however_its_unit_is_written(
    unit: str, written: str, last: bool, tmp_path: Path
) -> None:
    energy = {"name": "Counts", "units": unit, "scale": 0.5}
    package = spectra(tmp_path / "a", *((X, energy) if last else (energy, X)))
    package.export("nxem", tmp_path / "a.nxs", options={**KNOWN, "start_time": "2026-03-01T10:30:00+01:00"})
    with h5py.File(tmp_path / "a.nxs") as file:
        group = file[plots(file)["s1"]]
        assert group.name.endswith("/spectrum_1d")
        assert list(group.attrs["axes"]) == ["axis_i", "axis_energy"]
        assert (group["axis_i"].attrs["units"], group["axis_energy"].attrs["units"]) == ("nm", written)
        values = np.arange(6).reshape(2, 3)
        assert np.array_equal(group["intensity"], values if last else values.T)
    assert problems([tmp_path / "a.nxs"]) == {str(tmp_path / "a.nxs"): []}


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        (({"name": "Energy", "units": "MEV"},), "the unit of its axis 'Energy' is not understood: MEV"),
        (({"name": "X-ray energy"},), "the unit of its axis 'X-ray energy' is not stated"),
        ((X, {"name": "Eloss", "units": "channels"}), "the unit of its axis 'Eloss' is not understood: channels"),
        (({"name": "t", "units": "s"}, {"name": "E", "units": "eV"}), "it has spectra along 't', which is in s"),
        (({"name": "q", "scale": 0.5}, {"name": "E", "units": "eV"}), "the unit of its axis 'q' is not stated"),
        (({"name": "in", "units": "eV"}, {"name": "out", "units": "eV"}), "it has energies along two axes"),
    ],
)
def test_no_spectrum_is_written_as_a_picture(axes: tuple[dict[str, Any], ...], why: str, tmp_path: Path) -> None:
    package = spectra(tmp_path / "a", *axes)
    with pytest.raises(Refused) as refused:
        package.export("nxem", tmp_path / "a.nxs", options={**KNOWN, "start_time": "2026-03-01T10:30:00+01:00"})
    assert f"a.hspy s1: {why}" in refused.value.message
    assert not (tmp_path / "a.nxs").exists()


@pytest.mark.parametrize(
    ("unit", "written"), [("1/NM", "1/nm"), ("A", "angstrom"), ("MRAD", "mrad"), ("A-1", "1/angstrom")]
)
@pytest.mark.sweep(2)
def test_a_picture_has_its_units_as_others_read_them(unit: str, written: str, tmp_path: Path) -> None:
    package = spectra(tmp_path / "a", {"name": "y", "units": unit}, {"name": "x", "units": unit})
    package.export("nxem", tmp_path / "a.nxs", options={**KNOWN, "start_time": "2026-03-01T10:30:00+01:00"})
    with h5py.File(tmp_path / "a.nxs") as file:
        group = file[plots(file)["s1"]]
        assert group["axis_i"].attrs["units"] == written
    assert problems([tmp_path / "a.nxs"]) == {str(tmp_path / "a.nxs"): []}
