"""A process killed before any transaction of its book: given anew, the command loses nothing and says nothing twice."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

import diadem
from diadem.custody.statements import transfer_subject
from diadem.errors import Refused
from diadem.model.transfers import State
from diadem.network.rounds import sync
from diadem.store.sqlite_file import SqliteFile
from tests.transfer.pair import Pair, Side
from tests.transfer.test_datasets_owed import on_a_disk, require_as_made_anew
from tests.transfer.towns import Town


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(side: Side, number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """End a node's process in the place of the n-th durable transaction of its book; counts those before it."""
    written = [0]
    writing: Callable[..., AbstractContextManager[Connection]] = SqliteFile.writing

    def write(file: SqliteFile, **options: Any) -> AbstractContextManager[Connection]:
        if file is side.desk.book._file and options.get("durable", True):
            if written[0] == number:
                raise Killed
            written[0] += 1
        return writing(file, **options)

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(SqliteFile, "writing", write)
        yield written


def kinds_of(side: Side, transfer: str) -> list[str]:
    return [entry.statement.kind for entry in side.node.context.ledger.of_subject(transfer_subject(transfer).sha256)]


@pytest.mark.parametrize(
    ("verb", "killed", "state"),
    [
        ("send", "a", State.OFFERED),
        ("decline", "b", State.DECLINED),
        ("cancel", "a", State.REVOKED),
        ("accept", "b", State.CLOSED),
    ],
)
@pytest.mark.sweep(1)
def test_killed_before_any_transaction(
    pair: Pair, verb: str, killed: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair.a, pair.b
    whole = False
    for number in range(40):
        package = a.archived(f"session-{number}", {"a.txt": b"a%d" % number})
        sent = a.node.send(package, "marie@nmi").id if verb != "send" else ""
        verbs: dict[str, Callable[[], object]] = {
            "send": partial(a.node.send, package, "marie@nmi"),
            "accept": partial(b.node.accept, sent),
            "decline": partial(b.node.decline, sent),
            "cancel": partial(a.node.transfers.cancel, sent),
        }
        with killed_at(getattr(pair, killed), number, monkeypatch) as written:
            verbs[verb]()
            whole = written[0] <= number
        with contextlib.suppress(Refused):  # it was done, as far as the command is concerned
            verbs[verb]()
        for side in (b, a):
            sync(side.desk)
        (there,) = [one for one in b.desk.book.all() if one.package == package]
        here = a.desk.book.get(there.id)
        assert (here.state, there.state, here.error, there.error) == (state, state, "", ""), number
        assert a.desk.outbox.waiting() + b.desk.outbox.waiting() == [], number
        said = kinds_of(a, there.id) + kinds_of(b, there.id)
        assert len(said) == len(set(said)), number
        if whole:
            return
    pytest.fail("it never came to its end")


def test_killed_within_a_node(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    side, whole = pair.a, False
    side.node.users.add("bob")
    bob = diadem.open_node(side.node.path, user="bob")
    bob.context.once("desk", lambda: replace(side.desk, context=bob.context))
    for number in range(40):
        package = side.archived(f"session-{number}", {"a.txt": b"a%d" % number})
        with killed_at(side, number, monkeypatch) as written:
            sent = side.node.send(package, "bob@hu-berlin").id
            bob.accept(sent)
            whole = written[0] <= number
        sent = side.node.send(package, "bob@hu-berlin").id if not whole else sent
        with contextlib.suppress(Refused):
            bob.accept(sent)
        assert side.desk.book.get(sent).state is State.CLOSED, number
        assert kinds_of(side, sent) == ["offer", "acceptance", "receipt", "closure"], number
        if whole:
            break
    bob.close()
    assert whole


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
@pytest.mark.parametrize("then", ["cancel", "import"])
def test_killed_between_the_catalogue_and_the_log(town: Town, tmp_path: Path, then: str) -> None:
    """What was entered and never stated is no package of this node once its transfer is over."""
    package, disk, folder = on_a_disk(town, tmp_path, {"frame.dat": b"frame"})
    code = """if True:
        import os, signal, sys, diadem
        from diadem.network import landing
        landing.say_received = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        diadem.open_node(sys.argv[1]).import_(sys.argv[2])
    """
    ended = subprocess.run([sys.executable, "-c", code, str(folder), str(disk)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    with diadem.open_node(folder) as again:
        (transfer,) = again.transfers.ls()
        if then == "cancel":
            again.transfers.cancel(transfer.id)
        else:
            again.import_(disk)
        found = [row.id for row in again.search("").rows]
        assert found == ([] if then == "cancel" else [package])
        assert again.context.catalogue.count() == len(found)
        require_as_made_anew(again)
