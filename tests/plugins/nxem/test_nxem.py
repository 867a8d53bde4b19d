"""A dataset leaves as a NeXus file: valid by pynxtools, the same arrays and axes when it is read back, or refused with
all that is missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import hyperspy.api as hs
import numpy as np
import pytest

import diadem
from diadem.archive.package import Package
from diadem.cli.main import run
from diadem.errors import DigestMismatch, ReaderError, Refused, UsageError
from diadem.model.record import Dataset
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
    program = Path(__file__).with_name("validator.py")
    done = subprocess.run([sys.executable, program, *files], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    assert len(found) == len(files)
    return found


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
                    assert unit == axis.units.replace("\u00b5", "u").replace("\u03bc", "u")
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


@pytest.mark.program
def test_most_of_the_corpus_is_exported_and_each_file_is_valid(corpus: Package, tmp_path: Path) -> None:
    files, lost, refused = [], [], []
    for dataset in corpus.record.datasets:
        file = tmp_path / f"{dataset.id}.nxs"
        try:
            corpus.export("nxem", file, dataset=dataset, options=KNOWN, listener=lambda _: None)
        except ReaderError:
            lost.append(dataset.path)
        except Refused as error:
            refused.append((dataset, error.message))
        else:
            files.append(file)
    assert {name: found for name, found in problems(files).items() if found} == {}
    assert len(files) >= 60, len(files)
    assert len(lost) < 2, lost  # the corpus lacks the raw data of a scan
    for dataset, message in refused:
        assert ("start_time" in message) == bool(dataset.fields or dataset.signals)
        assert "T" not in str(dataset.value("time.acquired_start"))


@pytest.mark.parametrize("unit", ["µm", "μm", "um"], ids=["micro sign", "Greek letter", "letter"])
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
