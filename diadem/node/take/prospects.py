"""The sessions of a run before any is begun: how much each holds, and which belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diadem.errors import DiademError
from diadem.model.scan import PlannedSession
from diadem.node.take.kinship import Kinship
from diadem.pack.plan import PackPlan

#: Files of all sessions whose plans are kept; of the rest, each folder is listed again when its turn comes, so that a
#: run over 100,000 sessions needs no more memory than one over a thousand.
_KEPT = 20_000


class Prospects:
    """Every session listed once.

    Parameters
    ----------
    sessions : sequence of PlannedSession
        As planned.
    planned : callable
        Lists one; an error in the place of its plan.
    ordered : bool
        Whether it is to be found out which sessions must be archived before others.
    """

    def __init__(
        self,
        sessions: Sequence[PlannedSession],
        planned: Callable[[PlannedSession], PackPlan | DiademError],
        *,
        ordered: bool,
    ) -> None:
        self.sessions = sessions
        self.sizes: list[int] = []
        self.after: dict[int, set[int]] = {}
        self.allocated = 0
        self._planned = planned
        self._plans: dict[int, PackPlan | DiademError] = {}
        self._room = _KEPT
        kinship = Kinship(session.folder for session in sessions) if ordered else None
        for number, session in enumerate(sessions):
            plan = planned(session)
            self._keep(number, plan)
            if (
                kinship is not None
                and isinstance(plan, PackPlan)
                and (before := kinship.add(number, session.folder, plan))
            ):
                self.after[number] = before

    def _keep(self, number: int, plan: PackPlan | DiademError) -> None:
        files, size = 0, 0
        if isinstance(plan, PackPlan):
            files, size = len(plan.files), plan.tree.size
            self.allocated += plan.tree.allocated
        self.sizes.append(size)
        if files < self._room:
            self._room -= files + 1
            self._plans[number] = plan

    def plan(self, number: int) -> PackPlan | DiademError:
        """The plan of a session, or why there is none. It is given away: the next call lists the folder again."""
        plan = self._plans.pop(number, None)
        return plan if plan is not None else self._planned(self.sessions[number])
