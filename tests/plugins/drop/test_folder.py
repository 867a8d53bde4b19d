"""A folder as a carrier: every promise kept, nothing followed that somebody else put there."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import NotFound, Refused, Unreachable, UsageError
from diadem.model.carriers import MAX_OBJECT, CarrierFull
from diadem.plugins.drop.folder import Folder, connect
from diadem.testing.carriers import CHECKS, check_carrier
from diadem.testing.stores import StoreFault

RELAY = "ab" * 16
posix = pytest.mark.skipif(os.name == "nt", reason="links, pipes and limits of this sort are POSIX's")


def address(folder: Path) -> str:
    return folder.as_uri().replace("file:", "drop:")


def test_every_promise_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "group drive, 50 %"
    folder.mkdir()
    report = check_carrier(lambda: connect(address(folder)))
    report.raise_for_findings()
    assert report.kept.keys() == CHECKS.keys()
    assert list(folder.iterdir()) == []


def test_it_works_where_no_links_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any) -> None:
        raise OSError(errno.EPERM, "no links on this share")

    monkeypatch.setattr(os, "link", link, raising=False)
    check_carrier(lambda: Folder(tmp_path)).raise_for_findings()


class Careless(Folder):
    """A carrier that writes over, keeps what it should remove, and lists what it does not have."""

    def put(self, relay: str, name: str, data: bytes | bytearray) -> None:
        (self._root / relay).mkdir(exist_ok=True)
        (self._root / relay / f"{name}.age").write_bytes(data)

    def end(self, relay: str) -> None:
        pass


def test_a_careless_carrier_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(StoreFault) as caught:
        check_carrier(lambda: Careless(tmp_path)).raise_for_findings()
    assert {finding.check for finding in caught.value.report.findings} == {"creates-only", "ends"}


@pytest.mark.parametrize(
    "url", ["drop:", "drop:x", "drop:///", "drop://server/share", "file:///x", "drop:///x?y", "drop:///x#y"]
)
@posix
def test_an_address_leads_to_a_folder(url: str) -> None:
    with pytest.raises(UsageError, match=r"drop:///mnt/group"):
        connect(url)


def test_a_share_that_is_not_connected_is_not_an_empty_one(tmp_path: Path) -> None:
    away = Folder(tmp_path / "away")
    for action in (
        lambda: away.put(RELAY, "2-0-1", b""),
        lambda: away.ls(RELAY),
        lambda: away.get(RELAY, "2-0-1"),
        lambda: away.remove(RELAY, ["2-0-1"]),
        lambda: away.end(RELAY),
    ):
        with pytest.raises(Unreachable, match="is not there"):
            action()
    assert not (tmp_path / "away").exists()


@posix
def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "2-0-1.age").write_bytes(b"secret")
    carrier = Folder(root)
    (root / RELAY).symlink_to(outside)
    for action in (
        lambda: carrier.put(RELAY, "2-1-1", b"data"),
        lambda: carrier.ls(RELAY),
        lambda: carrier.get(RELAY, "2-0-1"),
        lambda: carrier.end(RELAY),
    ):
        with pytest.raises(Refused, match="there is a link or a file"):
            action()
    assert sorted(path.name for path in outside.iterdir()) == ["2-0-1.age"]
    (root / RELAY).unlink()
    (root / RELAY).mkdir()
    (root / RELAY / "2-0-1.age").symlink_to(outside / "2-0-1.age")
    os.mkfifo(root / RELAY / "2-1-1.age")
    (root / RELAY / "2-2-1.age").mkdir()
    assert list(carrier.ls(RELAY)) == []
    for name in ("2-0-1", "2-1-1"):
        with pytest.raises(NotFound):
            carrier.get(RELAY, name)
        with pytest.raises(Refused):
            carrier.put(RELAY, name, b"secret")
    carrier.end(RELAY)
    assert (outside / "2-0-1.age").read_bytes() == b"secret"
    assert [path.name for path in (root / RELAY).iterdir()] == ["2-2-1.age"], "what is nobody's stays"


def test_what_is_half_written_is_not_seen_and_no_more_is_read_than_an_object_has(tmp_path: Path) -> None:
    carrier = Folder(tmp_path)
    carrier.put(RELAY, "2-0-1", b"data")
    (tmp_path / RELAY / ".2-1-1.00000000.part").write_bytes(b"half")
    with (tmp_path / RELAY / "2-2-1.age").open("wb") as sink:
        sink.truncate(1 << 32)
    assert [one.name for one in sorted(carrier.ls(RELAY), key=str)] == ["2-0-1", "2-2-1"]
    assert len(carrier.get(RELAY, "2-2-1")) == MAX_OBJECT + 1
    carrier.end(RELAY)
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_full_folder_says_so_and_keeps_nothing_half(tmp_path: Path) -> None:
    if sys.platform == "win32":  # pragma: no cover  for the type checker
        return
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(CarrierFull, match="is full"):
            Folder(tmp_path).put(RELAY, "2-0-1", bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / RELAY).iterdir()) == []
