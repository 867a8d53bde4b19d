"""Who may what: rights, grants and their revocations, who asks, and what the answer is. Frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from diadem.model.display import Display
from diadem.model.times import read_time, time_text

#: What the subjects of a grant are.
PACKAGE, SAMPLE, PROJECT = "package", "sample", "project"
#: How a subject of a grant of a project begins.
PROJECT_PREFIX: Final = "project:"
#: What a grant may demand: that no hub carries what it allows.
DIRECT_ONLY: Final = "direct-only"
#: Everybody of a node, in the place of a user's name.
EVERYBODY: Final = "*"
#: Who asks: a user of this node, one who has left it, a node whose key was confirmed, one whose key was not yet.
USER, RETIRED, PEER, PENDING = "user", "retired", "peer", "pending"


class Right(StrEnum):
    """What may be done with a package: find it, read it, judge it."""

    LIST = "list"
    READ = "read"
    ASSESS = "assess"

    def within(self, rights: Iterable[Right]) -> bool:
        """Whether some rights are enough: who may read or judge a package may also find it."""
        return self in (given := set(rights)) or (self is Right.LIST and bool(given))


@dataclass(frozen=True, slots=True)
class Grant(Display):
    """What somebody allowed somebody else.

    Attributes
    ----------
    id : str
        Of the statement, 64 hex digits; "" of one that was not stated.
    by : str
        Who allows it: ``alice@hu-berlin``.
    to : str
        Who may: ``marie@nmi``, or ``*@nmi`` for everybody there.
    recipient : str
        Id of the node of the grantee; what it is called here may change.
    rights : frozenset of Right
        What is allowed.
    scope : str
        `PACKAGE`, `SAMPLE` or `PROJECT`.
    subjects : tuple of str
        Ids of packages, of one sample, or ``project:<name>``.
    label : str
        Name of the project or sample, as its owner writes it.
    not_before, expires : datetime or None
        When it begins and ends.
    require : frozenset of str
        `DIRECT_ONLY`.
    purpose : str
        What for.
    place : int
        Where in the log it stands.
    time : datetime or None
        When it was logged.
    """

    id: str
    by: str
    to: str
    recipient: str
    rights: frozenset[Right]
    scope: str
    subjects: tuple[str, ...]
    label: str = ""
    not_before: datetime | None = None
    expires: datetime | None = None
    require: frozenset[str] = frozenset()
    purpose: str = ""
    place: int = 0
    time: datetime | None = None

    @classmethod
    def of(cls, id: str, place: int, subjects: Iterable[str], said: Mapping[str, Any]) -> Self:  # noqa: A002
        """The grant of a statement's predicate, which its schema has judged."""
        return cls(
            id=id,
            by=str(said["by"]),
            to=str(said["to"]),
            recipient=str(said.get("recipient", "")),
            rights=frozenset(map(Right, said["rights"])),
            scope=str(said.get("scope", PACKAGE)),
            subjects=tuple(subjects),
            label=str(said.get("label", "")),
            not_before=_moment(said.get("not_before")),
            expires=_moment(said.get("expires")),
            require=frozenset(map(str, said.get("require", ()))),
            purpose=str(said.get("purpose", "")),
            place=place,
            time=_moment(said.get("time")),
        )

    @property
    def user(self) -> str:
        """The grantee's name on their node, or `EVERYBODY`."""
        return self.to.partition("@")[0]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "id": self.id or None,
            "by": self.by,
            "to": self.to,
            "recipient": self.recipient or None,
            "rights": [right.value for right in Right if right in self.rights],
            "scope": self.scope,
            "subjects": list(self.subjects),
            "label": self.label or None,
            "not_before": time_text(self.not_before) if self.not_before else None,
            "expires": time_text(self.expires) if self.expires else None,
            "require": sorted(self.require),
            "purpose": self.purpose,
            "time": time_text(self.time) if self.time else None,
        }


@dataclass(frozen=True, slots=True)
class Revocation(Display):
    """That a grant holds no longer.

    Attributes
    ----------
    id, revokes : str
        Ids of this statement, and of the one that it takes back.
    by : str
        Who says so.
    reason : str
        Why.
    place : int
        Where in the log it stands.
    time : datetime or None
        When it was logged.
    """

    id: str
    revokes: str
    by: str
    reason: str = ""
    place: int = 0
    time: datetime | None = None

    @classmethod
    def of(cls, id: str, place: int, said: Mapping[str, Any]) -> Self:  # noqa: A002
        """The revocation of a statement's predicate."""
        return cls(
            id, str(said["revokes"]), str(said["by"]), str(said.get("reason", "")), place, _moment(said.get("time"))
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        when = time_text(self.time) if self.time else None
        return {"id": self.id, "revokes": self.revokes, "by": self.by, "reason": self.reason, "time": when}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks; whoever speaks for them has checked their key.

    Attributes
    ----------
    node : str
        Id of their node, 64 hex digits.
    address : str
        ``marie@nmi``, the node as it is called here; "" where a node asks for itself.
    key : str
        Id of the key that signed what they ask; "" where nothing was signed.
    kind : str
        `USER`, `RETIRED`, `PEER` or `PENDING`.
    guest : bool
        A user from outside the group, to whom the policy's default opens nothing.
    """

    node: str
    address: str = ""
    key: str = ""
    kind: str = PEER
    guest: bool = False

    @property
    def user(self) -> str:
        """Their name on their node; "" where a node asks for itself."""
        return self.address.partition("@")[0]

    def __str__(self) -> str:
        """As people call them."""
        return self.address or f"the node {self.node[:12]}…"


@dataclass(frozen=True, slots=True)
class Decision(Display):
    """Whether somebody may do something with a package, and why.

    Attributes
    ----------
    allowed : bool
        The answer.
    reasons : tuple of str
        Sentences, each with the statement or the rule behind it, in the order in which they were weighed.
    grant : Grant or None
        The one that decided: that allows it, or that came closest to it.
    requirements : tuple of str
        What the way must fulfil on which the bytes go: `DIRECT_ONLY`.
    """

    allowed: bool
    reasons: tuple[str, ...]
    grant: Grant | None = None
    requirements: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "allowed": self.allowed,
            "reasons": list(self.reasons),
            "grant": self.grant.to_dict() if self.grant else None,
            "requirements": list(self.requirements),
        }


@dataclass(frozen=True, slots=True)
class Reach:
    """Packages that one thing opens to somebody: all that fulfil every part of it.

    Attributes
    ----------
    owners : frozenset of str
        For whom they were archived.
    packages : frozenset of str or None
        Ids, 64 hex digits; None for any.
    scope : str
        `PROJECT` or `SAMPLE` where they must name one of `names` as theirs; else "".
    names : frozenset of tuple of str
        Words of names, without case and signs.
    """

    owners: frozenset[str]
    packages: frozenset[str] | None = None
    scope: str = ""
    names: frozenset[tuple[str, ...]] = frozenset()


@dataclass(frozen=True, slots=True)
class Visible:
    """All packages that somebody may find.

    Attributes
    ----------
    everything : bool
        Whether that is all of them.
    reaches : tuple of Reach
        Else those of one of these.
    """

    everything: bool = False
    reaches: tuple[Reach, ...] = field(default=())


def _moment(text: Any) -> datetime | None:
    return read_time(str(text)) if text else None
