"""Assessments of data: what somebody stated about a dataset for a purpose, which count now, and who disagrees. Pure.

Nothing is averaged. Of one assessor for one target, purpose and criterion the last judgement counts; those of others
stand beside it, and where two of them differ that is a dispute, which stays until one of the two says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from diadem.model.display import Display

#: What can be said of data, from best to worst.
VERDICTS: Final = ("accept", "limited", "reject")
ACCEPT, LIMITED, REJECT = VERDICTS
#: Verdicts of which whoever uses the data, or what was made from them, should know.
DOUBTS: Final = (LIMITED, REJECT)

#: Who judged: a person by ``user@node``, and the program that did it for the person, or "".
Assessor = tuple[str, str]
#: What was asked: dataset, signal, purpose and criterion, as `label` writes them; "" for none.
Question = tuple[str, str, str, str]


def label(text: str) -> str:
    """A purpose or criterion as it is compared: case and white space do not count."""
    return " ".join(text.casefold().split())


@dataclass(frozen=True, slots=True)
class Assessment(Display):
    """One assessment.

    Attributes
    ----------
    statement_id : str
        64 hex digits.
    order : int
        Grows with the log: of two, the greater was said later.
    by : str
        ``bob@hu-berlin``.
    verdict : str
        One of `VERDICTS`.
    purpose, criterion : str
        What for, and by which criterion, or "".
    dataset, signal : str
        Ids in the record; "" for the whole package, or the whole dataset.
    time : str
        UTC, to the second.
    value : float or None
        What was measured, in `unit`.
    unit, comment, scheme : str
        "" if not stated.
    evidence : tuple of str
        Package ids and addresses.
    plugin, version : str
        The program that assessed; "" for a person.
    replaces : str
        Id of the same assessor's assessment that no longer counts, or "".
    node : str
        Id of another node in whose log it stands, with which the package came; "" for this node's own.
    """

    statement_id: str
    order: int
    by: str
    verdict: str
    purpose: str
    criterion: str = ""
    dataset: str = ""
    signal: str = ""
    time: str = ""
    value: float | None = None
    unit: str = ""
    comment: str = ""
    scheme: str = ""
    evidence: tuple[str, ...] = ()
    plugin: str = ""
    version: str = ""
    replaces: str = ""
    node: str = ""

    @classmethod
    def of(cls, statement_id: str, order: int, said: Mapping[str, Any], *, node: str = "") -> Self:
        """The judgement of the predicate of an `assessment` statement, of this node's log or that of another `node`."""
        target, machine = said["target"], said.get("machine", {})
        texts = ("criterion", "unit", "comment", "scheme", "replaces", "time")
        return cls(
            statement_id=statement_id,
            order=order,
            by=str(said["by"]),
            verdict=str(said["verdict"]),
            purpose=str(said["purpose"]),
            dataset=str(target.get("dataset", "")),
            signal=str(target.get("signal", "")),
            value=said.get("value"),
            evidence=tuple(said.get("evidence", ())),
            plugin=str(machine.get("plugin", "")),
            version=str(machine.get("version", "")),
            node=node,
            **{name: str(said.get(name, "")) for name in texts},
        )

    def to_predicate(self) -> dict[str, Any]:
        """What is stated of it."""
        target = {name: getattr(self, name) for name in ("dataset", "signal") if getattr(self, name)}
        said: dict[str, Any] = {"purpose": self.purpose, "verdict": self.verdict, "target": target, "by": self.by}
        said |= {name: getattr(self, name) for name in _TEXTS if getattr(self, name)}
        if self.value is not None:
            said["value"] = self.value
        if self.evidence:
            said["evidence"] = list(self.evidence)
        if self.plugin:
            said["machine"] = {"plugin": self.plugin, "version": self.version}
        return said

    @property
    def assessor(self) -> Assessor:
        """Whose judgement it is."""
        return self.by, self.plugin

    @property
    def question(self) -> Question:
        """What it answers."""
        return self.dataset, self.signal, label(self.purpose), label(self.criterion)

    @property
    def who(self) -> str:
        """The assessor as people write it: ``bob@hu-berlin``, ``alice@hu-berlin with quality 0.1.0``."""
        return f"{self.by} with {self.plugin} {self.version}" if self.plugin else self.by

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute but `order`; ``statement`` is its id, `node` is there where it has one."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _INNER}
        own = {"node": self.node} if self.node else {}
        return {"statement": self.statement_id, **plain, "evidence": list(self.evidence), **own}


_TEXTS: Final = ("criterion", "unit", "comment", "scheme", "replaces")
_INNER: Final = frozenset({"statement_id", "order", "node"})


@dataclass(frozen=True, slots=True)
class Dispute(Display):
    """Assessors who answer one question differently.

    Attributes
    ----------
    question : Question
        What was asked.
    assessments : tuple of Assessment
        Each assessor's answer that counts, in the order of the log.
    """

    question: Question
    assessments: tuple[Assessment, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: dataset, signal, purpose, criterion, and who says what."""
        dataset, signal, _, _ = self.question
        first = self.assessments[0]
        said = [{"by": one.who, "verdict": one.verdict, "statement": one.statement_id} for one in self.assessments]
        about = {"dataset": dataset, "signal": signal, "purpose": first.purpose, "criterion": first.criterion}
        return {**about, "said": said}


def current(assessments: Iterable[Assessment]) -> list[Assessment]:
    """Those that count, in the order of the log: the last of each assessor on each question, unless it was replaced.

    Parameters
    ----------
    assessments : iterable of Assessment
        Of one package, in any order; the same twice counts once.
    """
    ordered = sorted({one.statement_id: one for one in assessments}.values(), key=_place)
    kept: dict[tuple[Assessor, Question], Assessment] = {}
    replaced = {(one.assessor, one.dataset, one.replaces): one for one in ordered if one.replaces}
    for one in ordered:
        successor = replaced.get((one.assessor, one.dataset, one.statement_id))
        if successor is None or _place(successor) < _place(one):
            kept[one.assessor, one.question] = one
    return sorted(kept.values(), key=_place)


def disputes(counting: Iterable[Assessment]) -> list[Dispute]:
    """Questions to which assessors give different answers.

    Parameters
    ----------
    counting : iterable of Assessment
        Those that count, see `current`.
    """
    asked: dict[Question, list[Assessment]] = {}
    for one in sorted(counting, key=_place):
        asked.setdefault(one.question, []).append(one)
    return [Dispute(question, tuple(said)) for question, said in asked.items() if differ(said)]


def differ(answers: Sequence[Assessment]) -> bool:
    """Whether answers to one question are not all the same."""
    return len({one.verdict for one in answers}) > 1


def _place(one: Assessment) -> tuple[int, str]:
    return one.order, one.statement_id
