"""Two nodes without an address, and a real hub between them that writes down what comes to it."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy
import tifffile

import diadem
from diadem.errors import Unreachable
from diadem.model.transfers import Transfer
from diadem.network.client import PeerClient
from tests.consoles import given_here
from tests.hub.canaries import SHORTEST, found_in
from tests.server.conftest import ROOT, free_ports, wait_for

HUB, SPOKES = "institute-hub", ("hu-berlin", "nmi")
USERS: Final = {"hu-berlin": "goldcrest-4711", "nmi": "nightjar-0815", HUB: "operator"}
#: Of a decline and of a revocation.
REASON: Final = "the plover was not meant for you"
#: What nobody but the two nodes may learn, by its class; what is known later is added then.
SECRETS: Final = {
    "user": ["goldcrest-4711", "nightjar-0815", "Regulus Goldhaehnchen"],
    "sample": ["wren-sample S-12 (ZnO)"],
    "project": ["kinglet-project-77"],
    "title": ["A title of chaffinches"],
    "record field": ["Siskin 9000 microscope"],
    "path": ["bunting folder", "firecrest frame.tif", "serin stack.raw"],
    "comment": ['Siehe "Zaunkönig" im Anhang'],
    "reason": [REASON],
}
#: Where what came to the hub's process is seen.
RECEIVED: Final = "received"
_PAYLOAD: Final = b"dunnock-in-the-payload " * 3


@dataclass
class Harbour:
    """The three nodes, and where the hub's process writes.

    Attributes
    ----------
    folder : Path
        Of everything.
    nodes : dict of str to Node
        All three; that of the hub is served in a process of its own as well.
    numbers : int
        Port of the hub's numbers.
    secrets : dict
        Words that must not be found there, by their class.
    seen : dict
        What was seen there, by place and moment.
    """

    folder: Path
    nodes: dict[str, diadem.Node]
    numbers: int
    secrets: dict[str, list[bytes]] = field(default_factory=dict)
    seen: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with the words that are known already."""
        for name, words in SECRETS.items():
            self.remember(name, *words)

    def remember(self, name: str, *words: str | bytes) -> None:
        """Count words among the secrets."""
        self.secrets.setdefault(name, []).extend(word.encode() if isinstance(word, str) else word for word in words)

    def meet_each_other(self) -> None:
        """Both join the hub; then one joins the other, through the hub."""
        for name in SPOKES:
            joined = self.nodes[name].peers.join(self.nodes[HUB].peers.invite().to_text())
            self.nodes[HUB].peers.confirm(name, joined.words)
        berlin, nmi = (self.nodes[name] for name in SPOKES)
        ticket = berlin.peers.invite()
        self.remember("ticket", ticket.token)
        with contextlib.suppress(Unreachable):
            replace(nmi.peers, patience=0.0).join(ticket.to_text())
        self.settle(lambda: len(list(berlin.peers)) == len(list(nmi.peers)) == 2)
        berlin.peers.confirm("nmi", nmi.peers.get("hu-berlin").words)
        self.settle(lambda: all(str(peer.state) == "confirmed" for node in (berlin, nmi) for peer in node.peers))

    def settle(self, done: Callable[[], bool]) -> None:
        """Have both do once what a service does again and again, until something holds."""
        for _ in range(8):
            if done():
                return
            for name in SPOKES:
                self.nodes[name].transfers.sync()
        raise AssertionError("it does not come to rest")

    def archived(self) -> str:
        """A session at the first node, full of secrets; the package's id."""
        session = self.folder / "session" / "bunting folder"
        session.mkdir(parents=True)
        frame = numpy.arange(128 * 128, dtype="uint16").reshape(128, 128)
        tifffile.imwrite(session / "firecrest frame.tif", frame)
        noise = random.Random(1).randbytes(1 << 20)
        (session / "serin stack.raw").write_bytes(_PAYLOAD + noise + _PAYLOAD)
        metadata = {
            "session": {"project": "kinglet-project-77", "title": "A title of chaffinches"},
            "sample": {"name": "wren-sample S-12 (ZnO)"},
            "instrument": {"name": "Siskin 9000 microscope"},
            "people": [{"name": "Regulus Goldhaehnchen", "role": "operator"}],
        }
        done = self.nodes["hu-berlin"].archive(session.parent, metadata=metadata, now=True, as_one=True)
        package = str(done.package.id)
        shutil.rmtree(session.parent)
        self.remember("payload", _PAYLOAD[:23], noise[1000:1024], noise[-2000:-1976])
        self.remember("package id", package.removeprefix("diadem:"))
        return package

    def send(self, package: str) -> Transfer:
        """Offer it to the other's user, who sees the offer."""
        berlin, nmi = (self.nodes[name] for name in SPOKES)
        sent = berlin.send(package, f"{USERS['nmi']}@nmi", comment=SECRETS["comment"][0])
        self.look(f"an offer lies there: {sent.id}")
        self.remember("transfer id", sent.id)
        self.remember("payload id", sent.payload_id.rpartition(":")[2])
        self.settle(lambda: sent.id in [one.id for one in nmi.inbox()])
        (offer,) = nmi.inbox()
        assert offer.record["sample"] == SECRETS["sample"][0]
        assert offer.previews
        self.remember("preview", *(preview.png[-60:-20] for preview in offer.previews))
        return sent

    def look(self, when: str) -> None:
        """See all that the hub has and shows at a moment, by where it is."""
        node = self.nodes[HUB]
        found = {}
        for place in (node.path, self.folder / HUB / "store"):
            for path in sorted(place.rglob("*")):
                found[str(path.relative_to(self.folder))] = path.read_bytes() if path.is_file() else b""
        found["names of files"] = "\n".join(found).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.numbers}/metrics", timeout=10) as answer:
            found["metrics"] = answer.read()
        environment = {"HOME": str(self.folder), "DIADEM_CONFIG": str(self.folder / "config")}
        code, text = given_here(["status", "--json", "--node", str(node.path)], environment, self.folder)
        assert code in (0, 1), text
        found["status"] = text.encode()
        self.seen |= {f"{where}, {when}": data for where, data in found.items()}
        for where, name in ((RECEIVED, "came"), ("log", "log")):  # these only grow
            self.seen[where] = (self.folder / name).read_bytes()

    def require_what_a_hub_knows(self) -> None:
        """What a hub may know is found in what came and on its disk: else nobody looked there."""
        nodes = {f"id of {name}": [node.id.encode()] for name, node in self.nodes.items()}
        names = {f"name of {name}": [name.encode()] for name in SPOKES if len(name) >= SHORTEST}
        assert found_in(self.seen[RECEIVED], nodes | names) == {*nodes, *names}
        disk = b"\n".join(data for where, data in self.seen.items() if where.startswith(HUB))
        assert found_in(disk, nodes | names) == {*nodes, *names}
        assert b"PUT /diadem/v1/hub/mailboxes/" in self.seen[RECEIVED]
        assert b"diadem_hub_objects" in b"".join(data for where, data in self.seen.items() if "metrics" in where)
        assert b"hub/mailboxes/{mailbox}/{object}" in self.seen["log"]


@contextmanager
def harbour(folder: Path) -> Iterator[Harbour]:
    """The three nodes, of which nobody knows another yet; the hub is served."""
    with ExitStack() as stack:
        nodes = {}
        for name in (HUB, *SPOKES):
            place = folder / name
            made = diadem.Node.create(place / "node", name=name, user=USERS[name], store=str(place / "store"))
            nodes[name] = stack.enter_context(made)
        port, numbers = free_ports(2)
        words = ["-m", "tests.hub.recorder", str(nodes[HUB].path), str(port), str(numbers), str(folder / "came")]
        with (folder / "log").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        stack.callback(_end, process)
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, (folder / "log").read_text()
        nodes[HUB].context.refresh()
        pins = [json.loads(said)["tls"]]
        with PeerClient(
            [f"https://127.0.0.1:{port}"], pins, nodes[HUB].id, nodes[HUB].context.keys.open("online")
        ) as client:
            wait_for(client)
        yield Harbour(folder, nodes, numbers)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(20)
    assert process.stdout is not None
    process.stdout.close()
