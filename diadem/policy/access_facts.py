"""What the engine is told of a package before it decides. Frozen values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from diadem.model.access import Grant, Revocation
from diadem.model.ownership import Ownership

#: Words of a name, as they are compared.
Name = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """A grant, and what was said of it since.

    Attributes
    ----------
    grant : Grant
        Its signature was checked.
    revocation : Revocation or None
        The one that took it back, by the grantor or who followed them.
    names : frozenset of Name
        What the owner calls the project or the sample of it.
    """

    grant: Grant
    revocation: Revocation | None = None
    names: frozenset[Name] = frozenset()


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """A package, as far as access depends on it.

    Attributes
    ----------
    package : str
        ``diadem:<64 hex>``.
    node : str
        Id of the node that is asked.
    known, deleted : bool
        Whether the node has or had it; whether it was deleted on purpose.
    ownership : Ownership
        Whose it is and was.
    owned_by : str
        Id of the statement that names the owner.
    whole : mapping of str to collection of Name
        By scope (project, sample), what the package as a whole belongs to: by the sealed record, as its owner corrected
        it.
    partly : mapping of str to collection of Name
        The same of some of its datasets only.
    default : str
        The policy's access: ``private`` or ``node``.
    grants : tuple of GrantFacts
        Those that may concern it.
    """

    package: str
    node: str
    known: bool
    deleted: bool = False
    ownership: Ownership = field(default_factory=Ownership)
    owned_by: str = ""
    whole: Mapping[str, Collection[Name]] = field(default_factory=dict)
    partly: Mapping[str, Collection[Name]] = field(default_factory=dict)
    default: str = "private"
    grants: tuple[GrantFacts, ...] = ()
