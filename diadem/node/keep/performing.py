"""Doing one task in a worker: stores opened by their settings, sources looked at, errors that name the machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diadem.errors import DiademError, Unreachable
from diadem.extract.pool import Extractor
from diadem.model.manifest import PackageId
from diadem.model.ports import silent
from diadem.node.config import StoreSettings
from diadem.node.keep.proving import package_at, prove
from diadem.node.reindex_reading import read_packages
from diadem.node.stores import open_own
from diadem.node.tasks import (
    Answer,
    Blind,
    CopyTask,
    CopyToProve,
    EnterTask,
    HashTask,
    PackTask,
    ProbeTask,
    Proved,
    ProveTask,
    Seen,
    Task,
)
from diadem.pack.compose import Options
from diadem.pack.pack import Packed, pack
from diadem.pack.plan import PackPlan
from diadem.package.examine import open_tag_files
from diadem.policy.required import require_stated
from diadem.store.contract import Added, Pace, Store
from diadem.store.copy import Changed, Copier, NotPlain, SourceFailed
from diadem.store.source import SourceFile

#: Files of a session that are looked at to see that the worker has the same folder before it; seconds that two mounts
#: of one folder may differ in a file's time.
_LOOKED_AT, _TICK = 16, 2.0


@dataclass(frozen=True, slots=True)
class WorkerTools:
    """What a worker has at hand.

    Attributes
    ----------
    lend : callable
        Lends what reads instrument files, for one task.
    identity : str
        See `Seen`.
    """

    lend: Callable[[], AbstractContextManager[Extractor]]
    identity: str


def perform(task: Task, tools: WorkerTools) -> Answer:
    """Do a task.

    Raises
    ------
    Unreachable
        A store or a source is not to be seen from this machine, which is named.
    DiademError
        As without a worker.
    """
    began = time.time()
    value: Any
    match task:
        case ProbeTask():
            value = _probe(task, tools)
        case PackTask():
            value = _pack(task, tools)
        case HashTask():
            value = _hash(task)
        case ProveTask():
            value = _prove(task)
        case CopyTask():
            value = _copy(task)
        case EnterTask():
            value = read_packages(_opened(task.store), task.packages)
    return Answer(value, socket.gethostname(), os.getpid(), began, time.time())


# -- what is seen from here ------------------------------------------------------------------------------------------


def _probe(task: ProbeTask, tools: WorkerTools) -> Seen:
    for settings in task.stores:
        _opened(settings)
    for folder in task.folders:
        if not os.path.lexists(folder):
            raise Unreachable(
                f"the worker on {socket.gethostname()} does not see this folder",
                where=folder,
                next="Mount it there under the same path, or start workers where it is.",
            )
    return Seen(tools.identity)


def _opened(settings: StoreSettings) -> Store:
    """A store that answers here and is the node's."""
    try:
        return open_own(settings)
    except Unreachable as error:
        raise Unreachable(
            f"the worker on {socket.gethostname()} does not reach the store '{settings.name}': {error.message}",
            where=settings.url,
            next="Mount it there under the same path. Of a server: set its address and credentials in the worker's"
            " environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID …); what was given to open_node is not sent.",
        ) from error


def _require_same(plan: PackPlan) -> None:
    """Raise `Unreachable` where none of the largest files is here as the node saw it: it is another folder."""
    largest = sorted(plan.files.values(), key=lambda file: -file.size)[:_LOOKED_AT]
    if largest and not any(map(_is_same, largest)):
        raise Unreachable(
            f"the worker on {socket.gethostname()} does not see these files as the node does",
            where=str(Path(largest[0].path).parent),
            next="Mount the folder there under the same path; or the session is still being written.",
        )


def _is_same(file: SourceFile) -> bool:
    try:
        status = Path(file.path).lstat()
    except OSError:
        return False
    return status.st_size == file.size and abs(status.st_mtime_ns - file.mtime_ns) < _TICK * 1e9


# -- packing ---------------------------------------------------------------------------------------------------------


def _pack(task: PackTask, tools: WorkerTools) -> Packed | Blind:
    store = _opened(task.store)
    hidden = (file.path for file in task.plan.files.values() if not os.access(file.path, os.R_OK))
    if unseen := [path for path in hidden if path not in task.unreadable]:
        _require_same(task.plan)
        return Blind(unseen)
    _require_same(task.plan) if not task.unreadable else None
    policy = task.policy
    options = Options(
        strict=task.strict,
        license=task.license,
        software=task.software,
        continues=task.continues,
        judge=None if policy is None else (lambda record: require_stated(policy, record)),
        archived=task.archived,
    )
    with tools.lend() as extractor:
        packed = pack(task.plan, store, extractor=extractor, options=options, listener=silent)
    return replace(packed, opened=None)


def _hash(task: HashTask) -> dict[str, str | None]:
    """Path to digest; None for what cannot be read here or changes meanwhile."""
    with Copier() as copier:
        return {file.path: _digest(file, copier) for file in task.files}


def _digest(file: SourceFile, copier: Copier) -> str | None:
    try:
        return copier.copy(file.path, None, lambda _: None).sha256
    except (Changed, NotPlain, SourceFailed):
        return None


# -- copies ----------------------------------------------------------------------------------------------------------


def _prove(task: ProveTask) -> list[Proved]:
    store = _opened(task.store)
    pace = Pace(task.rate) if task.rate else None
    return [_proved(store, task.store, copy, pace) for copy in task.copies]


def _proved(store: Store, settings: StoreSettings, copy: CopyToProve, pace: Pace | None) -> Proved:
    """One copy. A store that is not to be seen any more gives no answer: it is not the copy that is missing."""
    try:
        report = prove(lambda: store.bundle(copy.path), copy.package, copy.path, level=copy.level, pace=pace)
        if report.ok:
            return Proved(copy, report)
        open_own(settings, store=store)
    except Unreachable as error:
        return Proved(copy, None, silence=f"{error.message} (as the worker on {socket.gethostname()} sees it)")
    found = ""
    with suppress(DiademError):  # where nothing lies there, no other package does
        found = package_at(store.bundle(copy.path))
    return Proved(copy, report, found if found != PackageId(copy.package) else "")


def _copy(task: CopyTask) -> Added:
    source, target = _opened(task.source), _opened(task.target)
    bundle = source.bundle(task.path)
    return target.add(bundle, open_tag_files(bundle, expected_id=task.package), task.target_path)
