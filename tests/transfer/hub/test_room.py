"""The disk of a hub: processes that are killed, two at once, files that go, and no room."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diadem.model.canonical import encode
from diadem.model.policy import Hub as Rules
from diadem.network.hub.hub import Tidied
from tests import zygote
from tests.transfer.hub.harbour import RULES, A, B, C, Harbour, become_hub
from tests.transfer.hub.putter import RECIPIENT, SENDER, SIZE, opened, permit

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
    assert not harbour.hub.sweep()
    assert draft.exists()
    assert harbour.put(relay, "2-0-1", bytes(300_000)).status == 200
    harbour.later(minutes=11)
    assert harbour.hub.sweep().unfinished == 1
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
    harbour.hub.sweep()
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


def counted(harbour: Harbour) -> dict[str, dict[str, int]]:
    """What waits for each spoke, as its objects are counted one by one."""
    with harbour.hub.file.reading() as connection:
        found = connection.execute("SELECT mailbox, owner, bytes FROM objects WHERE how = ''").fetchall()
    return {
        who: {
            "bytes": sum(size for _, owner, size in found if owner == harbour.id(who)),
            "objects": sum(owner == harbour.id(who) != mailbox for mailbox, owner, _ in found),
            "messages": sum(owner == harbour.id(who) == mailbox for mailbox, owner, _ in found),
        }
        for who in (A, B, C)
    }


def test_what_waits_is_known_whatever_becomes_of_it(harbour: Harbour) -> None:
    def require_known() -> None:
        before = counted(harbour)
        assert {who: harbour.used(who) for who in (A, B, C)} == before
        held = harbour.hub.mailboxes.held()
        assert {name: held[name] for name in before[A]} == {
            name: sum(one[name] for one in before.values()) for name in before[A]
        }

    relay, other = harbour.opened(), harbour.opened(B, C)
    senders = encode({"from": [harbour.id(A)], "invitations": []}, where="test")
    box, lost = harbour.id(B), harbour.folder / "mailboxes" / relay / "2-1-1"
    assert harbour.ask(B, "PUT", f"hub/mailboxes/{box}", senders).status == 200
    for number in range(5):
        assert harbour.put(relay, f"2-{number}-1", bytes(100 + number)).status == 200
        assert harbour.put(other, f"2-{number}-1", bytes(1000 + number), who=B).status == 200
        assert harbour.put(box, f"{number:032x}", bytes(10_000 + number)).status == 200
    require_known()
    assert harbour.used() == {"bytes": 50_520, "objects": 5, "messages": 5}
    harbour.put(relay, "2-0-1", bytes(100))  # again
    harbour.taken(relay, "2-0-1", "2-9-1")
    harbour.taken(relay, "2-0-1")
    harbour.taken(box, "0" * 32)
    require_known()
    lost.unlink()
    assert harbour.ask(B, "GET", f"hub/mailboxes/{relay}/2-1-1").nothing
    require_known()
    assert harbour.put(relay, "2-1-1", bytes(7)).status == 200
    require_known()
    harbour.end(other, who=C)
    require_known()
    harbour.later(days=3)
    harbour.hub.sweep()
    require_known()
    assert harbour.used() == {"bytes": 0, "objects": 0, "messages": 0}


def test_a_book_that_kept_no_sums_has_them_when_it_was_opened(tmp_path: Path) -> None:
    file, _, mailboxes = opened(tmp_path)
    permit(mailboxes, RELAY)
    for number in range(3):
        mailboxes.put(SENDER, RELAY, f"2-{number}-1", bytes(9), hashlib.sha256(bytes(9)).hexdigest())
    mailboxes.taken(RECIPIENT, RELAY, ["2-0-1"])
    with file.writing() as connection:  # as the second version made it
        kept = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in kept:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DROP TABLE IF EXISTS waiting")
        connection.execute("PRAGMA user_version = 2")
    file.close()
    for _ in range(2):
        file, _, mailboxes = opened(tmp_path)
        assert mailboxes.used(RECIPIENT) == {"bytes": 18, "objects": 2, "messages": 0}
        mailboxes.put(SENDER, RELAY, "2-7-1", bytes(9), hashlib.sha256(bytes(9)).hexdigest())
        mailboxes.taken(RECIPIENT, RELAY, ["2-7-1"])
        file.close()


def test_how_much_waits_makes_no_difference_to_who_puts_something(tmp_path: Path) -> None:
    file, _, mailboxes = opened(tmp_path)
    permit(mailboxes, RELAY)
    steps = []

    def work(count: int) -> None:
        with file.writing(durable=False) as connection:
            row = "INSERT INTO objects (mailbox, name, owner, sender, bytes, sha256, at) VALUES (?, ?, ?, ?, 1, '', '')"
            names = [(RELAY, f"1-{number}-{count}", RECIPIENT, SENDER) for number in range(count)]
            connection.executemany(row, names)
        done = []

        def step() -> int:
            done.append(1)
            return 0

        with file.reading() as connection:
            connection.set_progress_handler(step, 10)
        mailboxes.put(SENDER, RELAY, f"2-{count}-1", b"x", hashlib.sha256(b"x").hexdigest())
        with file.reading() as connection:
            connection.set_progress_handler(None, 10)
        steps.append(len(done))

    for count in (1, 3000):
        work(count)
    file.close()
    assert steps[1] < 1.5 * steps[0] + 10
