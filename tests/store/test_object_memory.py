"""The upload protocol on fsspec's memory file system: everything that needs no server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diadem.errors import DigestMismatch, IntegrityError, NotFound, PackageError, StoreError, UsageError
from diadem.model.manifest import TAGMANIFEST, FileEntry
from diadem.model.ports import Progress
from diadem.model.report import Level
from diadem.package.verify import verify
from diadem.store.claim import ClaimNote, ClaimTiming, WriterLock, is_dead
from diadem.store.client import MAX_PARTS, PART_SIZE, part_size, regrouped
from diadem.store.objects import ObjectStore
from diadem.store.remote import open_remote
from tests.store.object_samples import Gate, Sample, id_at, make_sample

QUICK = ClaimTiming(heartbeat=0.1, stale=30, look=0.05)


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    """A store in memory, under a name of its own."""
    name = uuid.uuid4().hex
    yield ObjectStore(f"memory://{name}", timing=QUICK)
    memory = fsspec.filesystem("memory")
    if memory.exists(f"/{name}"):
        memory.rm(f"/{name}", recursive=True)


def keys(store: ObjectStore) -> set[str]:
    """Everything in a store."""
    return {stat.key for stat in store.client.list("")}


def test_upload_and_read(store: ObjectStore) -> None:
    """A whole package: written, found, verified in full, read back."""
    sample = make_sample()
    seen: list[Progress] = []
    done = sample.upload(store, listener=seen.append, tree="ab" * 32)
    assert (id_at(store, done.path), done.path, done.created) == (sample.sealed.package_id, sample.path, True)
    assert done.proof == "read-back"
    assert next(store.find(sample.sealed.payload_id)) == (id_at(store, done.path), done.path)
    assert store.knows_tree("ab" * 32)
    assert not store.knows_tree("cd" * 32)
    bundle = store.bundle(done.path)
    report = verify(bundle, level=Level.FULL, expected_id=id_at(store, done.path))
    assert report.ok, report.findings
    for path, data in sample.contents.items():
        assert bundle.read(path, 1 << 24) == data
    assert {progress.stage for progress in seen} == {"upload", "prove"}
    total = sum(bundle.listing().files.values()) - len(sample.tag_files[TAGMANIFEST])
    for stage in ("upload", "prove"):
        assert max(progress.done for progress in seen if progress.stage == stage) == total
        assert {progress.total for progress in seen if progress.stage == stage} == {total}
    assert not [key for key in keys(store) if "/claims/" in key or "/probe/" in key]


def test_again_is_already_archived(store: ObjectStore) -> None:
    """The same payload on another day makes no second package, and no file is opened."""
    first = make_sample()
    first.upload(store)
    before = keys(store)
    later = make_sample(date="2026-04-01", name="20260401-zno")
    assert later.sealed.package_id != first.sealed.package_id
    done = later.upload(store)
    assert (done.created, id_at(store, done.path), done.path) == (False, first.sealed.package_id, first.path)
    assert done.proof == "earlier"
    assert later.opened == []
    assert keys(store) == before


def test_hint_is_checked_on_use(store: ObjectStore) -> None:
    """A hint to a package that is gone, or another, is no package."""
    sample = make_sample({"data/a": 10})
    sample.upload(store)
    store.client.put(f"{sample.path}/{TAGMANIFEST}", b"something else\n")
    assert not list(store.find(sample.sealed.payload_id))
    store.client.delete(f"{sample.path}/{TAGMANIFEST}")
    assert not list(store.find(sample.sealed.payload_id))
    again = sample.upload(store)
    assert (again.created, again.path) == (True, f"{sample.path}-2"), "what has lost its tag manifest is left as it is"
    assert next(store.find(sample.sealed.payload_id)) == (sample.sealed.package_id, again.path)


def test_damaged_package_does_not_count(store: ObjectStore) -> None:
    """Where the caller finds the package damaged, a sound one is written beside it."""
    sample = make_sample({"data/a": 10})
    sample.upload(store)
    done = sample.upload(store, is_sound=lambda path: path != sample.path)
    assert (done.created, done.path) == (True, f"{sample.path}-2")
    assert sample.upload(store, is_sound=lambda path: path != sample.path).created is False


def test_what_was_a_package_or_is_a_strangers_is_never_swept_nor_overwritten(store: ObjectStore) -> None:
    """A package that lost its tag manifest may be the last copy: a hint still names it."""
    sample = make_sample({"data/a": 10})
    sample.upload(store)
    store.client.delete(f"{sample.path}/{TAGMANIFEST}")
    other = make_sample({"data/b": 10}, seed=2)
    store.client.put(f"{other.path}/holiday.jpg", b"smile")
    found = store.leftovers(older=timedelta(0), delete=True)
    assert {(each.path, each.lost, each.foreign) for each in found.packages} == {
        (sample.path, True, False),
        (other.path, False, True),
    }
    assert store.client.stat(f"{sample.path}/data/a")
    assert other.upload(store).path == f"{other.path}-2"
    assert store.client.get(f"{other.path}/holiday.jpg", 0, 9) == b"smile"


def test_leftovers_are_overwritten_and_removed(store: ObjectStore) -> None:
    """What a dead writer left in the folder is not mixed with the new package."""
    sample = make_sample({"data/a": 10})
    store.client.put(f"{sample.path}/data/a", b"half")
    store.client.put(f"{sample.path}/data/old", b"stray")
    done = sample.upload(store)
    assert verify(store.bundle(done.path), level=Level.FULL).ok


@pytest.mark.parametrize("change", ["flip", "shorter", "longer", "gone"])
def test_source_that_changed(store: ObjectStore, change: str) -> None:
    """The bytes are checked again while they are sent; nothing is published."""
    sample = make_sample()
    data = sample.contents["data/scan.dm4"]
    position = 2_500_000
    flipped = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
    sample.contents["data/scan.dm4"] = {"flip": flipped, "shorter": data[:-1], "longer": data + b"x", "gone": b""}[
        change
    ]
    with pytest.raises(DigestMismatch) as caught:
        sample.upload(store)
    assert caught.value.where == "data/scan.dm4"
    if change == "flip":
        assert (caught.value.leaf, caught.value.range) == (2, (2 << 20, 3 << 20))
    assert not [key for key in keys(store) if key.endswith(TAGMANIFEST)]
    assert not list(store.find(sample.sealed.payload_id))
    assert not [key for key in keys(store) if "/claims/" in key]


def test_large_files_stream_in_blocks(store: ObjectStore) -> None:
    """Above 16 MiB a file goes block by block."""
    sample = make_sample({"data/large.raw": (17 << 20) + 5})
    done = sample.upload(store)
    assert verify(store.bundle(done.path), level=Level.FULL).ok
    sample = make_sample({"data/large.raw": (17 << 20) + 6}, seed=2)
    sample.contents["data/large.raw"] = sample.contents["data/large.raw"][:-1] + b"\0"
    with pytest.raises(DigestMismatch):
        sample.upload(store)


def test_store_that_returns_other_bytes(store: ObjectStore) -> None:
    """Read-back proof: bytes that a store bends after it took them are found before anything is published."""
    sample = make_sample()

    def bend(progress: Progress) -> None:
        if progress.stage == "upload" and progress.done == progress.total:
            data = bytearray(sample.contents["data/scan.dm4"])
            data[1 << 20] ^= 0x10
            store.client.put(f"{sample.path}/data/scan.dm4", bytes(data))

    with pytest.raises(StoreError, match="leaf 1: the store returns") as caught:
        sample.upload(store, listener=bend)
    assert caught.value.where == "data/scan.dm4"
    assert not list(store.find(sample.sealed.payload_id))


def test_object_that_vanishes(store: ObjectStore) -> None:
    """An object that is not there, or shorter, after it was written."""
    sample = make_sample({"data/a": 10, "data/b": 20})

    def lose(progress: Progress) -> None:
        if progress.done == progress.total:
            store.client.delete(f"{sample.path}/data/b")

    with pytest.raises(StoreError, match="nothing where 20 bytes"):
        sample.upload(store, listener=lose)


def test_interrupt(store: ObjectStore) -> None:
    """Ctrl-C passes, and leaves no claim and no package."""
    sample = make_sample()

    def stop(entry: FileEntry) -> BinaryIO:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample.upload(store, open_source=stop)
    assert not [key for key in keys(store) if "/claims/" in key or key.endswith(TAGMANIFEST)]
    assert sample.upload(store).created


def test_second_writer_waits(store: ObjectStore) -> None:
    """The second writer of a payload waits for the first, then reports its package."""
    first, second = make_sample(), make_sample(date="2026-04-01", name="20260401-zno")
    gate = Gate(first)
    results = []
    writer = threading.Thread(target=lambda: results.append(first.upload(store, open_source=gate.open_source)))
    writer.start()
    assert gate.reached.wait(30)
    waited = threading.Event()

    def listen(progress: Progress) -> None:
        if progress.stage == "wait":
            waited.set()
            gate.go.set()

    other = ObjectStore(store.url, timing=QUICK)
    done = second.upload(other, listener=listen)
    writer.join()
    assert waited.is_set()
    assert (results[0].created, done.created, id_at(store, done.path)) == (True, False, first.sealed.package_id)


def test_a_dead_writer_that_had_its_own_folder_for_temporary_files_is_seen(tmp_path: Path) -> None:
    """As jobs of a cluster and services have."""
    code = "import os; from diadem.store.claim import WriterLock as L; print(L().writer, flush=True); os._exit(1)"
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert is_dead(ended.stdout.strip())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a folder that is there and takes no file")
def test_a_home_that_takes_no_lock_stops_no_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "diadem").mkdir()
    (tmp_path / "diadem/writers").symlink_to("/proc/self/fdinfo")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lock = WriterLock()
    assert not is_dead(lock.writer)
    lock._lock.release()
    if os.getuid() == 0:
        os.chown(lock._lock._path, 12345, -1)
        assert not is_dead(lock.writer), "anybody may put a file into a folder for temporary files"
        os.chown(lock._lock._path, 0, -1)
    assert is_dead(lock.writer)


def test_claim_of_a_dead_writer_is_taken_over(store: ObjectStore) -> None:
    """A writer of this machine that ended without a word does not block the next one."""
    sample = make_sample({"data/a": 10})
    lock = WriterLock()
    note = ClaimNote(lock.writer, "2026/20260101-x-000000000000", "0" * 64)
    store.client.put(f".diadem/claims/{sample.sealed.payload_id}", note.to_bytes())
    assert not is_dead(lock.writer)
    lock._lock.release()  # what the kernel does when a process dies
    assert sample.upload(store).created
    assert not lock._lock._path.exists()


def test_claim_becomes_stale(store: ObjectStore) -> None:
    """A writer elsewhere that is silent is waited for, and then taken for dead."""
    sample = make_sample({"data/a": 10})
    store.client.put(f".diadem/claims/{sample.sealed.payload_id}", ClaimNote("elsewhere", "x", "y").to_bytes())
    waits: list[Progress] = []
    slow = ObjectStore(store.url, timing=ClaimTiming(heartbeat=0.1, stale=0.5, look=0.05))
    assert sample.upload(slow, listener=lambda p: waits.append(p) if p.stage == "wait" else None).created
    assert waits


def test_hint_owed_by_a_dead_writer(store: ObjectStore) -> None:
    """Died between tag manifest and hint: the package is found through the claim, not written twice."""
    first = make_sample({"data/a": 10})
    first.upload(store)
    for key in keys(store):
        if "/by-payload/" in key:
            store.client.delete(key)
    lock = WriterLock()
    lock._lock.release()
    note = ClaimNote(lock.writer, first.path, first.sealed.package_id.hex)
    store.client.put(f".diadem/claims/{first.sealed.payload_id}", note.to_bytes())
    done = make_sample({"data/a": 10}, date="2026-05-05", name="20260505-zno").upload(store)
    assert (done.created, id_at(store, done.path)) == (False, first.sealed.package_id)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"writer": 5}', b"\xff\xfe", b"null"])
def test_unreadable_claims(text: bytes) -> None:
    """A claim that says nothing is nobody's."""
    assert ClaimNote.from_bytes(text) == ClaimNote("", "", "")
    assert not is_dead("")
    assert not is_dead("../../etc/passwd")


def test_sweep_reports_and_removes_only_leftovers(store: ObjectStore) -> None:
    """Unfinished packages go; finished ones and strangers' files stay."""
    sample = make_sample({"data/a": 10})
    sample.upload(store)
    half, mixed = "2026/20260101-half-0123456789ab", "2025/20250101-ab0123456789"
    for key in (
        f"{half}/data/a",
        f"{half}/bagit.txt",
        f"{mixed}/thesis.docx",
        "2026/holiday/data/x",
        "2026/20260101-a/b",
    ):
        store.client.put(key, b"12345")
    assert store.leftovers().packages == ()
    found = store.leftovers(older=timedelta(0))
    assert [(each.path, each.objects, each.bytes) for each in found.packages if not each.foreign] == [(half, 2, 10)]
    before = keys(store)
    store.leftovers(older=timedelta(0), delete=True, keep={half})
    assert keys(store) == before
    store.leftovers(older=timedelta(0), delete=True)
    assert before - keys(store) == {f"{half}/data/a", f"{half}/bagit.txt"}
    assert all(each.foreign for each in store.leftovers(older=timedelta(0)).packages)


def test_contradictions_are_refused_before_anything_is_sent(store: ObjectStore) -> None:
    """No tag manifest; a derived file that is not the one in the manifest; a local path."""
    sample: Sample = make_sample({"data/a": 10})
    without = {path: data for path, data in sample.tag_files.items() if path != TAGMANIFEST}
    with pytest.raises(UsageError):
        sample.upload(store, tag_files=without)
    with pytest.raises(IntegrityError):
        sample.upload(store, tag_files={**sample.tag_files, "data/diadem-record.json": b"other"})
    with pytest.raises(UsageError):
        ObjectStore("/data")
    with pytest.raises(UsageError):
        ObjectStore("nosuchscheme://x")
    assert keys(store) == set()


def test_reading_limits(store: ObjectStore) -> None:
    """Absent files, files above a limit, files that change while they are read."""
    sample = make_sample()
    sample.upload(store)
    bundle = open_remote(f"{store.url}/{sample.path}")
    with pytest.raises(NotFound):
        bundle.open("data/none")
    with pytest.raises(NotFound):
        open_remote(f"{store.url}/2026/none").listing()
    with pytest.raises(PackageError):
        bundle.read("data/scan.dm4", 1000)
    assert bundle.exists("bagit.txt")
    assert not bundle.exists("data")
    reader = bundle.open("data/scan.dm4")
    data = sample.contents["data/scan.dm4"]
    assert reader.read_at(3_400_000, 1 << 20) == data[3_400_000:]
    assert reader.read_at(9_000_000, 5) == b""
    buffer = memoryview(bytearray(100))
    assert reader.readinto_at(7, buffer) == 100
    assert bytes(buffer) == data[7:107]
    store.client.put(f"{sample.path}/data/scan.dm4", data[:1000])
    with pytest.raises(IntegrityError):
        reader.read_at(0, 2000)


def test_threads_read_one_file(store: ObjectStore) -> None:
    """The memory file system shares one position among readers; ours do not."""
    sample = make_sample({"data/a": 1 << 20})
    sample.upload(store)
    reader = store.bundle(sample.path).open("data/a")
    data = sample.contents["data/a"]
    wrong: list[int] = []

    def read(first: int) -> None:
        for offset in range(first, 1 << 20, 40_000):
            if reader.read_at(offset, 5000) != data[offset : offset + 5000]:
                wrong.append(offset)

    threads = [threading.Thread(target=read, args=(first,)) for first in (0, 10_000, 20_000, 30_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@given(st.integers(0, 5 << 40))
@settings(max_examples=200, derandomize=True)
def test_parts_suffice(size: int) -> None:
    """Up to 5 TiB: at most 10,000 parts, each a multiple of 1 MiB, none needlessly large."""
    part = part_size(size)
    assert part % (1 << 20) == 0
    assert part >= PART_SIZE
    assert -(-size // part) <= MAX_PARTS
    assert part == PART_SIZE or (part - (1 << 20)) * MAX_PARTS < size


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 30))
def test_blocks_of_any_length_become_parts_of_one(blocks: list[bytes], length: int) -> None:
    parts = list(regrouped(blocks, length))
    assert b"".join(parts) == b"".join(blocks)
    assert all(len(part) == length for part in parts[:-1])
    assert all(parts)
    assert max(map(len, parts), default=0) <= length
