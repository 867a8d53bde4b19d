"""From a plan of sessions to one `PackPlan` for each: names stay relative to the session's folder."""

from __future__ import annotations

import os
from collections.abc import Iterable

from diadem.archive.scan import Scan
from diadem.archive.scan_plan import read_plan
from diadem.model.scan import PlannedSession


def sessions_of(plan: Scan | str | os.PathLike[str] | Iterable[PlannedSession]) -> list[PlannedSession]:
    """The sessions that are to be archived, of a scan, a plan that was written and edited, or sessions at hand."""
    if isinstance(plan, Scan):
        plan = plan.sessions
    elif isinstance(plan, str | os.PathLike):
        plan = read_plan(plan)
    return [session for session in plan if session.archive]
