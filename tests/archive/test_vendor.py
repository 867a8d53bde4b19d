"""A vendor's own metadata, from the file through a package and back."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import diadem
from diadem.errors import DocumentError, IntegrityError, NotFound, UsageError
from diadem.model.manifest import RECORD_PATH, FileEntry
from diadem.model.record import Dataset
from diadem.model.vendor import TREE
from diadem.package.tags import HashedFile, seal
from diadem.package.zips import Vault, VendorArchive, member
from diadem.serialization.record_writer import RecordWriter, build_record
from diadem.testing.faults import flip_byte, make_writable
from diadem.testing.samples import write_session
from tests.package.sample_bags import EMPTY_ZIP, hashed, write
from tests.serialization.record_documents import dataset


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> diadem.Package:
    folder = tmp_path_factory.mktemp("vendor")
    write_session(folder / "session")
    return diadem.pack(folder / "session", folder / "store")


def test_every_entry_is_a_member_named_by_its_digest(package: diadem.Package) -> None:
    archive = Path(package.url) / "diadem" / "vendor.zip"
    entries = [entry for dataset in package.record.datasets for entry in dataset.raw]
    assert entries
    with zipfile.ZipFile(archive) as opened:
        for entry in entries:
            assert entry["path"] == f"vendor:{entry['sha256']}"
            assert hashlib.sha256(opened.read(entry["sha256"])).hexdigest() == entry["sha256"]
        assert set(opened.namelist()) == {entry["sha256"] for entry in entries}


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_is_told_however_it_is_packed(kind: int) -> None:
    content = random.Random(1).randbytes(3000)
    digest = hashlib.sha256(content).hexdigest()
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", kind) as archive:
            archive.writestr(digest, content)
        whole = bytearray(file.getvalue())
    start, told = 30 + len(digest), set()
    for place in range(start, start + 40):
        damaged = whole[:]
        damaged[place] ^= 0xFF
        try:
            assert member(bytes(damaged), digest) == content  # a byte that nothing depends on
        except ValueError as error:
            told.add(str(error).partition(":")[0])
    assert "the archive cannot be read" in told


def test_the_same_by_dataset_id_path_and_place(package: diadem.Package) -> None:
    record = diadem.open(package.url).record
    number, dataset = next((number, item) for number, item in enumerate(record.datasets) if item.raw)
    blocks = dataset.vendor()
    assert any(block.tree for block in blocks)
    for wanted in (dataset, dataset.id, dataset.path, number):
        assert [block.path for block in record.vendor(wanted)] == [block.path for block in blocks]
    with pytest.raises(NotFound, match="nothing-like-it"):
        record.vendor("nothing-like-it")


def test_extract_has_them_without_a_package(tmp_path: Path, package: diadem.Package) -> None:
    write_session(tmp_path)
    direct = {item.path: item.vendor() for item in diadem.extract(tmp_path).datasets}
    packed = {item.path: item.vendor() for item in package.record.datasets}
    assert {path: [(block.path, block.data) for block in blocks] for path, blocks in direct.items()} == {
        path: [(block.path, block.data) for block in blocks] for path, blocks in packed.items()
    }


def test_a_damaged_archive_is_not_believed(tmp_path: Path, package: diadem.Package) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(package.url, copy)
    make_writable(copy)
    flip_byte(copy / "diadem" / "vendor.zip", 60)
    dataset = next(item for item in diadem.open(copy).record.datasets if item.raw)
    with pytest.raises(IntegrityError, match="tag file"):
        dataset.vendor()


def test_a_record_alone_says_where_they_would_be(package: diadem.Package) -> None:
    alone = build_record([dict(item.document) for item in package.record.datasets])
    with pytest.raises(UsageError, match="vendor"):
        alone.vendor(0)


def test_two_threads_may_ask_for_the_first_block_at_once() -> None:
    archive = VendorArchive()
    digest = archive.add(b"content")
    data = archive.close()

    class Unread:
        """What reads the archive; while the first who asks looks what it is, a second one has had it read."""

        asked = False

        @property  # type: ignore[misc]
        def __class__(self) -> type:
            if not self.asked:
                self.asked = True
                assert vault.read(digest) == b"content"
            return Unread

        def __call__(self) -> bytes:
            return data

    vault = Vault(Unread())
    assert vault.read(digest) == b"content"


# -- packages of strangers -----------------------------------------------------------------------------------------


def foreign(folder: Path, archive: bytes, digest: str, media_type: str) -> Dataset:
    """The dataset of a package that anybody could make: one block of a vendor's metadata, in whatever an archive is."""
    block = {"path": f"vendor:{digest}", "media_type": media_type, "sha256": digest, "file": "f1", "place": "tags"}
    record = io.BytesIO()
    writer = RecordWriter(record, metadata={})
    writer.add({**dataset(), "raw": [block]})
    writer.finish(omitted=(), empty_dirs=())
    files = {"data/session/image_00001.tif": b"some bytes", RECORD_PATH: record.getvalue()}
    sealed = seal((hashed(*one) for one in files.items()), vendor=archive, date="2026-03-14", software="a stranger")
    write(folder, files | dict(sealed.tag_files))
    return diadem.open(folder).record.datasets[0]


def zipped(data: bytes, name: str, spoil: Callable[[bytearray], None] = lambda _: None) -> bytes:
    """An archive with one member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    whole = bytearray(stream.getvalue())
    spoil(whole)
    return bytes(whole)


def _encrypted(data: bytearray) -> None:
    data[data.rindex(b"PK\1\2") + 8] |= 1
    data[6] |= 1


def _unknown_method(data: bytearray) -> None:
    data[data.rindex(b"PK\1\2") + 10] = 97


def _needs_9_9(data: bytearray) -> None:
    data[data.rindex(b"PK\1\2") + 6] = 99


def _damaged(data: bytearray) -> None:
    data[70 + 30 : 90 + 30] = bytes(20)


@pytest.mark.parametrize("spoil", [_encrypted, _unknown_method, _needs_9_9, _damaged])
def test_an_archive_that_nobody_can_read_is_an_integrity_error(
    tmp_path: Path, spoil: Callable[[bytearray], None]
) -> None:
    data = random.Random(1).randbytes(300)
    digest = hashlib.sha256(data).hexdigest()
    found = foreign(tmp_path / "p", zipped(data, digest, spoil), digest, "application/octet-stream")
    with pytest.raises(IntegrityError, match="cannot be read"):
        found.vendor()


def test_a_block_that_expands_beyond_measure_takes_no_memory(tmp_path: Path) -> None:
    digest = "0" * 64
    found = foreign(tmp_path / "p", zipped(bytes(128 << 20), digest), digest, "application/octet-stream")
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError, match="cannot be read"):
            found.vendor()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200 << 20


LARGE = b'{"@np":{"dtype":"V4000000000","data":""}}'
MANY = b"[" + b",".join([b'{"@np":{"dtype":"V60000","data":""}}'] * 20_000) + b"]"
DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    "tree",
    [LARGE, MANY, DEEP, b"", b"{", b'{"@nd":5}', b'{"@np":{"dtype":"-----1","data":"AA=="}}', b'{"@time":"x"}',
     b'{"@complex":[1,2,3]}', b'{"@nd":{"dtype":"<f8","shape":[9],"data":"AA=="}}', b'{"@np":{"dtype":"O","data":""}}',
     b'{"@map":[[{"@nd":{"dtype":"u1","shape":[0],"data":""}},1]]}', b"\xff"],
)  # fmt: skip
def test_typed_json_that_is_none_is_a_document_error(tmp_path: Path, tree: bytes) -> None:
    digest = hashlib.sha256(tree).hexdigest()
    found = foreign(tmp_path / "p", zipped(tree, digest), digest, TREE)
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError, match="parsed vendor metadata"):
            found.vendor()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 50 << 20


def test_a_record_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    size = (1 << 30) + 1
    record = HashedFile(FileEntry(RECORD_PATH, size, "0" * 64, 0), bytes(32 * 1025))
    files = [hashed("data/a.bin", b"some bytes"), record]
    sealed = seal(files, vendor=EMPTY_ZIP, date="2026-03-14", software="a stranger")
    write(tmp_path / "p", {"data/a.bin": b"some bytes", RECORD_PATH: b""} | dict(sealed.tag_files))
    os.truncate(tmp_path / "p" / RECORD_PATH, size)
    with pytest.raises(DocumentError, match="more than the 1,073,741,824 that are read") as caught:
        _ = diadem.open(tmp_path / "p").record
    assert caught.value.where == RECORD_PATH
