"""What the engine judges: packages, stores and the node, as they were found just now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from diadem.model.replicas import PackageState, StoreState
from diadem.policy.status import Status

__all__ = ["ArchiveState", "NodeState", "Status"]


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A watched folder, as the watcher has noted it.

    Attributes
    ----------
    folder : str
        Its path.
    served : bool
        Whether the watcher that lives, or the last one, looks into it.
    away : datetime or None
        Since when it has not been there.
    problem : str
        Why nothing of it may be archived; "" where it may.
    waiting : sequence of (str, datetime, str)
        Sessions that are to be archived and are not: name, since when, why.
    """

    folder: str
    served: bool = True
    away: datetime | None = None
    problem: str = ""
    waiting: Sequence[tuple[str, datetime, str]] = ()


@dataclass(frozen=True, slots=True)
class WatchState:
    """Who watches.

    Attributes
    ----------
    running : bool
        Whether a watcher lives.
    once : bool
        Whether the last one looked once and ended, as a timer lets it.
    seen : datetime or None
        When the last one was at work; None where there was none.
    folders : sequence of WatchedFolder
        The watched folders of the node.
    """

    running: bool = False
    once: bool = False
    seen: datetime | None = None
    folders: Sequence[WatchedFolder] = ()


@dataclass(frozen=True, slots=True)
class NodeState:
    """The node itself.

    Attributes
    ----------
    name : str
        As the node is called: ``hu-berlin``.
    recovery_confirmed : bool
        Whether a person said that the recovery file lies somewhere else.
    recovery_in_place : str
        Where it still lies on this machine; "" where it does not.
    log_pending : int
        Batches of the log that are in no store yet.
    clock_ok : bool
        Whether the machine's clock is not behind what the log already holds.
    superseded : str
        What a store holds of this log that the log itself does not; "" where nothing: then nothing can be written.
    recover : str
        The store's address, from which the node can be made anew.
    key_fault : str
        What is wrong with a key that the node keeps, so that nothing can be signed; "" where all are well.
    key_back : str
        The command that brings it back.
    policy_lost : str
        What became of the node's `policy.toml`, so that the defaults hold: ``is gone``, ``is empty``; "" for nothing.
    policy_back : str
        The command that puts back the copy of it that a store holds; "" where no store that answers has one.
    unlisted : sequence of (str, str, str)
        Packages that lie in a store and in no log, since their archive was killed: path, store, what was archived.
    watch : WatchState
        The watched folders, and who watches them.
    """

    name: str
    recovery_confirmed: bool = False
    recovery_in_place: str = ""
    log_pending: int = 0
    clock_ok: bool = True
    superseded: str = ""
    recover: str = ""
    key_fault: str = ""
    key_back: str = ""
    policy_lost: str = ""
    policy_back: str = ""
    unlisted: Sequence[tuple[str, str, str]] = ()
    watch: WatchState = WatchState()


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """Everything that a policy is judged by.

    Attributes
    ----------
    packages : iterable of PackageState
        Gone through once.
    stores : sequence of StoreState
        In the order in which the node names them, which is the order in which they get new copies.
    node : NodeState
        The node itself.
    """

    packages: Iterable[PackageState]
    stores: Sequence[StoreState]
    node: NodeState
