"""Who may come in: each way of pretending is turned away before a body is read, and nobody learns whom a node knows."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import diadem
from diadem.api.nodes import open_node
from diadem.errors import NotFound, Refused
from diadem.model.signers import PEER, PENDING, Signer
from diadem.network.askers import find_asker
from diadem.network.exchange import BASE, Services
from diadem.network.http.gate import Admitted, Gate, Head, TurnedAway
from diadem.network.http.limits import Limits
from diadem.network.http.nonces import Nonces
from diadem.network.http.worker import SettingsWatcher, Worker
from diadem.node.context import Context
from diadem.trust.http_signature import EMPTY_DIGEST, LIFETIME, body_digest, sign
from diadem.trust.keys import PrivateKey, PublicKey
from tests.server.probe_server import BODY, routes

NOW = 1_790_000_000
PEER_KEY, PENDING_KEY, STRANGER = (PrivateKey.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
KNOWN = {key.public.key_id: (kind, key) for kind, key in ((PEER, PEER_KEY), (PENDING, PENDING_KEY))}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    base = tmp_path_factory.mktemp("gate")
    with diadem.Node.create(base / "node", name="hu-berlin", user="alice", store=str(base / "store")) as node:
        yield node.context


def find(key_id: str) -> Signer | None:
    if key_id not in KNOWN:
        return None
    kind, key = KNOWN[key_id]
    return Signer(kind, key_id, key.public.to_text(), "ab" * 32, "nmi")  # type: ignore[arg-type]


@dataclass
class Door:
    """A gate, and requests that would pass it."""

    context: Context
    nonces: Nonces
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = lambda: NOW

    def __post_init__(self) -> None:
        services = Services(self.context, find, "test")
        self.gate = Gate(routes(), services, self.nonces, self.limits, self.clock)

    def head(
        self, method: str = "GET", path: str = "whoami", query: str = "", *, key: PrivateKey = PEER_KEY, **more: Any
    ) -> Head:
        body = more.get("body", b"")
        digest = body_digest(body) if body else EMPTY_DIGEST
        to, now = more.get("to", self.context.settings.id), more.get("now", NOW)
        headers = sign(method, BASE + path, query, digest=digest, to=to, key=key, now=now)
        given = {name.lower(): value for name, value in headers.items()}
        given |= {"content-length": str(len(body))} if body or method != "GET" else {}
        given |= more.get("headers", {})
        return Head(method, BASE + path, query, given, frozenset(), "192.0.2.7", "192.0.2.7:1", 700)

    def refusal(self, head: Head) -> TurnedAway:
        with pytest.raises(TurnedAway) as caught:
            self.gate.admit(head)
        return caught.value

    def why(self, head: Head) -> tuple[str, int]:
        away = self.refusal(head)
        return away.reason, away.response.status


@pytest.fixture
def door(context: Context, tmp_path: Path) -> Iterator[Door]:
    nonces = Nonces.open(tmp_path)
    yield Door(context, nonces)
    nonces.close()


def test_a_signed_request_of_a_known_key_comes_in(door: Door) -> None:
    path = f"transfers/{'ab' * 16}/windows/12"
    admitted = door.gate.admit(door.head("GET", path))
    assert isinstance(admitted, Admitted)
    assert admitted.request.params == {"transfer": "ab" * 16, "number": "12"}
    assert admitted.request.known_asker.kind == PEER
    assert admitted.route.name == "GET transfers/{transfer}/windows/{number}"


def test_the_same_request_again_is_turned_away(door: Door) -> None:
    head = door.head()
    door.gate.admit(head)
    assert door.why(head) == ("replayed", 401)


def test_a_nonce_is_used_once_by_all_workers(door: Door, tmp_path: Path) -> None:
    head = door.head()
    door.gate.admit(head)
    other = Nonces.open(tmp_path)
    assert Door(door.context, other).why(head) == ("replayed", 401)
    other.close()


def test_nonces_are_forgotten_only_when_their_time_is_over(door: Door) -> None:
    door.gate.admit(door.head())
    assert door.nonces.sweep(now=NOW + LIFETIME) == 0
    assert door.nonces.sweep(now=NOW + 10 * LIFETIME) == 1


def test_a_request_for_another_node_is_turned_away(door: Door) -> None:
    assert door.why(door.head(to="cd" * 32)) == ("misdirected", 421)


@pytest.mark.parametrize("away", [-LIFETIME - 1, 3 * 86_400, -3 * 86_400])
def test_a_request_of_another_time_is_told_the_time(door: Door, away: int) -> None:
    refused = door.refusal(door.head(now=NOW + away))
    assert (refused.reason, refused.response.status) == ("clock", 401)
    assert isinstance(refused.response.body, bytes)
    assert b'"server_time":"2026-09-21T14:13:20Z"' in refused.response.body


def test_an_unknown_key_and_a_wrong_signature_look_the_same(door: Door) -> None:
    unknown = door.refusal(door.head(key=STRANGER)).response
    wrong = door.head()
    wrong = replace(wrong, headers={**wrong.headers, "signature": f"diadem=:{'A' * 86}==:"})
    assert door.refusal(wrong).response == unknown
    assert unknown.status == 404


@pytest.mark.parametrize("change", [{"path": BASE + "probe/fail"}, {"query": "wait=1"}])
def test_a_signature_of_another_path_or_query_is_turned_away(door: Door, change: dict[str, str]) -> None:
    head = door.head("GET", "probe/news", "wait=2")
    assert door.why(replace(head, **change)) == ("signature", 404)  # type: ignore[arg-type]


def test_a_signature_of_another_method_is_turned_away(door: Door) -> None:
    head = door.head("PUT", "probe/body", body=b"x")
    assert door.why(replace(head, method="POST")) == ("signature", 404)


@pytest.mark.parametrize("name", ["signature", "signature-input", "content-digest", "diadem-to"])
def test_each_header_of_the_signature_is_needed_and_stands_once(door: Door, name: str) -> None:
    head = door.head()
    without = {key: value for key, value in head.headers.items() if key != name}
    assert door.why(replace(head, headers=without)) == ("unsigned", 401)
    assert door.why(replace(head, twice=frozenset({name}))) == ("unsigned", 401)
    door.gate.admit(head)


def test_a_peer_that_is_not_confirmed_finds_nothing_but_what_is_open_to_it(door: Door) -> None:
    door.gate.admit(door.head(key=PENDING_KEY))
    refused = door.refusal(door.head("GET", "probe/news", key=PENDING_KEY))
    assert refused.response == door.refusal(replace(door.head(), path=BASE + "no/such/path")).response
    assert refused.response.status == 404


def test_who_introduces_itself_shows_the_key_that_signed(door: Door) -> None:
    def head(shown: PrivateKey, key: PrivateKey = STRANGER) -> Head:
        more = {"diadem-key": shown.public.to_text()}
        return door.head("POST", "probe/introduced", key=key, body=b"{}", headers=more)

    admitted = door.gate.admit(head(STRANGER))
    assert admitted.request.known_asker.key == STRANGER.public.to_text()
    assert admitted.request.known_asker.kind == "introduced"
    assert door.why(head(PEER_KEY)) == ("signature", 404)
    assert door.why(door.head("POST", "probe/introduced", key=STRANGER, body=b"{}")) == ("signature", 404)


BODIES: dict[str, tuple[dict[str, str], str, int]] = {
    "too large": ({"content-length": str(BODY + 1)}, "too-large", 413),
    "very large": ({"content-length": "9" * 15}, "too-large", 413),
    "no number": ({"content-length": "+1"}, "length", 411),
    "endless": ({"transfer-encoding": "chunked"}, "length", 411),
}


@pytest.mark.parametrize("case", BODIES)
def test_the_length_of_a_body_is_said_beforehand_and_within_the_limit(door: Door, case: str) -> None:
    headers, reason, status = BODIES[case]
    assert door.why(door.head("PUT", "probe/body", headers=headers)) == (reason, status)


def test_a_route_without_a_body_takes_none(door: Door) -> None:
    assert door.why(door.head(headers={"content-length": "1"})) == ("too-large", 413)


@pytest.mark.parametrize("query", ["wait=1&wait=2", "wait=x", "wait", "other=1", "wait=1&" + "x" * 3000, "%"])
def test_a_query_that_the_route_does_not_have_is_turned_away(door: Door, query: str) -> None:
    assert door.why(door.head("GET", "probe/news", query)) == ("query", 400)


def test_another_method_is_told_which_there_are(door: Door) -> None:
    refused = door.refusal(door.head("DELETE", "probe/body"))
    assert refused.response.status == 405
    assert refused.response.headers["allow"] == "POST, PUT"


def test_a_large_head_is_turned_away(door: Door) -> None:
    assert door.why(replace(door.head(), size=Limits().header_bytes + 1)) == ("head", 431)


@pytest.mark.parametrize("path", ["", "/", "/etc/passwd", BASE + "../whoami", BASE + "whoami/", BASE + "whoami%20"])
def test_a_path_that_is_not_in_the_table_is_nothing(door: Door, path: str) -> None:
    assert door.why(replace(door.head(), path=path)) == ("path", 404)


def test_a_key_that_asks_too_often_is_told_to_wait(context: Context, tmp_path: Path) -> None:
    nonces = Nonces.open(tmp_path)
    busy = Door(context, nonces, Limits(key_rate=0.001, key_burst=3))
    for _ in range(3):
        busy.gate.admit(busy.head())
    refused = busy.refusal(busy.head())
    assert (refused.reason, refused.response.status) == ("busy-key", 429)
    assert refused.response.headers["retry-after"] == "1"
    busy.gate.admit(busy.head(key=PENDING_KEY))
    nonces.close()


def test_an_address_that_guesses_is_told_to_wait_and_a_peer_behind_it_is_not(context: Context, tmp_path: Path) -> None:
    nonces = Nonces.open(tmp_path)
    busy = Door(context, nonces, Limits(address_rate=0.001, address_burst=3))
    seen = [busy.why(busy.head(key=STRANGER)) for _ in range(5)]
    assert seen == [("signature", 404)] * 3 + [("busy-address", 429)] * 2
    assert busy.why(busy.head("GET", "health")) == ("busy-address", 429)
    busy.gate.admit(busy.head())
    nonces.close()


def test_where_signatures_of_a_known_key_are_guessed_none_of_that_connection_is_looked_at_any_more(
    context: Context, tmp_path: Path
) -> None:
    nonces = Nonces.open(tmp_path)
    busy = Door(context, nonces, Limits(address_rate=0.001, address_burst=3))
    for number in range(5):
        wrong = busy.head()
        wrong = replace(wrong, headers={**wrong.headers, "signature": f"diadem=:{'A' * 86}==:"})
        assert busy.why(wrong) == (("signature", 404) if number < 3 else ("busy-address", 429))
    assert busy.why(busy.head()) == ("busy-address", 429), "not even a right one: it would have to be computed"
    busy.gate.admit(busy.head(key=PENDING_KEY))
    busy.gate.admit(replace(busy.head(), connection="192.0.2.7:2"))  # its peer, behind the same gateway
    nonces.close()


def test_nothing_is_kept_for_an_address_or_a_key_that_asks_too_often(context: Context, tmp_path: Path) -> None:
    nonces = Nonces.open(tmp_path)
    busy = Door(context, nonces, Limits(address_rate=0.001, address_burst=3, key_rate=0.001, key_burst=1))
    busy.gate.admit(busy.head())
    assert busy.why(busy.head()) == ("busy-key", 429)
    for number in range(9):
        stranger = PrivateKey.from_seed(bytes([10 + number]) * 32)
        head = busy.head("POST", "probe/introduced", key=stranger, body=b"{}")
        head = replace(head, headers={**head.headers, "diadem-key": stranger.public.to_text()})
        if number < 3:
            busy.gate.admit(head)
        else:
            assert busy.why(head) == ("busy-address", 429)
            assert busy.why(replace(head, headers={})) == ("busy-address", 429), "its signature is not even read"
    assert nonces.sweep(now=NOW + 10 * LIFETIME) == 4
    nonces.close()


@pytest.mark.parametrize("alone", [True, False])
def test_one_of_several_workers_takes_in_nothing_that_is_pushed(door: Door, context: Context, alone: bool) -> None:
    app = Worker(str(context.folder), open_node, 8642, Limits(), logging.ERROR, alone=alone)()
    user, now = context.keys.open("users/alice"), int(time.time())
    for method, path in (("GET", "have"), ("PUT", "parts/0"), ("PUT", "windows/0")):
        body = b"x" if method == "PUT" else b""
        asked = door.head(method, f"transfers/{'ab' * 16}/{path}", key=user, now=now, body=body)
        admitted = app.gate.admit(asked)
        assert (admitted.route.intake is not None) is (alone and path == "windows/0")
        with pytest.raises(NotFound if alone else Refused, match="nothing here" if alone else "several processes"):
            admitted.route.handler(admitted.request, app.services)
    app.leave()


def test_a_user_who_was_added_is_known_at_once_and_a_broken_policy_stops_nobody(context: Context) -> None:
    fresh = SettingsWatcher(context, every=0.0)
    with diadem.open_node(context.folder) as other:
        key_id = PublicKey.from_text(other.users.add("bob").key).key_id
    found = find_asker(context, key_id)
    assert found is not None
    assert found.address == "bob@hu-berlin"
    policy = context.folder / "policy.toml"
    before = policy.read_text()
    policy.write_text("[broken")
    fresh.look()
    policy.write_text(before)
    fresh.look()
    assert find_asker(context, key_id) == found


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["GET", "PUT", "POST", "OPTIONS", ""]) | TEXT,
    st.sampled_from([BASE + "whoami", BASE + "probe/body", BASE + "health"]) | TEXT,
    TEXT,
    st.dictionaries(
        st.sampled_from(
            ["signature", "signature-input", "content-digest", "diadem-to", "content-length", "diadem-key"]
        ),
        TEXT,
    ),
)
def test_whatever_comes_is_answered(door: Door, method: str, path: str, query: str, headers: dict[str, str]) -> None:
    head = Head(method, path, query, headers, frozenset(), "192.0.2.7", "192.0.2.7:1", 100)
    if (method, path, query, headers.get("content-length", "0")) == ("GET", BASE + "health", "", "0"):
        return
    assert 400 <= door.refusal(head).response.status < 500


def test_names_of_places_do_not_stand_for_others(door: Door) -> None:
    for number, transfer in itertools.product(["01", "-1", "x", ""], ["ab" * 16]):
        assert door.why(door.head("GET", f"transfers/{transfer}/windows/{number}"))[0] == "path"
    assert door.why(door.head("GET", f"transfers/{'AB' * 16}/windows/1"))[0] == "path"
