"""What a worker of an executor calls: one task of a node, with this process's readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diadem.api.extraction import standing
from diadem.api.tools import tools

if TYPE_CHECKING:
    from diadem.node.tasks import Answer, Task


def work(task: Task) -> Answer:
    """Do a task in this process. Workers of an executor import this function by its name.

    Parameters
    ----------
    task : Task
        See `diadem.node.tasks`; plain values.

    Returns
    -------
    Answer
        Plain values.
    """
    from diadem.node.performing import WorkerTools, perform

    return perform(task, WorkerTools(standing().lend, tools().identity))
