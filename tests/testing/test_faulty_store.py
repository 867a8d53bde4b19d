"""A store that fails on purpose fails as it was told, and as often."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from diadem.errors import DigestMismatch, StoreError, Unreachable
from diadem.model.report import Level
from diadem.package.verify import verify
from diadem.store import open_store
from diadem.testing.stores import Fault, FaultyStore, make_package

PACKAGE = make_package({"data/a.raw": 2_500_000, "data/b.txt": 100, "data/empty": 0})
ENTRY = PACKAGE.entry("data/a.raw")


def faulty(folder: Path, *faults: Fault, seed: int = 0) -> FaultyStore:
    """A store around a folder store."""
    return FaultyStore(open_store(folder), faults, seed=seed)


def add(store: FaultyStore) -> None:
    store.add(PACKAGE.bundle, PACKAGE.opened, PACKAGE.path)


def is_sound(store: FaultyStore) -> bool:
    return verify(store.store.bundle(PACKAGE.path), level=Level.FULL).ok


def test_unreachable_does_nothing_as_often_as_told(tmp_path: Path) -> None:
    store = faulty(tmp_path, Fault("put", "unreachable", skip=1, times=2))
    assert store.put("a", b"1")
    for _ in range(2):
        with pytest.raises(Unreachable):
            store.put("b", b"2")
    assert store.get("b") is None
    assert store.put("b", b"2")
    assert store.happened == [("put", "unreachable")] * 2
    assert store.calls[:2] == [("put", "a"), ("put", "b")]


def test_full_and_slow(tmp_path: Path) -> None:
    store = faulty(tmp_path, Fault("add", "full"), Fault("get", "slow", seconds=0.2))
    with pytest.raises(StoreError, match="full"):
        add(store)
    assert list(store.packages()) == []
    started = time.monotonic()
    store.get("x")
    assert time.monotonic() - started >= 0.2


def test_a_lost_answer_comes_after_the_deed(tmp_path: Path) -> None:
    store = faulty(tmp_path, Fault("put", "lost"), Fault("add", "lost"), Fault("remove", "lost"))
    with pytest.raises(Unreachable):
        store.put("a", b"1", create=True)
    assert store.put("a", b"1", create=True), "the same again is no conflict"
    with pytest.raises(Unreachable):
        add(store)
    assert is_sound(store)
    with pytest.raises(Unreachable):
        store.remove(PACKAGE.path)
    assert list(store.packages()) == []


def test_flips_change_one_byte_of_what_was_written(tmp_path: Path) -> None:
    store = faulty(tmp_path, Fault("put", "flip"), Fault("add", "flip"))
    store.put("a", b"12345")
    (first, second) = (store.get("a"), b"12345")
    assert first is not None
    assert sum(one != other for one, other in zip(first, second, strict=True)) == 1
    add(store)
    assert not is_sound(store)
    report = verify(store.store.bundle(PACKAGE.path), level=Level.LEAVES)
    assert [finding.code for finding in report.findings] == ["leaf-mismatch"]


def test_flips_while_mending(tmp_path: Path) -> None:
    store = faulty(tmp_path, Fault("replace_leaf", "flip"), Fault("replace_file", "flip"))
    add(store)
    data = PACKAGE.files[ENTRY.path]
    store.replace_leaf(PACKAGE.path, ENTRY, 1, data[1 << 20 : 2 << 20])
    assert not is_sound(store)
    store.replace_leaf(PACKAGE.path, ENTRY, 1, data[1 << 20 : 2 << 20])
    assert is_sound(store)
    store.replace_file(PACKAGE.path, ENTRY.path, [data], len(data), ENTRY.mtime_ns)
    assert not is_sound(store)


def test_torn_writes_do_half(tmp_path: Path) -> None:
    faults = [Fault(operation, "torn") for operation in ("put", "add", "replace_leaf", "replace_file")]
    store = faulty(tmp_path, *faults)
    with pytest.raises(Unreachable):
        store.put("a", b"12345678")
    assert store.get("a") == b"1234"
    with pytest.raises(Unreachable):
        add(store)
    assert list(store.packages()) == [], "half an add shows nothing"
    add(store)
    data = PACKAGE.files[ENTRY.path]
    damaged = data[: 1 << 20] + bytes(1 << 20) + data[2 << 20 :]
    store.store.replace_file(PACKAGE.path, ENTRY.path, [damaged], len(data), None)
    with pytest.raises(Unreachable):
        store.replace_leaf(PACKAGE.path, ENTRY, 1, data[1 << 20 : 2 << 20])
    found = store.bundle(PACKAGE.path).read(ENTRY.path, len(data))
    half = (1 << 20) + (1 << 19)
    assert found == data[:half] + bytes(1 << 19) + data[2 << 20 :]
    with pytest.raises(Unreachable):
        store.replace_file(PACKAGE.path, ENTRY.path, [data], len(data), None)
    assert not is_sound(store)


def test_reading_fails_and_bends(tmp_path: Path) -> None:
    store = faulty(tmp_path / "a")
    add(store)
    store.fail(Fault("read", "flip", times=None))
    assert not verify(store.bundle(PACKAGE.path), level=Level.QUICK).ok
    with pytest.raises(DigestMismatch):
        open_store(tmp_path / "b").add(store.bundle(PACKAGE.path), PACKAGE.opened, PACKAGE.path)
    store.heal()
    store.fail(Fault("read", "unreachable", skip=10, times=None))
    with pytest.raises(Unreachable):
        open_store(tmp_path / "b").add(store.bundle(PACKAGE.path), PACKAGE.opened, PACKAGE.path)
    store.heal()
    assert open_store(tmp_path / "b").add(store.bundle(PACKAGE.path), PACKAGE.opened, PACKAGE.path).created


def test_chances_are_the_same_again(tmp_path: Path) -> None:
    def run(seed: int) -> list[bool]:
        store = faulty(tmp_path, Fault("get", "unreachable", times=None, chance=0.3), seed=seed)
        came = []
        for _ in range(60):
            try:
                store.get("x")
                came.append(True)
            except Unreachable:
                came.append(False)
        return came

    assert run(1) == run(1) != run(2)
    assert 5 < run(1).count(False) < 35


@pytest.mark.parametrize(("operation", "kind"), [("putt", "full"), ("remove", "torn"), ("keys", "flip")])
def test_faults_that_can_never_happen_are_refused(operation: str, kind: str) -> None:
    with pytest.raises(ValueError, match=r"can happen to|no operation"):
        Fault(operation, kind)  # type: ignore[arg-type]
