"""Packages of which nothing is left: every copy is missing, and no store that could still hold one is away."""

from __future__ import annotations

from collections.abc import Collection

from diadem.model.replicas import DROPPED, MISSING, PackageState


def is_lost(package: PackageState, away: Collection[str]) -> bool:
    """Whether no copy of a package is left, as far as was found out: not one that is damaged, not one in a drawer.

    Parameters
    ----------
    package : PackageState
        One that was not deleted.
    away : collection of str
        Stores of the node that do not answer. A store that was taken out of the node for good is none of them.
    """
    if package.tombstoned:
        return False
    left = [copy for copy in package.replicas if copy.state != DROPPED]
    return bool(left) and all(copy.state == MISSING and copy.store not in away for copy in left)


def safe_elsewhere(other: str) -> str:
    """``the same files are safe in diadem:c3d80e11bd38…``; "" where there is no such package."""
    return f"the same files are safe in {other[:19]}…" if other else ""
