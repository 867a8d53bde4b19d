"""Transfers that people stop, that are pushed, or whose source is damaged: each story once, with real processes.

Two nodes in network namespaces, as in `transfer_faults.py`; needs root on Linux. Each story ends as it should: what was
paused goes on and comes whole; what was cancelled leaves nothing; a damaged leaf is named, and its package comes whole
after the sender's repair.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import machine

from tests import namespaces
from tests.network.interruptions import MIB, Ordeal, Scale, acquainted, remove, throttled

SCALE = Scale(160 * MIB, 100, "16MB", 1.0, (0.5, 1.5))
#: Both stop between windows where the other side says so: there must be some. A push is held by the line alone.
PUSHED_SCALE, LINE = Scale(192 * MIB, 100, "", 1.0, (0.5, 1.5)), "120mbit"
#: Bytes that a connection may send for nothing when the receiver pauses: who is refused says all before it listens.
WINDOW = 16 * MIB
#: Seconds until something that was said is heard of by all.
PATIENCE = 120


def until(what: str, holds: Callable[[], bool]) -> float:
    """Wait until something holds; the seconds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < PATIENCE, f"{what}: not within {PATIENCE} s"
        time.sleep(0.2)
    return round(time.monotonic() - began, 1)


def ended(ordeal: Ordeal, codes: tuple[int, ...]) -> float:
    """Wait until the receiver's command ends with one of these codes; the seconds."""
    began = time.monotonic()
    code = ordeal.client_ends(PATIENCE)
    assert code in codes, f"it ended with {code}\n{ordeal.log()}"
    return round(time.monotonic() - began, 1)


def nothing_arrives(ordeal: Ordeal) -> bool:
    """Whether nothing is left of what came."""
    return not list((ordeal.receiver.store / ".diadem" / "arriving").iterdir())


def wait_until_it_rests(ordeal: Ordeal) -> None:
    """Wait until nothing has come for some seconds."""
    seen: list[int] = []

    def rests() -> bool:
        seen.append(ordeal.journal())
        return len(seen) > 40 and len(set(seen[-40:])) == 1

    until("it rests", rests)


# -- fetched ---------------------------------------------------------------------------------------------------------


def paused_by_both(ordeal: Ordeal) -> dict[str, Any]:
    """The receiver pauses and goes on, then the sender does."""
    ordeal.begin()
    ordeal.until_bytes_come()
    ordeal.receiver.give("transfer", "pause", ordeal.transfer)
    seconds = ended(ordeal, (6,))
    ordeal.go_on()
    ordeal.until_bytes_come()
    ordeal.sender.give("transfer", "pause", ordeal.transfer)
    ended(ordeal, (4,))
    ordeal.sender.give("transfer", "resume", ordeal.transfer)
    ordeal.finish()
    return ordeal.judged(lost=2 * MIB) | {"seconds_to_pause": seconds}


def cancelled_by_receiver(ordeal: Ordeal) -> dict[str, Any]:
    """The receiver cancels in the middle."""
    ordeal.begin()
    ordeal.until_bytes_come()
    ordeal.receiver.give("transfer", "cancel", ordeal.transfer, "--reason", "the wrong one")
    seconds = ended(ordeal, (4, 6))
    ordeal.receiver.give("transfer", "resume")
    assert nothing_arrives(ordeal)
    assert {ordeal.state(), ordeal.state_of(ordeal.sender)} == {"cancelled"}
    return {"seconds_to_end": seconds}


def cancelled_by_sender(ordeal: Ordeal) -> dict[str, Any]:
    """The sender takes the offer back in the middle."""
    ordeal.begin()
    ordeal.until_bytes_come()
    ordeal.sender.give("transfer", "cancel", ordeal.transfer, "--reason", "the wrong one")
    seconds = ended(ordeal, (3, 4, 6))
    ordeal.receiver.give("inbox")
    ordeal.receiver.give("transfer", "resume")
    assert nothing_arrives(ordeal)
    assert {ordeal.state(), ordeal.state_of(ordeal.sender)} == {"revoked"}
    return {"seconds_to_end": seconds}


def damaged(ordeal: Ordeal) -> dict[str, Any]:
    """A byte of the sender's copy is flipped, and its second store is away; then it comes back and repairs."""
    alice = ordeal.sender
    path = next(alice.store.glob("20*/*/data/stack.raw"))
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(9 * MIB + 5)
        byte = file.read(1)[0]
        file.seek(9 * MIB + 5)
        file.write(bytes([byte ^ 1]))
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = alice.home / "second"
    away = second.rename(alice.home / "away")
    ordeal.begin()
    ended(ordeal, (1,))
    shown = ordeal.receiver.give("transfer", "show", ordeal.transfer, codes=(1,))["transfer"]
    assert shown["state"] == "failed"
    for word in ("leaf 9 ", "data/stack.raw", "hu-berlin"):
        assert word in shown["error"], shown["error"]
    away.rename(second)
    alice.give("scrub", codes=(0, 1))
    alice.give("repair")
    ordeal.finish()
    return ordeal.judged(lost=4 * MIB) | {"said": shown["error"]}


# -- pushed ----------------------------------------------------------------------------------------------------------


def pushed_and_interrupted(ordeal: Ordeal) -> dict[str, Any]:
    """Both servers are killed and the wire is cut, some times each."""
    ordeal.begin_pushed()
    while ordeal.interruptions < 6 and ordeal.interrupt_pushed():
        pass
    ordeal.finish_pushed()
    return ordeal.judged()


def pushed_and_paused(ordeal: Ordeal) -> dict[str, Any]:
    """The receiver pauses and goes on, then the sender does."""
    ordeal.begin_pushed()
    for party in (ordeal.receiver, ordeal.sender):
        ordeal.until_bytes_come()
        party.give("transfer", "pause", ordeal.transfer)
        wait_until_it_rests(ordeal)
        assert ordeal.state() == "transferring", "it went on though it was paused"
        party.give("transfer", "resume", ordeal.transfer)
    ordeal.finish_pushed()
    return ordeal.judged(lost=WINDOW)


def pushed_and_cancelled_by_receiver(ordeal: Ordeal) -> dict[str, Any]:
    """The receiver cancels in the middle; its server lets go."""
    ordeal.begin_pushed()
    ordeal.until_bytes_come()
    ordeal.receiver.give("transfer", "cancel", ordeal.transfer, "--reason", "the wrong one")
    seconds = until("nothing arrives", lambda: nothing_arrives(ordeal))
    until("the sender knows", lambda: ordeal.state_of(ordeal.sender) == "cancelled")
    return {"seconds_to_end": seconds}


def pushed_and_cancelled_by_sender(ordeal: Ordeal) -> dict[str, Any]:
    """The sender takes the offer back in the middle; the receiver's server lets go."""
    ordeal.begin_pushed()
    ordeal.until_bytes_come()
    ordeal.sender.give("transfer", "cancel", ordeal.transfer, "--reason", "the wrong one")
    seconds = until("nothing arrives", lambda: nothing_arrives(ordeal))
    assert ordeal.state() == "revoked"
    return {"seconds_to_end": seconds}


FETCHED = (paused_by_both, cancelled_by_receiver, cancelled_by_sender, damaged)
PUSHED = (
    pushed_and_interrupted,
    pushed_and_paused,
    pushed_and_cancelled_by_receiver,
    pushed_and_cancelled_by_sender,
)


def tell(story: Callable[[Ordeal], dict[str, Any]], folder: Path, seed: int) -> dict[str, Any]:
    """One story; what came of it."""
    pushed = story in PUSHED
    with namespaces.wire() as wire:
        alice, marie = acquainted(wire, folder, reachable="nmi" if pushed else "hu-berlin")
        if story is damaged:
            alice.give("store", "add", "second", "--name", "second", "--place", "another disk")
        scale, source = PUSHED_SCALE if pushed else SCALE, random.Random(f"{seed} {story.__name__}")
        ordeal = Ordeal(wire, alice, marie, scale, source)
        try:
            ordeal.offer()
            if pushed:
                throttled(alice.site, wire.device, LINE)
                alice.serve(reachable=False)
            return story(ordeal)
        except Exception:
            return {"broken": "\n".join([traceback.format_exc(), *ordeal.history, ordeal.log()])}
        finally:
            alice.end()
            marie.end()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="stories whose name holds this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="a folder that may be filled and emptied")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    options = parser.parse_args()
    if why := namespaces.missing():
        print(f"not run: {why}")
        return 2
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        for story in (*FETCHED, *PUSHED):
            if options.only in story.__name__:
                folder = Path(work) / story.__name__
                came = found[story.__name__] = tell(story, folder, options.seed)
                print(f"{story.__name__}: {came.get('broken', came)}", flush=True)
                remove(folder)
    if options.json:
        document = {"machine": machine.describe(Path(tempfile.gettempdir())), "seed": options.seed, "stories": found}
        options.json.write_text(json.dumps(document, indent=1))
    return 1 if any("broken" in came for came in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
