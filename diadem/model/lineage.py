"""What was made from what, and the doubts that it inherits: ancestors of a result, and warnings about them. Pure.

A way from a result to its raw data may branch, join again, and, since anybody can say anything, go in a ring. Each
ancestor is told once, with the shortest way to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from diadem.model.assessments import DOUBTS, Assessment, differ
from diadem.model.display import Display

#: Generations that are followed, and ancestors of one result: more is no work of a person.
MAX_GENERATIONS: Final = 1000
MAX_ANCESTORS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Source(Display):
    """What a result was made from: a package, and the path of a dataset in it, or ""."""

    package: str
    path: str = ""

    def to_dict(self) -> dict[str, str]:
        """As it is stated."""
        return {"package": self.package, **({"path": self.path} if self.path else {})}


@dataclass(frozen=True, slots=True)
class Derivation(Display):
    """That a result was made from packages.

    Attributes
    ----------
    statement_id : str
        64 hex digits.
    order : int
        Grows with the log.
    result : str
        Id of the package with the result.
    sources : tuple of Source
        What it was made from.
    by, comment, time : str
        Who says so, in what words, when.
    software : tuple of (str, str)
        Names and versions.
    parameters : mapping
        What the programs were told.
    """

    statement_id: str
    order: int
    result: str
    sources: tuple[Source, ...]
    by: str
    software: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, Any] | None = None
    comment: str = ""
    time: str = ""

    @classmethod
    def of(cls, statement_id: str, order: int, said: Mapping[str, Any]) -> Self:
        """The derivation of the predicate of a `derivation` statement."""
        return cls(
            statement_id=statement_id,
            order=order,
            result=str(said["result"]),
            sources=tuple(Source(str(one["package"]), str(one.get("path", ""))) for one in said["sources"]),
            by=str(said["by"]),
            software=tuple((str(one["name"]), str(one["version"])) for one in said.get("software", ())),
            parameters=said.get("parameters"),
            comment=str(said.get("comment", "")),
            time=str(said.get("time", "")),
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute but `order`; the statement's id is ``statement``."""
        return {
            "statement": self.statement_id,
            "result": self.result,
            "sources": [source.to_dict() for source in self.sources],
            "by": self.by,
            "software": [{"name": name, "version": version} for name, version in self.software],
            "parameters": dict(self.parameters or {}),
            "comment": self.comment,
            "time": self.time,
        }


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A package from which another one was made, directly or not.

    Attributes
    ----------
    package : str
        Its id.
    paths : frozenset of str
        Datasets of it that were used; empty where it is not said which.
    way : tuple of str
        Ids of the packages on a shortest way to it, from the first source to itself.
    """

    package: str
    paths: frozenset[str]
    way: tuple[str, ...]


def ancestors(package: str, sources_of: Callable[[Sequence[str]], Mapping[str, Iterable[Source]]]) -> list[Ancestor]:
    """Everything from which a package was made, the nearest first; each once, and never itself.

    Parameters
    ----------
    package : str
        Its id.
    sources_of : callable
        Given ids, the direct sources of each that has any. Asked once for each generation.
    """
    ways: dict[str, tuple[str, ...]] = {package: ()}
    used: dict[str, set[str]] = {}
    generation = [package]
    for _ in range(MAX_GENERATIONS):
        found = sources_of(generation) if generation and len(ways) <= MAX_ANCESTORS else {}
        nearer, generation = generation, []
        for child in nearer:
            for source in sorted(found.get(child, ()), key=lambda one: (one.package, one.path)):
                used.setdefault(source.package, set()).add(source.path)
                if source.package not in ways:
                    ways[source.package] = (*ways[child], source.package)
                    generation.append(source.package)
        if not generation:
            break
    return [Ancestor(one, _paths(used[one]), way) for one, way in ways.items() if one != package]


def _paths(used: set[str]) -> frozenset[str]:
    return frozenset() if "" in used else frozenset(used)


@dataclass(frozen=True, slots=True)
class Caution(Display):
    """A warning for whoever uses a package: about the package itself, or about one of its sources.

    Attributes
    ----------
    package : str
        Id of the package that was assessed.
    path : str
        The assessed dataset's primary file; "" for the whole package.
    assessment : Assessment
        The assessment, ``limited`` or ``reject``.
    disputed : bool
        Whether somebody answers the same question differently.
    way : tuple of str
        Ids of the packages on the way to it; empty for the package itself.
    told_by : str
        Id of the node that said so when the package of which one asks came from there; else "".
    """

    package: str
    path: str
    assessment: Assessment
    disputed: bool = False
    way: tuple[str, ...] = ()
    told_by: str = ""

    @property
    def sentence(self) -> str:
        """What a person should read."""
        said = self.assessment
        where = f"{self.path} of {self.package[7:19]}" if self.path else self.package[7:19]
        verdict = "rejected" if said.verdict == "reject" else "usable with limits"
        criterion = f" – {said.criterion}" if said.criterion else ""
        comment = f" ({said.comment})" if said.comment else ""
        others = "; others disagree" if self.disputed else ""
        derived = "made from data with a warning; " if self.way else ""
        return f"{derived}{said.who}: {where} is {verdict} for {said.purpose}{criterion}{comment}{others}"

    def without_names(self, by: str = "somebody") -> Self:
        """The same for those who may not find the package: not who said it, of which file, nor in what words."""
        said = replace(self.assessment, by=by, comment="", criterion="", dataset="", signal="", evidence=())
        return replace(self, path="", assessment=replace(said, value=None, unit="", plugin="", version=""))

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: package, path, disputed, way, assessment, and the sentence."""
        return {
            "package": self.package,
            "path": self.path,
            "disputed": self.disputed,
            "way": list(self.way),
            "assessment": self.assessment.to_dict(),
            "sentence": self.sentence,
        }


def cautions(
    package: str, counting: Sequence[Assessment], paths: Mapping[str, str], ancestor: Ancestor | None = None
) -> list[Caution]:
    """Return the warnings about one package.

    Parameters
    ----------
    package : str
        Its id.
    counting : sequence of Assessment
        Assessments of it that count.
    paths : mapping of str to str
        Primary file by the id of a dataset.
    ancestor : Ancestor, optional
        How it was used, where it is not the package asked for: warnings about other datasets of it do not matter.
    """
    answers: dict[Any, list[Assessment]] = {}
    for one in counting:
        answers.setdefault(one.question, []).append(one)
    found = []
    for one in counting:
        path = paths.get(one.dataset, one.dataset)
        known = one.dataset in paths  # else a package that no copy gives now: it may be the one that was used
        used = ancestor is None or not ancestor.paths or not known or path in ancestor.paths
        if one.verdict in DOUBTS and used:
            way = ancestor.way if ancestor is not None else ()
            found.append(Caution(package, path, one, differ(answers[one.question]), way))
    return found
