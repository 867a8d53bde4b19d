"""Real processes: killed at any moment, and many of them writing at once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from diadem.custody.log import Ledger
from diadem.custody.log_recovery import recover
from diadem.custody.verify import verify_chains
from diadem.store.folder import FolderStore
from diadem.trust.note import open_checkpoint
from diadem.trust.tree import root_of
from tests.custody.group import ORIGIN, Group, fixity, ingest, package

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tests.custody.writer"]
forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="the fast way to start processes needs fork")


@pytest.fixture(scope="module")
def starter() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported everything and forks a writer at a word."""
    with subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def made(tmp_path: Path) -> tuple[Group, FolderStore]:
    (tmp_path / "store").mkdir()
    store = FolderStore(tmp_path / "store")
    group = Group(tmp_path / "log").create(store)
    group.say(ingest(0))
    group.ledger.close()
    return group, store


def require_sound(ledger: Ledger, group: Group) -> None:
    """Checkpoint, tree, and the links of every statement: by the log's own check, and by another way."""
    assert ledger.check() == ()
    entries = list(ledger.entries())
    seen = open_checkpoint(ledger.checkpoint(), group.log.public, f"{ORIGIN}/1")
    assert (seen.size, seen.root) == (len(entries), root_of(entry.leaf for entry in entries))
    assert [entry.index for entry in entries] == list(range(len(entries)))
    newest: dict[str, str] = {}
    for entry in entries:
        for subject, prev in entry.statement.prev.items():
            assert prev == newest.get(subject)
            newest[subject] = entry.statement_id


@forking
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.sweep(5)
def test_a_kill_leaves_a_log_that_opens(starter: subprocess.Popen[str], tmp_path: Path, seed: int) -> None:
    group, store = made(tmp_path)
    (tmp_path / "said").touch()
    assert starter.stdin is not None
    assert starter.stdout is not None
    starter.stdin.write(f"{tmp_path / 'log'}\t{tmp_path / 'store'}\t1\t1000\t1\n")
    starter.stdin.flush()
    child = int(starter.stdout.readline())
    until = time.monotonic() + 10
    while seed % 4 and not (tmp_path / "said").stat().st_size and time.monotonic() < until:
        time.sleep(0.001)  # three in four die while they write, the others perhaps while they open the log
    time.sleep(random.Random(seed).uniform(0.0, 0.1))
    os.kill(child, signal.SIGKILL)
    assert starter.stdout.readline() == "ended\n"

    group.open(store)
    require_sound(group.ledger, group)
    said = (tmp_path / "said").read_text().splitlines()
    assert said or not seed % 4
    for line in said:
        index, statement_id = line.split()
        assert group.ledger.entry(int(index)).statement_id == statement_id
    group.say(fixity(0))
    require_sound(group.ledger, group)
    assert group.ledger.mirrors.pending() == 0
    assert verify_chains([group.export(package(0))], pins=[group.node]).counts["proved"] == 2
    size = group.ledger.size
    group.ledger.close()
    shutil.rmtree(group.folder)
    found = recover(
        group.folder,
        store,
        node=group.node,
        root=group.root,
        log_key=group.log,
        reason="the disk died too",
        clock=group.clock,
    )
    found.ledger.close()
    assert (found.entries, found.findings) == (size, ())


def test_two_processes_and_ten_threads_write_at_once(tmp_path: Path) -> None:
    group, store = made(tmp_path)
    commands = [
        [*COMMAND, str(tmp_path / "log"), str(tmp_path / "store"), str(first), "6", "5"] for first in (100_000, 200_000)
    ]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    said = dict(line.split() for output in outputs for line in output.splitlines())
    assert len(said) == 2 * 5 * (1 + 2 + 3 + 4 + 1 + 2)
    group.open(store)
    require_sound(group.ledger, group)
    assert group.ledger.size == 5 + len(said)
    for index, statement_id in said.items():
        assert group.ledger.entry(int(index)).statement_id == statement_id
    assert group.ledger.mirrors.push() == {}
    size = group.ledger.size
    group.ledger.close()
    shutil.rmtree(group.folder)
    found = recover(
        group.folder,
        store,
        node=group.node,
        root=group.root,
        log_key=group.log,
        reason="to see what the store has",
        clock=group.clock,
    )
    found.ledger.close()
    assert (found.entries, found.findings) == (size, ())


def test_a_killed_process_of_its_own(tmp_path: Path) -> None:
    """The same without fork, on every system."""
    group, store = made(tmp_path)
    command = [*COMMAND, str(tmp_path / "log"), str(tmp_path / "store"), "1", "1000", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(5)]
        process.kill()
    group.open(store)
    require_sound(group.ledger, group)
    assert all(group.ledger.entry(int(index)).statement_id == statement_id for index, statement_id in said)
    group.say(fixity(0))
    assert group.ledger.mirrors.pending() == 0
    group.ledger.close()
