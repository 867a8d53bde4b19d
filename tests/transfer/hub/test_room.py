"""The disk of a hub: processes that are killed, two at once, files that go, and no room."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diadem.model.policy import Hub as Rules
from diadem.network.hub.hub import Tidied
from tests import zygote
from tests.transfer.hub.harbour import RULES, A, B, C, Harbour, become_hub
from tests.transfer.hub.putter import RECIPIENT, SIZE, opened, permit

ROOT = Path(__file__).resolve().parents[3]
RELAY = "12" * 16


def putting(folder: Path, letter: str, count: int) -> zygote.Process:
    command = [sys.executable, "-m", "tests.transfer.hub.putter", str(folder), RELAY, letter, str(count)]
    return zygote.start(command, cwd=ROOT, stdout=subprocess.PIPE)


def put_in_order(folder: Path) -> tuple[Tidied, dict[str, str]]:
    """Tidy; what was out of order, and the digests of what is there then."""
    file, storage, mailboxes = opened(folder)
    lost = mailboxes.lose(mailboxes.lost())
    tidied = Tidied(*storage.sweep(alone=True), lost)
    held = {one.name: one.sha256 for one in mailboxes.ls(RECIPIENT, RELAY)}
    file.close()
    return tidied, held


@pytest.mark.parametrize("after", [3, 17])
def test_nothing_half_written_survives_a_process_that_is_killed(tmp_path: Path, after: int) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    file, _, mailboxes = opened(folder)
    permit(mailboxes, RELAY)
    file.close()
    process = putting(folder, "x", 2000)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(after)]
    process.kill()
    told += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    tidied, held = put_in_order(folder)
    digest = hashlib.sha256(b"x" * SIZE).hexdigest()
    assert set(told) <= set(held)  # what was said to be stored is stored
    assert set(held.values()) == {digest}
    lying = {path.name: path.read_bytes() for path in (folder / "mailboxes" / RELAY).iterdir()}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in lying.items()} == held
    assert list((folder / "coming").iterdir()) == []
    assert tidied.lost == 0
    again, _ = put_in_order(folder)
    assert not again
    file, _, mailboxes = opened(folder)
    assert mailboxes.used(RECIPIENT) == {"bytes": SIZE * len(held), "objects": len(held), "messages": 0}
    with file.reading() as connection:
        assert connection.execute("SELECT put FROM mailboxes").fetchone() == (SIZE * len(held),)
    file.close()


def test_two_processes_never_store_two_things_under_one_name(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    file, _, mailboxes = opened(folder)
    permit(mailboxes, RELAY)
    file.close()
    processes = {letter: putting(folder, letter, 40) for letter in "xy"}
    stored = {letter: process.communicate()[0].split() for letter, process in processes.items()}
    assert not set(stored["x"]) & set(stored["y"])
    tidied, held = put_in_order(folder)
    assert not tidied
    for letter, names in stored.items():
        for name in names:
            assert (folder / "mailboxes" / RELAY / name).read_bytes() == letter.encode() * SIZE
            assert held[name] == hashlib.sha256(letter.encode() * SIZE).hexdigest()
    assert len(held) == len(stored["x"]) + len(stored["y"]) >= 30


def test_a_start_says_what_it_put_in_order(harbour: Harbour) -> None:
    relay = harbour.opened()
    for number in range(3):
        harbour.put(relay, f"2-{number}-1", bytes(100))
    harbour.ask(
        B, "PUT", f"hub/mailboxes/{harbour.id(B)}", b'{"from":["%b"],"invitations":[]}' % harbour.id(A).encode()
    )
    harbour.ask(A, "PUT", f"hub/mailboxes/{harbour.id(B)}/{'ab' * 16}", b"sealed")
    objects = harbour.folder / "mailboxes" / relay
    (objects / "2-0-1").unlink()
    (objects / "2-1-1").write_bytes(bytes(99))
    (objects / "2-7-1").write_bytes(b"of nobody")
    (harbour.folder / "coming" / ("0" * 32)).write_bytes(b"half")
    (harbour.folder / "mailboxes" / harbour.id(B) / ("ab" * 16)).unlink()
    tidied = harbour.hub.tidy()
    assert (tidied.unfinished, tidied.strays, tidied.lost) == (1, 1, 3)
    assert str(tidied) == "1 half-written and 1 unknown files removed, 3 whose files are lost"
    assert harbour.names(relay) == ["2-2-1"]
    assert harbour.used() == {"bytes": 100, "objects": 1, "messages": 0}
    assert harbour.put(relay, "2-0-1", bytes(100)).status == 200  # what was lost comes again
    assert harbour.names(relay) == ["2-0-1", "2-2-1"]
    assert not harbour.hub.tidy()
    harbour.end(relay)


@pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows")
def test_a_link_is_no_object_and_leads_nowhere(harbour: Harbour, tmp_path: Path) -> None:
    relay = harbour.opened()
    harbour.put(relay, "2-0-1", b"sealed")
    objects = harbour.folder / "mailboxes" / relay
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (objects / "2-0-1").unlink()
    (objects / "2-0-1").symlink_to(secret)
    (objects / "2-7-1").symlink_to(tmp_path / "not there")
    tidied = harbour.hub.tidy()
    assert (tidied.strays, tidied.lost) == (1, 1)
    assert not objects.exists()
    assert secret.read_bytes() == b"secret"


def test_what_another_process_was_writing_is_removed_when_it_is_surely_dead(harbour: Harbour) -> None:
    draft = harbour.folder / "coming" / ("ab" * 16)
    draft.write_bytes(bytes(400_000))
    relay = harbour.opened()
    assert not harbour.hub.endings.sweep()
    assert draft.exists()
    assert harbour.put(relay, "2-0-1", bytes(300_000)).status == 200
    harbour.later(minutes=11)
    assert harbour.hub.endings.sweep().unfinished == 1
    assert not draft.exists()
    assert harbour.used() == {"bytes": 300_000, "objects": 1, "messages": 0}


def test_a_file_that_a_killed_process_did_not_enter_or_did_not_remove_goes_with_a_sweep(harbour: Harbour) -> None:
    relay = harbour.opened()
    harbour.put(relay, "2-0-1", b"sealed")
    folder = harbour.folder / "mailboxes" / relay
    (folder / "2-1-1").write_bytes(b"placed, and killed before it was entered")
    harbour.taken(relay, "2-0-1")
    (folder / "2-0-1").write_bytes(b"taken, and killed before it was removed")
    assert harbour.put(relay, "2-1-1", b"sealed too").status == 200
    harbour.hub.endings.sweep()
    assert harbour.carried() == [str(Path("mailboxes") / relay / "2-1-1")]
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}/2-1-1").body == b"sealed too"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (replace(RULES, max_per_spoke=500_000), "the limit for what waits at the hub for that node"),
        (replace(RULES, max_size=500_000), "has reached its limit"),
        (replace(RULES, max_objects=1), "the limit for what waits"),
        (replace(RULES, free=10**18), "no room now"),
    ],
)
def test_where_there_is_no_room_it_is_for_later(harbour: Harbour, rules: Rules, words: str) -> None:
    relay = harbour.opened(ceiling=1_000_000)
    harbour.put(relay, "2-0-1", bytes(200_000))
    become_hub(harbour.context, rules)
    before = harbour.used(), harbour.files()
    answer = harbour.put(relay, "2-1-1", bytes(300_001))
    assert answer.status == 507
    assert words in answer.said["error"]["message"]
    assert (harbour.used(), harbour.files()) == before
    become_hub(harbour.context)
    assert harbour.put(relay, "2-1-1", bytes(300_001)).status == 200


def test_one_spoke_does_not_use_up_what_is_for_another(harbour: Harbour) -> None:
    first, second = harbour.opened(A, B, ceiling=1_000_000), harbour.opened(B, C, ceiling=1_000_000)
    assert harbour.put(first, "2-0-1", bytes(1_000_000)).status == 200
    assert harbour.put(second, "2-0-1", bytes(900_000), who=B).status == 200
    third = harbour.opened(C, B, ceiling=1000)
    assert harbour.put(third, "2-0-1", b"1", who=C).status == 507


def test_many_tiny_objects_end_at_their_number(harbour: Harbour) -> None:
    relay = harbour.opened()
    statuses = [harbour.put(relay, f"2-{number}-1", b"x").status for number in range(RULES.max_objects + 3)]
    assert statuses == [200] * RULES.max_objects + [507] * 3
    assert len(harbour.carried()) == RULES.max_objects
