"""The workers of a run: tasks for an executor, asked for again once where a worker was lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import TYPE_CHECKING, Any

from diadem.errors import DiademError, Interrupted, Refused, Unreachable, line_of
from diadem.node.config import StoreSettings
from diadem.node.read_copy import CopyRead
from diadem.node.tasks import Answer, CopyToRead, PackageRead, PackageToRead, Task
from diadem.store.contract import Added
from diadem.store.source import SourceFile
from diadem.workers.executors import submit_everywhere, worker_count

if TYPE_CHECKING:
    from diadem.model.policy import Policy
    from diadem.pack.compose import Options
    from diadem.pack.pack import Packed
    from diadem.pack.plan import PackPlan

#: Tries of one task: a worker that is lost may have been killed by another task.
_TRIES = 2
#: Folders that a probe looks for.
_PROBED = 100
#: Tasks for each worker, so that none is idle while the node enters what it did; and at most, each being a thread here.
_WAITING, _MOST = 2, 256
#: Files that an error names.
_NAMED = 3


class Workers:
    """What of a run is done elsewhere. Safe to use from many threads; each call waits for its answer.

    The executor stays the caller's. `work` does a task in a worker, where it is importable by its name.
    """

    def __init__(self, executor: Executor, work: Callable[[Task], Answer]) -> None:
        self._executor = executor
        self._work = work
        self._begun: set[Future[Answer]] = set()
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self.width = worker_count(executor)
        #: Why no more tasks are taken; "" while they are.
        self.broken = ""

    @property
    def ahead(self) -> int:
        """How many tasks are given to the executor at once."""
        return min(_MOST, _WAITING * self.width)

    # -- tasks -------------------------------------------------------------------------------------------------------

    def look(self, stores: Sequence[StoreSettings], folders: Sequence[str], identity: str) -> None:
        """Have every worker that can be addressed look at what it will need; of folders, at the first hundred.

        Raises
        ------
        Unreachable
            A worker does not see a store or a folder, there is none, or it cannot do tasks of DIADEM.
        Refused
            A worker has another version of DIADEM, of RosettaSciIO or of a plugin: its records would be others.
        """
        asked = submit_everywhere(
            self._executor,
            self._work,
            Task("probe", {"stores": tuple(stores), "folders": tuple(folders[:_PROBED])}),
        )
        if not asked:
            raise Unreachable("the cluster has no workers", next="Start some: dask worker ADDRESS")
        for future in asked:
            answer = _probed(future)
            if answer.value != identity:
                raise Refused(
                    f"the worker on {answer.host} has {answer.value}, and the node {identity}",
                    next="Install the same packages and plugins (DIADEM_PLUGINS) where the workers run.",
                )

    def pack(self, store: StoreSettings, plan: PackPlan, options: Options, *, policy: Policy | None = None) -> Packed:
        """Pack a session; see `diadem.node.tasks`.

        Raises
        ------
        Unreachable
            A worker cannot read files that this machine can, or was lost.
        """
        session = {"store": store, "plan": plan, "options": options, "policy": policy}
        answer = self._do("pack", **session)
        if isinstance(unread := answer.value, list):
            if seen := [path for path in unread if os.access(path, os.R_OK)]:
                raise Unreachable(
                    f"the worker on {answer.host} cannot read {len(seen):,} files that the node can: "
                    + ", ".join(seen[:_NAMED]),
                    next="Start the workers as a user who may read them.",
                )
            answer = self._do("pack", **session, unreadable=frozenset(unread))
        packed: Packed = answer.value
        return packed

    def digests(self, files: Sequence[SourceFile]) -> Mapping[str, str | None]:
        """SHA-256 of files by path; None for those that a worker cannot read."""
        found: Mapping[str, str | None] = self._do("digests", files=tuple(files)).value
        return found

    def prove(
        self, store: StoreSettings, copies: Sequence[CopyToRead], *, rate: float | None = None
    ) -> Sequence[CopyRead]:
        """Read copies in a store whole."""
        found: Sequence[CopyRead] = self._do("prove", store=store, copies=tuple(copies), rate=rate).value
        return found

    def read_packages(self, store: StoreSettings, packages: Sequence[PackageToRead]) -> list[PackageRead]:
        """Read packages for a catalogue."""
        found: list[PackageRead] = self._do("read_packages", store=store, packages=packages).value
        return found

    def copy(self, package: str, source: StoreSettings, path: str, target: StoreSettings, target_path: str) -> Added:
        """Copy a package from store to store; the errors are those of `Store.add`."""
        added: Added = self._do(
            "copy", package=package, source=source, path=path, target=target, target_path=target_path
        ).value
        return added

    def stop(self) -> None:
        """Take back what has not begun; whoever waits for it is told `Interrupted`."""
        with self._guard:
            self._stopped.set()
            begun = list(self._begun)
        for future in begun:
            future.cancel()

    def refusal(self) -> Unreachable:
        """The error of an executor that takes no more tasks."""
        return Unreachable(
            f"the executor takes no more tasks: {self.broken}",
            next="Make a new one and run the same command again: it resumes where it stopped.",
        )

    # -- one task ----------------------------------------------------------------------------------------------------

    def _do(self, name: str, **arguments: Any) -> Answer:
        task = Task(name, arguments)
        lost: BaseException | None = None
        for _ in range(_TRIES):
            try:
                answer = self._asked(task)
            except DiademError as error:
                if not isinstance(error, Interrupted) or self._stopped.is_set():
                    raise
                lost = error  # somebody stopped the worker, not this run
            except (BrokenExecutor, CancelledError, OSError) as error:
                lost = error
            except Exception as error:
                if not type(error).__module__.startswith("distributed"):
                    raise
                lost = error
            else:
                return answer
            if self._stopped.is_set():
                raise Interrupted("the work was stopped") from lost
        raise Unreachable(
            f"the worker was lost {_TRIES} times while it did this: {_words(lost)}",
            next="See the worker's own log (memory?); then run the same command again.",
        ) from lost

    def _asked(self, task: Task) -> Answer:
        if self._stopped.is_set():
            raise Interrupted("the work was stopped")
        try:
            future = self._executor.submit(self._work, task)
        except RuntimeError as error:  # also the BrokenExecutor of a pool that one dead process has broken for good
            self.broken = _words(error)
            raise self.refusal() from error
        with self._guard:
            self._begun.add(future)
            if self._stopped.is_set():
                future.cancel()
        try:
            return future.result()
        finally:
            with self._guard:
                self._begun.discard(future)


def _probed(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except DiademError:
        raise
    except Exception as error:
        raise Unreachable(
            f"a worker cannot do tasks of DIADEM: {_words(error)}",
            next="Install the same diadem-em, with the same extras, where the workers run.",
        ) from error


def _words(error: BaseException | None) -> str:
    said = line_of(error) if error is not None else ""
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
