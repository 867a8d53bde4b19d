"""``package.fs`` and ``diadem://``: programs that know nothing of packages read proven bytes, or our error."""

from __future__ import annotations

import io
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import pytest

import diadem
from diadem.archive.package import Package
from diadem.errors import DigestMismatch, NotFound, Refused
from diadem.testing.faults import flip_byte

MAP = np.arange(30 * 40, dtype="<u2").reshape(30, 40)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each kind, all of the same array."""
    import pandas
    import tifffile
    import zarr  # type: ignore[import-untyped]

    folder = tmp_path_factory.mktemp("session")
    zarr.save_array(str(folder / "map.zarr"), MAP, chunks=(10, 10))
    with h5py.File(folder / "map.h5", "w") as file:
        file["scan/map"] = MAP
    tifffile.imwrite(folder / "map.tif", MAP)
    pandas.DataFrame(MAP).to_csv(folder / "map.csv", index=False)
    with zipfile.ZipFile(folder / "map.zip", "w") as pack:
        pack.write(folder / "map.csv", "map.csv")
    (folder / "odd names").mkdir()
    (folder / "odd names" / "a:b.bin").write_bytes(bytes(range(256)) * 8192)
    return folder


@pytest.fixture
def package(session: Path, tmp_path: Path) -> Package:
    """The session, packed; to be damaged."""
    return diadem.pack(session, tmp_path / "store")


def dask_array() -> Any:
    """Dask's arrays, whose functions have no types."""
    import dask.array

    return dask.array


def by_zarr(package: Package) -> Any:
    """The chunks are files of their own."""
    import zarr

    return zarr.open(package.fs.get_mapper("map.zarr"), mode="r")[...]


def by_dask(package: Package) -> Any:
    """Dask opens the address, as its workers would."""
    node = package.fs.unstrip_protocol("map.zarr")
    assert node == f"diadem://{package.id.hex}/map.zarr"
    return dask_array().from_zarr(package.fs.get_mapper("map.zarr")).compute()


def by_xarray(package: Package) -> Any:
    """HDF5 through h5netcdf, on an open file."""
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    pytest.importorskip("h5netcdf", reason="h5netcdf is not installed")
    with (
        package.fs.open("map.h5") as file,
        xarray.open_dataset(file, engine="h5netcdf", group="scan", phony_dims="sort") as found,
    ):
        return found["map"].to_numpy()


def by_xarray_and_zarr(package: Package) -> Any:
    """A Zarr store that xarray opens lazily, on Dask."""
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    return xarray.DataArray(dask_array().from_zarr(package.fs.get_mapper("map.zarr"))).to_numpy()


def by_h5py(package: Package) -> Any:
    """An open file."""
    with package.fs.open("map.h5") as stream, h5py.File(stream) as file:
        return file["scan/map"][...]


def by_tifffile(package: Package) -> Any:
    """An open file."""
    import tifffile

    with package.fs.open("map.tif") as file:
        return tifffile.imread(file)


def by_pandas(package: Package) -> Any:
    """A table, in text mode."""
    import pandas

    with package.fs.open("map.csv", "r") as file:
        return pandas.read_csv(file).to_numpy()


READERS = [
    (by_zarr, "map.zarr/1.1"),
    (by_dask, "map.zarr/1.1"),
    (by_xarray, "map.h5"),
    (by_xarray_and_zarr, "map.zarr/1.1"),
    (by_h5py, "map.h5"),
    (by_tifffile, "map.tif"),
    (by_pandas, "map.csv"),
]


@pytest.mark.parametrize(("read", "file"), READERS, ids=lambda one: getattr(one, "__name__", one))
def test_each_library_reads_proven_bytes_or_our_error(
    package: Package, read: Callable[[Package], Any], file: str
) -> None:
    assert np.array_equal(read(package), MAP)
    assert package.path is not None
    damaged = package.path / "data" / file
    flip_byte(damaged, damaged.stat().st_size // 2)
    with pytest.raises(DigestMismatch, match="are not what was archived") as caught:
        read(package)
    assert caught.value.where == f"data/{file}"


def test_a_package_is_a_tree(package: Package, session: Path) -> None:
    fs = package.fs
    assert sorted(fs.ls("", detail=False)) == ["map.csv", "map.h5", "map.tif", "map.zarr", "map.zip", "odd names"]
    assert len(fs.find("map.zarr")) == len(list((session / "map.zarr").iterdir()))
    assert fs.isdir("map.zarr")
    assert fs.isfile("map.csv")
    assert not fs.exists("map.cvs")
    assert fs.glob("*.t*") == ["map.tif"]
    entry = package.find("map.csv")
    assert fs.info("map.csv") == {
        "name": "map.csv",
        "type": "file",
        "size": entry.size,
        "sha256": entry.sha256,
        "mtime": entry.mtime_ns / 1e9,
    }
    assert fs.ukey("map.csv") == entry.sha256
    assert abs((fs.modified("map.csv") - datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC)).total_seconds()) < 1
    original = fs.ls("odd names", detail=False)
    assert len(original) == 1
    assert fs.cat_file("odd names/a:b.bin") == fs.cat_file(original[0]), "by its original name, too"


def test_ranges(package: Package, session: Path) -> None:
    whole, path = (session / "odd names" / "a:b.bin").read_bytes(), "odd names/a:b.bin"
    for start, end in ((0, 10), (5, -5), (-10, None), (None, 3), (1 << 20, (1 << 20) + 7), (9, 4), (0, 1 << 30)):
        assert package.fs.cat_file(path, start, end) == whole[start:end]
    assert package.fs.cat(["map.cvs", "map.csv"], on_error="omit") == {"map.csv": package.fs.cat_file("map.csv")}
    assert package.fs.cat_ranges([path, path], [0, 256], [4, 260]) == [whole[:4], whole[256:260]]
    with package.fs.open(path) as file:
        file.seek(-3, 2)
        assert file.read() == whole[-3:]
    with package.fs.open("map.csv") as file:
        assert [*file] == (session / "map.csv").read_bytes().splitlines(keepends=True)


def test_an_open_file_is_one_of_python(package: Package) -> None:
    file = package.fs.open("map.csv")
    size = package.find("map.csv").size
    assert (repr(file), file.mode) == (f"<VerifiedFile map.csv, {size:,} bytes>", "rb")
    assert (file.seek(10**12), file.read(5), file.seek(0)) == (10**12, b"", 0)
    assert file.read(None) == package.fs.cat_file("map.csv")
    with pytest.raises(ValueError, match="whence"):
        file.seek(0, 9)
    with pytest.raises(io.UnsupportedOperation):
        file.write(b"x")
    file.close()
    later: list[Callable[[], Any]] = [
        file.read, file.readline, file.tell, lambda: file.seek(0), lambda: file.read_at(0, 1), lambda: list(file),
    ]  # fmt: skip
    for ask in later:
        with pytest.raises(ValueError, match="closed file"):
            ask()


def test_a_folder_has_no_bytes(package: Package) -> None:
    fs: Any = package.fs
    for ask in (fs.open, fs.cat_file, fs.ukey, fs.checksum, fs.modified):
        with pytest.raises(NotFound, match="this is a folder"):
            ask("map.zarr")


def test_files_are_named_as_they_are_at_hand(package: Package) -> None:
    wanted = package.fs.cat_file("map.csv")
    for name in ("map.csv", Path("map.csv"), package["map.csv"], package.find("map.csv")):
        with package.open(name) as file:
            assert file.read() == wanted
        assert package.local(name).read_bytes() == wanted
        assert package[name].path == "map.csv"


def test_where_the_package_has_gone_it_says_so(package: Package) -> None:
    assert package.path is not None
    sent = pickle.dumps(package)
    shutil.move(package.path, package.path.with_name("elsewhere"))
    for ask in (lambda: package.open("map.csv"), lambda: pickle.loads(sent), package.verify):
        with pytest.raises(NotFound, match="not there any more"):
            ask()


def test_nothing_is_written(package: Package) -> None:
    fs: Any = package.fs
    writes: list[Callable[[], Any]] = [
        lambda: fs.open("new.txt", "wb"),
        lambda: fs.pipe({"new.txt": b"x"}),
        lambda: fs.mkdir("new"),
        lambda: fs.rm("map.csv"),
        lambda: fs.mv("map.csv", "other.csv"),
        lambda: fs.touch("map.csv"),
    ]
    for write in writes:
        with pytest.raises(Refused, match="never changes"):
            write()
    with pytest.raises(NotFound, match=r"Did you mean map\.csv"):
        fs.open("map.cvs")
    assert package.verify().ok


def test_a_file_system_goes_to_other_processes(package: Package) -> None:
    again = pickle.loads(pickle.dumps(package.fs))
    assert again.cat_file("map.csv") == package.fs.cat_file("map.csv")


@pytest.fixture
def node(session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[diadem.Node]:
    """A node that holds the session, and is this account's."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    with diadem.Node.create(tmp_path / "node", name="lab", user="anna", store=str(tmp_path / "archive")) as node:
        node.archive(session, now=True)
        monkeypatch.setenv("DIADEM_NODE", str(tmp_path / "node"))
        yield node
    fsspec.get_filesystem_class("diadem").clear_instance_cache()


def test_addresses(node: diadem.Node, session: Path, tmp_path: Path) -> None:
    id_ = node.search()[0].id.removeprefix("diadem:")
    wanted = (session / "map.csv").read_bytes()
    node.close()  # a store has a catalogue of its own from then on
    for address in (
        f"diadem://{id_[:12]}/map.csv",
        f"diadem://diadem:{id_}/map.csv",
        f"zip://map.csv::simplecache::diadem://{id_}/map.zip",
        f"diadem://{id_}/map.csv",
        f"diadem://lab/{id_[:12]}/map.csv",
        f"diadem://{(tmp_path / 'node').as_posix()}/{id_[:12]}/map.csv",
        f"diadem://{(tmp_path / 'archive').as_posix()}/{id_}/map.csv",
    ):
        with fsspec.open(address) as file:
            assert file.read() == wanted
    with fsspec.open(f"diadem://{id_}/map.csv", node=str(tmp_path / "archive")) as file:
        assert file.read(10) == wanted[:10]
    fs = fsspec.filesystem("diadem")
    assert fs.ls("diadem://", detail=False) == fs.ls("", detail=False) == [id_]
    assert fs.ls("diadem://lab", detail=False) == [f"lab/{id_}"]
    assert f"{id_[:12]}/map.zarr/.zarray" in fs.find(f"diadem://{id_[:12]}")
    assert fs.exists(f"diadem://{id_}/map.tif")
    assert not fs.exists(f"diadem://{id_}/other.tif")
    assert not fs.exists(f"diadem://{'0' * 64}/map.tif")


def test_pandas_and_dask_open_addresses(node: diadem.Node) -> None:
    import pandas

    id_ = node.search()[0].id.removeprefix("diadem:")
    assert np.array_equal(pandas.read_csv(f"diadem://{id_}/map.csv").to_numpy(), MAP)
    assert np.array_equal(dask_array().from_zarr(f"diadem://{id_}/map.zarr").compute(), MAP)


def test_a_node_of_another_name_is_not_taken_for_it(node: diadem.Node) -> None:
    with pytest.raises(NotFound, match="'other' is not the one of this account, 'lab'"):
        fsspec.open(f"diadem://other/{node.search()[0].id[7:]}/map.csv").open()


def test_an_address_of_a_changed_file_is_refused(node: diadem.Node, tmp_path: Path) -> None:
    id_ = node.search()[0].id.removeprefix("diadem:")
    copy = next((tmp_path / "archive").glob("*/*/data/map.csv"))
    flip_byte(copy, 40)
    with pytest.raises(DigestMismatch, match="not what was archived"):
        fsspec.open(f"diadem://{id_}/map.csv").open().read()


def test_another_copy_is_read_where_the_first_is_gone(node: diadem.Node, session: Path, tmp_path: Path) -> None:
    id_ = node.search()[0].id.removeprefix("diadem:")
    node.stores.add(str(tmp_path / "second"), name="second", place="another disk")
    node.repair()
    wanted = (session / "map.csv").read_bytes()
    fs = fsspec.filesystem("diadem")
    assert fs.cat_file(f"{id_}/map.csv") == wanted
    (tmp_path / "archive").rename(tmp_path / "unplugged")
    assert fs.cat_file(f"{id_}/map.csv") == wanted
    with pytest.raises(NotFound, match="no file"):
        fs.cat_file(f"{id_}/other.csv")


def test_shutil_can_copy_from_it(package: Package, session: Path, tmp_path: Path) -> None:
    package.fs.get("map.zarr", str(tmp_path / "copy.zarr"), recursive=True)
    names = sorted(path.name for path in (session / "map.zarr").iterdir())
    assert sorted(path.name for path in (tmp_path / "copy.zarr").iterdir()) == names
    with package.fs.open("map.tif") as source, (tmp_path / "map.tif").open("wb") as target:
        shutil.copyfileobj(source, target)
    assert (tmp_path / "map.tif").read_bytes() == (session / "map.tif").read_bytes()
