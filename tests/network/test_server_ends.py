"""A node that serves is told to end while bytes move: it ends within seconds, and what came is not fetched again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import diadem
from tests import zygote
from tests.cli.inside import said, said_json
from tests.server.conftest import free_ports

#: Bytes of the package; bytes a second of a connection; and what all may have had under way when they were cut.
SIZE, RATE, UNDER_WAY = 24 << 20, 512 << 10, 10 << 20


@contextlib.contextmanager
def narrow(port: int) -> Iterator[tuple[int, threading.Event]]:
    """A port that leads to another one over a narrow line, and what makes it wide."""
    wide, over = threading.Event(), threading.Event()

    def carry(source: socket.socket, target: socket.socket, pause: float) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(RATE // 20):
                target.sendall(data)
                wide.wait(pause * len(data) / RATE)
            target.shutdown(socket.SHUT_WR)

    def accept(listener: socket.socket) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                inner, _ = listener.accept()
                with inner, socket.create_connection(("127.0.0.1", port)) as outer:
                    for one, other, pause in ((inner, outer, 0.0), (outer, inner, 1.0)):
                        carried = partial(carry, one.dup(), other.dup(), pause)
                        threading.Thread(target=carried, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        try:
            yield int(listener.getsockname()[1]), wide
        finally:
            wide.set()
            over.set()
            thread.join()


@contextlib.contextmanager
def served(node: Path, *words: str) -> Iterator[zygote.Process]:
    """A node that serves, which says so."""
    command = [sys.executable, "-m", "diadem", "serve", "--json", "--quiet", "--node", str(node), *words]
    process = zygote.start(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), "it did not begin"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ends_soon(process: zygote.Process, *, code: int = 0, within: float = 12) -> None:
    """Tell a server, or a command that waits, to end."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == code
    assert time.monotonic() - began < within


@pytest.mark.skipif(os.name == "nt", reason="there a signal ends a process without a word")
@pytest.mark.program("a large package on a slow line")
def test_who_is_told_to_end_while_bytes_move_ends_soon_and_they_go_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    sender, receiver = (tmp_path / name / "node" for name in ("hu-berlin", "nmi"))
    for node, user in ((sender, "alice"), (receiver, "marie")):
        diadem.Node.create(node, name=node.parent.name, user=user, store=str(node.parent / "store")).close()
    session = tmp_path / "session"
    session.mkdir()
    (session / "large.bin").write_bytes(random.Random(7).randbytes(SIZE))
    package = said_json("archive", session, "--now", "--node", sender)["package"]["id"]
    (port,) = free_ports(1)
    with narrow(port) as (outside, wide):
        listen = ("--listen", f"127.0.0.1:{port}", "--url", f"https://127.0.0.1:{outside}")
        with served(sender, *listen) as sending:
            with diadem.open_node(receiver) as opened:
                ticket = said_json("peer", "invite", "--for", opened.id, "--node", sender)["ticket"]
            said("peer", "join", ticket, "--node", receiver)
            transfer = said_json("send", package, "marie@nmi", "--node", sender)["transfer"]["id"]
            said("inbox", "--node", receiver)
            said("accept", transfer, "--no-wait", "--node", receiver)
            journal = receiver.parent / "store" / ".diadem" / "arriving" / transfer / "journal"

            def until_bytes_come(before: int) -> int:
                until = time.monotonic() + 60
                while (now := journal.stat().st_size if journal.exists() else 0) <= before:
                    assert time.monotonic() < until, "nothing comes"
                    time.sleep(0.05)
                return now

            with served(receiver, "--listen", "none") as receiving:
                came = until_bytes_come(0)
                ends_soon(receiving)
            with served(receiver, "--listen", "none"):
                until_bytes_come(came)
                ends_soon(sending)
        assert "transferring" in said("transfer", "show", transfer, "--node", receiver, code=None)
        with socket.create_server(("127.0.0.1", port)):  # where somebody listens and says nothing
            for words in (["transfer", "sync"], ["transfer", "resume", transfer]):
                command = [sys.executable, "-m", "diadem", *words, "--node", str(receiver)]
                waiting = zygote.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(2)
                ends_soon(waiting, code=6, within=4)  # it waits for no handshake
        wide.set()
        with served(sender, *listen):
            said("transfer", "resume", transfer, "--node", receiver)
            shown = said_json("transfer", "show", transfer, "--node", receiver)["transfer"]
    assert shown["state"] == "closed"
    assert shown["counts"]["received"] - SIZE < UNDER_WAY
