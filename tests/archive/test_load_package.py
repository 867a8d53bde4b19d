"""`Package.load` from end to end: packed here, loaded from a disk and from an object store."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.archive.package import Package
from diadem.errors import DigestMismatch, NotFound, ReaderError
from diadem.testing.faults import flip_byte
from tests.archive.load_sources import LAYOUTS, as_list, offer, same, values
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


def _with_layouts(package: Package) -> Package:
    """The package with readers that have their layouts, whatever is installed."""
    package.readers = tuple(
        replace(one, layout=offer(one.name).layout) if one.name in LAYOUTS else one for one in package.readers
    )
    return package


@pytest.fixture(scope="module")
def package(session: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The session, packed."""
    return _with_layouts(diadem.pack(session, tmp_path_factory.mktemp("store")))


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
        assert type(one).__name__.removeprefix("Lazy") == type(other).__name__.removeprefix("Lazy")


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
    package = _with_layouts(diadem.pack(session, tmp_path))
    target = Path(package.url) / "data" / "EELS_SI.dm4"
    flip_byte(target, target.stat().st_size // 2)
    with pytest.raises(DigestMismatch) as caught:
        values(package.load("EELS_SI.dm4"))
    assert caught.value.where == "data/EELS_SI.dm4"
    assert values(package.load("HAADFscan.mrc")).any()
    assert package.load("EELS_SI.dm4", verify="never").metadata.General.diadem.verify == "never"


def test_from_an_object_store(session: Path, s3_server: S3Server) -> None:
    pytest.importorskip("s3fs", reason="the extra [s3] is not installed")
    url = s3_server.url(uuid.uuid4().hex)
    package = _with_layouts(diadem.pack(session, url, storage_options=s3_server.storage_options))
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
