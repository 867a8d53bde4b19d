"""The ground is taken away from under a verb: kill -9, a power cut, a disk that is full, a second process."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tests.faults.case import Case
from tests.faults.disk_case import put_right, repair
from tests.faults.processes import Answer, begin
from tests.faults.promises import judge_claims, judge_log, judge_mirrors, judge_untouched, log_lines
from tests.faults.scenarios import SCENARIOS, Scenario, find_new
from tests.faults.sealed import World

#: About how many changes a verb makes to the file system, and how many names it changes or forces to disk. Figures of
#: this table, not of the last run, so that a seed gives the same case again.
_CHANGES: Mapping[str, tuple[int, int]] = {
    "archive": (190, 125),
    "continuation": (190, 127),
    "repair of damage": (90, 95),
    "repair of lost copies": (140, 110),
    "third store": (300, 260),
    "scrub": (40, 35),
    "drop": (90, 90),
    "delete": (116, 112),
    "reindex": (20, 17),
}
#: Seconds of a verb, likewise.
_SECONDS = 0.3


def _chosen(case: Case, allowed: Collection[str] | None = None) -> tuple[str, Scenario]:
    kinds = {name: weight for name, (_, weight) in SCENARIOS.items() if allowed is None or name in allowed}
    name = case.chance.choices(list(kinds), list(kinds.values()))[0]
    scenario = SCENARIOS[name][0](case)
    case.close()
    return name, scenario


def kill_case(case: Case) -> None:
    """kill -9 in the middle of a verb, at a change of the file system or at a moment."""
    name, scenario = _chosen(case)
    usual, _ = _CHANGES[name]
    before, lines = _before(case, scenario)
    if case.chance.random() < 0.6:
        event = case.chance.randint(1, usual + 2)
        accident = {"event": event}
        answer = begin(case.laboratory, scenario.verb, scenario.arguments, accident=accident).answer()
        when = f"change {event} of about {usual}"
    else:
        child = begin(case.laboratory, scenario.verb, scenario.arguments)
        moment = case.chance.uniform(0, _SECONDS)
        child.kill_after(moment)
        answer, when = child.answer(), f"after {moment:.3f} s"
    case.did(f"kill -9 of {name}", f"at {when}: {answer.words}")
    aftermath(case, scenario, answer, before, lines)


def power_case(case: Case) -> None:
    """The power goes in the middle of a verb."""
    name, scenario = _chosen(case)
    _, usual = _CHANGES[name]
    before, lines = _before(case, scenario)
    moment = case.chance.randint(1, usual + 1)
    roots = [str(case.place.node), *(str(case.place.store(store)) for store in case.stores)]
    power = {"roots": roots, "moment": moment, "seed": case.chance.getrandbits(32)}
    answer = begin(case.laboratory, scenario.verb, scenario.arguments, accident={"power": power}).answer()
    case.did(f"power cut in {name}", f"at event {moment} of about {usual}: {answer.words}")
    aftermath(case, scenario, answer, before, lines)


def full_case(case: Case) -> None:
    """Writing fails in the middle of a verb: no file may grow past a size, as where a disk is full."""
    name, scenario = _chosen(case)
    before, lines = _before(case, scenario)
    limit = case.chance.choice([0, 100, 4096, 30_000, 100_000, 500_000, 1 << 20, 2_500_000])
    answer = begin(case.laboratory, scenario.verb, scenario.arguments, accident={"limit": limit}).answer()
    case.did(f"no space in {name}", f"after {limit} bytes of a file: {answer.words}")
    aftermath(case, scenario, answer, before, lines)


def aftermath(case: Case, scenario: Scenario, answer: Answer, before: World, lines: list[bytes]) -> None:
    """Old or new, nothing between; nothing good is lost; the next run says what it tidied up."""
    case.require(answer.crash is None, f"ended by an error that is not DIADEM's: {answer.crash}")
    world = case.world()
    judge_untouched(case, before, world, gone=scenario.gone)
    if scenario.source is not None:
        find_new(case, world, scenario.source)
    left = leftovers(case)
    judge_log(case, lines)
    judge_claims(case, world, known=scenario.known, both=False)
    again = scenario.again and case.chance.random() < 0.5
    if again:
        scenario.settle(case)
    if scenario.known:
        case.node.scrub()
    notes = repair(case, gone=scenario.gone)
    judge_leftovers(case, left, None if again else notes)
    if not again:
        scenario.settle(case)
    judge_mirrors(case, hurt=case.stores if case.counts["damaged mirror of the log"] else ())
    put_right(case)


def leftovers(case: Case) -> list[str]:
    """What a dead writer left in the stores."""
    patterns = ("stage/*", "parity/*.part", "mending/*.part", "drafts/*")
    found = [path for store in case.stores for one in patterns for path in _private(case, store).glob(one)]
    return sorted(str(path) for path in found if not path.name.endswith(".lock") and "drafts" not in path.parts)


def judge_leftovers(case: Case, left: list[str], notes: Collection[str] | None) -> None:
    """All of it is gone, and stages are named."""
    still = set(leftovers(case)) & set(left)
    case.require(not still, f"left by a killed run, and not swept: {sorted(still)[:3]}")
    for path in left if notes is not None else ():
        if "/stage/" in path:
            case.require(any(path in note for note in notes or ()), f"swept without a word: {path}")
    case.counts["leftovers swept"] += len(left)


def _private(case: Case, store: str) -> Path:
    return case.place.store(store) / ".diadem"


def _before(case: Case, scenario: Scenario) -> tuple[World, list[bytes]]:
    """What lies there and what the log says, just before the verb begins."""
    lines = log_lines(case)
    case.close()
    scenario.last(case)
    return case.world(), lines


# -- two at once -------------------------------------------------------------------------------------------------------


def race_case(case: Case) -> None:
    """Two processes at work on one node at the same moment."""
    name = case.chance.choice(sorted(_RACES))
    scenario, orders = _RACES[name](case)
    before, lines = _before(case, scenario)
    start = time.time() + 0.05
    children = [begin(case.laboratory, verb, arguments, start=start) for verb, arguments in orders]
    answers = [child.answer() for child in children]
    case.did(f"two at once: {name}", "; ".join(answer.words for answer in answers))
    for answer in answers[1:]:
        case.require(answer.crash is None, f"ended by an error that is not DIADEM's: {answer.crash}")
    if name == "two drops":
        done = [answer for answer in answers if answer.done]
        case.require(len(done) <= 1, "BOTH OF THE LAST TWO COPIES WERE DROPPED")
    aftermath(case, scenario, answers[0], before, lines)


Order = tuple[str, Mapping[str, Any]]


def _two_archives(case: Case) -> tuple[Scenario, list[Order]]:
    scenario = SCENARIOS["archive"][0](case)
    return scenario, [(scenario.verb, scenario.arguments)] * 2


def _two_drops(case: Case) -> tuple[Scenario, list[Order]]:
    from tests.faults.laboratory import STORES

    scenario = SCENARIOS["drop"][0](case)
    package = scenario.arguments["package"]
    scenario.gone = {(store, package) for store in STORES}
    return scenario, [("drop", {"package": package, "store": store}) for store in STORES]


def _two_repairs(case: Case) -> tuple[Scenario, list[Order]]:
    scenario = SCENARIOS[case.chance.choice(["repair of damage", "repair of lost copies"])][0](case)
    return scenario, [("repair", {}), (case.chance.choice(["repair", "scrub"]), {})]


def _drop_and_scrub(case: Case) -> tuple[Scenario, list[Order]]:
    scenario = SCENARIOS["drop"][0](case)
    other = case.chance.choice(["scrub", "repair", "reindex"])
    return scenario, [(scenario.verb, scenario.arguments), (other, {})]


def _archive_and_reindex(case: Case) -> tuple[Scenario, list[Order]]:
    scenario = SCENARIOS["archive"][0](case)
    other = case.chance.choice(["reindex", "scrub", "repair"])
    return scenario, [(scenario.verb, scenario.arguments), (other, {})]


def _delete_and_repair(case: Case) -> tuple[Scenario, list[Order]]:
    scenario = SCENARIOS["delete"][0](case)
    return scenario, [(scenario.verb, scenario.arguments), (case.chance.choice(["repair", "scrub", "reindex"]), {})]


_RACES = {
    "two archives of one session": _two_archives,
    "two drops": _two_drops,
    "two repairs": _two_repairs,
    "drop and another": _drop_and_scrub,
    "archive and another": _archive_and_reindex,
    "delete and another": _delete_and_repair,
}
