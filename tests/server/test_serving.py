"""A listener that really listens: TLS, bodies, slow and hostile askers, the client, and how it begins and ends."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.errors import DiademError, NotFound, Refused, Unreachable
from diadem.model.canonical import encode
from diadem.network.client import PeerClient, PeerLink, PeerRefused
from diadem.network.exchange import BASE
from diadem.network.limits import TRANSFER_MEMORY
from diadem.network.wire import Connection, WrongKey
from diadem.trust.http_signature import EMPTY_DIGEST, body_digest, sign
from diadem.trust.keys import PrivateKey
from diadem.trust.tls_key import new_certificate, new_tls_key, pin_of_key
from tests import zygote
from tests.server.conftest import Served, free_ports, wait_for
from tests.server.probe_server import BODY, FILE, LIMITS, LONG

STRANGER = PrivateKey.from_seed(bytes(32))


@pytest.fixture
def client(served: Served) -> Iterator[PeerClient]:
    with served.client() as found:
        yield found


# -- raw requests, as an enemy writes them -----------------------------------------------------------------------------


def tls(served: Served, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    return context.wrap_socket(socket.create_connection(("127.0.0.1", served.port), timeout=10))


def head(served: Served, method: str, path: str, *, length: int | None = None, **more: Any) -> bytes:
    digest = more.get("digest", EMPTY_DIGEST)
    given = {"to": served.said["node"], "key": served.key, "now": int(time.time())}
    given |= {name: value for name, value in more.items() if name in given}
    headers = {"Host": "x", **sign(method, BASE + path, "", digest=digest, **given)}
    headers |= {} if length is None else {"Content-Length": str(length)}
    headers |= more.get("headers", {})
    lines = [f"{method} {BASE}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def answered(connection: ssl.SSLSocket) -> bytes:
    """All that comes until the listener ends the connection, or has answered with a body that ends with a brace."""
    data = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while piece := connection.recv(65_536):
            data += piece
            if data.endswith(b"}"):
                break
    return data


def status(data: bytes) -> int:
    return int(data.split(b" ", 2)[1]) if data else 0


# -- the usual -------------------------------------------------------------------------------------------------------


def test_the_client_is_known_by_its_key(served: Served, client: PeerClient) -> None:
    found = client.get_json("whoami")
    assert found["asker"] == {
        "kind": "user",
        "key_id": served.key.public.key_id,
        "node_id": served.said["node"],
        "address": "alice@hu-berlin",
    }
    assert found["node"]["name"] == "hu-berlin"


def test_bytes_go_both_ways(client: PeerClient) -> None:
    data = os.urandom(BODY)
    assert client.put("probe/body", data) == {"bytes": BODY, "method": "PUT"}
    pieces = [data[at : at + 100_000] for at in range(0, BODY, 100_000)]
    sent = client.put("probe/body", lambda: pieces, length=BODY, digest=body_digest(data))
    assert sent["bytes"] == BODY
    assert client.post_json("probe/body", {"a": 1})["bytes"] == 7


@pytest.mark.parametrize("asked", [None, (0, None), (5, 6), (1000, 500_000), (len(FILE) - 1, None), (0, len(FILE))])
def test_a_part_of_a_file_comes_as_it_is(client: PeerClient, asked: tuple[int, int | None] | None) -> None:
    start, stop = asked or (0, None)
    with client.stream("probe/file", range=asked) as found:
        wanted = FILE[start:stop]
        assert found.length == len(wanted)
        assert found.read(len(FILE)) == wanted
    assert client.get_json("health") == {"ok": True}


@pytest.mark.parametrize(
    "asked", ["bytes=-5", "bytes=5-4", "bytes=0-1,4-5", "lines=1-2", f"bytes={len(FILE)}-", "bytes="]
)
def test_another_form_of_range_is_refused(served: Served, asked: str) -> None:
    with tls(served) as connection:
        connection.sendall(head(served, "GET", "probe/file", headers={"Range": asked}))
        assert status(answered(connection)) == 416


def test_a_stream_that_breaks_is_no_whole_answer(client: PeerClient) -> None:
    with client.stream("probe/stream") as found:
        assert len(found.read(len(FILE))) == found.length == 3 << 16
    with pytest.raises(Unreachable), client.stream("probe/broken") as found:
        found.read(len(FILE))
    assert client.get_json("health") == {"ok": True}


def test_an_answer_that_is_left_half_read_spoils_no_other(client: PeerClient) -> None:
    with client.stream("probe/file") as found:
        assert 0 < found.readinto(bytearray(10)) <= 10
    assert client.get_json("health") == {"ok": True}


def test_what_follows_an_empty_answer_is_asked_once_over_the_same_connection(served: Served, tmp_path: Path) -> None:
    empty = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    said = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    with _answering(served, tmp_path, empty, said) as client:
        with client.stream("probe/file") as found:
            assert (found.length, bytes(found.read(10))) == (0, b"")
        assert client.post_json("probe/body", {"a": 1}) == {}


def test_a_file_that_does_not_hold_what_was_promised_is_said(client: PeerClient) -> None:
    with pytest.raises(Unreachable, match="cannot be read now"):
        client.stream("probe/gone")


def test_news_are_waited_for(client: PeerClient) -> None:
    assert client.get_json("probe/news", {"wait": "20"}, wait=20) == {"news": True}
    began = time.monotonic()
    assert client.get_json("probe/news", {"wait": "1", "never": "1"}) == {}
    assert 0.9 < time.monotonic() - began < 5


def test_an_answer_is_read_as_far_as_its_reader_says(client: PeerClient) -> None:
    with (
        pytest.raises(Unreachable, match="1,048,576 bytes; at most 1,000 are read"),
        client.stream("probe/file") as found,
    ):
        found.read(1000)


def test_many_threads_share_a_client(client: PeerClient) -> None:
    def ask(number: int) -> bytes:
        with client.stream("probe/file", range=(number * 1000, number * 1000 + 1000)) as found:
            return bytes(found.read(len(FILE)))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(64)))
    assert b"".join(found) == FILE[:64_000]


@pytest.mark.program("a connection ends after seconds")
def test_a_connection_that_was_closed_meanwhile_is_replaced(served: Served, client: PeerClient) -> None:
    client.get_json("health")
    time.sleep(LIMITS.header_time + 0.3)
    assert client.put("probe/body", bytes(100_000))["bytes"] == 100_000


def test_errors_arrive_as_what_they_are_and_tell_nothing_else(client: PeerClient) -> None:
    with pytest.raises(NotFound, match="nothing here"):
        client.get_json("probe/missing")
    with pytest.raises(NotFound, match="nothing here"):
        client.get_json("no/such/path")
    with pytest.raises(PeerRefused) as refused:
        client.get_json("probe/missing", {"why": "refused"})
    assert (refused.value.status, refused.value.code, refused.value.message) == (409, "refused", "hu-berlin: not now")
    assert "secret" not in str(refused.value)
    with pytest.raises(Unreachable, match="failed to answer") as failed:
        client.get_json("probe/fail")
    assert "secret" not in str(failed.value)
    with pytest.raises(PeerRefused) as large:
        client.put("probe/body", bytes(BODY + 1))
    assert large.value.code == "too-large"


# -- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("away", [-3 * 86_400, 3 * 86_400])
def test_a_wrong_clock_is_corrected_once(served: Served, away: int) -> None:
    with served.client(clock=lambda: time.time() + away) as late:
        assert late.get_json("whoami")["asker"]["kind"] == "user"
        assert late.put("probe/body", bytes(200_000))["bytes"] == 200_000


def test_a_clock_that_goes_on_jumping_is_refused(served: Served) -> None:
    moments = iter(range(10**5, 10**8, 10**5))
    with (
        served.client(clock=lambda: time.time() + next(moments)) as mad,
        pytest.raises(Refused, match="clocks disagree"),
    ):
        mad.get_json("whoami")


# -- enemies ---------------------------------------------------------------------------------------------------------


def test_a_request_is_answered_once(served: Served) -> None:
    request = head(served, "GET", "whoami")
    seen = []
    for _ in range(2):
        with tls(served) as connection:
            connection.sendall(request)
            seen.append(status(answered(connection)))
    assert seen == [200, 401]


def test_a_key_that_nobody_knows_is_told_what_is_told_of_what_is_not_there(served: Served) -> None:
    with served.client(sign_with=STRANGER) as unknown, pytest.raises(NotFound, match="nothing here that you may see"):
        unknown.get_json("whoami")


def test_a_key_that_introduces_itself_is_heard_where_that_is_open_to_it(served: Served) -> None:
    with served.client(sign_with=STRANGER) as unknown:
        found = unknown.post_json("probe/introduced", {"a": 1}, introduce=True)
        assert found == {"kind": "introduced", "key": STRANGER.public.to_text(), "bytes": 7}
        with pytest.raises(NotFound):
            unknown.post_json("probe/introduced", {"a": 1})
        with pytest.raises(NotFound):
            unknown.post_json("probe/body", {"a": 1}, introduce=True)


def test_another_body_than_was_signed_is_refused(served: Served) -> None:
    with tls(served) as connection:
        connection.sendall(head(served, "PUT", "probe/body", length=3, digest=body_digest(b"abc")) + b"abd")
        assert b'"code":"digest"' in answered(connection)


def test_a_body_is_taken_in_as_it_comes(client: PeerClient) -> None:
    data = os.urandom(3 * BODY + 5)
    found = client.put("probe/gathered", data)
    assert found["length"] == sum(found["portions"]) == len(data)
    assert len(found["portions"]) > 2
    assert max(found["portions"]) < BODY + 2 * LIMITS.buffer, "never the whole at once"
    with pytest.raises(PeerRefused, match="not now"):
        client.put("probe/gathered", data, {"why": "refused"})
    with pytest.raises(PeerRefused, match="this is wrong"):
        client.put("probe/gathered", b"wrong" + data)
    assert client.put("probe/gathered", b"")["bytes"] == 0


def test_what_came_of_a_body_before_the_line_was_cut_is_kept(served: Served, client: PeerClient) -> None:
    with tls(served) as connection:
        connection.sendall(head(served, "PUT", "probe/gathered", length=3 * BODY) + bytes(BODY + 9))
        connection.shutdown(socket.SHUT_WR)
        end = time.monotonic() + 5
        while sum(came := client.get_json("probe/gathered")["portions"]) != BODY + 9:
            assert time.monotonic() < end, came
            time.sleep(0.05)
    with tls(served) as connection:
        connection.sendall(head(served, "PUT", "probe/gathered", length=3, digest=body_digest(b"abc")) + b"abd")
        assert b'"code":"digest"' in answered(connection)


@pytest.mark.parametrize("begun", [b"", b"abc"])
def test_a_body_that_never_ends_is_given_up(served: Served, begun: bytes) -> None:
    began = time.monotonic()
    with tls(served) as connection:
        connection.sendall(head(served, "PUT", "probe/body", length=1000) + begun)
        assert status(answered(connection)) == 408
        assert answered(connection) == b""
    assert time.monotonic() - began < 4


def test_a_body_that_drips_is_given_up(served: Served) -> None:
    began = time.monotonic()
    with tls(served) as connection:
        connection.sendall(head(served, "PUT", "probe/body", length=100_000))

        def drip() -> None:
            with contextlib.suppress(OSError):
                while time.monotonic() - began < 8:
                    connection.sendall(b"a")
                    time.sleep(LIMITS.silence / 5)

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert status(answered(connection)) == 408
        assert time.monotonic() - began < 5
        connection.close()
        dripping.join()


@contextlib.contextmanager
def dripping(connections: Sequence[ssl.SSLSocket]) -> Iterator[None]:
    """Bodies that come on these connections, a byte at a time."""
    over = threading.Event()

    def drip() -> None:
        while not over.wait(LIMITS.silence / 5):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.sendall(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        time.sleep(LIMITS.silence)
        yield
    finally:
        over.set()
        thread.join()


def test_slow_strangers_keep_nobody_else_from_introducing_themselves(served: Served) -> None:
    stranger = {"headers": {"Diadem-Key": STRANGER.public.to_text()}, "key": STRANGER}
    with contextlib.ExitStack() as open_:
        connections = [open_.enter_context(tls(served)) for _ in range(LIMITS.foreign_bodies // (2 * BODY) + 1)]
        for connection in connections:
            connection.sendall(head(served, "POST", "probe/introduced", length=BODY, **stranger))
        open_.enter_context(dripping(connections))
        began = time.monotonic()
        with served.client(sign_with=STRANGER) as honest:
            assert honest.post_json("probe/introduced", {}, introduce=True)
        assert time.monotonic() - began < 2.5, "it waited for those who drip"


def test_what_is_small_does_not_wait_for_large_bodies_that_come(served: Served, client: PeerClient) -> None:
    with contextlib.ExitStack() as open_:
        connections = [open_.enter_context(tls(served)) for _ in range(TRANSFER_MEMORY // (4 * BODY) + 1)]
        for connection in connections:
            connection.sendall(head(served, "PUT", "probe/body", length=BODY))
        open_.enter_context(dripping(connections))
        began = time.monotonic()
        assert client.post_json("probe/body", {"a": 1})["bytes"] == 7
        assert time.monotonic() - began < 2.5, "it waited for those who drip"


def test_windows_that_drip_for_several_keys_keep_that_of_another_waiting_for_a_turn_only(
    served: Served, client: PeerClient
) -> None:
    with contextlib.ExitStack() as open_:
        connections = [open_.enter_context(tls(served)) for _ in range(2 * (TRANSFER_MEMORY // (8 * BODY) + 2))]
        for number, connection in enumerate(connections):
            key = served.others[number % len(served.others)]
            connection.sendall(head(served, "PUT", "probe/gathered", length=4 * BODY, key=key))
        open_.enter_context(dripping(connections))
        began = time.monotonic()
        assert client.put("probe/gathered", bytes(3 * BODY))["length"] == 3 * BODY
        assert time.monotonic() - began < 8, "it waited for those who drip"


@pytest.mark.skipif(sys.platform == "win32", reason="there a process cannot look at its sockets")
@pytest.mark.program("a reader that is slow for seconds")
def test_an_answer_waits_for_who_reads_it_slowly(served: Served, client: PeerClient) -> None:
    readers = 4
    before = client.get_json("probe/given")["bytes"]
    with contextlib.ExitStack() as open_:
        slow = [open_.enter_context(tls(served)) for _ in range(readers)]
        for connection in slow:
            connection.sendall(head(served, "GET", "probe/long"))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        time.sleep(3)
        given = client.get_json("probe/given")["bytes"] - before
        assert given < readers * 24 * BODY, f"{given >> 20} MiB went into memory for {readers} who read nothing"
        came = sum(len(piece) for piece in iter(lambda: slow[0].recv(1 << 16), b""))
        assert came >= LONG - 1000
    with client.stream("probe/long") as whole:
        assert sum(iter(lambda: whole.readinto(bytearray(1 << 20)), 0)) == LONG


def test_a_head_that_never_ends_is_given_up(served: Served) -> None:
    began = time.monotonic()
    with tls(served) as silent, tls(served) as dripping:
        for _ in range(30):
            try:
                dripping.sendall(b"GET / HTTP/1.1\r\n" if _ == 0 else b"X-A: b\r\n")
            except OSError:
                break
            time.sleep(0.15)
            if time.monotonic() - began > LIMITS.first_time + 1.5:
                break
        assert answered(silent) == b""
        assert answered(dripping) == b""
    assert time.monotonic() - began < LIMITS.first_time + 4


def test_a_flood_of_headers_is_refused(served: Served) -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(500))
    large = b"X-A: " + b"y" * (LIMITS.header_bytes + 1) + b"\r\n"
    huge = b"X-A: " + b"y" * (4 << 20) + b"\r\n"
    for flood in (many, large, huge):
        with tls(served) as connection, contextlib.suppress(OSError):
            connection.sendall(b"GET /diadem/v1/health HTTP/1.1\r\nHost: x\r\n" + flood + b"\r\n")
            assert status(answered(connection)) in (431, 0)


def test_older_tls_and_no_tls_are_refused(served: Served) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)version"):
        tls(served, newest=ssl.TLSVersion.TLSv1_2)
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain:
        plain.sendall(b"GET /diadem/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"ok" not in plain.recv(1000)


def test_a_websocket_is_none(served: Served) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    with tls(served) as connection:
        connection.sendall(head(served, "GET", "whoami", headers={**upgrade, "Sec-WebSocket-Version": "13"}))
        assert status(answered(connection)) == 200


def test_hundreds_of_connections_do_not_stop_it(served: Served, client: PeerClient) -> None:
    crowd = [socket.create_connection(("127.0.0.1", served.port), timeout=10) for _ in range(300)]
    try:
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            for one in crowd[:40]:
                stack.enter_context(one).sendall(b"\x16\x03\x01")
        for one in crowd[40:]:
            one.close()
        assert client.get_json("whoami")["asker"]["kind"] == "user"
        assert time.monotonic() - began < 10
    finally:
        for one in crowd:
            one.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no second address by themselves")
def test_one_address_that_holds_many_handshakes_keeps_no_other_out(served: Served) -> None:
    """It shakes three times as many hands as the listener holds at once, and says no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    crowd = [socket.create_connection(("127.0.0.1", served.port), 10) for _ in range(3 * LIMITS.connections)]
    with ThreadPoolExecutor(len(crowd)) as pool:
        hands = [pool.submit(context.wrap_socket, one) for one in crowd]
        time.sleep(0.5)
        began = time.monotonic()
        with (
            socket.create_connection(("127.0.0.1", served.port), 10, ("127.0.0.2", 0)) as plain,
            context.wrap_socket(plain) as other,
        ):
            other.sendall(head(served, "GET", "whoami"))
            assert status(answered(other)) == 200
            served_after = time.monotonic() - began
    for hand in hands:
        with contextlib.suppress(OSError):
            hand.result().close()
    for one in crowd:
        one.close()
    assert served_after < LIMITS.header_time


def test_who_shakes_hands_and_says_nothing_is_given_up_soon(served: Served) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as silent:
        assert silent.recv(1) == b""
    assert time.monotonic() - began < LIMITS.first_time + 1.5, "granian alone waits for ten seconds"


# -- who answers -----------------------------------------------------------------------------------------------------


def test_nothing_is_sent_to_who_shows_another_key(served: Served, tmp_path: Path) -> None:
    with served.client(tls_pins=["ab" * 32]) as wrong, pytest.raises(WrongKey, match="TLS key"):
        wrong.get_json("whoami")
    heard = _impostor(served, tmp_path)
    assert heard == b""


def _impostor(served: Served, folder: Path) -> bytes:
    """What somebody else who answers at the address gets to hear."""
    key = new_tls_key()
    files = [folder / "key.pem", folder / "certificate.pem"]
    files[0].write_bytes(key)
    files[1].write_bytes(new_certificate(key, name="hu-berlin", now=datetime.datetime.now(datetime.UTC)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                raw, _ = listener.accept()
                raw.settimeout(5)
                with context.wrap_socket(raw, server_side=True) as connection:
                    heard.append(connection.recv(1000))

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with served.client(urls=[url]) as client, pytest.raises(WrongKey):
            client.get_json("whoami")
        thread.join()
        connection = Connection(url, [pin_of_key(key)])
        thread = threading.Thread(target=answer)
        thread.start()
        connection.connect()
        connection.close()
        thread.join()
    assert len(heard) <= 2
    return b"".join(heard)


WORDS = encode({"error": {"message": "\x1b[2J\u202eall is well", "next": "\x07"}}, where="test")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 \x1b[2J\x9b31mall is well\x85\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 409 Conflict\r\ncontent-length: %d\r\n\r\n%s" % (len(WORDS), WORDS),
    ],
)
def test_what_a_peer_answers_is_obeyed_by_no_terminal(served: Served, tmp_path: Path, answer: bytes) -> None:
    with _answering(served, tmp_path, answer) as client, pytest.raises(DiademError) as told:
        client.get_json("whoami")
    assert "all is well" in str(told.value)
    assert told.value.line.isprintable()


@pytest.mark.parametrize("waiting", [b"5", b"null", b'"five"', b"{}"])
def test_messages_that_are_none_are_not_understood(served: Served, tmp_path: Path, waiting: bytes) -> None:
    answer = _said(b'{"messages":%s}' % waiting)
    with _answering(served, tmp_path, answer) as client, pytest.raises(Unreachable, match="does not understand"):
        PeerLink(client).waiting_messages()


def test_what_is_no_message_holds_up_no_other(served: Served, tmp_path: Path) -> None:
    answer = _said(b'{"messages":[5,{"a":1},null,"five",{"b":2},[]]}')
    with _answering(served, tmp_path, answer) as client:
        assert PeerLink(client).waiting_messages() == [b'{"a":1}', b'{"b":2}']


@pytest.mark.parametrize(
    ("start", "stop", "fits"), [(0, 9, True), (0, 5, True), (0, 4, False), (1, 5, False), (5, 10, False)]
)
def test_a_whole_window_is_taken_where_it_is_what_was_asked_for_or_begins_it(
    served: Served, tmp_path: Path, start: int, stop: int, fits: bool
) -> None:
    with _answering(served, tmp_path, _said(b"whole")) as client:
        way = PeerLink(client)
        if fits:
            came = bytearray(10)
            with way.open_window("5e" * 16, 0, start, stop) as found:
                assert bytes(came[: found.readinto(memoryview(came))]) == b"whole"
        else:
            with pytest.raises(Unreachable, match="different bytes"):
                way.open_window("5e" * 16, 0, start, stop)


def _said(body: bytes) -> bytes:
    """An answer with such a body."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def test_an_answer_that_says_it_is_huge_takes_no_memory(served: Served, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\nlittle"
    with (
        _answering(served, tmp_path, answer) as client,
        client.stream("whoami") as found,
        pytest.raises(Unreachable, match="99,999,999,999,999 bytes"),
    ):
        found.read(1 << 20)


@contextlib.contextmanager
def _answering(served: Served, folder: Path, *answers: bytes) -> Iterator[PeerClient]:
    """A client of somebody who takes one connection, and gives these answers in turn, whatever is asked."""
    key = new_tls_key()
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(new_certificate(key, name="hu-berlin", now=datetime.datetime.now(datetime.UTC)))
    files[1].write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            with context.wrap_socket(raw, server_side=True) as connection:
                for answer in answers:
                    connection.recv(10_000)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with served.client(urls=[url], tls_pins=[pin_of_key(key)]) as client:
            yield client
        thread.join()


def test_why_nobody_answers_is_said(served: Served) -> None:
    closed = free_ports(1)[0]
    cases = {
        f"https://127.0.0.1:{closed}": "nothing listens",
        "https://no-such-host.invalid:8642": "name is not known",
        f"https://127.0.0.1:{served.numbers}": "does not speak TLS|failed",
    }
    for url, words in cases.items():
        with served.client(urls=[url]) as client, pytest.raises(Unreachable, match=words):
            client.get_json("whoami")
    with served.client(urls=list(cases)) as client, pytest.raises(Unreachable, match="any of its addresses"):
        client.get_json("whoami")
    with pytest.raises(Unreachable, match="given no address"):
        served.client(urls=[])


def test_addresses_are_tried_in_turn(served: Served) -> None:
    with served.client(urls=[f"https://127.0.0.1:{free_ports(1)[0]}", served.url]) as client:
        assert client.get_json("health") == {"ok": True}


# -- numbers and words -----------------------------------------------------------------------------------------------


def test_numbers_and_log_tell_no_secrets(served: Served, client: PeerClient) -> None:
    transfer = "5e" * 16
    assert client.get_json(f"probe/{transfer}/7") == {"bytes": 0, "method": "GET"}
    with pytest.raises(PeerRefused):
        client.get_json("probe/news", {"wait": "hunter2"})
    with pytest.raises(Unreachable):
        client.get_json("probe/fail")
    wanted = 'diadem_requests_total{route="GET probe/{transfer}/{number}",status="200"} 1'
    numbers = ""
    for _ in range(60):
        numbers = urllib.request.urlopen(f"http://127.0.0.1:{served.numbers}/metrics").read().decode()
        if wanted in numbers:
            break
        time.sleep(0.1)
    assert wanted in numbers
    assert 'diadem_refused_total{reason="query"}' in numbers
    for figure in ('store_reachable{store="main"} 1', 'store_free_bytes{store="main"} ', "watchers 0"):
        assert f"\ndiadem_{figure}" in numbers
    # Other tests of this process may have archived here before.
    assert re.search(r"^diadem_packages \d+$", numbers, re.MULTILINE)
    log = served.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    line = next(one for one in lines if one["route"].startswith("GET probe/{transfer}"))
    assert "GET probe/fail failed: RuntimeError in fail (probe_server.py:" in log
    assert line["asker"] == "alice@hu-berlin"
    assert set(line) == {"time", "asker", "route", "status", "received", "sent", "seconds"}
    for secret in (transfer, "hunter2", "a secret of this node", "Signature", served.key.public.key_id):
        assert secret not in log
        assert secret not in numbers


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("taken", ""),
        ("paused", ""),
        ("short", "GET probe/ends broke off: Unreachable"),
        ("store", "GET probe/ends broke off: StoreError"),
    ],
)
def test_an_answer_that_ends_for_a_good_reason_is_no_fault(
    served: Served, client: PeerClient, why: str, words: str
) -> None:
    client.get_json("health")
    begin = served.log.stat().st_size
    with pytest.raises(Unreachable):
        client.get_json("probe/ends", {"why": why})
    for _ in range(50):
        lines = served.log.read_bytes()[begin:].decode().splitlines()
        if told := [json.loads(one) for one in lines if '"GET probe/ends"' in one]:
            break
        time.sleep(0.1)
    assert told[0].get("refused") == "ended"
    assert told[0]["status"] == 200
    assert [one for one in lines if not one.startswith("{")] == ([words] if words else [])


def test_the_numbers_are_read_only(served: Served) -> None:
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{served.numbers}/other")


# -- beginning and ending --------------------------------------------------------------------------------------------


def command(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    given = [sys.executable, "-m", "diadem", "serve", "--json", "--node", str(folder), *more]
    return zygote.run(given, timeout=30)


def test_a_second_server_of_the_node_is_refused(served: Served) -> None:
    found = command(served.folder, "--listen", f"127.0.0.1:{free_ports(1)[0]}")
    assert found.returncode == 4
    message = json.loads(found.stdout or found.stderr)["error"]["message"]
    assert "already served" in message
    assert f"at 127.0.0.1:{served.port}" in message
    process = int(message.partition("(process ")[2].partition(")")[0])
    assert process != os.getpid()
    os.kill(process, 0)  # it lives


def test_a_server_begins_says_so_and_ends_soon(served: Served, tmp_path: Path) -> None:
    with diadem.Node.create(tmp_path / "node", name="nmi", user="bob", store=str(tmp_path / "store")) as node:
        folder = node.path
    taken = command(folder, "--listen", f"127.0.0.1:{served.port}")
    assert taken.returncode == 4
    assert "another program listens" in json.loads(taken.stdout or taken.stderr)["error"]["message"]
    port = free_ports(1)[0]
    given = ["--listen", f"127.0.0.1:{port}", "--url", "https://archive.example.org:8642"]
    with started(folder, *given) as (process, said), reached(folder, port, said):
        assert any("https://archive.example.org:8642" in line for line in said)
        process.kill()  # its workers must not go on without it
    with diadem.open_node(folder) as node:
        assert node.context.settings.server.listen == f"127.0.0.1:{port}"
    _wait_until_free(port)
    with started(folder) as (process, said), reached(folder, port, said):
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert time.monotonic() - began < 12


@contextlib.contextmanager
def started(folder: Path, *given: str) -> Iterator[tuple[zygote.Process, list[str]]]:
    """A server as a person starts it, and the lines that it says at first."""
    process = zygote.start(
        [sys.executable, "-m", "diadem", "serve", "--node", str(folder), *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield process, [process.stdout.readline() for _ in range(8)]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def reached(folder: Path, port: int, said: list[str]) -> Iterator[PeerClient]:
    """A client that has got an answer."""
    pin = next(line for line in said if line.startswith("TLS key")).split()[-1]
    with diadem.open_node(folder) as node:
        key, node_id = node.context.keys.open("users/bob"), node.id
    with PeerClient([f"https://127.0.0.1:{port}"], [pin], node_id, key) as client:
        wait_for(client)
        yield client


def _wait_until_free(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise AssertionError("somebody still listens")
