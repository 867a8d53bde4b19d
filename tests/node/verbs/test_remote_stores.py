"""A node whose second store is on a real S3 server, or on a real SFTP server."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

import diadem
from diadem.model.replicas import PRESENT, SUSPECT
from diadem.node.node import Node
from tests.node.verbs.conftest import Lab


@pytest.fixture(params=["s3", "sftp"])
def remote(request: pytest.FixtureRequest) -> Any:
    """A server, and the options with which it is reached."""
    pytest.importorskip({"sftp": "paramiko", "s3": "botocore"}[request.param], reason="an extra is not installed")
    server = request.getfixturevalue(f"{request.param}_server")
    return server.url(f"node-{uuid.uuid4().hex}"), server.storage_options


def _states(node: Node, package: str) -> dict[str, str]:
    return {replica.store: replica.state for replica in node.context.catalogue.replicas(package)}


@pytest.mark.sweep(1)
def test_copies_far_away_are_written_proven_damaged_and_mended(lab: Lab, remote: Any) -> None:
    url, options = remote
    node = lab.node
    state = node.stores.add(url, name="far", options=options)
    assert state.reachable
    archived = node.archive(lab.session("s", size=2 << 20), now=True)
    package = str(archived.package.id)
    assert {copy.store: copy.created for copy in archived.copies} == {"main": True, "far": True}
    assert not archived.debts
    node.scrub("far")
    assert not [one for one in node.status().findings if one.severity == "error"]

    store = node.context.stores.open("far")
    path = next(one.path for one in node.context.catalogue.replicas(package) if one.store == "far")
    entry = archived.package.find("scan 1.bin")
    good = (lab.root / "s/scan 1.bin").read_bytes()
    bad = good[: 1 << 20] + b"\0" * 10 + good[(1 << 20) + 10 :]
    store.replace_file(path, entry.path, [bad], entry.size, entry.mtime_ns)
    (found,) = node.scrub("far").damaged
    assert [(one.path, one.leaf) for one in found.report.findings] == [("data/scan 1.bin", 1)]
    assert _states(node, package) == {"main": PRESENT, "far": SUSPECT}
    assert node.repair().ok
    assert _states(node, package) == {"main": PRESENT, "far": PRESENT}
    assert diadem.verify(f"{store.url}/{path}", level="full", storage_options=options).package_id == package


def test_a_lost_node_is_made_again_from_far_away(lab: Lab, remote: Any) -> None:
    url, options = remote
    lab.node.stores.add(url, name="far", options=options)
    package = lab.archived("s")
    before = lab.node.search().to_dict()
    total = lab.node.context.ledger.total
    lab.node.close()
    lab.node.path.rename(lab.root / "lost")
    node = diadem.Node.recover(
        lab.root / "again", url, recovery_file=f"{lab.root / 'node'}-recovery.txt", storage_options=options
    )
    assert node.recovered is not None
    assert (node.recovered.epoch, node.recovered.entries, node.recovered.notes) == (2, total, ())
    assert node.search().to_dict() == before
    assert node.custody(package).ok
    with node.get(package).open("scan 0.bin") as file:
        assert file.read() == (lab.root / "s/scan 0.bin").read_bytes()
    node.close()
    (lab.root / "lost").rename(lab.node.path)


def test_a_store_far_away_is_read_from_another_pc(lab: Lab, remote: Any) -> None:
    url, options = remote
    lab.node.stores.add(url, name="far", options=options)
    package = lab.archived("s")
    before = lab.node.search().to_dict()
    lab.node.close()
    reader = diadem.open_node(url, storage_options={"far": options})
    assert reader.search().to_dict() == before
    assert reader.get(package).verify().ok
    reader.close()
