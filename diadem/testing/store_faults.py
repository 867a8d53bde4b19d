"""Ways in which a store can be told to fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["unreachable", "full", "lost", "flip", "torn", "slow"]

#: Operations that can fail: methods of `Store`, and ``read`` for reading from its packages.
OPERATIONS = frozenset(
    {
        "add",
        "capabilities",
        "check",
        "delete",
        "draft",
        "get",
        "keys",
        "packages",
        "put",
        "put_readme",
        "read",
        "remove",
    }
    | {"replace_file", "replace_leaf", "sweep", "write_hints"}
)
#: Faults that only these operations can have.
_ONLY: dict[str, frozenset[str]] = {
    "flip": frozenset({"put", "add", "replace_leaf", "replace_file", "read"}),
    "torn": frozenset({"put", "add", "replace_leaf", "replace_file"}),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a store fails.

    Attributes
    ----------
    operation : str
        A method of `Store`, ``read`` for reading from its packages, or ``*`` for all of them.
    kind : str
        ``unreachable`` and ``full`` raise and do nothing; ``lost`` does it and raises, as if the answer were lost;
        ``flip`` does it and then changes one byte of what was written (or read); ``torn`` does half and raises;
        ``slow`` waits first.
    skip : int
        Calls that are let through before.
    times : int or None
        Calls that fail; None for all that come.
    chance : float
        How likely a call fails that could.
    seconds : float
        How long ``slow`` waits.
    """

    operation: str
    kind: Kind
    skip: int = 0
    times: int | None = 1
    chance: float = 1.0
    seconds: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what can never happen, so that no test passes because its fault had a wrong name."""
        if self.operation not in OPERATIONS | {"*"}:
            raise ValueError(f"there is no operation '{self.operation}'; one of {', '.join(sorted(OPERATIONS))}, *")
        if self.kind in _ONLY and self.operation not in _ONLY[self.kind]:
            raise ValueError(f"'{self.kind}' can happen to {', '.join(sorted(_ONLY[self.kind]))} only")
