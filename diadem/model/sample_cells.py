"""What is said of a sample, as the cells of a table and the words of a command line write it; and read back. Pure.

Several things in one cell stand below each other, a line each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from diadem.errors import UsageError
from diadem.model.samples import WAYS, Maker, OtherName, Parent, Sample, Step

T = TypeVar("T")
#: Columns that say something of a sample, and the member of a statement that each is of.
COLUMNS: Final[Mapping[str, str]] = {
    "identifier": "identifier",
    "name": "name",
    "called": "names",
    "identifiers": "identifiers",
    "made from": "parents",
    "maker": "maker",
    "lab": "maker",
    "orcid": "maker",
    "ror": "maker",
    "composition": "composition",
    "elements": "elements",
    "preparation": "preparation",
    "comment": "comment",
}
#: Columns of who made it, and the parts of the maker.
MAKER: Final = {"maker": "name", "lab": "lab", "orcid": "orcid", "ror": "ror"}
_DATED: Final = re.compile(r"(?P<date>\d{4}-\d{2}-\d{2})\s+(?P<step>\S.*)\Z")
_MADE: Final = re.compile(rf"(?P<sample>.*\S)\s*\((?P<how>{'|'.join(WAYS)})\)\Z")


# -- one thing -----------------------------------------------------------------------------------------------------


def read_other_name(text: str) -> OtherName:
    """``K-2026-007@NMI``: the name and the lab.

    Raises
    ------
    UsageError
        No lab is named.
    """
    name, at, lab = (part.strip() for part in text.rpartition("@"))
    if not at or not lab:
        raise UsageError(f"'{text}' does not name a lab", next="Write the name, @ and the lab: K-2026-007@NMI")
    return OtherName(name, lab)


def read_everywhere(text: str) -> tuple[str, str]:
    """``igsn=10.60510/x1``: what kind of name it is, in small letters, and the name.

    Raises
    ------
    UsageError
        It does not say what it is.
    """
    kind, sign, name = (part.strip() for part in text.partition("="))
    if not kind or not sign:
        raise UsageError(f"'{text}' does not say what it is", next="Example: igsn=10.60510/x1")
    return kind.lower(), name


def read_step(text: str) -> Step:
    """``2026-03-01 FIB lift-out``: a step, perhaps with its day."""
    dated = _DATED.match(text.strip())
    return Step(dated["step"], dated["date"]) if dated else Step(text.strip())


def read_elements(text: str) -> list[str]:
    """``Zn, O``: chemical symbols."""
    return [one for one in re.split(r"[\s,;]+", text) if one]


def read_parent(text: str) -> tuple[str, str]:
    """``S-12 (lamella)``: what it was made from, and how; ``other`` where that is not said."""
    made = _MADE.match(text.strip())
    return (made["sample"], made["how"]) if made else (text.strip(), "other")


# -- cells ---------------------------------------------------------------------------------------------------------


def sample_cells(sample: Sample, names: Mapping[str, str]) -> dict[str, str]:
    """A sample by the columns of a table.

    Parameters
    ----------
    sample : Sample
        What is known.
    names : mapping of str to str
        Identifiers of other samples by their ids.
    """
    maker = sample.maker or Maker()
    return {
        "identifier": sample.identifier,
        "name": sample.name,
        "called": "\n".join(map(_called, sample.names)),
        "identifiers": "\n".join(f"{kind}={name}" for kind, name in sample.identifiers.items()),
        "made from": "\n".join(_parent(one, names) for one in sample.parents),
        **{column: str(getattr(maker, part)) for column, part in MAKER.items()},
        "composition": sample.composition,
        "elements": ", ".join(sample.elements),
        "preparation": "\n".join(map(_step, sample.preparation)),
        "comment": sample.comment,
    }


def _called(other: OtherName) -> str:
    return f"{other.name}@{other.lab}"


def _parent(parent: Parent, names: Mapping[str, str]) -> str:
    return f"{names.get(parent.sample, parent.sample)} ({parent.how})"


def _step(step: Step) -> str:
    return f"{step.date} {step.step}".strip()


class CellReading:
    """From edited cells to the members of a statement.

    A line of a cell that says what is known stays exactly what it is, also where a cell cannot hold all of it: the
    comment on a step of the preparation, the way in which a sample was made from another.

    Parameters
    ----------
    before : Sample
        What is known.
    names : mapping of str to str
        Identifiers of other samples by their ids.
    shown : callable
        What a cell shows of a text.
    find : callable
        From the name of a sample to its id.
    orcid : callable
        From an ORCID iD to its address.
    """

    def __init__(
        self,
        before: Sample,
        names: Mapping[str, str],
        *,
        shown: Callable[[str], str],
        find: Callable[[str], str],
        orcid: Callable[[str], str],
    ) -> None:
        self._before, self._names, self._shown, self._find, self._orcid = before, names, shown, find, orcid

    def member(self, column: str, text: str) -> Any:
        """The member that a column is of, as a statement has it; of the maker only the part that the column says.

        Raises
        ------
        UsageError, NotFound
            The text cannot be understood, or names a sample that is not known.
        """
        before = self._before
        if column in MAKER:
            said = self._orcid(text) if column == "orcid" and text else text
            return {MAKER[column]: said}
        if column == "called":
            names = self._lines(text, {_called(one): one for one in before.names}, read_other_name)
            return [{"name": one.name, "lab": one.lab} for one in dict.fromkeys(names)]
        if column == "identifiers":
            known = {f"{kind}={name}": (kind, name) for kind, name in before.identifiers.items()}
            return dict(self._lines(text, known, read_everywhere))
        if column == "made from":
            parents = self._lines(text, {_parent(one, self._names): one for one in before.parents}, self._made)
            return [{"sample": one.sample, "how": one.how} for one in dict.fromkeys(parents)]
        if column == "elements":
            return list(dict.fromkeys(read_elements(text)))
        if column == "preparation":
            steps = self._lines(text, {_step(one): one for one in before.preparation}, read_step)
            return [_said_step(one) for one in steps]
        return text or None

    def _made(self, text: str) -> Parent:
        name, how = read_parent(text)
        return Parent(self._find(name), how)

    def _lines(self, text: str, known: Mapping[str, T], read: Callable[[str], T]) -> Sequence[T]:
        kept = {self._shown(line): value for line, value in known.items()}
        lines = [line for line in (line.strip() for line in text.split("\n")) if line]
        return [kept[line] if line in kept else read(line) for line in lines]


def _said_step(step: Step) -> dict[str, str]:
    return {key: value for key in ("step", "date", "comment") if (value := getattr(step, key))}


def merged_maker(before: Sample | None, said: Mapping[str, str]) -> dict[str, str] | None:
    """Who made a sample, with what is said anew; None where nobody is named any more."""
    known: dict[str, str] = dict(before.said().get("maker", {})) if before else {}
    return {part: text for part, text in (known | dict(said)).items() if text} or None
