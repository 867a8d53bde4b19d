"""What is special about SFTP: who is let in, lines that break, servers that run full, processes that die."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import NotFound, PackageError, Refused, StoreError, Unreachable, UsageError
from diadem.model.report import Level
from diadem.package.examine import open_tag_files
from diadem.package.verify import verify
from diadem.store import open_store
from diadem.store.objects import ObjectStore
from diadem.store.remote import open_remote
from diadem.store.retry import Patience
from diadem.testing.stores import make_package
from tests import failing_calls
from tests.services import CuttingProxy, free_ports
from tests.sftp_server import SftpServer, run_sftp_server
from tests.store.adder import sample
from tests.store.killing import killed

paramiko = pytest.importorskip("paramiko", reason="the extra [sftp] is not installed")

SMALL = {"data/a b.raw": 1_500_000, "data/b.txt": 100}
_SFTP_PROGRAMS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")
BRIEF = Patience(tries=2, first_wait=0.05)


@pytest.fixture
def name() -> str:
    """A folder of its own for every test."""
    return uuid.uuid4().hex


def brief(server: SftpServer, url: str, port: int | None = None) -> ObjectStore:
    """A store that gives up soon."""
    options = server.options_through(port or server.port)
    return ObjectStore(url, options, patience=BRIEF)


def test_what_it_says_of_itself(sftp_server: SftpServer, name: str) -> None:
    store = open_store(sftp_server.url(name), sftp_server.storage_options)
    assert store.url == sftp_server.url(name)
    assert store.place() == f"sftp:127.0.0.1:{sftp_server.port}"
    assert store.free() is None  # there is no folder yet
    store.put_readme("x")
    free, total = store.free(), store.total()
    status = os.statvfs(sftp_server.files / name)
    assert total == status.f_blocks * status.f_frsize
    assert free is not None
    assert abs(free - status.f_bavail * status.f_frsize) < total // 10
    assert (store.capabilities().creates, store.capabilities().proves) == (True, False)
    assert (sftp_server.files / name / "README.txt").read_text() == "x"


def test_an_unknown_server_is_refused(
    sftp_server: SftpServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fingerprint is shown; nothing was sent to it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    options = {**sftp_server.storage_options, "known_hosts": None}
    store = open_store(sftp_server.url(name), options)
    with pytest.raises(Refused, match="SHA256:") as caught:
        store.put("x", b"x")
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(sftp_server.folder / "host_key.pub")], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[1] in str(caught.value)
    assert caught.value.next
    assert not (sftp_server.files / name).exists()


def test_a_server_with_another_key_is_refused(sftp_server: SftpServer, name: str, tmp_path: Path) -> None:
    other = (sftp_server.folder / "user_key.pub").read_text()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sftp_server.port} {other}")
    options = {**sftp_server.storage_options, "known_hosts": str(tmp_path / "known")}
    with pytest.raises(Refused, match="not the one that is known"):
        open_store(sftp_server.url(name), options).check()


def test_a_wrong_user_key_is_refused(sftp_server: SftpServer, name: str) -> None:
    options = {**sftp_server.storage_options, "key_filename": str(sftp_server.folder / "host_key")}
    with pytest.raises(Refused, match="does not let this user in") as caught:
        open_store(sftp_server.url(name), options).check()
    assert caught.value.exit_code == 4


def test_nobody_listens(sftp_server: SftpServer, name: str) -> None:
    port = free_ports(1)[0]
    with pytest.raises(Unreachable) as caught:
        brief(sftp_server, sftp_server.url(name, port), port).check()
    assert caught.value.exit_code == 5
    assert str(port) in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["sftp://ada:secret@host/x", "ssh://ada:secret@host/x", "sftp://host", "sftp://host/", "sftp://", "sftp://h:x/y"],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_an_alias_of_the_ssh_configuration(
    sftp_server: SftpServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What works with `ssh nas` works here without a word more."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    known = Path(sftp_server.storage_options["known_hosts"]).read_text()
    (tmp_path / ".ssh" / "known_hosts").write_text(known)
    key = sftp_server.folder / "user_key"
    text = f"Host nas\n  HostName 127.0.0.1\n  Port {sftp_server.port}\n  IdentityFile {key}\n"
    (tmp_path / ".ssh" / "config").write_text(text)
    store = open_store(f"sftp://nas{sftp_server.files}/{name}")
    assert store.put("x", b"1", create=True)
    assert store.place() == f"sftp:127.0.0.1:{sftp_server.port}"


def test_a_package_is_read_by_its_address(sftp_server: SftpServer, name: str) -> None:
    package = make_package(SMALL)
    open_store(sftp_server.url(name), sftp_server.storage_options).add(package.bundle, package.opened, package.path)
    bundle = open_remote(f"{sftp_server.url(name)}/{package.path}", sftp_server.storage_options)
    assert verify(bundle, level=Level.FULL, expected_id=package.opened.id).ok
    with pytest.raises(PackageError):
        open_tag_files(open_remote(f"{sftp_server.url(name)}/2026/none", sftp_server.storage_options))


def test_links_are_not_followed(sftp_server: SftpServer, name: str) -> None:
    """A package into which somebody put a link is not sound, and nothing outside it is read."""
    package = make_package(SMALL)
    store = open_store(sftp_server.url(name), sftp_server.storage_options)
    store.add(package.bundle, package.opened, package.path)
    secret = sftp_server.files / name / "secret"
    secret.write_bytes(package.files["data/b.txt"])
    file = sftp_server.files / name / package.path / "data" / "b.txt"
    file.unlink()
    file.symlink_to(secret)
    bundle = store.bundle(package.path)
    assert not verify(bundle, level=Level.QUICK).ok
    with pytest.raises(NotFound):
        bundle.open("data/b.txt")


def test_a_line_that_breaks_for_a_moment(sftp_server: SftpServer, name: str) -> None:
    """Connections cut in the middle are made anew; the package is proven by reading it back."""
    package = make_package({"data/large.raw": 9_000_000, "data/b": 100})
    proxy = CuttingProxy(f"http://127.0.0.1:{sftp_server.port}", after=2_500_000, cuts=2)
    port = int(proxy.endpoint.rpartition(":")[2])
    store = open_store(sftp_server.url(name, port), sftp_server.options_through(port))
    try:
        for number in range(8):  # each file of 1 MB passes whole, or is sent again
            store.put(f"file/{number}", bytes([number]) * 1_000_000)
        added = store.add(package.bundle, package.opened, package.path)
    finally:
        proxy.close()
    assert proxy.cuts_left == 0
    assert (added.created, added.proof) == (True, "read-back")
    direct = open_store(sftp_server.url(name), sftp_server.storage_options)
    assert [direct.get(f"file/{number}") for number in range(8)] == [bytes([n]) * 1_000_000 for n in range(8)]
    assert verify(direct.bundle(package.path), level=Level.FULL).ok
    assert list((sftp_server.files / name / ".diadem" / "claims").iterdir()) == []


def test_a_line_that_stays_broken(sftp_server: SftpServer, name: str) -> None:
    package = make_package({"data/large.raw": 9_000_000})
    proxy = CuttingProxy(f"http://127.0.0.1:{sftp_server.port}", after=1_000_000, cuts=1_000_000)
    port = int(proxy.endpoint.rpartition(":")[2])
    try:
        with pytest.raises(Unreachable):
            brief(sftp_server, sftp_server.url(name, port), port).add(package.bundle, package.opened, package.path)
    finally:
        proxy.close()
    store = open_store(sftp_server.url(name), sftp_server.storage_options)
    assert list(store.packages()) == []
    assert store.add(package.bundle, package.opened, package.path).created


def test_a_server_that_runs_full(sftp_server: SftpServer, name: str) -> None:
    """SFTP knows no word for it; the disk is asked."""
    folder = sftp_server.files / name
    folder.mkdir()
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("this system does not let the test mount a small disk")
    try:
        store = open_store(sftp_server.url(name), sftp_server.storage_options)
        store.put("small", b"x")
        with pytest.raises(StoreError, match="full"):
            store.put("big", bytes(3_000_000))
        assert store.get("big") is None
        assert store.get("small") == b"x"
        assert list(store.keys("")) == ["small"]
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[str], SftpServer]]:
    """OpenSSH with another command that answers requests: the words after its path, or before it."""
    program = next((path for path in map(Path, _SFTP_PROGRAMS) if path.exists()), None)
    if program is None:
        pytest.skip("the program sftp-server of OpenSSH is not installed")
    with contextlib.ExitStack() as stack:

        def serve(words: str) -> SftpServer:
            return stack.enter_context(contextlib.contextmanager(run_sftp_server)(tmp_path, words.format(program)))

        yield serve


@pytest.mark.skipif(bool(failing_calls.missing()), reason=failing_calls.missing() or "it can be tried")
@pytest.mark.parametrize("size", [100, 17 << 20])
@pytest.mark.parametrize(
    ("call", "more", "told"), [("fsync", "", "its disk did not take the file"), ("close", "-P fsync", "refused")]
)
def test_what_the_disk_of_a_server_did_not_take_is_not_there(
    serving: Callable[[str], SftpServer], name: str, size: int, call: str, more: str, told: str, tmp_path: Path
) -> None:
    """What it says when a file is forced to the disk, or closed, counts: the bytes may be in its memory alone."""
    library = failing_calls.build(tmp_path / "failing_calls.so")
    (tmp_path / "count").write_bytes(bytes(failing_calls.COUNTERS))
    (tmp_path / "sftp").write_text(
        f"#!/bin/sh\nLD_PRELOAD={library} FAILING_CALLS='calls={call};n=1;sticky=1;errno=5;"
        f"count={tmp_path}/count;under={tmp_path}/files' exec $*\n"
    )
    (tmp_path / "sftp").chmod(0o755)
    server = serving(f"{tmp_path}/sftp {{}} {more}")
    store = brief(server, server.url(name))
    (tmp_path / "file").write_bytes(bytes(size))
    with pytest.raises(StoreError, match=told) as caught:
        store.put_file("x", tmp_path / "file") if size > 100 else store.put("x", bytes(size))
    assert caught.value.next
    package = make_package(SMALL)
    with pytest.raises(StoreError):
        store.add(package.bundle, package.opened, package.path)
    assert list(store.packages()) == []
    assert store.get("x") is None
    assert not list((server.files / name / ".diadem" / "drafts").iterdir())


def test_a_server_that_cannot_force_files_to_its_disk_holds_packages(
    serving: Callable[[str], SftpServer], name: str
) -> None:
    package, server = make_package(SMALL), serving("{} -P fsync")
    added = brief(server, server.url(name)).add(package.bundle, package.opened, package.path)
    assert (added.created, added.proof) == (True, "read-back")


def test_a_channel_that_is_refused_for_a_moment_is_waited_for(
    sftp_server: SftpServer, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is sent only once, but nothing of it has gone yet: a busy server has not closed old sessions."""
    from diadem.store.sftp import SftpFiles

    store = ObjectStore(sftp_server.url(name), sftp_server.storage_options, patience=BRIEF)
    store.put("head", b"1")
    real = SftpFiles._channel
    refused: list[int] = []

    def refuse_once(files: SftpFiles) -> Any:
        if not refused:
            refused.append(1)
            raise paramiko.ChannelException(2, "Connect failed")
        return real(files)

    monkeypatch.setattr(SftpFiles, "_channel", refuse_once)
    (tmp_path / "large").write_bytes(bytes(17 << 20))
    store.put_file("large", tmp_path / "large")
    assert store.get("large") == bytes(17 << 20)
    assert refused


@pytest.mark.parametrize("seed", range(2))
def test_killed_while_it_adds(sftp_server: SftpServer, name: str, seed: int) -> None:
    """Nothing, or a whole package; the next writer succeeds at once; what is left is swept."""
    package, url, options = sample(), sftp_server.url(name), sftp_server.storage_options
    done = killed("add", url, options, random.Random(seed).uniform(0.0, 1.0))
    store = ObjectStore(url, options)
    if [item.path for item in store.packages()] != [package.path]:
        assert not done
    added = store.add(package.bundle, package.opened, package.path)
    assert added.path == package.path
    assert verify(store.bundle(package.path), level=Level.LEAVES).ok
    store.leftovers(older=timedelta(0), delete=True)
    assert not any((sftp_server.files / name / ".diadem" / "drafts").iterdir())


def test_killed_while_it_removes(sftp_server: SftpServer, name: str) -> None:
    """The whole package or none: what is left without a tag manifest can be swept, and is no package."""
    package, url, options = sample(), sftp_server.url(name), sftp_server.storage_options
    store = ObjectStore(url, options)
    for moment in (0.0, 0.03):
        store.add(package.bundle, package.opened, package.path)
        killed("remove", url, options, moment)
        for item in store.packages():
            assert verify(store.bundle(item.path), level=Level.QUICK, expected_id=package.opened.id).ok
        store.leftovers(older=timedelta(0), delete=True)
        if not list(store.packages()):
            assert not (sftp_server.files / name / "2026").exists()
