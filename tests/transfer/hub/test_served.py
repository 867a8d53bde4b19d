"""A hub that is really served, and its spokes over TLS."""

from __future__ import annotations

import itertools
import json
import secrets
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from diadem.cli.main import command_line
from diadem.errors import IntegrityError, NotFound, Unreachable
from diadem.model.carriers import MAX_OBJECT, Carried, CarrierFull
from diadem.network.book_file import open_book
from diadem.network.client import PeerClient, PeerRefused
from diadem.network.desk import desk_of
from diadem.network.exchange import BASE
from diadem.network.hub.client import HubClient
from diadem.network.limits import MAX_SEALED
from diadem.network.relay.hub_carrier import HubCarrier
from diadem.network.relay_book import RelayBook
from diadem.node.peers.notes import endpoint_note
from diadem.policy.policy_text import default_policy
from diadem.trust.http_signature import body_digest
from diadem.trust.keys import PrivateKey
from tests import zygote
from tests.server.conftest import free_ports, wait_for
from tests.transfer.hub.harbour import HUB, A, B, C, Harbour, sha256
from tests.transfer.towns import Town

ROOT = Path(__file__).resolve().parents[3]
LIMITS = {'free = "10 GB"': 'free = "1 MB"', 'max_per_spoke = "100 GB"': 'max_per_spoke = "20 MB"'}


@dataclass
class Served:
    """The hub's process, and how its spokes ask it."""

    harbour: Harbour
    url: str
    tls: str
    numbers: int
    log: Path
    clients: dict[str, PeerClient] = field(default_factory=dict)

    def peer_client(self, key: PrivateKey) -> PeerClient:
        if (known := self.clients.get(key.public.key_id)) is None:
            known = PeerClient([self.url], [self.tls], self.harbour.id(HUB), key, name=HUB)
            self.clients[key.public.key_id] = known
        return known

    def spoke(self, name: str) -> HubClient:
        key = self.harbour.node(name).context.keys.open("online")
        pinned = self.harbour.context.keys.open("online").public
        return HubClient(
            self.peer_client(key),
            node=self.harbour.id(name),
            hub=self.harbour.id(HUB),
            key=pinned,
        )

    def opened(self, **changes: Any) -> str:
        relay, line = self.harbour.permit_line(**{"ceiling": 20_000_000, **changes})
        self.spoke(B).permit(relay, line)
        return relay


@pytest.fixture
def served(hub_process: Served) -> Iterator[Served]:
    """The same, empty."""
    yield hub_process
    hub_process.harbour.empty()


@pytest.fixture(scope="module")
def hub_process(town_of_hub: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The hub, put in order after a crash, and listening."""
    harbour = Harbour(town_of_hub)
    folder, (port, numbers) = harbour.context.folder, free_ports(2)
    (harbour.hub.file.path.parent / "coming" / ("0" * 32)).write_bytes(b"half of it")
    policy = default_policy()
    for old, new in LIMITS.items():
        assert old in policy
        policy = policy.replace(old, new)
    (folder / "policy.toml").write_text(policy, "utf-8")
    url, log = f"https://127.0.0.1:{port}", tmp_path_factory.mktemp("log") / "log"
    command = [sys.executable, "-m", "diadem", "serve", "--node", str(folder), "--listen", f"127.0.0.1:{port}"]
    command += ["--url", url, "--hub", "--metrics", f"127.0.0.1:{numbers}", "--json"]
    with log.open("wb") as errors:
        process = zygote.start(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
    assert process.stdout is not None
    try:
        lines = list(itertools.takewhile(lambda line: line != "}\n", iter(process.stdout.readline, "")))
        assert lines, log.read_text()
        said = json.loads("".join([*lines, "}"]))["serving"]
        assert said["hub"] is True
        found = Served(harbour, url, said["tls"], numbers, log)
        wait_for(found.peer_client(PrivateKey.from_seed(bytes(32))))
        yield found
        for client in found.clients.values():
            client.close()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def test_from_one_spoke_to_the_other(served: Served, tmp_path: Path) -> None:
    file = open_book(tmp_path)
    book = RelayBook(file)
    tallies = [book.tally(side, "hub") for side in (A, B)]
    sender, receiver = HubCarrier(served.spoke(A), tallies[0]), HubCarrier(served.spoke(B), tallies[1])
    relay = served.opened()
    large, small = secrets.token_bytes(16 << 20), b"tag files, sealed"
    sender.put(relay, "2-0-1", large)
    sender.put(relay, "1-0-1", bytearray(small))
    sender.put(relay, "1-0-1", small)
    small_one, large_one = (
        Carried(name, len(data), sha256(data)) for name, data in (("1-0-1", small), ("2-0-1", large))
    )
    assert sorted(receiver.ls(relay), key=lambda one: one.name) == [small_one, large_one]
    assert receiver.get(relay, "2-0-1") == large
    assert receiver.get(relay, "1-0-1") == small
    assert served.spoke(B).status()["used"] == {"bytes": len(large) + len(small), "objects": 2, "messages": 0}
    with pytest.raises(CarrierFull, match="the limit for what waits"):
        sender.put(served.opened(), "2-1-1", bytes(20_000_001 - len(large) - len(small)))
    again = HubCarrier(served.spoke(A), book.tally("again", "hub"))
    again.put(relay, "1-0-1", b"sealed anew, for the answer was lost")
    assert (again.tally.rows(sure=True), again.tally.rows(sure=False)) == ([], [("1-0-1", "", 36)])
    with pytest.raises(NotFound):
        receiver.put(relay, "1-1-1", b"by its recipient")
    receiver.remove(relay, ["2-0-1", "1-0-1"])
    assert receiver.ls(relay) == []
    again.put(relay, "2-0-1", b"sealed anew, though it was taken")
    assert receiver.ls(relay) == []
    both = [(one.name, one.sha256, one.size) for one in (small_one, large_one)]
    assert [tally.rows(sure=True) for tally in tallies] == [both, both]
    tallies[1].forget(["2-0-1"])  # it is sure
    late = HubCarrier(served.spoke(B), book.tally("late", "hub"))
    late.tally.add(relay, [tallies[0].rows(sure=True)[0], ("2-9-1", "ab" * 32, 5)], sure=False)
    late.remove(relay, [])  # answers were lost: the hub tells which of these it has delivered
    assert (late.tally.rows(sure=True), late.tally.rows(sure=False)) == (tallies[0].rows(sure=True)[:1], [])
    file.close()
    assert served.harbour.carried() == []
    receiver.end(relay)
    sender.end(relay)
    assert json.loads(served.spoke(A).end(relay))
    assert list(receiver.ls("0" * 32)) == []
    with pytest.raises(NotFound):
        served.spoke(C).end(relay)


def test_whoever_waits_hears_of_it(served: Served) -> None:
    relay = served.opened()
    came: list[Carried] = []
    waiting = threading.Thread(target=lambda: came.extend(served.spoke(B).ls(relay, wait=10)))
    waiting.start()
    time.sleep(0.2)
    served.spoke(A).put(relay, "0-0-1", b"sealed")
    waiting.join(5)
    assert [one.name for one in came] == ["0-0-1"]
    served.spoke(B).end(relay)


@pytest.mark.parametrize("wait", [0.3, 1.4])
def test_whoever_waits_less_than_whole_seconds_waits_too(served: Served, wait: float) -> None:
    relay, began = served.opened(), time.monotonic()
    assert served.spoke(B).ls(relay, wait=wait) == []
    assert wait <= time.monotonic() - began, "who asks again at once asks a hub many times a second"
    served.spoke(B).end(relay)


def test_a_message_through_a_box(served: Served) -> None:
    invitation = sha256(b"a ticket's secret")
    served.spoke(B).set_box([served.harbour.id(A)], [invitation])
    box, data = served.harbour.id(B), secrets.token_bytes(MAX_SEALED)
    first, second = secrets.token_hex(16), secrets.token_hex(16)
    served.spoke(A).put(box, first, data)
    with pytest.raises(NotFound):
        served.spoke(C).put(box, second, b"sealed")
    served.spoke(C).put(box, second, b"sealed", invitation=invitation)
    assert {one.name: one.size for one in served.spoke(B).ls(box)} == {first: MAX_SEALED, second: 6}
    assert served.spoke(B).get(box, first) == data
    served.spoke(B).taken(box, [first, second])
    assert served.spoke(B).ls(box) == []


def test_strangers_and_users_of_the_hub_get_the_one_answer(served: Served) -> None:
    relay = served.opened()
    served.spoke(A).put(relay, "0-0-1", b"sealed")
    user = served.peer_client(served.harbour.context.keys.open("users/alice"))
    with pytest.raises(NotFound) as of_user:
        user.get_json(f"hub/mailboxes/{relay}")
    with pytest.raises(NotFound) as of_spoke:
        served.spoke(C).ls(relay)
    with pytest.raises(NotFound) as of_nothing:
        served.spoke(B).ls("0" * 32)
    stranger = served.peer_client(PrivateKey.from_seed(bytes(32)))
    with pytest.raises(NotFound) as of_stranger:
        stranger.get_json(f"hub/mailboxes/{relay}")
    answers = {one.value.message for one in (of_user, of_spoke, of_nothing, of_stranger)}
    assert len(answers) == 1
    served.spoke(B).end(relay)


ASTRAY = (
    "../../../node.toml",
    "..%2f..%2fnode.toml",
    "3-0-1",
    "0-01-1",
    "2-0-0",
    "2-0-100",
    "2-0-1.tmp",
    "NUL",
    "2-0-1:x",
)


def test_names_that_lead_astray(served: Served) -> None:
    relay = served.opened()
    before = served.harbour.files()
    for name in ASTRAY:
        with pytest.raises(NotFound):
            served.spoke(A).put(relay, name, b"sealed")
        with pytest.raises(NotFound):
            served.spoke(B).get(relay, name)
    assert served.harbour.files() == before


def test_a_body_that_is_not_what_was_said(served: Served) -> None:
    relay = served.opened()
    key = served.harbour.node(A).context.keys.open("online")
    path = f"hub/mailboxes/{relay}/2-0-1"
    client = served.peer_client(key)
    client.get_json("whoami")
    for pieces in ([b"longer than it was said"], [b"short"]):
        with pytest.raises((PeerRefused, Unreachable)):
            client.put(path, partial(iter, pieces), length=10, digest=body_digest(b"0123456789"))
    with pytest.raises((PeerRefused, Unreachable)):
        client.put(path, bytes(MAX_OBJECT + 1))
    assert served.spoke(B).ls(relay) == []
    assert served.harbour.carried() == []


def test_a_note_that_another_signed_is_not_believed(served: Served) -> None:
    relay = served.opened()
    key = served.harbour.node(A).context.keys.open("online")
    client = HubClient(served.peer_client(key), node=served.harbour.id(A), hub=served.harbour.id(HUB), key=key.public)
    with pytest.raises(IntegrityError, match="did not sign"):
        client.put(relay, "0-0-1", b"sealed")
    served.spoke(B).end(relay)


class Lying(PeerClient):
    """A hub that signs, with its own key, what was not asked for."""

    answer: Mapping[str, Any]

    def put(self, *_: object, **__: object) -> dict[str, Any]:
        return dict(self.answer)

    def post_json(self, *_: object, **__: object) -> dict[str, Any]:
        return dict(self.answer)


def test_a_note_of_something_else_is_not_believed(served: Served) -> None:
    harbour, relay, key = served.harbour, "ab" * 16, served.harbour.node(A).context.keys.open("online")
    lying = Lying([served.url], [served.tls], harbour.id(HUB), key)
    client = HubClient(lying, node=harbour.id(A), hub=harbour.id(HUB), key=harbour.context.keys.open("online").public)
    row = ("0-0-1", sha256(b"sealed"), 6)
    lying.answer = {"stored": harbour.hub.note("stored", [row], relay)}
    assert client.put(relay, "0-0-1", b"sealed").size == 6
    wrong: Mapping[str, tuple[list[tuple[str, str, int]], str]] = {
        "another relay": ([row], "cd" * 16),
        "another name": ([("0-0-2", *row[1:])], relay),
        "other bytes": ([("0-0-1", sha256(b"other"), 6)], relay),
        "another size": ([(*row[:2], 7)], relay),
        "more than was put": ([row, row], relay),
    }
    for rows, of in wrong.values():
        lying.answer = {"stored": harbour.hub.note("stored", rows, of)}
        with pytest.raises(IntegrityError, match="something else"):
            client.put(relay, "0-0-1", b"sealed")
    lying.answer = {"delivered": harbour.hub.note("delivered", [row, ("9-9-9", *row[1:])], relay)}
    with pytest.raises(IntegrityError, match="something else"):
        client.taken(relay, ["0-0-1"])
    lying.answer = {"stored": harbour.hub.note("deleted", [row], relay)}
    with pytest.raises(IntegrityError, match="something else"):
        client.put(relay, "0-0-1", b"sealed")
    lying.answer = {"deleted": harbour.hub.note("deleted", [row], relay), "chain": "", "owed": True}
    with pytest.raises(Unreachable, match="cannot prove yet"):
        client.end(relay)


def test_what_the_operator_sees_and_what_stands_in_the_log(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    relay = served.opened()
    served.spoke(A).put(relay, "2-5-1", bytes(4096))
    served.spoke(B).set_box([served.harbour.id(A)])
    message = secrets.token_hex(16)
    served.spoke(A).put(served.harbour.id(B), message, bytes(100))
    folder = str(served.harbour.context.folder)
    command_line()(["status", "--node", folder, "--json"], standalone_mode=False)
    seen = json.loads(capsys.readouterr().out)["hub"]
    assert (seen["objects"], seen["messages"], seen["bytes"]) == (1, 1, 4196)
    (row,) = [one for one in seen["relays"] if one["id"] == relay]
    assert (row["sender"], row["recipient"], row["objects"], row["bytes"], row["put"]) == (A, B, 1, 4096, 4096)
    (box,) = seen["boxes"]
    assert (box["node"], box["messages"]) == (B, 1)
    command_line()(["status", "--node", folder], standalone_mode=False)
    text = capsys.readouterr().out
    assert "1 sealed window and 1 sealed message wait (4.2 kB)" in text
    assert f"{relay[:8]}  hu-berlin to nmi  1 window, 4.1 kB" in text
    with urllib.request.urlopen(f"http://127.0.0.1:{served.numbers}/metrics") as answer:
        numbers = answer.read().decode()
    assert "diadem_hub_bytes 4196" in numbers
    assert "diadem_hub_objects 1" in numbers
    served.spoke(B).taken(served.harbour.id(B), [message])
    served.spoke(B).end(relay)
    log = served.log.read_text("utf-8")
    assert "hub tidied: 1 half-written and 0 unknown files removed" in log
    assert "PUT hub/mailboxes/{mailbox}/{object}" in log
    for secret in (relay, message, "2-5-1", served.harbour.id(B)):
        assert secret not in log


def test_a_hub_is_asked_where_its_note_says(served: Served) -> None:
    harbour, context = served.harbour, served.harbour.node(A).context
    book = harbour.town.book(A)
    before = book.get(harbour.id(HUB))
    with pytest.raises(NotFound, match="is not a hub"):
        desk_of(context).hub(before.id)
    book.put(before, note=endpoint_note(harbour.context, harbour.town.book(HUB)))
    assert desk_of(context).hub(before.id).status()["used"]["objects"] == 0


def test_the_interface_describes_the_hub(served: Served) -> None:
    paths = served.peer_client(PrivateKey.from_seed(bytes(32))).get_json("openapi.json")["paths"]
    assert {"get", "put"} == set(paths[f"{BASE}hub/mailboxes/{{mailbox}}/{{object}}"])
    assert "507" in paths[f"{BASE}hub/mailboxes/{{mailbox}}/{{object}}"]["put"]["responses"]


class Lists(PeerClient):
    """A hub that says what it likes lies there."""

    def __init__(self, name: str) -> None:
        self.name_given = name

    def get_json(self, path: str, query: Mapping[str, str] | None = None, *, wait: float = 0) -> dict[str, Any]:
        del path, query, wait
        return {"objects": [{"name": self.name_given, "bytes": 3, "sha256": "ab" * 32}]}


@pytest.mark.parametrize("name", ["a b", "\u00fc" * 32, "../whoami", "0" * 31, "0" * 32 + "\n", ""])
def test_a_hub_that_lists_what_is_no_name_is_not_understood(name: str) -> None:
    key = PrivateKey.from_seed(bytes(32))
    with pytest.raises(Unreachable, match="the hub's answer is not understood"):
        HubClient(Lists(name), node="ab" * 32, hub="cd" * 32, key=key.public).ls("ab" * 32)


@pytest.mark.parametrize("name", ["0a" * 16, "2-17-1"])
def test_names_that_a_hub_may_list(name: str) -> None:
    key = PrivateKey.from_seed(bytes(32))
    (found,) = HubClient(Lists(name), node="ab" * 32, hub="cd" * 32, key=key.public).ls("ab" * 32)
    assert found.name == name
