"""What became of each rule of the plugins' tables in one file: for those who write tables, or miss a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.api.places import StrPath
from diadem.api.tools import Tools, tools
from diadem.errors import UsageError
from diadem.model.display import Display

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diadem.extract.survey import DatasetPlan


@dataclass(frozen=True, slots=True)
class Explanation(Display):
    """How the fields of a dataset come about.

    Attributes
    ----------
    format : str
        As what it was read, or ``unknown``.
    rules : sequence of mapping
        ``table, block, place, rule, keys, verdict, why`` each: the verdict is ``found``, ``nothing there``, ``dropped``
        or ``raised``.
    issues : sequence of mapping
        ``code`` and ``message`` each, as in the record.
    """

    format: str
    rules: Sequence[Mapping[str, str]]
    issues: Sequence[Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {"format": self.format, "rules": list(self.rules), "issues": list(self.issues)}


def explain(path: StrPath) -> Explanation:
    """Read a file as `extract` does, and say of each rule what it has found, or why not.

    Parameters
    ----------
    path : path
        One instrument file; what belongs to its dataset is found beside it.

    Raises
    ------
    UsageError
        There is no such file, or it is a folder that is not a dataset.
    """
    root, at_hand = Path(path).absolute(), tools()
    plan = _planned(root, at_hand)
    with at_hand.extractor(previews=False, explain=True) as extractor:
        found = extractor.extract(replace(plan, id="d1"), root.parent)
    return Explanation(found.format, found.outcomes, found.issues)


def _planned(root: Path, at_hand: Tools) -> DatasetPlan:
    """The dataset that begins with a file, or is a folder."""
    from diadem.extract.survey import dataset_of, survey

    if not root.exists():
        raise UsageError(f"there is no file '{root}'", next="Name one instrument file.")
    if root.is_file():
        return dataset_of(root, at_hand.readers)
    inside = (path for path in sorted(root.rglob("*")) if path.is_file())
    files = [(path.relative_to(root.parent).as_posix(), path.stat().st_size) for path in inside]
    for plan in survey(files, at_hand.readers):
        if root.name == plan.entry:
            return plan
    raise UsageError(f"'{root}' is not a dataset that is a folder", next="Name one instrument file.")
