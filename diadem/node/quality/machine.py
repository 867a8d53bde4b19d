"""Having data judged by programs: the checks of plugins look at a package, and a user states what they find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from diadem.errors import NotFound, UsageError
from diadem.model.assessments import ACCEPT, LIMITED, Assessment, current, label
from diadem.model.display import Display
from diadem.model.ports import Listener, silent
from diadem.model.record import Dataset
from diadem.node.context import Context
from diadem.node.keep.copies import PackageCopies
from diadem.node.quality.assess import state

#: The purpose of what a program finds, where nobody names one.
_ANY_USE: Final = "any use"
#: Severities of an issue that limit what the data can be used for; the rest is worth a look, and no judgement.
_DOUBTS: Final = ("error", "warning")
_FAILED: Final = ("check-failed", "plugin-stopped")
#: Characters of a comment.
_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class MachineJudged(Display):
    """What the checks found.

    Attributes
    ----------
    datasets, checks : int
        How many were looked at, by how many.
    stated : tuple of Assessment
        What was stated now; what was stated before and still holds is not said again.
    failures : tuple of str
        Checks that failed, and datasets that could not be looked at.
    """

    datasets: int
    checks: int
    stated: tuple[Assessment, ...]
    failures: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        stated = [one.to_dict() for one in self.stated]
        return {
            "datasets": self.datasets,
            "checks": self.checks,
            "stated": stated,
            "failures": list(self.failures),
        }


def assess_by_machine(
    context: Context, package: str, *, purpose: str = "", listener: Listener = silent
) -> MachineJudged:
    """Read a package with the checks of all plugins and state what they find.

    Every byte that is read is proven. A check that found something before and finds nothing any more says so.
    """
    context.require_writable()
    checks = tuple(context.tools.checks)
    if context.tools.judge is None or not checks:
        raise UsageError("no plugin offers a check", next="See: diadem plugins")
    found, _ = PackageCopies(context, package).best()
    record = found.replaced(extractor=context.tools.judge).reextract(listener=listener).record
    meant = " ".join(purpose.split()) or _ANY_USE
    counting = current(context.catalogue.assessments(package))
    said: list[Assessment] = []
    failures: list[str] = []
    names = [check.name for check in checks]
    for dataset in record.datasets:
        failures += [f"{dataset.path}: {issue['message']}" for issue in dataset.issues if issue["code"] in _FAILED]
        try:
            own = context.follower.dataset(package, dataset.path).id
        except NotFound:  # the readers of today group the files otherwise
            failures.append(f"{dataset.path}: it is not a dataset of the sealed record")
            continue
        before = [one for one in counting if one.by == context.address and one.plugin and one.dataset == own]
        known = {label(one.criterion): one for one in before if label(one.purpose) == label(meant)}
        new = Assessment("", 0, context.address, LIMITED, meant, dataset=own)
        # a check or the reader gave up: nothing found means nothing
        stopped = any(issue["code"] in _FAILED or issue.get("severity") == "error" for issue in dataset.issues)
        said += _judgements(new, _findings(dataset, names), known, () if stopped else names)
    return MachineJudged(len(record.datasets), len(checks), tuple(state(context, package, said)), tuple(failures))


def _findings(dataset: Dataset, checks: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
    """What each check found that limits the use of a dataset."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for issue in dataset.issues:
        owners = [name for name in checks if str(issue["code"]).startswith(f"{name}-")]
        if owners and issue.get("by") and issue.get("severity", "warning") in _DOUBTS:
            found.setdefault(max(owners, key=len), []).append(issue)
    return found


def _judgements(
    new: Assessment,
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    known: Mapping[str, Assessment],
    ran: Sequence[str],
) -> Iterator[Assessment]:
    """What is to be stated of a dataset, beyond what is known already; `ran` are the checks that looked at it."""
    for name, issues in found.items():
        by = issues[0]["by"]
        comment = "; ".join(str(issue["message"]) for issue in issues)[:_LONGEST]
        said = replace(new, criterion=name, comment=comment, plugin=str(by["plugin"]), version=str(by["version"]))
        last = known.get(label(name))
        if last is None or (last.verdict, last.comment, last.version) != (said.verdict, said.comment, said.version):
            yield said
    for name, last in known.items():
        if last.verdict == LIMITED and name in map(label, ran) and name not in map(label, found):
            yield replace(
                new,
                verdict=ACCEPT,
                criterion=last.criterion,
                comment="the check finds nothing any more",
                plugin=last.plugin,
                version=last.version,
            )
