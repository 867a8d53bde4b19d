"""One node that is really served, for all tests of a process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import Unreachable
from diadem.network.client import PeerClient
from diadem.trust.keys import PrivateKey
from tests import zygote

ROOT = Path(__file__).resolve().parent.parent.parent


def free_ports(count: int) -> list[int]:
    """Ports at which nobody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass
class Served:
    """A node that is served.

    Attributes
    ----------
    folder : Path
        Of the node.
    key : PrivateKey
        Of its user Alice.
    others : sequence of PrivateKey
        Of other users.
    port, numbers : int
        Where it listens.
    said : dict
        What it said when it began.
    log : Path
        What it wrote to standard error.
    """

    folder: Path
    key: PrivateKey
    others: Sequence[PrivateKey]
    port: int
    numbers: int
    said: dict[str, Any]
    log: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self, **changes: Any) -> PeerClient:
        """A client that asks as Alice."""
        given = {"urls": [self.url], "tls_pins": [self.said["tls"]], "node_id": self.said["node"]}
        given |= {"sign_with": self.key, "name": "hu-berlin", **changes}
        return PeerClient(**given)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node with Alice as its user, and a listener with the probes."""
    base = tmp_path_factory.mktemp("served")
    with diadem.Node.create(base / "node", name="hu-berlin", user="alice", store=str(base / "store")) as node:
        for name in ("dora", "emil"):
            node.users.add(name)
        key, *others = (node.context.keys.open(f"users/{name}") for name in ("alice", "dora", "emil"))
    port, numbers = free_ports(2)
    log = base / "log"
    command = [sys.executable, "-m", "tests.server.probe_server", str(base / "node"), str(port), str(numbers)]
    with log.open("wb") as errors:
        process = zygote.start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        found = Served(base / "node", key, others, port, numbers, json.loads(line), log)
        with found.client() as client:
            wait_for(client)
        yield found
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def wait_for(client: PeerClient) -> None:
    """Wait until the worker listens."""
    for _ in range(200):
        try:
            client.get_json("health")
        except Unreachable:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the listener does not answer")
