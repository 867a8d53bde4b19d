"""A package is sent though one of its copies fails, or changes, while it is read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import StoreError, Unreachable
from diadem.model.manifest import TAGMANIFEST
from diadem.model.ports import silent
from diadem.model.routes import DIRECT
from diadem.model.transfers import State, Transfer
from diadem.network.pull import FetchOptions
from diadem.network.push import push_package
from diadem.network.rounds import fetch_all, push_all
from diadem.network.source import Sources
from diadem.network.tag_parts import LENGTH
from diadem.store.bags import LocalBundle, LocalFile
from tests import failing_calls
from tests.transfer.pair import Pair

MIB = 1 << 20


class Unreadable(LocalFile):
    """A file that lies where the disk is broken."""

    __slots__ = ()

    def read_at(self, *_args: Any, **_kwargs: Any) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def readinto_at(self, *_args: Any, **_kwargs: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def accepted(pair: Pair, files: dict[str, bytes], *, copies: int = 2) -> Transfer:
    """A package that the sender has so many copies of."""
    a = pair.a
    if copies == 2:
        a.node.stores.add(str(a.root / "second"), name="second", place="another disk")
    sent = a.node.send(a.archived(files=files), "marie@nmi")
    return pair.b.node.accept(sent.id, wait=False)


def first_copy(pair: Pair, transfer: Transfer) -> LocalBundle:
    """The copy that is read first."""
    found = Sources(pair.a.desk).get(transfer.package).copies[0]
    assert isinstance(found, LocalBundle)
    return found


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[LocalBundle, str], None]:
    """Lets a file of a copy be one that cannot be read."""

    def harm(copy: LocalBundle, broken: str) -> None:
        whole, url = LocalBundle.open, copy.url

        def opened(self: LocalBundle, path: str) -> LocalFile:
            reader = whole(self, path)
            if self.url != url or path != broken:
                return reader
            with reader:
                return Unreadable(os.dup(reader._descriptor), reader.size)

        monkeypatch.setattr(LocalBundle, "open", opened)

    return harm


@pytest.mark.parametrize("way", ["push", "pull"])
def test_where_the_disk_of_one_copy_fails_the_other_is_sent(
    pair: Pair, way: str, breaks: Callable[[LocalBundle, str], None]
) -> None:
    transfer = accepted(pair, {"big.bin": os.urandom(20 * MIB), "more.bin": os.urandom(MIB)})
    breaks(first_copy(pair, transfer), "data/big.bin")
    if way == "push":
        push_package(pair.a.desk, Sources(pair.a.desk), transfer.id, listener=silent)
    else:
        fetch_all(pair.b.desk, FetchOptions())
    assert pair.b.desk.book.get(transfer.id).state in (State.RECEIVED, State.CLOSED)


def test_where_no_copy_can_be_read_the_next_package_goes_all_the_same(
    pair: Pair, breaks: Callable[[LocalBundle, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = accepted(pair, {"big.bin": os.urandom(2 * MIB)}, copies=1)
    sent = pair.a.node.send(pair.a.archived("another"), "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    breaks(first_copy(pair, first), "data/big.bin")
    monkeypatch.setattr(pair.a.desk, "pushes", lambda _: True)
    push_all(pair.a.desk, Sources(pair.a.desk))
    assert "no copy has these bytes intact" in pair.a.desk.book.get(first.id).error
    assert pair.b.desk.book.get(sent.id).state in (State.RECEIVED, State.CLOSED)


@pytest.mark.parametrize("copies", [1, 2])
def test_of_a_file_that_becomes_shorter_the_next_one_stands_where_it_should(pair: Pair, copies: int) -> None:
    files = {"a.bin": os.urandom(3 * MIB), "b.bin": os.urandom(3 * MIB)}
    transfer = accepted(pair, files, copies=copies)
    file = Path(first_copy(pair, transfer).url) / "data/a.bin"
    source = Sources(pair.a.desk).of(pair.b.id, transfer.id, DIRECT)
    blocks, got = source.window(0)(), bytearray()

    def take_all() -> None:
        for block in blocks:
            got.extend(block)

    got += next(blocks)
    file.chmod(0o600)
    os.truncate(file, MIB)
    if copies == 2:
        take_all()
        assert got.startswith(files["a.bin"] + files["b.bin"])
        return
    with pytest.raises(StoreError, match="no copy has these bytes intact"):
        take_all()
    assert files["a.bin"].startswith(got), "nothing of the other one"


def test_of_a_tag_file_that_becomes_shorter_the_next_one_does_not_take_its_place(pair: Pair) -> None:
    transfer = accepted(pair, {"a.bin": os.urandom(MIB)}, copies=1)
    bag = Path(first_copy(pair, transfer).url)
    paths = [line.split(b"  ", 1)[1].decode() for line in (bag / TAGMANIFEST).read_bytes().splitlines()]
    before = (bag / paths[0]).read_bytes()
    size, blocks = Sources(pair.a.desk).of(pair.b.id, transfer.id, DIRECT).part(1)
    got = bytearray(next(blocks))
    (bag / paths[0]).chmod(0o600)
    os.truncate(bag / paths[0], len(before) // 2)

    def take_all() -> None:
        for block in blocks:
            got.extend(block)

    with pytest.raises(StoreError, match="became shorter") as caught:
        take_all()
    assert caught.value.where == paths[0]
    assert (LENGTH.pack(len(before)) + before).startswith(got), "nothing of the other one"
    assert len(got) < size


_SENDER = """
import sys, diadem
from diadem.errors import StoreError
from diadem.network.source import sources_of
with diadem.open_node(sys.argv[1]) as node:
    try:
        size, blocks = sources_of(node.context).part(sys.argv[2], 1)
        assert sum(map(len, blocks)) == size
    except StoreError as error:
        print(error.where, error.message, error.next, sep="\\n")
"""


@pytest.mark.skipif(bool(failing_calls.missing()), reason=failing_calls.missing() or "it can be tried")
def test_of_a_tag_file_that_the_disk_does_not_give_the_name_is_told(pair: Pair, tmp_path: Path) -> None:
    """It was proven before it is sent: the reading that fails is the last one."""
    transfer = accepted(pair, {"a.bin": os.urandom(MIB)}, copies=1)
    bag, count = Path(first_copy(pair, transfer).url), tmp_path / "count"
    library = failing_calls.build(tmp_path / "failing_calls.so")

    def sent(number: int) -> str:
        count.write_bytes(bytes(failing_calls.COUNTERS))
        plan = f"calls=read;n={number};errno={errno.EIO};sticky=1;count={count};under={bag}"
        done = subprocess.run(
            [sys.executable, "-c", _SENDER, str(pair.a.node.path), transfer.package],
            env=os.environ | {"LD_PRELOAD": str(library), "FAILING_CALLS": plan},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert sent(0) == ""
    calls = memoryview(count.read_bytes()).cast("q")[0]
    where, *said = sent(calls).splitlines()
    assert (bag / where).is_file()
    assert said == [f"it cannot be read: {os.strerror(errno.EIO)}", "Run: diadem scrub, then diadem repair"]


def test_where_a_copy_fails_after_its_tag_files_were_proven_the_other_is_sent(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = accepted(pair, {"a.bin": os.urandom(MIB)})
    url, whole = first_copy(pair, transfer).url, LocalBundle.open
    source, proven = Sources(pair.a.desk).of(pair.b.id, transfer.id, DIRECT), set[str]()

    def opened(self: LocalBundle, path: str) -> LocalFile:
        if self.url == url and path in proven:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.url == url:
            proven.add(path)
        return whole(self, path)

    monkeypatch.setattr(LocalBundle, "open", opened)
    size, blocks = source.part(1)
    assert proven
    assert sum(map(len, blocks)) == size


def test_of_a_push_that_was_received_nothing_is_wrong_once_the_right_has_ended(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = accepted(pair, {"a.bin": os.urandom(MIB)}, copies=1)
    monkeypatch.setattr(pair.a.desk, "pushes", lambda _: True)
    push_all(pair.a.desk, Sources(pair.a.desk))
    pair.a.node.revoke(pair.a.desk.book.get(transfer.id).grant)
    push_all(pair.a.desk, Sources(pair.a.desk))
    assert pair.a.desk.book.get(transfer.id).error == ""


def test_a_push_that_is_paused_in_the_middle_is_no_error(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = accepted(pair, {"a.bin": os.urandom(100 * MIB)}, copies=1)
    monkeypatch.setattr(pair.a.desk, "pushes", lambda _: True)

    def paused(kind: str, number: int, start: int, data: bytes) -> bytes:
        if kind == "window" and not pair.a.desk.book.get(transfer.id).paused:
            pair.a.node.transfers.pause(transfer.id)
        return data

    pair.a.wire.spoil = paused
    push_all(pair.a.desk, Sources(pair.a.desk))
    found = pair.a.desk.book.get(transfer.id)
    assert (found.paused, found.error) == (True, "")
    assert len(pair.a.wire.windows) < 7, "it went on"


def test_a_copy_whose_disk_hangs_keeps_no_other_package_waiting_nor_the_node_from_its_end(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = accepted(pair, {"a.bin": os.urandom(MIB)}, copies=1)
    sent = pair.a.node.send(pair.a.archived("another"), "marie@nmi")
    pair.b.node.accept(sent.id, wait=False)
    hangs, back, read = threading.Event(), threading.Event(), LocalBundle.read
    url, sources = first_copy(pair, stuck).url, Sources(pair.a.desk)
    known = sources.of(pair.b.id, sent.id, DIRECT)

    def slow(self: LocalBundle, *given: Any) -> bytes:
        if self.url == url:
            hangs.set()
            back.wait(60)
        return read(self, *given)

    assert known.windows() == 1
    monkeypatch.setattr(LocalBundle, "read", slow)
    monkeypatch.setattr("diadem.network.source._PATIENCE", 0.5)
    with ThreadPoolExecutor(3) as pool:
        try:
            first = pool.submit(sources.of(pair.b.id, stuck.id, DIRECT).windows)
            assert hangs.wait(10)
            second = pool.submit(sources.of(pair.b.id, stuck.id, DIRECT).windows)
            assert list(pool.submit(known.window, 0).result(5)())
            with pytest.raises(Unreachable, match="is being opened"):
                second.result(5)
            pool.submit(sources.close).result(5)
        finally:
            back.set()
        assert first.result(10) == 1
