"""A peer that stops in the middle, or sends a byte now and then: it is given up in time, and asked elsewhere."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diadem.errors import Unreachable
from diadem.trust.tls_key import new_certificate, new_tls_key, pin_of_key
from tests.server.conftest import Served
from tests.server.probe_server import FILE

#: Seconds of patience in these tests, and bytes a second.
PATIENCE, SLOWEST = 0.5, 2000.0
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(FILE)

Connected = Callable[[ssl.SSLSocket, threading.Event], None]


def stops(connection: ssl.SSLSocket, end: threading.Event) -> None:
    """Half of the answer, and then nothing."""
    connection.sendall(HEAD + FILE[: len(FILE) // 2])
    end.wait(20)


def drips(connection: ssl.SSLSocket, end: threading.Event) -> None:
    """The head, and then a byte now and then."""
    connection.sendall(HEAD)
    while not end.wait(PATIENCE / 10):
        connection.sendall(b"x")


def drips_from_the_first_line_on(connection: ssl.SSLSocket, end: threading.Event) -> None:
    """A head that never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not end.wait(PATIENCE / 10):
        connection.sendall(b"x")


def says_one_word(connection: ssl.SSLSocket, end: threading.Event) -> None:
    """A short answer, and the line stays open."""
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
    end.wait(20)


def takes_nothing(_: ssl.SSLSocket, end: threading.Event) -> None:
    """Reads nothing."""
    end.wait(20)


@contextmanager
def answering(folder: Path, behave: Connected) -> Iterator[tuple[str, str]]:
    """Address and pin of somebody who answers so."""
    key, end = new_tls_key(), threading.Event()
    (folder / "key.pem").write_bytes(key)
    (folder / "cert.pem").write_bytes(new_certificate(key, name="slow", now=datetime.datetime.now(datetime.UTC)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def serve(listener: socket.socket) -> None:
        while not end.is_set():
            with contextlib.suppress(OSError):
                raw, _ = listener.accept()
                with context.wrap_socket(raw, server_side=True) as connection:
                    if behave is not takes_nothing:
                        connection.recv(65_536)
                    behave(connection, end)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}", pin_of_key(key)
        finally:
            end.set()
            thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diadem.network.client.READ", PATIENCE)
    monkeypatch.setattr("diadem.network.wire.SLOWEST", SLOWEST)


@pytest.mark.parametrize("behave", [stops, drips])
def test_who_stops_in_the_middle_is_given_up_and_another_address_is_asked(
    served: Served, tmp_path: Path, behave: Connected
) -> None:
    with answering(tmp_path, behave) as (url, pin):
        pins = [pin, served.said["tls"]]
        with served.client(urls=[url, served.url], tls_pins=pins) as client:
            began = time.monotonic()
            with pytest.raises(Unreachable), client.stream("probe/file") as found:
                found.read(1 << 30)
            assert time.monotonic() - began < 6 * PATIENCE
            with client.stream("probe/file") as found:
                assert found.read(1 << 30) == FILE


def test_a_short_answer_is_read_at_once_whatever_python_reads_ahead(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("io.DEFAULT_BUFFER_SIZE", 128 << 10)  # as from Python 3.14 on
    with answering(tmp_path, says_one_word) as (url, pin), served.client(urls=[url], tls_pins=[pin]) as client:
        began = time.monotonic()
        assert client.get_json("whoami") == {}
        assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize("behave", [drips, drips_from_the_first_line_on, takes_nothing])
def test_an_answer_that_drips_holds_nobody_up(served: Served, tmp_path: Path, behave: Connected) -> None:
    with answering(tmp_path, behave) as (url, pin), served.client(urls=[url], tls_pins=[pin]) as client:
        client._settled = True
        began = time.monotonic()
        with pytest.raises(Unreachable):
            client.put("probe/body", bytes(30 << 20)) if behave is takes_nothing else client.get_json("whoami")
        assert time.monotonic() - began < 6 * PATIENCE


def test_who_reads_slowly_is_not_taken_for_who_sends_slowly(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diadem.network.wire.SLOWEST", 1e9)  # whoever waits longer than the patience is given up
    with served.client() as client, client.stream("probe/file") as found:
        data = bytearray()
        while len(data) < len(FILE):
            buffer = bytearray(200_000)
            data += buffer[: found.readinto(buffer)]
            time.sleep(PATIENCE / 2)
        assert data == FILE
