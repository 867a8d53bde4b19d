"""What a stranger's package may not do to whoever archives or loads it: no file outside, no program, no hang."""

from __future__ import annotations

import bz2
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import diadem
from diadem.archive.load.files import load
from diadem.archive.package import Home, Package
from diadem.errors import ReaderError
from diadem.extract.pool import Extractor
from diadem.hooks.offers import ReaderOffer
from diadem.model.record import Dataset, Datasets, Record
from tests.archive.load_sources import Payload, offer

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.filterwarnings("ignore::ResourceWarning")]

#: What lies on the reader's machine, and in no package.
SECRET = bytes(range(1, 65))


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that is nobody's business."""
    path = tmp_path / "secret.key"
    path.write_bytes(SECRET)
    return path


def kept_elsewhere(group: h5py.Group, name: str, shape: tuple[int, ...], where: Path) -> None:
    """A dataset whose values lie in another file."""
    space = h5py.h5s.create_simple(shape)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_external(str(where).encode(), 0, int(np.prod(shape)))
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.NATIVE_UINT8, space, dcpl=creation)


def in_front(path: Path, length: int) -> None:
    """Put a user block before an HDF5 file."""
    whole = path.read_bytes()
    path.write_bytes(b"x" * length + whole)


def hyperspy_file(path: Path, fill: Callable[[h5py.Group], None], user_block: int = 0) -> None:
    """A HyperSpy file of one image whose values `fill` makes."""
    with h5py.File(path, "w", userblock_size=user_block) as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        group = file.create_group("Experiments/image")
        fill(group)
        for number in (0, 1):
            axis = group.create_group(f"axis-{number}")
            axis.attrs.update({"name": "xy"[number], "scale": 1.0, "offset": 0.0, "size": 8, "navigate": False})
            axis.attrs.update({"_type": "UniformDataAxis", "units": "px", "is_binned": False})
        for name in ("metadata/General", "metadata/Signal", "original_metadata", "learning_results"):
            group.create_group(name)
        group["metadata/General"].attrs["title"] = "image"
        group["metadata/Signal"].attrs["signal_type"] = ""


def arina_files(folder: Path, fill: Callable[[h5py.Group], None], user_block: int = 0) -> None:
    """A master and the file of its one pattern, whose values `fill` makes."""
    with h5py.File(folder / "x_data_000001.h5", "w", userblock_size=user_block) as file:
        fill(file.create_group("entry/data"))
    with h5py.File(folder / "x_master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("x_data_000001.h5", "/entry/data/data")


def believed(package: Package, name: str, format_: str) -> Package:
    """The package as if its record said that a file was read, as `format_`."""

    def read(dataset: Dataset) -> Dataset:
        if dataset.path != name:
            return dataset
        told = {**dataset.document, "issues": [], "signals": [{"id": "s1", "shape": [8, 8], "kind": "image"}]}
        told["files"] = [{**one, "format": format_} if one["path"] == name else one for one in told["files"]]
        return replace(dataset, document=told)

    def amend(record: Record) -> Record:
        return replace(record, datasets=Datasets(list(map(read, record.datasets))))

    return package.replaced(home=Home(None, custody=lambda _: None, warnings=lambda _: (), amend=amend))


def packed(folder: Path) -> Package:
    return diadem.pack(folder, folder.with_name("store"))


def has_secret(found: Any) -> bool:
    signals = found if isinstance(found, list) else [found]
    return any(SECRET in np.asarray(signal.data).tobytes() for signal in signals)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "session"
    made.mkdir()
    return made


@pytest.mark.parametrize("user_block", [2048, 4096, 1 << 20])
def test_a_worker_reads_no_file_outside_through_a_side_file(folder: Path, secret: Path, user_block: int) -> None:
    pytest.importorskip("hdf5plugin", reason="the extra [formats] is not installed")
    arina_files(folder, lambda group: kept_elsewhere(group, "data", (1, 8, 8), secret), user_block)
    package = packed(folder)
    dataset = next(one for one in package.record.datasets if one.path == "x_master.h5")
    assert [issue["code"] for issue in dataset.issues] == ["external-storage"]
    assert not dataset.signals
    with pytest.raises(ReaderError, match="in another file"):
        believed(package, "x_master.h5", "arina").load("x_master.h5")


@pytest.mark.parametrize("user_block", [0, 4096, 1 << 20])
def test_load_reads_no_file_outside_whatever_the_record_says(folder: Path, secret: Path, user_block: int) -> None:
    hyperspy_file(folder / "a.hspy", lambda group: kept_elsewhere(group, "data", (8, 8), secret), user_block)
    package = believed(packed(folder), "a.hspy", "hspy")
    for verify in ("proof", "never"):
        with pytest.raises(ReaderError, match=r"in another file|content"):
            has_secret(package.load("a.hspy", verify=verify))


def test_virtual_datasets_in_circles_are_refused(folder: Path) -> None:
    def fill(group: h5py.Group) -> None:
        for name, other in (("data", "other"), ("other", "data")):
            layout = h5py.VirtualLayout((8, 8), "u1")
            layout[:] = h5py.VirtualSource(".", f"/Experiments/image/{other}", shape=(8, 8))
            group.create_virtual_dataset(name, layout)

    hyperspy_file(folder / "a.hspy", fill)
    with pytest.raises(ReaderError, match="from each other"):
        believed(packed(folder), "a.hspy", "hspy").load("a.hspy")


def test_a_user_block_harms_no_honest_file(folder: Path) -> None:
    hyperspy_file(folder / "a.hspy", lambda group: group.create_dataset("data", data=np.eye(8, dtype="u1")), 512)
    assert np.asarray(packed(folder).load("a.hspy").data).trace() == 8


# -- readers that are led elsewhere --------------------------------------------------------------------------------

EMPAD = """<root name="EMPAD"><timestamp isoformat="2026-03-25T16:47:52"/><raw_file filename="{}"/>
<pix_x>1</pix_x><pix_y>2</pix_y></root>"""
FRAME = 130 * 128 * 4


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("where", ["outside", "another"])
def test_a_document_names_no_file_that_is_not_of_its_dataset(folder: Path, lazy: bool, where: str) -> None:
    other = folder / "other.bin" if where == "another" else folder.with_name("other.bin")
    other.write_bytes(bytes(2 * FRAME))
    (folder / "scan.xml").write_text(EMPAD.format(other))
    (folder / "scan.raw").write_bytes(b"\1" * 2 * FRAME)
    package = believed(packed(folder), "scan.xml", "empad")
    inside = Path(package.url, "data", "other.bin")
    if where == "another":  # as a stranger may know where packages lie
        (folder / "scan.xml").write_text(EMPAD.format(inside))
        package = believed(diadem.pack(folder, folder.with_name("store2")), "scan.xml", "empad")
    for verify in ("proof", "always", "never"):
        with pytest.raises(ReaderError, match="not beside it"):
            package.load("scan.xml", lazy=lazy, verify=verify)


@pytest.mark.parametrize("lazy", [True, False])
def test_a_document_names_its_own_raw_file(folder: Path, lazy: bool) -> None:
    (folder / "scan.xml").write_text(EMPAD.format("scan.raw"))
    (folder / "scan.raw").write_bytes(b"\1" * 2 * FRAME)
    found = packed(folder).load("scan.xml", lazy=lazy)
    assert found.metadata.General.diadem.verify == "leaves"
    assert np.asarray(found.data).tobytes() == b"\1" * (2 * 128 * 128 * 4)


def test_a_project_lists_no_file_that_is_not_of_its_dataset(shared_data: Path, folder: Path) -> None:
    """In a worker, and in this process where no worker has refused it before."""
    for path in (shared_data / "jeol").rglob("*"):
        if path.is_file():
            (target := folder / path.relative_to(shared_data / "jeol")).parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    project = folder / "rawdata.ASW"
    listed = b"\\Sample\\00_View000\\View000_0000000.img"
    other = b"\\..\\" + b"o" * (len(listed) - 8) + b".img"
    (folder / "Sample" / "00_View000" / "View000_0000000.img").rename(folder.parent / other[4:].decode())
    project.write_bytes(project.read_bytes().replace(listed, other, 1))
    with pytest.raises(ReaderError, match="outside"):
        believed(packed(folder), "rawdata.ASW", "jeol").load("rawdata.ASW")
    sidecars = [path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path != project]
    with pytest.raises(ReaderError, match="outside the dataset"):
        load(Payload(folder).source("rawdata.ASW", sidecars), offer=offer("jeol"))


def test_no_program_is_started(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostScript under another name: Pillow has it drawn by Ghostscript."""
    marker, programs = tmp_path / "started", tmp_path / "bin"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    (folder / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(ReaderError, match=r"name ends in \.png"):
        believed(packed(folder), "x.png", "image").load("x.png")
    source = Payload(folder).source("x.png")
    with pytest.raises(ReaderError, match="start a program"):
        load(source, offer=offer("image"))
    assert not marker.exists()


def test_a_reader_that_waits_for_ever_is_not_asked(folder: Path) -> None:
    (folder / "x.elid").write_bytes(bz2.compress(os.urandom(4096))[:-20])
    with pytest.raises(ReaderError, match="compressed stream"):
        believed(packed(folder), "x.elid", "phenom").load("x.elid")


@pytest.mark.parametrize("harm", ["end", "wait"])
def test_a_reader_that_hangs_or_dies_does_so_in_a_worker(folder: Path, tmp_path: Path, harm: str) -> None:
    code = {"end": "os._exit(3)", "wait": "time.sleep(600)"}[harm]
    module = tmp_path / f"reader_{harm}.py"
    module.write_text(f"import os, time\n\n\ndef read(path, lazy=False):\n    {code}\n")
    (folder / "x.bad").write_bytes(b"bad")
    package = packed(folder)
    readers = (ReaderOffer(name="bad", suffixes=(".bad",), load=f"{module.stem}:read"),)
    sys.path.insert(0, str(tmp_path))
    try:
        package = package.replaced(readers=readers, extractor=lambda: Extractor(readers, timeout=1.0))
        with pytest.raises(ReaderError, match="status 3" if harm == "end" else "no answer within 1 s"):
            package.load("x.bad")
    finally:
        sys.path.remove(str(tmp_path))


LATE = """
import dask.array, numpy


def read(path, lazy=False):
    array = dask.array.from_delayed(dask.delayed(take)({secret!r}), (64,), "u1")
    axes = [{{"name": "x", "size": 64, "scale": 1.0, "offset": 0.0, "units": "", "navigate": False}}]
    return [{{"data": array, "axes": axes, "metadata": {{"General": {{}}, "Signal": {{}}}}}}]


def take(path):
    with open(path, "rb") as file:
        return numpy.frombuffer(file.read(), "u1")
"""


def test_an_array_that_is_not_to_stay_in_the_file_is_read_before_the_reader_is_let_go(
    folder: Path, tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reader_late.py").write_text(LATE.format(secret=str(secret)))
    monkeypatch.syspath_prepend(tmp_path)
    (folder / "x.late").write_bytes(b"late")
    late = ReaderOffer(name="late", suffixes=(".late",), load="reader_late:read")
    with pytest.raises(ReaderError, match="outside the dataset"):
        load(Payload(folder).source("x.late"), offer=late, lazy=False)


def test_a_file_is_tried_once_by_a_worker(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "def read(path, lazy=False):\n    raise ValueError('lazy' if lazy else 'eager')\n"
    (tmp_path / "reader_failing.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (folder / "x.failing").write_bytes(b"x")
    failing = ReaderOffer(name="failing", suffixes=(".failing",), load="reader_failing:read")
    tried: list[tuple[Any, Any]] = []
    with pytest.raises(ReaderError, match="eager"):
        load(Payload(folder).source("x.failing"), offer=failing, trial=lambda *where: tried.append(where))
    assert len(tried) == 1


def test_what_the_file_is_goes_before_what_the_record_says(folder: Path) -> None:
    hyperspy_file(folder / "a.h5", lambda group: group.create_dataset("data", data=np.eye(8, dtype="u1")))
    (folder / "a.h5").rename(folder / "a.hdf5")
    package = believed(packed(folder), "a.hdf5", "digitalmicrograph")
    assert package.load("a.hdf5").metadata.General.diadem.reader == "hspy"
