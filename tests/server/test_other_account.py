"""Another account of the machine: it reads nothing of the node, and the listener does not know its key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem
from diadem.network.arrival import Arrival
from tests.server.conftest import ROOT, Served
from tests.transfer.pair import Pair, make_pair

#: What the other account does: everything below some folders that it can read or list, and what the listener says.
PROGRAM = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from diadem.network.client import PeerClient
from diadem.trust.keys import PrivateKey
url, pin, node = json.loads(sys.argv[3])
client = PeerClient([url], [pin], node, PrivateKey.from_seed(bytes(31) + b"2"))
client.get_json("health")  # whatever is imported late is imported now: the interpreter may be in a closed folder
os.setgroups([])
os.setgid(int(sys.argv[4]))
os.setuid(int(sys.argv[4]))
told = {"open": [], "denied": 0}
for root in map(Path, json.loads(sys.argv[2])):
    def denied(error):
        told["denied"] += 1
    for folder, folders, files in os.walk(root, onerror=denied):
        told["open"] += [f"{folder}/{name}" for name in files if os.access(f"{folder}/{name}", os.R_OK)]
told["answers"] = []
for path in ("whoami", "messages", "transfers/" + "ab" * 16 + "/have"):
    try:
        client.get_json(path)
    except Exception as error:
        told["answers"].append([getattr(error, "code", repr(error)), getattr(error, "status", 0)])
print(json.dumps(told))
"""


@pytest.fixture
def account() -> Iterator[int]:
    """The id of a second account."""
    if sys.platform == "win32" or os.getuid() or not shutil.which("useradd"):
        pytest.skip("only root makes accounts")
    name = f"dd-{uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "--no-create-home", "--no-user-group", name], check=True, capture_output=True)
    try:
        import pwd

        yield pwd.getpwnam(name).pw_uid
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)


@pytest.fixture
def open_pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Two nodes in a folder that everybody may enter."""
    root = Path(tempfile.mkdtemp(prefix="diadem-account-"))
    root.chmod(0o755)
    monkeypatch.setenv("DIADEM_CONFIG", str(root / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(root / "cache"))
    before = os.umask(0o022)
    try:
        made = make_pair(root)
        yield made
        made.close()
    finally:
        os.umask(before)
        for path in (root, *root.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(root)


def told(account: int, served: Served, *folders: Path) -> dict[str, object]:
    """What the other account finds and hears."""
    asked = [served.url, served.said["tls"], served.said["node"]]
    given = [str(ROOT), json.dumps([str(one) for one in folders]), json.dumps(asked), str(account)]
    command = [sys.executable, "-c", PROGRAM, *given]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_another_account_reads_nothing_and_is_not_known(account: int, open_pair: Pair, served: Served) -> None:
    a, b = open_pair.a, open_pair.b
    sent = a.node.send(a.archived(), "marie@nmi")
    accepted = b.node.accept(sent.id, wait=False)
    place = b.root / "store" / ".diadem" / "arriving"
    arrival = Arrival.open(place, accepted.id)
    arrival.keep_tagmanifest(b"what arrives")
    found = told(account, served, a.node.path, b.node.path, place)
    assert found["open"] == []
    assert found["denied"] == 3
    assert found["answers"] == [["not-found", 0]] * 3
    b.node.path.chmod(0o755)  # as after a backup that was played back carelessly
    found = told(account, served, b.node.path / "keys", b.node.path / "network", b.node.path / "log" / "log.sqlite")
    assert found["open"] == []
    assert not any(os.stat(path).st_mode & 0o077 for path in private(b.node))
    arrival.close()


def private(node: diadem.Node) -> list[Path]:
    """Everything of a node's network, and its keys."""
    network = [path for path in (node.path / "network").rglob("*") if path.parent.name != "serving"]
    return [node.path / "network", *network, node.path / "keys", *(node.path / "keys").glob("*.*")]


def test_what_a_listener_makes_is_for_its_account_alone(served: Served) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has access lists, and the folder's hold")
    folder = served.folder
    kept = [folder, folder / "keys", folder / "keys" / "tls.pem", folder / "network", *(folder / "network").iterdir()]
    assert (folder / "network" / "nonces.sqlite") in kept
    assert [path for path in kept if path.stat().st_mode & 0o077] == []
