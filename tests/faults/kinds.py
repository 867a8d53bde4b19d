"""A case from its seed: which kind it is, what came of it, and how it is told."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.case import Case
from tests.faults.disk_case import disk_case
from tests.faults.laboratory import Laboratory
from tests.faults.node_cases import again_case, backup_case, catalogue_case, log_case, node_case, store_case
from tests.faults.object_case import object_case
from tests.faults.process_cases import full_case, kill_case, power_case, race_case

#: Every kind of case, and how often it comes up beside the others.
KINDS: Mapping[str, tuple[Callable[[Case], None], int]] = {
    "disk": (disk_case, 46),
    "kill": (kill_case, 14),
    "power": (power_case, 9),
    "full": (full_case, 6),
    "race": (race_case, 7),
    "again": (again_case, 5),
    "catalogue": (catalogue_case, 3),
    "store": (store_case, 4),
    "node": (node_case, 2),
    "backup": (backup_case, 1),
    "log": (log_case, 1),
    "object": (object_case, 2),
}
#: Kinds that need what only POSIX systems have.
_POSIX = frozenset({"power", "full"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case, which its seed gives again: what was done, and the promises that were broken."""

    seed: int
    kind: str
    history: list[str]
    problems: list[str]
    counts: Mapping[str, int]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


def kind_of(seed: int) -> str:
    """The kind of the case of a seed."""
    kinds = {name: weight for name, (_, weight) in KINDS.items() if sys.platform != "win32" or name not in _POSIX}
    return random.Random(f"kind {seed}").choices(list(kinds), list(kinds.values()))[0]


def run_case(laboratory: Laboratory, seed: int, kind: str | None = None) -> Outcome:
    """Put the node back, do to it what the seed says, and look whether it kept its promises."""
    kind = kind or kind_of(seed)
    started = time.monotonic()
    case = Case.begin(laboratory, seed)
    try:
        KINDS[kind][0](case)
        case.close()
    except Exception:
        case.broken("the case ended by an error:\n" + traceback.format_exc())
        case.abandon()
    return Outcome(seed, kind, case.history, case.problems, dict(case.counts), round(time.monotonic() - started, 3))
