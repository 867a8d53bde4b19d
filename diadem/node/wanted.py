"""Which stores still want a copy of a package, by the policy."""

from __future__ import annotations

from diadem.model.replicas import PackageState
from diadem.node.context import Context
from diadem.node.state import archive_state
from diadem.policy.engine import judge


def wanted_stores(context: Context, package_id: str) -> list[str]:
    """Names of the stores that should get a copy now: as few as the policy needs, those that answer first."""
    state = archive_state(context, packages=[package_state(context, package_id)])
    status = judge(context.policy, state, context.clock())
    return [
        action.store
        for action in status.actions
        if action.kind == "replicate" and action.package == package_id and action.store
    ]


def package_state(context: Context, package_id: str) -> PackageState:
    """The copies of one package as the policy judges them."""
    return context.catalogue.package_state(package_id)
