"""What a worker does elsewhere: tasks of plain values, without a node, a key or a password, and the doing of them.

A worker does what needs no log: it reads, hashes, extracts, and writes sealed packages into stores. It opens a store by
the settings that stand in `node.toml`; credentials it finds where it runs, in the environment or the files of fsspec.
A task is the name of a function below and its arguments. What it gives back is what the same work gives in the node.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.archive.package import Package
from diadem.catalogue import Prepared, prepare
from diadem.errors import DiademError, Unreachable
from diadem.model.ports import silent
from diadem.model.replicas import ReplicaState
from diadem.model.report import Level
from diadem.node.config import StoreSettings
from diadem.node.follow.catalogue_rows import package_entry
from diadem.node.read_copy import CopyRead, read_copy
from diadem.node.stores import open_own
from diadem.package.examine import open_tag_files
from diadem.package.verify import verify
from diadem.store.contract import Added, Pace, Store
from diadem.store.copy import Changed, Copier, NotPlain, SourceFailed
from diadem.store.source import SourceFile

if TYPE_CHECKING:
    from diadem.extract.pool import Extractor
    from diadem.model.policy import Policy
    from diadem.pack.compose import Options
    from diadem.pack.pack import Packed
    from diadem.pack.plan import PackPlan

#: Files of a session that are looked at to see that the worker has the same folder before it; seconds that two mounts
#: of one folder may differ in a file's time.
_LOOKED_AT, _TICK = 16, 2.0


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done: one of `probe`, `pack`, `digests`, `prove`, `copy`, `read_packages`, and its arguments."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a task: its value, on which machine and in which process, and when, seconds since 1970 there."""

    value: Any
    host: str
    process: int
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class WorkerTools:
    """What a worker has at hand: what reads instrument files, lent for one task, and what extraction depends on.

    That is DIADEM, RosettaSciIO and plugins, with their versions.
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
    value = _DONE_BY[task.name](tools, **task.arguments)
    return Answer(value, socket.gethostname(), os.getpid(), began, time.time())


# -- what is seen from here ------------------------------------------------------------------------------------------


def _probe(tools: WorkerTools, *, stores: Iterable[StoreSettings], folders: Iterable[str]) -> str:
    """Look whether a worker sees what the node sees; what extraction depends on here."""
    for settings in stores:
        _opened(settings)
    for folder in folders:
        if not os.path.lexists(folder):
            raise Unreachable(
                f"the worker on {socket.gethostname()} does not see this folder",
                where=folder,
                next="Mount it there under the same path, or start workers where it is.",
            )
    return tools.identity


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


# -- packing ---------------------------------------------------------------------------------------------------------


def _pack(
    tools: WorkerTools,
    *,
    store: StoreSettings,
    plan: PackPlan,
    options: Options,
    policy: Policy | None = None,
    unreadable: frozenset[str] = frozenset(),
) -> Packed | list[str]:
    """Pack a planned session into a store; or the files that cannot be read here, where nothing was packed.

    The options call nothing, and have a moment of the node's clock, not of the worker's. `policy` is given where it
    requires metadata. Of the files in `unreadable` the node knows that nobody sees more of them.
    """
    from diadem.pack.pack import pack
    from diadem.policy.required import require_stated

    target = _opened(store)
    hidden = (file.path for file in plan.files.values() if not os.access(file.path, os.R_OK))
    unseen = [path for path in hidden if path not in unreadable]
    if unseen or not unreadable:
        _require_same(plan)
    if unseen:
        return unseen
    if policy is not None:
        options = replace(options, judge=partial(require_stated, policy))
    with tools.lend() as extractor:
        packed = pack(plan, target, extractor=extractor, options=options, listener=silent)
    return replace(packed, opened=None)


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


def _digests(_: WorkerTools, *, files: Sequence[SourceFile]) -> dict[str, str | None]:
    """Path to SHA-256; None for what cannot be read here or changes meanwhile."""
    found: dict[str, str | None] = {}
    with Copier() as copier:
        for file in files:
            found[file.path] = None
            with suppress(Changed, NotPlain, SourceFailed):
                found[file.path] = copier.copy(file.path, None, lambda _: None).sha256
    return found


# -- copies ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CopyToRead:
    """A copy of a package in a store that is to be read whole: how far (None: as usual), and its bytes."""

    package: str
    replica: ReplicaState
    level: Level | None
    bytes: int = 0


def _prove(_: WorkerTools, *, store: StoreSettings, copies: Sequence[CopyToRead], rate: float | None) -> list[CopyRead]:
    """Read copies in one store whole, at so many bytes per second at most."""
    opened, pace = _opened(store), Pace(rate) if rate else None
    return [_prove_one(opened, store, copy, pace) for copy in copies]


def _prove_one(store: Store, settings: StoreSettings, copy: CopyToRead, pace: Pace | None) -> CopyRead:
    """One copy. A store that is not to be seen any more gives no answer: it is not the copy that is missing."""
    path = copy.replica.path
    try:
        read = read_copy(lambda: store.bundle(path), copy.package, path, level=copy.level or Level.FULL, pace=pace)
        if read.report is not None and not read.report.ok:
            open_own(settings, store=store)
    except Unreachable as error:
        return CopyRead(None, silence=f"{error.message} (as the worker on {socket.gethostname()} sees it)")
    return read


def _copy(
    _: WorkerTools, *, package: str, source: StoreSettings, path: str, target: StoreSettings, target_path: str
) -> Added:
    """Copy a package from one store into another."""
    there, here = _opened(source), _opened(target)
    bundle = there.bundle(path)
    return here.add(bundle, open_tag_files(bundle, expected_id=package), target_path)


# -- packages for a catalogue that is built anew ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PackageToRead:
    """A package to read.

    `path` is where it lies in the store; `said` is the predicate of its `ingest` statement, where the log has one.
    Where it is not `wanted`, it is only looked whether it is there.
    """

    path: str
    said: Mapping[str, Any] | None
    wanted: bool


@dataclass(frozen=True, slots=True)
class PackageRead:
    """What was read of a package: where it lies, its id ("" where it cannot be read), what the catalogue keeps of it.

    `fault` says why it cannot be read, and `unhinted` why its hints could not be written.
    """

    path: str
    id: str = ""
    prepared: Prepared | None = None
    fault: str = ""
    unhinted: str = ""


def read_packages(store: Store, packages: Sequence[PackageToRead]) -> list[PackageRead]:
    """Read packages, and write their hints anew: what was copied there by hand, or lost them, is found again.

    A hint is worth no second try, and stops nothing.
    """
    found = []
    hints = True
    for sought in packages:
        one = _read_package(store, sought, hints=hints)
        hints = hints and not one.unhinted
        found.append(one)
    return found


def _read_package(store: Store, sought: PackageToRead, *, hints: bool) -> PackageRead:
    try:
        bundle = store.bundle(sought.path)
        opened = open_tag_files(bundle)
        package = Package(bundle, opened=opened)
        if sought.said is None:  # one damaged line of a tag manifest makes another id: no package
            verify(bundle, level=Level.QUICK, expected_id=package.id).raise_for_findings()
        prepared = prepare(package_entry(package, sought.path, sought.said)) if sought.wanted else None
    except DiademError as error:
        return PackageRead(sought.path, fault=error.message)
    except OSError as error:
        return PackageRead(sought.path, fault=str(error))
    if hints:
        try:
            store.write_hints(opened, sought.path)
        except DiademError as error:
            return PackageRead(sought.path, package.id, prepared, unhinted=error.message)
    return PackageRead(sought.path, package.id, prepared)


def _read_packages(_: WorkerTools, *, store: StoreSettings, packages: Sequence[PackageToRead]) -> list[PackageRead]:
    return read_packages(_opened(store), packages)


_DONE_BY: Mapping[str, Callable[..., Any]] = {
    "probe": _probe,
    "pack": _pack,
    "digests": _digests,
    "prove": _prove,
    "copy": _copy,
    "read_packages": _read_packages,
}
