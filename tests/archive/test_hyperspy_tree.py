"""Loaded signals say what the record says, in HyperSpy's units, and what the reader had bent is told."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diadem
from diadem.archive.load.signals import build
from diadem.archive.load.tree import Tree
from diadem.archive.package import Package
from diadem.model.record import Dataset
from diadem.serialization.record_writer import build_record
from tests.archive.load_sources import as_list
from tests.serialization.record_documents import assertion
from tests.serialization.record_documents import dataset as described

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

FILES = (
    "blo/test1.blo",
    "bruker/test_TEM.bcf",
    "digitalsurf/test_spectral_map.sur",
    "dm/EELS_SI.dm4",
    "dm/test_STEM_image.dm3",
    "emd-velox/fei_emd_image.emd",
    "emd-velox/fei_example_tem_stack.emd",
    "msa/example1.msa",
    "msa/example2.msa",
    "prz/panta_rhei_sample.prz",
    "tia/64x64_TEM_images_acquire.emi",
    "tia/64x64_TEM_images_acquire_1.ser",
    "tif-fei/FEI-Helios-Ebeam-8bits.tif",
    "tif-fei/scios_xml_metadata.tif",
    "tif-zeiss/test_tiff_Zeiss_SEM_512pix.tif",
)

#: Keys of the true values to leaves below ``Acquisition_instrument.TEM`` or ``SEM``, and the factor to HyperSpy's unit.
LEAVES: Mapping[str, tuple[str, float]] = {
    "beam_energy_keV": ("beam_energy", 1.0),
    "beam_current_A": ("beam_current", 1e9),
    "camera_length_m": ("camera_length", 1e3),
    "convergence_semi_angle_mrad": ("convergence_angle", 1.0),
    "collection_semi_angle_mrad": ("Detector.EELS.collection_angle", 1.0),
    "dwell_time_s": ("dwell_time", 1.0),
    "eds_azimuth_deg": ("Detector.EDS.azimuth_angle", 1.0),
    "eds_elevation_deg": ("Detector.EDS.elevation_angle", 1.0),
    "live_time_s": ("Detector.EDS.live_time", 1.0),
    "magnification": ("magnification", 1.0),
    "stage_alpha_deg": ("Stage.tilt_alpha", 1.0),
    "stage_beta_deg": ("Stage.tilt_beta", 1.0),
    "stage_rotation_deg": ("Stage.rotation", 1.0),
    "stage_tilt_deg": ("Stage.tilt", 1.0),
    "stage_x_m": ("Stage.x", 1e3),
    "stage_y_m": ("Stage.y", 1e3),
    "stage_z_m": ("Stage.z", 1e3),
    "working_distance_m": ("working_distance", 1e3),
}


@pytest.fixture(scope="module")
def package(unpacked_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("tree")
    (folder / "session").mkdir()
    for name in FILES:
        shutil.copy(unpacked_data / name, folder / "session")
    return diadem.pack(folder / "session", folder / "store")


@pytest.fixture(scope="module")
def loaded(package: Package) -> Mapping[str, list[Any]]:
    """Signals by the path of the file as it lies in the shared folder; RosettaSciIO leaves lazy TIFFs open."""
    names = [name for name in FILES if not name.endswith(".ser")]
    return {name: as_list(package.load(Path(name).name, lazy=not name.endswith(".tif"))) for name in names}


def replaced(signal: Any) -> list[str]:
    """What the record replaced."""
    return list(signal.metadata.get_item("General.diadem.replaced", default=()))


def test_true_values_in_the_units_of_hyperspy(loaded: Mapping[str, list[Any]], shared_data: Path) -> None:
    truth = json.loads((shared_data / "expected.json").read_text(encoding="utf-8"))["files"]
    compared = 0
    for name, signals in loaded.items():
        for key, (leaf, factor) in LEAVES.items():
            if key not in truth[name]["expected"]:
                continue
            expected = float(truth[name]["expected"][key]["value"]) * factor
            found = [
                float(signal.metadata.get_item(f"Acquisition_instrument.{instrument}.{leaf}"))
                for signal in signals
                for instrument in ("TEM", "SEM")
                if signal.metadata.has_item(f"Acquisition_instrument.{instrument}.{leaf}")
            ]
            if found:
                compared += 1
                assert any(math.isclose(one, expected, rel_tol=2e-3, abs_tol=1e-12) for one in found), (
                    name,
                    key,
                    found,
                )
    assert compared >= 90


def test_stage_of_velox_in_millimetres(loaded: Mapping[str, list[Any]]) -> None:
    (signal,) = loaded["emd-velox/fei_emd_image.emd"]
    stage = signal.metadata.Acquisition_instrument.TEM.Stage
    assert (stage.x, stage.y, stage.z) == pytest.approx((-0.00937098624, 0.14370586, 0.02880579), rel=1e-6)
    assert stage.tilt_alpha == pytest.approx(0.006344, rel=1e-4)
    assert any(told.startswith("Acquisition_instrument.TEM.Stage.x: -9e-06 → -0.00937") for told in replaced(signal))
    assert signal.original_metadata.Stage.Position.x == "-9.3709862399999998e-006"


def test_tilt_and_rotation_of_a_scanning_microscope_in_degrees(loaded: Mapping[str, list[Any]]) -> None:
    (signal,) = loaded["tif-fei/FEI-Helios-Ebeam-8bits.tif"]
    stage = signal.metadata.Acquisition_instrument.SEM.Stage
    assert stage.rotation == pytest.approx(-135.281065)
    assert stage.tilt == stage.tilt_alpha == pytest.approx(0.000374999731)
    assert stage.z == pytest.approx(7.965)
    assert signal.original_metadata.fei_metadata.Stage.StageR == -2.3611


def test_dwell_time_of_msa_in_seconds_without_a_unit_beside_it(loaded: Mapping[str, list[Any]]) -> None:
    (signal,) = loaded["msa/example1.msa"]
    detector = signal.metadata.Acquisition_instrument.TEM.Detector.EELS
    assert detector.dwell_time == pytest.approx(0.1)
    assert not detector.has_item("dwell_time_units")
    assert signal.metadata.Sample.thickness == pytest.approx(5e-8)
    assert not signal.metadata.has_item("Sample.thickness_units")
    assert "Acquisition_instrument.TEM.Detector.EELS.dwell_time: 100 → 0.1" in " ".join(replaced(signal))


def test_camera_length_of_a_blockfile(loaded: Mapping[str, list[Any]]) -> None:
    (signal,) = loaded["blo/test1.blo"]
    instrument = signal.metadata.Acquisition_instrument.TEM
    assert instrument.camera_length == pytest.approx(200.0)
    assert instrument.Detector.Diffraction.camera_length == pytest.approx(20.0)
    assert instrument.Detector.Diffraction.camera_length_units == "cm"
    # The reader calls its own machine's zone the file's.
    assert not signal.metadata.has_item("General.time_zone")
    assert (signal.metadata.General.date, signal.metadata.General.time[:8]) == ("2015-12-01", "15:40:59")


def test_times_carry_the_zone_that_the_file_lets_one_know(loaded: Mapping[str, list[Any]]) -> None:
    general = loaded["dm/test_STEM_image.dm3"][0].metadata.General
    assert (general.date, general.time[:8], general.time_zone) == ("2016-08-08", "16:26:37", "+01:00")
    general = loaded["emd-velox/fei_emd_image.emd"][0].metadata.General
    assert general.time_zone
    assert not loaded["msa/example1.msa"][0].metadata.has_item("General.time_zone")
    assert loaded["msa/example1.msa"][0].metadata.General.authors == "EMSA/MAS TASK FORCE"


def test_a_file_of_a_reader_that_forgets_units(loaded: Mapping[str, list[Any]]) -> None:
    for signal in loaded["digitalsurf/test_spectral_map.sur"]:
        instrument = signal.metadata.Acquisition_instrument.SEM
        assert instrument.beam_energy == pytest.approx(4.996)
        assert not instrument.has_item("beam_energy_units")


def test_detectors_stand_where_their_signal_is(loaded: Mapping[str, list[Any]]) -> None:
    image, spectra = loaded["bruker/test_TEM.bcf"]
    assert spectra.metadata.Acquisition_instrument.TEM.Detector.EDS.elevation_angle == pytest.approx(18.0)
    assert not image.metadata.has_item("Acquisition_instrument.TEM.Detector.EDS")
    assert sorted(spectra.metadata.Sample.elements) == ["Cu", "O", "Pd", "Ti"]
    (eels,) = loaded["dm/EELS_SI.dm4"]
    assert eels.metadata.Acquisition_instrument.TEM.acquisition_mode == "STEM"
    assert eels.metadata.Acquisition_instrument.TEM.Detector.EELS.collection_angle == pytest.approx(62.0)


def test_the_original_metadata_and_the_data_are_left_alone(package: Package, loaded: Mapping[str, list[Any]]) -> None:
    from diadem.archive.load.dataset import source_of
    from diadem.archive.load.files import load
    from diadem.extract.survey import survey

    plans = {
        plan.primary.path: plan for plan in survey([(one.name, one.size) for one in package.files], package.readers)
    }
    table = {offer.name: offer for offer in package.readers}
    for name, signals in loaded.items():
        plan = plans[Path(name).name]
        format_ = next(one.primary.format for one in package.record.datasets if one.path == plan.primary.path)
        plain = as_list(load(source_of(package, plan), offer=table[format_], lazy=not name.endswith(".tif")))
        for signal, other in zip(signals, plain, strict=True):
            assert repr(signal.original_metadata) == repr(other.original_metadata)
            assert str(signal.axes_manager) == str(other.axes_manager)
            assert not other.metadata.has_item("General.diadem.replaced")


def test_what_was_replaced_is_saved_with_the_signal(loaded: Mapping[str, list[Any]], tmp_path: Path) -> None:
    import hyperspy.api as hs

    (signal,) = loaded["emd-velox/fei_emd_image.emd"]
    signal.save(tmp_path / "saved.hspy")
    again = hs.load(tmp_path / "saved.hspy")
    assert replaced(again) == replaced(signal) != []
    assert again.metadata.Acquisition_instrument.TEM.Stage.x == pytest.approx(-0.00937098624)


# -- made-up records -------------------------------------------------------------------------------------------------


def signal_of(data: np.ndarray[Any, Any], metadata: Mapping[str, Any]) -> Any:
    import hyperspy.api as hs

    kind = hs.signals.Signal1D if data.ndim == 1 else hs.signals.Signal2D
    signal = kind(data)
    signal.metadata.add_dictionary(metadata)
    return signal


def dataset_of(**fields: list[dict[str, Any]]) -> Dataset:
    return build_record([described(1, **fields)]).datasets[0]


IMAGE = np.zeros((64, 128), np.uint16)
VOLTS = [assertion(200_000.0, "V")]


def test_values_of_another_signal_do_not_count() -> None:
    told = dataset_of(
        beam__acceleration_voltage=VOLTS,
        scan__dwell_time=[assertion(2.0, "s", applies_to=["s1"])],
    )
    signal = signal_of(IMAGE, {})
    Tree(signal, told, None).fill()
    assert signal.metadata.Acquisition_instrument.TEM.beam_energy == 200.0
    assert not signal.metadata.Acquisition_instrument.TEM.has_item("dwell_time")
    Tree(signal, told, "s1").fill()
    assert signal.metadata.Acquisition_instrument.TEM.dwell_time == 2.0


def test_an_instrument_that_the_reader_took_for_the_other_kind() -> None:
    told = dataset_of(beam__acceleration_voltage=VOLTS, instrument__kind=[assertion("sem")])
    signal = signal_of(IMAGE, {"Acquisition_instrument": {"TEM": {"beam_energy": 20.0, "microscope": "X"}}})
    notes = Tree(signal, told, "s1").fill()
    assert signal.metadata.Acquisition_instrument.as_dictionary() == {"SEM": {"beam_energy": 200.0, "microscope": "X"}}
    assert notes == [
        "Acquisition_instrument.TEM → Acquisition_instrument.SEM",
        "Acquisition_instrument.SEM.beam_energy: 20 → 200",
    ]


@pytest.mark.parametrize(("volts", "instrument"), [(200_000.0, "TEM"), (15_000.0, "SEM")])
def test_the_energy_decides_where_nothing_else_does(volts: float, instrument: str) -> None:
    signal = signal_of(IMAGE, {})
    Tree(signal, dataset_of(beam__acceleration_voltage=[assertion(volts, "V")]), "s1").fill()
    assert list(signal.metadata.Acquisition_instrument.as_dictionary()) == [instrument]


def test_what_a_hostile_file_puts_in_the_way_gives_way() -> None:
    told = dataset_of(
        beam__acceleration_voltage=VOLTS, stage__x=[assertion(1e-6, "m")], person__operator=[assertion("A")]
    )
    for metadata in (
        {"Acquisition_instrument": "a text", "General": {"authors": {"not": "a text"}}},
        {"Acquisition_instrument": {"TEM": 7}},
        {"Acquisition_instrument": {"TEM": {"Stage": [1, 2], "beam_energy": {"a": {"b": 1}}}}},
    ):
        signal = signal_of(IMAGE, metadata)
        Tree(signal, told, "s1").fill()
        assert signal.metadata.Acquisition_instrument.TEM.beam_energy == 200.0
        assert signal.metadata.Acquisition_instrument.TEM.Stage.x == pytest.approx(1e-3)
        assert signal.metadata.General.authors == "A"


def test_a_zero_of_the_other_kind_of_instrument_is_absent_too() -> None:
    told = dataset_of(instrument__kind=[assertion("sem")])
    signal = signal_of(IMAGE, {"Acquisition_instrument": {"SEM": {"camera_length": 0.0, "Stage": {"tilt_alpha": 0.0}}}})
    assert Tree(signal, told, "s1").fill() == ["Acquisition_instrument.SEM.camera_length: 0 → unknown"]
    assert signal.metadata.Acquisition_instrument.SEM.Stage.tilt_alpha == 0.0


def test_a_record_that_says_nothing_changes_nothing() -> None:
    signal = signal_of(IMAGE, {"Acquisition_instrument": {"TEM": {"beam_energy": 300.0}}})
    before = signal.metadata.as_dictionary()
    assert Tree(signal, dataset_of(), "s1").fill() == []
    assert signal.metadata.as_dictionary() == before


# -- which signal of the record is which -------------------------------------------------------------------------------


def recorded(*signals: tuple[str, Sequence[int]]) -> Dataset:
    """A dataset of signals, each with a title, a shape, and an exposure of as many seconds as its number."""
    document = described(1, camera__exposure=[
        assertion(float(number), "s", applies_to=[f"s{number}"]) for number in range(1, len(signals) + 1)
    ])  # fmt: skip
    document["signals"] = [
        {
            "id": f"s{number}",
            "title": title,
            "shape": list(shape),
            "dtype": "<u2",
            "axes": [{"name": f"a{place}", "size": size} for place, size in enumerate(shape)],
        }
        for number, (title, shape) in enumerate(signals, 1)
    ]
    return build_record([document]).datasets[0]


def made(dataset: Dataset, *signals: tuple[str, Sequence[int]]) -> list[Any]:
    """What is loaded where a reader gives these titles and shapes."""
    read = [
        {
            "data": np.zeros(tuple(shape), np.uint16),
            "axes": [
                {"name": f"a{place}", "size": size, "navigate": place < len(shape) - 2}
                for place, size in enumerate(shape)
            ],
            "metadata": {"General": {"title": title}, "Acquisition_instrument": {"TEM": {"beam_current": 0.0}}},
        }
        for title, shape in signals
    ]
    origin = {"package": "diadem:0", "path": "a.dm4", "verify": "leaves", "reader": "x"}
    return build(read, False, origin, dataset)


def exposures(signals: Sequence[Any]) -> list[float | None]:
    camera = "Acquisition_instrument.TEM.Detector.Camera.exposure"
    return [signal.metadata.get_item(camera, default=None) for signal in signals]


def notes(signal: Any) -> str:
    return "; ".join(signal.metadata.get_item("General.diadem.notes", default=()))


def test_a_record_with_the_axes_in_another_order_counts() -> None:
    (signal,) = made(recorded(("map", (2048, 2, 2))), ("map", (2, 2, 2048)))
    assert exposures([signal]) == [1.0]
    assert not signal.metadata.has_item("Acquisition_instrument.TEM.beam_current")
    assert "Acquisition_instrument.TEM.beam_current: 0 → unknown" in replaced(signal)
    assert not notes(signal)


@pytest.mark.parametrize(
    ("told", "read", "seconds"),
    [
        ([("a", (4, 4)), ("b", (4, 4))], [("b", (4, 4)), ("a", (4, 4))], [2.0, 1.0]),  # by title
        ([("", (4, 4)), ("", (8, 4))], [("x", (4, 8)), ("y", (4, 4))], [2.0, 1.0]),  # by size
        ([("a", (4, 4)), ("a", (4, 4))], [("a", (4, 4)), ("a", (4, 4))], [1.0, 2.0]),  # by order
        ([("a", (9, 1, 4))], [("b", (4, 9))], [1.0]),  # one element makes no axis
    ],
)
def test_signals_are_found_by_title_size_and_order(told: Any, read: Any, seconds: Any) -> None:
    signals = made(recorded(*told), *read)
    assert exposures(signals) == seconds
    assert not any(map(notes, signals))


def test_another_shape_is_told_and_what_can_be_applied_is() -> None:
    one, other = made(recorded(("a", (4, 4)), ("b", (3, 4, 4))), ("a", (4, 4)), ("b", (2, 4, 4)))
    assert exposures([one, other]) == [1.0, 2.0]
    assert not notes(one)
    assert "s2 of the record is 3 × 4 × 4" in notes(other)
    assert "this signal is 2 × 4 × 4" in notes(other)


def test_a_signal_that_the_record_does_not_know_is_told() -> None:
    one, other = made(recorded(("a", (4, 4))), ("x", (4, 4)), ("y", (4, 4)))
    for signal in (one, other):
        assert "not certain which signal of the record" in notes(signal)
        assert not signal.metadata.has_item("Acquisition_instrument.TEM.beam_current")
    assert exposures([one, other]) == [None, None]


def test_a_signal_of_the_record_that_was_not_loaded_is_told() -> None:
    (signal,) = made(recorded(("a", (4, 4)), ("b", (5, 5))), ("a", (4, 4)))
    assert exposures([signal]) == [1.0]
    assert "s2 'b', 5 × 5" in notes(signal)


# -- types of signals, where their packages are installed --------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("exspy") is None, reason="eXSpy is not installed")
def test_spectra_are_of_exspys_types(loaded: Mapping[str, list[Any]]) -> None:
    kinds = {name: [signal.metadata.Signal.signal_type for signal in signals] for name, signals in loaded.items()}
    assert kinds["dm/EELS_SI.dm4"] == kinds["msa/example1.msa"] == ["EELS"]
    assert kinds["bruker/test_TEM.bcf"] == ["", "EDS_TEM"]
    assert kinds["msa/example2.msa"] == ["EDS_TEM"]
    assert type(loaded["dm/EELS_SI.dm4"][0]).__name__ == "LazyEELSSpectrum"


@pytest.mark.skipif(importlib.util.find_spec("exspy") is None, reason="eXSpy is not installed")
def test_defaults_of_exspy_are_told_from_what_the_file_says(loaded: Mapping[str, list[Any]], tmp_path: Path) -> None:
    """It gives every X-ray spectrum a resolution of 130 eV and a tilt of 0, whatever the file says."""
    signal = loaded["bruker/test_TEM.bcf"][1]
    detector = "Acquisition_instrument.TEM.Detector.EDS."
    assert signal.metadata.get_item(f"{detector}energy_resolution_MnKa") == 130  # eXSpy's methods need one
    said = signal.metadata.General.diadem.assumed
    assert sorted(said) == [f"{detector}energy_resolution_MnKa: 130", "Acquisition_instrument.TEM.Stage.tilt_alpha: 0"]
    assert "assumed" not in loaded["bruker/test_TEM.bcf"][0].metadata.General.diadem
    spectrum = signal.inav[:2, :2]
    spectrum.compute()
    spectrum.save(tmp_path / "again.hspy")
    again = diadem.extract(tmp_path).datasets[0]
    assert again.value("detector.elevation") == 18
    assert "eds.resolution" not in again.fields


@pytest.mark.skipif(importlib.util.find_spec("exspy") is None, reason="eXSpy is not installed")
def test_what_the_record_knows_goes_before_a_default_of_exspy() -> None:
    told = dataset_of(
        eds__resolution=[assertion(125.0, "eV")],
        signal__technique=[assertion("EDS")],
        instrument__kind=[assertion("sem")],
    )
    axes = [{"name": "E", "size": 8, "scale": 0.01, "units": "keV", "offset": 0.0, "navigate": False}]
    signal = {"data": np.zeros(8), "axes": axes, "metadata": {"Signal": {"signal_type": "EDS_SEM"}}}
    (found,) = build([signal], False, {"path": "a"}, told)
    detector = found.metadata.Acquisition_instrument.SEM.Detector.EDS
    assert (detector.energy_resolution_MnKa, detector.elevation_angle) == (125, 35)
    assert len(found.metadata.General.diadem.assumed) == 3
    assert replaced(found) == []


@pytest.mark.skipif(importlib.util.find_spec("pyxem") is None, reason="pyxem is not installed")
def test_patterns_are_of_pyxems_type(loaded: Mapping[str, list[Any]]) -> None:
    (signal,) = loaded["blo/test1.blo"]
    assert signal.metadata.Signal.signal_type == "electron_diffraction"
    assert "Signal.signal_type: diffraction → electron_diffraction" in replaced(signal)


@pytest.mark.skipif(importlib.util.find_spec("pyxem") is not None, reason="pyxem is installed")
def test_without_pyxem_patterns_are_images(loaded: Mapping[str, list[Any]]) -> None:
    (signal,) = loaded["blo/test1.blo"]
    assert type(signal).__name__ == "LazySignal2D"
