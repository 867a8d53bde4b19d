"""Disks fail: one to four faults in the files of the stores, then scrub, repair, scrub, reindex."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from tests.faults.case import Case, Copy
from tests.faults.disk import strike
from tests.faults.laboratory import STORES
from tests.faults.promises import (
    judge_claims,
    judge_log,
    judge_outside,
    judge_scrub,
    judge_status,
    judge_untouched,
    log_lines,
)
from tests.faults.repairs import forecast, judge_repair, judge_times
from tests.faults.sealed import Sealed

#: Repairs after which everything that can be mended must be: what a first one mends may be the source of a second.
_REPAIRS = 3


def faults(
    case: Case,
    count: int,
    *,
    packages: Sequence[Sealed] | None = None,
    stores: Sequence[str] = STORES,
    allowed: Callable[[str], bool] = lambda _: True,
) -> None:
    """Strike some times; where a fault cannot be done another one is."""
    done = 0
    for _ in range(50):
        if done == count:
            return
        struck = strike(case.place, packages or case.packages, stores, case.chance, allowed)
        if struck is not None:
            done += 1
            case.did(*struck)


def disk_case(case: Case) -> None:
    """Faults, often all in one package, then everything that should come to light and to rights."""
    alone = case.chance.random() < 0.4
    faults(case, case.chance.randrange(1, 5), packages=[case.chance.choice(case.packages)] if alone else None)
    put_right(case)


def put_right(case: Case, *, away: Collection[str] = ()) -> None:
    """Scrub, repair, scrub again, reindex; each step is judged."""
    found = set(search(case))
    lines = log_lines(case)
    scrub(case, level=case.chance.choice([None, "leaves", "full"]), away=away)
    judge_log(case, lines)
    repair(case, away=away)
    scrub(case, level="full", away=away)
    reindex(case, found, away=away)


def scrub(case: Case, *, level: str | None = None, away: Collection[str] = ()) -> None:
    """Scrub, and judge what was found and what is said of it since."""
    world = case.world()
    scrubbed = case.node.scrub(level=level)
    judge_scrub(case, scrubbed, world, away=away)
    judge_untouched(case, world, case.world())
    judge_claims(case, world, away=away)
    judge_status(case, world, away=away)


def repair(case: Case, *, away: Collection[str] = (), gone: Collection[Copy] = ()) -> list[str]:
    """Repair until nothing more is mended, and judge every step; what the first one has noted.

    `gone` are copies whose removal was begun and may be finished now.
    """
    notes: list[str] = []
    for number in range(_REPAIRS):
        lines, before, outside = log_lines(case), case.world(), case.outside()
        expected = forecast(case, before)
        repaired = case.node.repair(set_aside=case.chance.random() < 0.3)
        after = case.world()
        judge_untouched(case, before, after, gone=gone)
        judge_outside(case, outside)
        judge_repair(case, expected, repaired, after)
        judge_times(case, expected, after)
        judge_claims(case, after, away=away)
        judge_status(case, after, away=away)
        judge_log(case, lines)
        notes = notes or list(repaired.notes)
        if not (repaired.mended or repaired.copies):
            break
        case.counts["repairs that had to be repeated"] += number > 0
    return notes


def reindex(case: Case, found: set[str], *, away: Collection[str] = ()) -> None:
    """Build the catalogue anew: it finds what was found before, and claims no more than it may."""
    world = case.world()
    case.node.reindex()
    judge_claims(case, world, both=False, away=away)
    judge_status(case, world, away=away)
    now = set(search(case))
    case.require(now == found, f"the search finds something else after a reindex: {now ^ found}")
    case.reopen()
    case.require(set(search(case)) == found, "the search finds something else after the node was opened again")


def search(case: Case) -> list[str]:
    """Every package that the search finds."""
    return [row.id for row in case.node.search(limit=1000).rows]
