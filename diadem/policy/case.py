"""What a rule looks at: the policy, the counted archive and its debts; and how it words what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from diadem.model.policy import Policy
from diadem.model.report import Severity
from diadem.policy.debts import Debts
from diadem.policy.facts import NodeState
from diadem.policy.status import RuleFinding
from diadem.policy.tally import Group, StoreTally, Tally


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule looks at.

    Attributes
    ----------
    policy : Policy
        What the group wants.
    node : NodeState
        The node itself.
    tally : Tally
        The archive, counted.
    debts : Debts
        Copies that are missing.
    now : datetime
        UTC.
    """

    policy: Policy
    node: NodeState
    tally: Tally
    debts: Debts
    now: datetime

    @property
    def own_stores(self) -> Iterator[StoreTally]:
        """Stores of the node."""
        return (store for store in self.tally.stores.values() if store.known)

    @property
    def read_stores(self) -> Iterator[StoreTally]:
        """The same, and adopted folders: where copies are to be read."""
        return (store for store in self.tally.stores.values() if store.known or store.state.reachable)

    @property
    def takes_copies(self) -> bool:
        """Whether there is a store to which something can be written now."""
        return any(store.state.reachable and not store.state.read_only for store in self.own_stores)

    def absent(self, kind: str) -> list[str]:
        """Stores that would get a copy of this kind if they answered, in the order of the node."""
        names = self.debts.absent.get(kind, ())
        return [name for name in self.tally.stores if name in names]

    def obstacles(self) -> Iterator[str]:
        """Why stores that are there take no copy: ``nas cannot be written to``, ``small is too small``."""
        for store in self.own_stores:
            name, state = store.state.name, store.state
            if state.reachable and state.read_only and not state.retired:
                yield f"{name} cannot be written to"
            elif name in self.debts.cramped:
                yield f"{name} is too small"

    @property
    def empty(self) -> bool:
        """Whether nothing is archived yet."""
        return self.tally.totals.packages == 0


def found(
    rule: str, severity: Severity, message: str, group: Group | None = None, *, command: str = "", store: str = ""
) -> RuleFinding:
    """A finding about the packages of a group."""
    first = group.first if group else ()
    return RuleFinding(
        rule,
        severity,
        message,
        packages=tuple(package for package, _ in first),
        titles=tuple(title for _, title in first),
        count=group.count if group else 0,
        command=command,
        store=store,
    )


def listed(names: list[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def packages_have(group: Group) -> str:
    """``1 package has``, ``3 packages have``."""
    return f"{group.count:,} package has" if group.count == 1 else f"{group.count:,} packages have"
