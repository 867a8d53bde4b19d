"""`Package.load` from end to end: packed here, loaded from a disk and from an object store."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.archive.package import Package
from diadem.errors import DigestMismatch, NotFound, ReaderError
from diadem.terms.units import to_si
from diadem.testing.faults import flip_byte
from tests.archive.load_sources import as_list, same, values
from tests.services import S3Server

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

FILES = (
    "mrc/HAADFscan.mrc",
    "dm/EELS_SI.dm4",
    "hspy/4d_stem.hspy",
    "emd-velox/fei_emd_image.emd",
    "blo/test1.blo",
    "msa/example1.msa",
    "tia/128x128_TEM_acquire-sum1.emi",
    "tia/128x128_TEM_acquire-sum1_1.ser",
    "tia/16x16-spectrum_image-5x5x1024.emi",
    "tia/16x16-spectrum_image-5x5x1024_1.ser",
    "tia/Titan_TEM_4_eds_line_scan_2_dataZeroed.emi",
    "tia/Titan_TEM_4_eds_line_scan_2_dataZeroed_1.ser",
)


@pytest.fixture(scope="module")
def session(unpacked_data: Path, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of several formats, one of its files broken, one in a folder with a name that is mapped."""
    folder = tmp_path_factory.mktemp("session")
    for name in FILES:
        shutil.copyfile(unpacked_data / name, folder / Path(name).name)
    shutil.copyfile(shared_data / "bad" / "trunc50.dm3", folder / "broken.dm3")
    shutil.copytree(unpacked_data / "zspy", folder / "zspy")
    (folder / "notes.xyz").write_text("nothing that a reader knows")
    (folder / "odd%name").mkdir()
    shutil.copyfile(unpacked_data / "mrc/HAADFscan.mrc", folder / "odd%name" / "scan.mrc")
    return folder


@pytest.fixture(scope="module")
def package(session: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The session, packed."""
    return diadem.pack(session, tmp_path_factory.mktemp("store"))


def _original(session: Path, name: str) -> list[Any]:
    """The same through RosettaSciIO and HyperSpy alone."""
    import hyperspy.api as hs

    return as_list(hs.load(str(session / name)))


@pytest.mark.parametrize("path", FILES)
def test_the_same_as_hyperspy_gives_of_the_original(package: Package, session: Path, path: str) -> None:
    name = Path(path).name
    found = as_list(package.load(name))
    for one, other in zip(found, _original(session, name), strict=True):
        assert one.metadata.General.diadem.verify == ("proven-file" if name.endswith(".msa") else "leaves")
        assert one.metadata.General.diadem.package == package.id
        assert same(values(one), other.data)
        # The record may know better what spectra they are: eXSpy has kinds of the other type.
        assert type(other).__name__.removeprefix("Lazy") in [kind.__name__ for kind in type(one).__mro__]


@pytest.mark.parametrize("path", FILES)
def test_its_axes_are_those_of_the_record(package: Package, path: str) -> None:
    name = Path(path).name
    told = next((one.signals for one in package.record.datasets if one.path == name), None)
    if told is None:
        pytest.skip("a part of another dataset")
    for one, signal in zip(told, as_list(package.load(name)), strict=True):
        # The record has the order of the file, where the energies of a map may come first; HyperSpy has them last.
        axes = sorted(one.document["axes"], key=lambda axis: not axis.get("navigate", False))
        for axis, loaded in zip(axes, signal.axes_manager._axes, strict=True):
            unit, factor = to_si(str(loaded.units))
            assert (axis["size"], axis.get("unit", "")) == (loaded.size, unit)
            assert axis.get("navigate", loaded.navigate) == loaded.navigate
            assert axis.get("scale", 1.0) == pytest.approx(loaded.scale * factor)
            assert axis.get("offset", 0.0) == pytest.approx(loaded.offset * factor, rel=1e-9, abs=1e-18)


def test_a_zero_that_is_no_measurement_is_absent(package: Package) -> None:
    signal = package.load("EELS_SI.dm4")
    column = signal.metadata.Acquisition_instrument.TEM
    assert not column.has_item("beam_current")
    assert column.Stage.tilt_beta == 0
    assert column.Detector.EELS.dwell_time == pytest.approx(0.02)
    assert any("beam_current: 0 → unknown" in said for said in signal.metadata.General.diadem.replaced)


def test_by_the_path_in_its_list_of_files(package: Package) -> None:
    """The first loop that everybody writes."""
    for entry in package.files:
        with package.open(entry.path) as one, package.open(entry.name) as other:
            assert one.read(64) == other.read(64)
    assert package.load("data/EELS_SI.dm4").data.shape == package.load("EELS_SI.dm4").data.shape
    assert package.load("data/zspy/signal1d_10x10-DirectoryStore.zspy").data.shape
    assert package.record.vendor("data/EELS_SI.dm4") == package.record.vendor("EELS_SI.dm4")
    with pytest.raises(NotFound):
        package.open("data/diadem-record.json")


def test_eager(package: Package, session: Path) -> None:
    signal = package.load("HAADFscan.mrc", lazy=False)
    assert not signal._lazy
    assert same(signal.data, _original(session, "HAADFscan.mrc")[0].data)


def test_a_folder_by_its_name(package: Package, session: Path) -> None:
    name = "zspy/signal1d_10x10-DirectoryStore.zspy"
    assert same(values(package.load(name)), _original(session, name)[0].data)


def test_by_the_original_name(package: Package) -> None:
    assert "odd%name/scan.mrc" not in {entry.name for entry in package.files}
    assert same(values(package.load("odd%name/scan.mrc")), values(package.load("HAADFscan.mrc")))


def test_what_cannot_be_loaded(package: Package) -> None:
    with pytest.raises(NotFound, match=r"no file 'HAADF\.mrc'"):
        package.load("HAADF.mrc")
    with pytest.raises(ReaderError, match="could not be read when it was archived"):
        package.load("broken.dm3")
    with pytest.raises(ReaderError, match="no reader knows"):
        package.load("notes.xyz")


def test_damage(session: Path, tmp_path: Path) -> None:
    package = diadem.pack(session, tmp_path)
    target = Path(package.url) / "data" / "EELS_SI.dm4"
    flip_byte(target, target.stat().st_size // 2)
    with pytest.raises(DigestMismatch) as caught:
        values(package.load("EELS_SI.dm4"))
    assert caught.value.where == "data/EELS_SI.dm4"
    assert values(package.load("HAADFscan.mrc")).any()
    assert package.load("EELS_SI.dm4", verify="never").metadata.General.diadem.verify == "never"


def test_from_an_object_store(session: Path, s3_server: S3Server) -> None:
    pytest.importorskip("botocore", reason="the extra [s3] is not installed")
    url = s3_server.url(uuid.uuid4().hex)
    package = diadem.pack(session, url, storage_options=s3_server.storage_options)
    for name, proof in (
        ("HAADFscan.mrc", "leaves"),
        ("4d_stem.hspy", "leaves"),
        ("128x128_TEM_acquire-sum1.emi", "leaves"),
        ("example1.msa", "proven-file"),
        ("zspy/signal1d_10x10-DirectoryStore.zspy", "proven-file"),
    ):
        found = package.load(name)
        assert found.metadata.General.diadem.verify == proof
        assert same(values(found), _original(session, name)[0].data)
