"""What the engine judges: packages, stores and the node, as they were found just now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from diadem.model.replicas import PackageState, StoreState
from diadem.node.rules.status import Status

__all__ = ["ArchiveState", "NodeState", "Status"]


@dataclass(frozen=True, slots=True)
class NodeState:
    """The node itself.

    Attributes
    ----------
    name : str
        As the node is called: ``hu-berlin``.
    recovery_confirmed : bool
        Whether a person said that the recovery file lies somewhere else.
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
    """

    name: str
    recovery_confirmed: bool = False
    log_pending: int = 0
    clock_ok: bool = True
    superseded: str = ""
    recover: str = ""
    key_fault: str = ""
    key_back: str = ""
    policy_lost: str = ""
    policy_back: str = ""


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
