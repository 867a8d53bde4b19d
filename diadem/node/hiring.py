"""Workers for one run of a node: looked at before anything is begun."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor

from diadem.errors import UsageError
from diadem.node.context import Context
from diadem.node.workers import Workers


def workers_for(
    context: Context, executor: Executor | None, *, stores: Iterable[str] | None = None, folders: Iterable[str] = ()
) -> Workers | None:
    """Workers on an executor that see the stores and folders of a run; None where there is no executor.

    Parameters
    ----------
    context : Context
        The node.
    executor : concurrent.futures.Executor or None
        Whose workers.
    stores : iterable of str, optional
        Names of the stores that are needed; default all that are not retired. Those that do not answer this machine
        are not asked for.
    folders : iterable of str
        Folders that are needed.

    Raises
    ------
    Unreachable, Refused
        See `Workers.look`.
    UsageError
        The node was opened without the means to work elsewhere.
    """
    if executor is None:
        return None
    if context.tools.work is None:
        raise UsageError("this node cannot work on an executor", next="Open it with diadem.open_node.")
    workers = Workers(executor, context.tools.work)
    wanted = [one.name for one in context.settings.stores if not one.retired] if stores is None else list(stores)
    reached = [context.settings.store(name) for name in wanted if context.stores.reachable(name)]
    workers.look(reached, list(folders), context.tools.identity)
    return workers
