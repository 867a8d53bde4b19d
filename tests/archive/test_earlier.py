"""Packages that earlier versions wrote (tests/data/earlier): they verify, open, load, restore, and are mended."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import diadem
from diadem.api.tools import tools
from diadem.archive.package import Package
from diadem.errors import DigestMismatch
from diadem.package.examine import open_tag_files
from diadem.package.parity.build import build
from diadem.store.adopted import AdoptedFolders
from diadem.store.bags import LocalBundle
from tests.cli.inside import said, said_json
from tests.services import S3Server, put_folder

DATA = Path(__file__).parents[1] / "data/earlier"
IDS = {
    "local": "diadem:c084e9cd45bad291ca91040873ba12fe3c4014891b389d663c8a1610bd4530be",
    "parity": "diadem:9addc325a602c2b485a38fa15cf172ea77035b89b891643243c348ad14d7b1d3",
    "adopted": "diadem:9addc325a602c2b485a38fa15cf172ea77035b89b891643243c348ad14d7b1d3",
    "objects": "diadem:af1d2262185592050841f6bb0255e449ed9e3ced873ff85fa2cf3d4323482589",
}
NAME = "2026/20260314-zno-march-0d5daac3d502"
FRAMES = bytes(range(256)) * 4900
TIME = 1_773_482_400_123_456_700


def unpacked(name: str, folder: Path) -> Path:
    """One of the archives, unpacked with its modes and times."""
    with tarfile.open(DATA / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="tar")
    return folder


def require_whole(package: Package, folder: Path, name: str) -> None:
    """The package has its id, is proven at every level, loads, and gives back what was archived."""
    assert package.id == IDS[name]
    for level in ("quick", "leaves", "full"):
        report = package.verify(level=level)
        assert report.ok, report
        assert (report.package_id, report.checked["files"], report.checked["tag_files"]) == (package.id, 8, 6)
    assert package.record.session["title"] == "ZnO, March"
    signal = package["map.hspy"].load()
    assert (signal.data.shape, int(signal.data.sum())) == ((8, 8), 2016)
    assert package.open("frames.raw").read() == FRAMES
    restored = folder / f"restored-{name}"
    package.restore(restored)
    found = {path.relative_to(restored).as_posix(): path for path in restored.rglob("*") if path.is_file()}
    assert sorted(found) == ["empty.txt", "frames.raw", "map.hspy", "notes.txt", "tilt/50 % Größe.txt"]
    assert found["frames.raw"].read_bytes() == FRAMES
    assert {path.stat().st_mtime_ns // 10**9 - TIME // 10**9 for path in found.values()} == {0, 1, 2, 3, 5}


def flip(path: Path, at: int = 1 << 20) -> None:
    """Change one byte of a sealed file; size and time stay."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(before.st_mode)


@contextlib.contextmanager
def node_with(folder: Path, store: Path) -> Iterator[diadem.Node]:
    """A new node whose first store has packages already; one copy is enough, with parity."""
    made = diadem.Node.create(folder / "node", name="lab", user="alice", store=str(store))
    (made.path / "policy.toml").write_text("[copies]\nminimum = 1\n[parity]\nenabled = true\n", "utf-8")
    made.close()
    with contextlib.closing(diadem.open_node(folder / "node")) as node:
        yield node


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own settings."""
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(("name", "store"), [("local", "store"), ("parity", "main")])
def test_a_package_in_a_folder(name: str, store: str, tmp_path: Path) -> None:
    path = unpacked(name, tmp_path) / store / NAME
    require_whole(diadem.open(path), tmp_path, name)
    assert diadem.verify(path).ok
    assert said_json("verify", path, "--level", "full")["package"] == IDS[name]
    flip(path / "data/frames.raw")
    with pytest.raises(DigestMismatch):
        diadem.open(path).open("frames.raw").read()
    (found,) = diadem.verify(path).findings
    assert (found.code, found.path, found.leaf) == ("leaf-mismatch", "data/frames.raw", 1)
    assert "frames.raw" in said("verify", path, code=1)


def test_the_copy_in_another_store_mends_a_flipped_leaf(tmp_path: Path) -> None:
    path = unpacked("local", tmp_path) / "store" / NAME
    shutil.copytree(tmp_path / "store", tmp_path / "other")
    with node_with(tmp_path, tmp_path / "store") as node:
        node.stores.add(str(tmp_path / "other"), name="other", place="another disk")
        assert node.reindex().packages == 1
        assert node.scrub().ok
        flip(path / "data/frames.raw")
        assert not node.scrub().ok
        ((_, _, made),) = node.repair().mended
        assert (made.path, made.leaf, made.source) == ("data/frames.raw", 1, "replica:other")
    require_whole(diadem.open(path), tmp_path, "local")


def test_parity_mends_a_flipped_leaf_of_the_only_copy(tmp_path: Path) -> None:
    path = unpacked("parity", tmp_path) / "main" / NAME
    (parity,) = (tmp_path / "main/.diadem/parity").iterdir()
    before = parity.read_bytes()
    with node_with(tmp_path, tmp_path / "main") as node:
        assert node.reindex().packages == 1
        assert node.scrub().ok
    flip(path / "data/frames.raw")
    on = ("--node", tmp_path / "node")
    said("scrub", *on, code=1)
    assert [(made["path"], made["leaf"], made["from"]) for made in said_json("repair", *on)["mended"]] == [
        ("data/frames.raw", 1, "parity")
    ]
    assert parity.read_bytes() == before
    bundle = LocalBundle(path)
    assert b"".join(build(bundle, open_tag_files(bundle))) == before  # as it would be written today
    require_whole(diadem.open(path), tmp_path, "parity")


def test_an_adopted_folder(tmp_path: Path) -> None:
    unpacked("adopted", tmp_path)
    folders = AdoptedFolders(tmp_path / "node/adopted")
    folders.relocate(replace(folders.location(IDS["adopted"]), root=str(tmp_path / "adopted-session")))
    assert list(folders.ids()) == [IDS["adopted"]]
    require_whole(Package(folders.bundle(IDS["adopted"]), readers=tools().readers), tmp_path, "adopted")
    flip(tmp_path / "adopted-session/frames.raw")
    package = Package(folders.bundle(IDS["adopted"]))
    (found,) = package.verify().findings
    assert (found.code, found.path, found.leaf) == ("leaf-mismatch", "data/frames.raw", 1)
    with pytest.raises(DigestMismatch):
        package.open("frames.raw").read()


def test_objects_on_s3(tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore", reason="the extra [s3] is not installed")
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    unpacked("objects", tmp_path)
    store = s3_server.url(uuid.uuid4().hex)
    put_folder(tmp_path / "objects", store, s3_server)
    url = f"{store}/{NAME}"
    require_whole(diadem.open(url), tmp_path, "objects")
    assert said_json("verify", url, "--level", "full")["package"] == IDS["objects"]
    shutil.copytree(tmp_path / "objects", tmp_path / "store")
    with node_with(tmp_path, tmp_path / "store") as node:
        node.stores.add(store, name="bucket")
        assert (node.reindex().packages, node.scrub().ok) == (1, True)
        (tmp_path / "wrong" / "data").mkdir(parents=True)
        (tmp_path / "wrong" / "data" / "frames.raw").write_bytes(FRAMES[:-1] + b"\0")
        put_folder(tmp_path / "wrong", url, s3_server)
        (found,) = diadem.verify(url).findings
        assert (found.code, found.path, found.leaf) == ("leaf-mismatch", "data/frames.raw", 1)
        assert not node.scrub().ok
        ((_, _, made),) = node.repair().mended
        assert made.source == "replica:main"
    assert diadem.verify(url, level="full").ok
