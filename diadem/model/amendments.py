"""Corrections of a record that is sealed: which of them hold, where they contradict each other. Pure.

Amendments of one person form a tree: each names the one that it follows, and may join others. Of those that touch a
field, the ones that no other follows are *last*. If they agree, that is the value. If not, the value is what they all
follow, in the end the sealed one, and they are shown as rivals. So the outcome does not depend on the order in which
amendments arrive. Only the owner's change the effective record; those of others are extra assertions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from diadem.model.display import Display
from diadem.model.ownership import Ownership


@dataclass(frozen=True, slots=True)
class Change(Display):
    """Another value for one field.

    Attributes
    ----------
    field : str
        Key of the record: ``sample.identifier``.
    dataset : str
        Id of a dataset; "" for all of them, and the session as a whole.
    value : Any
        In the field's unit; None withdraws what is stated.
    unit : str
        The field's unit, or "".
    """

    field: str
    dataset: str
    value: Any
    unit: str = ""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """The change of one member of ``changes``."""
        return cls(str(said["field"]), str(said.get("dataset") or ""), said.get("value"), str(said.get("unit") or ""))

    def to_dict(self) -> dict[str, Any]:
        """As it is stated."""
        plain: dict[str, Any] = {"field": self.field, "dataset": self.dataset or None}
        if self.value is not None:
            plain["value"] = self.value
        return {**plain, "unit": self.unit} if self.unit and self.value is not None else plain


@dataclass(frozen=True, slots=True)
class Amendment(Display):
    """One correction.

    Attributes
    ----------
    statement_id : str
        64 hex digits.
    order : int
        Grows with the log.
    by : str
        ``alice@hu-berlin``.
    predecessor : str
        Id of the amendment that this one follows; "" for the first.
    joins : tuple of str
        Ids of others that it follows as well.
    changes : tuple of Change
        What it says.
    reason, time : str
        Why; when it was logged.
    node : str
        Id of another node whose owner said it; "" where it stands in this node's log.
    before : bool
        Whether that was one of those from whom the package came here: what they said holds as the owner's.
    """

    statement_id: str
    order: int
    by: str
    predecessor: str
    changes: tuple[Change, ...]
    joins: tuple[str, ...] = ()
    reason: str = ""
    time: str = ""
    node: str = ""
    before: bool = False

    @classmethod
    def of(
        cls,
        statement_id: str,
        order: int,
        said: Mapping[str, Any],
        *,
        by: str = "",
        node: str = "",
        before: bool = False,
    ) -> Self:
        """The correction of the predicate of an `amendment` statement; `by`: as its author is called here."""
        return cls(
            statement_id=statement_id,
            order=order,
            by=by or str(said.get("by", "")),
            predecessor=str(said.get("predecessor") or ""),
            changes=tuple(map(Change.of, said["changes"])),
            joins=tuple(map(str, said.get("joins", ()))),
            reason=str(said.get("reason", "")),
            time=str(said.get("time", "")),
            node=node,
            before=before,
        )

    @property
    def follows(self) -> tuple[str, ...]:
        """Everything that it follows directly."""
        return tuple(one for one in (self.predecessor, *self.joins) if one and one != self.statement_id)

    def on(self, field: str, dataset: str) -> Change | None:
        """What it says of a field of a dataset; what it says of this dataset goes before what it says of all."""
        meant = [change for change in self.changes if change.field == field and change.dataset in ("", dataset)]
        return max(enumerate(meant), key=lambda item: (item[1].dataset == dataset, item[0]))[1] if meant else None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute but `order`; ``statement`` is its id, `node` is there where it has one."""
        return {
            "statement": self.statement_id,
            "by": self.by,
            "time": self.time,
            "predecessor": self.predecessor or None,
            "joins": list(self.joins),
            "changes": [change.to_dict() for change in self.changes],
            "reason": self.reason,
            **({"node": self.node} if self.node else {}),
        }


@dataclass(frozen=True, slots=True)
class Stated:
    """A value that somebody states of a field, and the amendment that says so."""

    change: Change
    amendment: Amendment


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds of one field of one dataset.

    Attributes
    ----------
    chosen : Stated or None
        The owner's word; None where the sealed record still holds. Its value may be None: nothing is stated any more.
    rivals : tuple of Stated
        The owner's words that contradict each other.
    extras : tuple of Stated
        What others say.
    """

    chosen: Stated | None
    rivals: tuple[Stated, ...] = ()
    extras: tuple[Stated, ...] = ()


class Corrections:
    """All that is said of one package's record.

    Parameters
    ----------
    amendments : iterable of Amendment
        Of anybody, in any order; the same twice counts once.
    owner : Ownership or str
        Whose amendments change the effective record, each while it was theirs; "" for nobody's.
    """

    def __init__(self, amendments: Iterable[Amendment], owner: Ownership | str) -> None:
        known = sorted({one.statement_id: one for one in amendments}.values(), key=_place)
        self.amendments = tuple(known)
        self._ownership = Ownership.of(owner) if isinstance(owner, str) else owner
        self._own = _Threads([one for one in known if self.is_owners(one)])
        #: What its owner says here goes before what those said from whom it came, whenever that arrives.
        self._here = _Threads([one for one in known if self.is_owners(one) and not one.before])
        self._before = _Threads([one for one in known if one.before])
        others = [one for one in known if not self.is_owners(one)]
        names = dict.fromkeys(one.by for one in others)
        self._others = [_Threads([one for one in others if one.by == by]) for by in names]

    @property
    def owner(self) -> str:
        """The owner as it is now; "" for none."""
        return self._ownership.now

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose the package is and was here, the first one first."""
        return tuple(one.name for one in self._ownership.holders)

    def is_owners(self, amendment: Amendment) -> bool:
        """Whether it was said by who owned the package then, here or at a node before."""
        return amendment.before or self._ownership.speaks(amendment.by, amendment.order)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field of which something is said, sorted."""
        return tuple(sorted({change.field for one in self.amendments for change in one.changes}))

    def datasets(self, field: str) -> tuple[str, ...]:
        """Ids of datasets of which something of their own is said, sorted."""
        said = (change for one in self.amendments for change in one.changes if change.field == field)
        return tuple(sorted({change.dataset for change in said if change.dataset}))

    def decide(self, field: str, dataset: str = "") -> Decision:
        """What holds of a field of a dataset, or of the session as a whole."""
        chosen, rivals = self._here.resolve(field, dataset)
        if chosen is None:
            chosen, earlier = self._before.resolve(field, dataset)
            rivals = rivals or earlier
        extras = [stated for threads in self._others for stated in threads.last(field, dataset)]
        return Decision(chosen, tuple(rivals), tuple(one for one in extras if one.change.value is not None))

    def conflicts(self) -> list[tuple[str, str, tuple[Stated, ...]]]:
        """Field, dataset ("" for all) and rivals, wherever the owner's amendments contradict each other."""
        asked = [(field, dataset) for field in self.fields for dataset in ("", *self.datasets(field))]
        return [(*place, rivals) for place in asked if (rivals := self.decide(*place).rivals)]

    def forks(self) -> list[tuple[str, ...]]:
        """Ids of the owner's amendments that follow the same one, for each that several follow."""
        return self._own.forks()

    def tips(self, by: str) -> tuple[str, ...]:
        """Ids of a person's amendments that none of theirs follows; the one that was said last comes last.

        An owner goes on with what was said by those before.
        """
        if by and by == self.owner:
            return self._own.tips()
        return _Threads([one for one in self.amendments if one.by == by]).tips()


class _Threads:
    """The amendments of one person, each after those that it follows.

    Parameters
    ----------
    amendments : sequence of Amendment
        In the order of the log.
    """

    def __init__(self, amendments: Sequence[Amendment]) -> None:
        self._by_id = {one.statement_id: one for one in amendments}
        self._place = {one.statement_id: place for place, one in enumerate(amendments)}
        self._before: dict[str, frozenset[str]] = {}
        #: By field and dataset, who says something of it.
        self._saying: dict[tuple[str, str], dict[str, None]] = {}
        for one in amendments:
            for change in one.changes:
                self._saying.setdefault((change.field, change.dataset), {})[one.statement_id] = None
        ids = list(self._by_id)
        #: Each follows the one before it and nothing else, as they do where one machine has made them all.
        self._is_chain = all(one.follows == (ids[at - 1],) for at, one in enumerate(amendments) if at)

    def _ancestors(self, statement_id: str) -> frozenset[str]:
        """All that an amendment follows, directly or not; never itself."""
        if statement_id not in self._before:
            found: set[str] = set()
            waiting = list(self._by_id[statement_id].follows)
            while waiting:
                one = waiting.pop()
                if one not in found and one in self._by_id:
                    found.add(one)
                    waiting.extend(self._by_id[one].follows)
            self._before[statement_id] = frozenset(found - {statement_id})
        return self._before[statement_id]

    def _touching(self, field: str, dataset: str) -> dict[str, Stated]:
        ids = {**self._saying.get((field, ""), {}), **self._saying.get((field, dataset), {})}
        found = {}
        for key in sorted(ids, key=self._place.__getitem__):
            change = self._by_id[key].on(field, dataset)
            if change is not None:
                found[key] = Stated(change, self._by_id[key])
        return found

    def _newest(self, touching: Mapping[str, Stated]) -> list[Stated]:
        """Those that no other of them follows."""
        if self._is_chain or len(touching) < 2:
            return list(touching.values())[-1:]
        followed = {before for key in touching for before in self._ancestors(key)}
        return [stated for key, stated in touching.items() if key not in followed]

    def last(self, field: str, dataset: str) -> list[Stated]:
        """Everything that is said of a field and not followed by another word on it."""
        return self._newest(self._touching(field, dataset))

    def resolve(self, field: str, dataset: str) -> tuple[Stated | None, list[Stated]]:
        """What is decided, and what contradicts itself."""
        touching = self._touching(field, dataset)
        rivals: list[Stated] = []
        while touching:
            last = self._newest(touching)
            if not last or _agree(last):  # without an end: a ring, which no honest signer can make
                return (max(last, key=_said_at) if last else None), rivals
            rivals = rivals or last
            common = frozenset.intersection(*(self._ancestors(stated.amendment.statement_id) for stated in last))
            touching = {key: stated for key, stated in touching.items() if key in common}
        return None, rivals

    def forks(self) -> list[tuple[str, ...]]:
        followers: dict[str, list[str]] = {}
        for one in self._by_id.values():
            followers.setdefault(one.predecessor, []).append(one.statement_id)
        return [tuple(ids) for ids in followers.values() if len(ids) > 1]

    def tips(self) -> tuple[str, ...]:
        followed = {before for one in self._by_id.values() for before in one.follows}
        return tuple(key for key in self._by_id if key not in followed)


def _agree(stated: Sequence[Stated]) -> bool:
    """Whether all say the same; a list is compared as it is written."""
    first = stated[0].change
    return all((one.change.value, one.change.unit) == (first.value, first.unit) for one in stated)


def _said_at(stated: Stated) -> tuple[int, str]:
    return _place(stated.amendment)


def _place(one: Amendment) -> tuple[int, str]:
    return one.order, one.statement_id
