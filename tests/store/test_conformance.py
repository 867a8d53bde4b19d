"""Every promise of a store, tried on every kind of store: folders, memory, a real SFTP server, a real S3 server."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from diadem.store import open_store
from diadem.store.claim import ClaimTiming
from diadem.store.contract import Store
from diadem.store.objects import ObjectStore
from diadem.testing.stores import CHECKS, Fault, FaultyStore, MakeStore, StoreFault, check_store

#: Who waits for another writer looks often.
QUICK = ClaimTiming(heartbeat=0.5, stale=60, look=0.1)


@pytest.fixture(params=["folder", "memory", "sftp", "s3"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Opens stores of one kind."""
    if request.param == "folder":
        return lambda name: open_store(tmp_path / name)
    if request.param == "memory":
        return lambda name: _quick(f"memory://{name}")
    pytest.importorskip({"sftp": "paramiko", "s3": "botocore"}[request.param], reason="an extra is not installed")
    server = request.getfixturevalue(f"{request.param}_server")
    prefix = uuid.uuid4().hex
    return lambda name: _quick(server.url(f"{prefix}-{name}"), server.storage_options)


def _quick(url: str, options: dict[str, object] | None = None) -> Store:
    return ObjectStore(url, options, timing=QUICK)


@pytest.mark.parametrize("name", CHECKS)
def test_promise(make_store: MakeStore, name: str) -> None:
    check_store(make_store, only=[name]).raise_for_findings()


#: What is wrong with a store, and a check that must find it.
BROKEN = {
    "it loses what it says it wrote": (Fault("put", "torn", times=None), "own-files"),
    "it bends what it writes": (Fault("add", "flip", times=None), "add"),
    "it bends leaves": (Fault("replace_leaf", "flip", times=None), "mending"),
    "it does not answer": (Fault("*", "unreachable", times=None), "identity"),
    "it is full": (Fault("put", "full", times=None), "exclusive"),
    "it answers no more": (Fault("remove", "lost", times=None), "remove"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_kit_finds_broken_stores(tmp_path: Path, what: str) -> None:
    """A kit that finds nothing would prove nothing."""
    fault, check = BROKEN[what]
    report = check_store(lambda name: FaultyStore(open_store(tmp_path / name), [fault]), only=[check])
    assert not report.ok
    assert [finding.check for finding in report.findings] == [check]
    with pytest.raises(StoreFault, match=check):
        report.raise_for_findings()


def test_every_check_says_what_it_tries() -> None:
    assert len(CHECKS) >= 20
    assert all(check.__doc__ and check.__doc__.endswith(".") for check in CHECKS.values())


def test_a_wrapper_without_faults_changes_nothing(tmp_path: Path) -> None:
    """The report names every promise that was kept."""
    only = ["own-files", "large-own-files", "keys", "add-again", "mending-refused", "remove", "sweep"]
    report = check_store(lambda name: FaultyStore(open_store(tmp_path / name)), only=only)
    assert report.ok, str(report)
    assert list(report.kept) == only
    assert report.to_dict()["ok"]
