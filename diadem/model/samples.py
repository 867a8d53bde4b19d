"""A physical sample: what it is, what others call it, what it was made from, and what happened to it. Pure.

What is known of a sample is what statements of the kind ``sample`` say: see `diadem.model.sample_statements`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from diadem.model.display import Display

KIND: Final = "sample"
PREFIX: Final = "sample:"
DEFINED, CHANGED, LINKED, UNLINKED = "defined", "changed", "linked", "unlinked"
RETRACTED = "retracted"
MADE, SENT, RECEIVED, CONSUMED, LOST = "made", "sent", "received", "consumed", "lost"
#: What happens to the thing itself.
HAPPENINGS: Final = (MADE, SENT, RECEIVED, CONSUMED, LOST)
#: How a sample is made from another one.
WAYS: Final = ("split", "lamella", "annealed", "mixed", "other")
#: What a definition may say, and a change say anew.
MEMBERS: Final = (
    "identifier", "name", "identifiers", "names", "parents", "maker", "composition", "elements", "preparation",
    "comment",
)  # fmt: skip
_ID: Final = re.compile(r"sample:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


def new_id() -> str:
    """A new sample's id: ``sample:`` and a random UUID."""
    return PREFIX + str(uuid.uuid4())


def is_sample_id(text: str) -> bool:
    """Whether a text is the whole id of a sample."""
    return _ID.match(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class OtherName:
    """A name that another lab uses: ``K-2026-007`` of ``NMI``."""

    name: str
    lab: str

    def __str__(self) -> str:
        """``K-2026-007 (NMI)``."""
        return f"{self.name} ({self.lab})"


@dataclass(frozen=True, slots=True)
class Parent:
    """The sample that one was made from, by its id, and how (`WAYS`)."""

    sample: str
    how: str


@dataclass(frozen=True, slots=True)
class Maker:
    """Who made a sample: a person, a lab, or both; "" for what is not known."""

    name: str = ""
    lab: str = ""
    ror: str = ""
    orcid: str = ""

    def __str__(self) -> str:
        """``Ada Byron, NMI``."""
        return ", ".join(part for part in (self.name, self.lab) if part) or self.orcid or self.ror


@dataclass(frozen=True, slots=True)
class Step:
    """One step of its preparation; `date` is ``YYYY-MM-DD`` or ""."""

    step: str
    date: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Retraction(Display):
    """That something did not happen, said by the one who had stated it; `statement` is the id of the retraction."""

    by: str
    reason: str
    statement: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {"by": self.by, "reason": self.reason, "statement": self.statement}


@dataclass(frozen=True, slots=True)
class Event(Display):
    """Something that happened to the thing.

    Attributes
    ----------
    what : str
        One of `HAPPENINGS`.
    date : str
        The day, ``YYYY-MM-DD``, as the person says who stated it.
    from_, to : str
        Where it was before and after; "" for what was not said.
    comment : str
        In words.
    by : str
        Who stated it: ``alice@hu-berlin``.
    order : int
        Grows with the log; tells the order of events of one day.
    sample : str
        Id of the sample of which it was stated.
    statement : str
        Id of the statement, 64 hex digits.
    retracted : Retraction or None
        Who took it back, and why: it is told, and counts no longer.
    """

    what: str
    date: str
    from_: str = ""
    to: str = ""
    comment: str = ""
    by: str = ""
    order: int = 0
    sample: str = ""
    statement: str = ""
    retracted: Retraction | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "event": self.what,
            "date": self.date,
            "from": self.from_,
            "to": self.to,
            "comment": self.comment,
            "by": self.by,
            "sample": self.sample,
            "statement": self.statement,
            "retracted": self.retracted.to_dict() if self.retracted else None,
        }


@dataclass(frozen=True, slots=True)
class Link(Display):
    """That another name means the same thing.

    Attributes
    ----------
    sample : str
        Id of another sample of the node, or "".
    other : OtherName or None
        Else the name that another lab uses.
    reason : str
        Why somebody is sure.
    by : str
        Who said it.
    """

    sample: str = ""
    other: OtherName | None = None
    reason: str = ""
    by: str = ""

    @property
    def key(self) -> str | OtherName:
        """What tells one link of a sample from another."""
        return self.other or self.sample

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        other = {"name": self.other.name, "lab": self.other.lab} if self.other else None
        return {"sample": self.sample or None, "other": other, "reason": self.reason, "by": self.by}


@dataclass(frozen=True, slots=True)
class Sample(Display):
    """A physical sample, as a node knows it.

    Attributes
    ----------
    id : str
        ``sample:<uuid>``.
    identifier : str
        What the node calls it: ``S-12``.
    name : str
        What it is: ``ZnO nanorods``.
    identifiers : mapping of str to str
        Names that mean it everywhere: ``{"igsn": …}``.
    names : tuple of OtherName
        What other labs call it.
    parents : tuple of Parent
        What it was made from.
    maker : Maker or None
        Who made it.
    composition, comment : str
        In words.
    elements : tuple of str
        Chemical symbols.
    preparation : tuple of Step
        In order.
    events : tuple of Event
        What happened to it, in the order in which it was stated.
    links : tuple of Link
        What means the same thing, as far as it was not undone.
    by : str
        Who defined it.
    """

    _display_keys = (
        "identifier",
        "name",
        "description",
        "by",
        "id",
        "events: date event to comment by",
        "links: sample other reason by",
    )

    id: str
    identifier: str
    name: str = ""
    identifiers: Mapping[str, str] = field(default_factory=dict)
    names: tuple[OtherName, ...] = ()
    parents: tuple[Parent, ...] = ()
    maker: Maker | None = None
    composition: str = ""
    elements: tuple[str, ...] = ()
    preparation: tuple[Step, ...] = ()
    comment: str = ""
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    by: str = ""

    @property
    def other_names(self) -> tuple[OtherName, ...]:
        """What other labs call it: as it was defined, and by links; none twice."""
        linked = (link.other for link in self.links if link.other is not None)
        return tuple(dict.fromkeys((*self.names, *linked)))

    @property
    def linked(self) -> tuple[str, ...]:
        """Ids of the samples of the node that are the same thing, directly."""
        return tuple(link.sample for link in self.links if link.sample)

    def all_names(self) -> Iterator[str]:
        """Every name that means it: its identifier, those of everywhere, those of other labs; not what it is."""
        yield self.identifier
        yield from self.identifiers.values()
        yield from (other.name for other in self.other_names)

    def __str__(self) -> str:
        """``S-12, ZnO nanorods``."""
        return f"{self.identifier}, {self.name}" if self.name else self.identifier

    def said(self) -> dict[str, Any]:
        """What a definition of it would say, as a statement has it."""
        maker = self.maker
        said: dict[str, Any] = {
            "identifier": self.identifier,
            "name": self.name,
            "identifiers": dict(self.identifiers),
            "names": [{"name": other.name, "lab": other.lab} for other in self.names],
            "parents": [{"sample": parent.sample, "how": parent.how} for parent in self.parents],
            "maker": {key: value for key in ("name", "lab", "ror", "orcid") if (value := getattr(maker, key, ""))},
            "composition": self.composition,
            "elements": list(self.elements),
            "preparation": [
                {key: value for key in ("step", "date", "comment") if (value := getattr(step, key))}
                for step in self.preparation
            ],
            "comment": self.comment,
        }
        return {key: value for key, value in said.items() if value}

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: id, what was said of it, events, links."""
        return {
            "id": self.id,
            **self.said(),
            "events": [event.to_dict() for event in self.events],
            "links": [link.to_dict() for link in self.links],
            "by": self.by,
        }

    @classmethod
    def of(cls, sample_id: str, said: Mapping[str, Any], **more: Any) -> Self:
        """The sample of the members that were said last."""
        maker = said.get("maker")
        return cls(
            id=sample_id,
            identifier=str(said["identifier"]),
            name=said.get("name") or "",
            identifiers=dict(said.get("identifiers") or {}),
            names=tuple(OtherName(one["name"], one["lab"]) for one in said.get("names") or ()),
            parents=tuple(Parent(one["sample"], one["how"]) for one in said.get("parents") or ()),
            maker=Maker(**_only(maker, ("name", "lab", "ror", "orcid"))) if maker else None,
            composition=said.get("composition") or "",
            elements=tuple(said.get("elements") or ()),
            preparation=tuple(Step(**_only(one, ("step", "date", "comment"))) for one in said.get("preparation") or ()),
            comment=said.get("comment") or "",
            **more,
        )


def _only(said: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """The members that this version knows."""
    return {key: str(said[key]) for key in keys if said.get(key)}
