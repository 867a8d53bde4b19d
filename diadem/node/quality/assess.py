"""Judging data: one signed statement for each judgement, of a package or of a dataset in it, for a purpose."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from diadem.custody import statements
from diadem.errors import DiademError, NotFound, Refused, UsageError
from diadem.model.assessments import VERDICTS, Assessment, Dispute, current, disputes, label
from diadem.model.display import Display
from diadem.model.policy import Policy
from diadem.node.context import Context
from diadem.terms.fields import close_matches

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z")
#: What is taken for a package where evidence is named.
ID: Final = re.compile(r"(?:diadem:)?[0-9a-f]{8,64}\Z")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What somebody wants to say, "" for what is not said: see `Assessment`.

    The dataset by its id or path; evidence are packages, by the beginning of their ids, and addresses.
    """

    verdict: str
    purpose: str = ""
    criterion: str = ""
    dataset: str = ""
    signal: str = ""
    value: float | None = None
    unit: str = ""
    comment: str = ""
    evidence: Sequence[str] = ()
    scheme: str = ""
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Assessments(Display):
    """All assessments of a package. Iterate over those that count.

    Attributes
    ----------
    package : str
        Its id.
    said : tuple of Assessment
        Everything that was ever said, in the order of the log.
    counting : tuple of Assessment
        What counts now: of each assessor the last on each question.
    disputes : tuple of Dispute
        Questions that assessors answer differently. Nothing is averaged.
    paths : dict of str to str
        Primary file by the id of a dataset.
    """

    _display_keys = (
        "package",
        "assessments: verdict by purpose criterion path comment counts time",
        "disputes",
    )

    package: str
    said: tuple[Assessment, ...]
    counting: tuple[Assessment, ...]
    disputes: tuple[Dispute, ...]
    paths: dict[str, str]

    def __len__(self) -> int:
        """How many count."""
        return len(self.counting)

    def __iter__(self) -> Iterator[Assessment]:
        """Those that count, in the order of the log."""
        return iter(self.counting)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object: package, assessments (each with ``counts`` and ``path``), disputes."""
        counting = {one.statement_id for one in self.counting}
        said = [
            {**one.to_dict(), "path": self.paths.get(one.dataset, ""), "counts": one.statement_id in counting}
            for one in self.said
        ]
        return {"package": self.package, "assessments": said, "disputes": [one.to_dict() for one in self.disputes]}


def assess(context: Context, package: str, judgement: Judgement) -> Assessment:
    """State a judgement in the name of who is at work."""
    context.require_writable()
    found = drawn(context, package, judgement)
    return state(context, package, [found])[0]


def state(context: Context, package: str, judgements: Sequence[Assessment]) -> list[Assessment]:
    """State judgements of one package that were checked already, in one batch."""
    drafts = [statements.assessment(package, one) for one in judgements]
    entries = context.say(drafts, as_user=True) if drafts else []
    return [Assessment.of(entry.statement_id, entry.place, entry.statement.predicate) for entry in entries]


def assessments(context: Context, package: str) -> Assessments:
    """What is said of a package."""
    said = context.catalogue.assessments(package)
    counting = current(said)
    ids = dict.fromkeys(one.dataset for one in said if one.dataset)
    paths = context.catalogue.dataset_paths(package, list(ids))
    return Assessments(package, tuple(said), tuple(counting), tuple(disputes(counting)), paths)


def drawn(context: Context, package: str, judgement: Judgement) -> Assessment:
    """The judgement as it will be stated, everything in it checked; an error says what there is instead."""
    evidence, faults = check_judgement(context, judgement)
    if faults:
        raise faults[0][1]
    return assessment_of(context, package, judgement, evidence)


def assessment_of(context: Context, package: str, judgement: Judgement, evidence: Sequence[str]) -> Assessment:
    """The same of a judgement without a fault, whose evidence was looked up."""
    purpose, criterion = " ".join(judgement.purpose.split()), " ".join(judgement.criterion.split())
    if judgement.scheme:  # as the group writes them
        scheme = context.policy.quality.schemes[judgement.scheme]
        purpose, criterion = scheme.purpose, next(one for one in scheme.criteria if label(one) == label(criterion))
    found = Assessment(
        "",
        0,
        context.address,
        judgement.verdict,
        purpose,
        criterion,
        context.follower.dataset(package, judgement.dataset).id if judgement.dataset else "",
        signal=judgement.signal,
        value=None if judgement.value is None else float(judgement.value),
        unit=judgement.unit,
        comment=judgement.comment.strip(),
        scheme=judgement.scheme,
        evidence=tuple(evidence),
    )
    return found if not judgement.replaces else _replacing(context, package, found, judgement.replaces)


def check_judgement(context: Context, judgement: Judgement) -> tuple[list[str], list[tuple[str, DiademError]]]:
    """Its evidence, each by its whole id or address; and what is wrong with it before its dataset is looked up.

    Each fault comes with the member that it is about.
    """
    evidence: list[str] = []
    faults = list(_faults_of(context.policy, judgement))
    for text in judgement.evidence:
        try:
            evidence.append(_evidence_of(context, text))
        except DiademError as error:
            faults.append(("evidence", error))
    return evidence, faults


def _faults_of(policy: Policy, judgement: Judgement) -> Iterator[tuple[str, DiademError]]:
    """What is wrong with the words of a judgement."""
    verdict = judgement.verdict
    if verdict not in VERDICTS:
        what = f"'{verdict[:80]}' is not a verdict" if verdict else "there is no verdict"
        yield "verdict", UsageError(what, next=f"Write {', '.join(VERDICTS)}.")
    if judgement.value is not None and not math.isfinite(judgement.value):
        yield "value", UsageError("the value is not a number that fits")
    if judgement.unit and judgement.value is None:
        yield "value", UsageError("a unit needs a value", next="Write the number, or no unit.")
    if judgement.signal and not judgement.dataset:
        yield "signal", UsageError("an assessment of a signal must name its dataset", next="Name the dataset too.")
    if (fault := _question_fault(policy, judgement)) is not None:
        yield fault


def _question_fault(policy: Policy, judgement: Judgement) -> tuple[str, DiademError] | None:
    """What is wrong with purpose and criterion, by the group's scheme where one is named."""
    name, purpose, criterion = judgement.scheme, label(judgement.purpose), " ".join(judgement.criterion.split())
    schemes = policy.quality.schemes
    if not name:
        advice = "Example: --for imaging; in a sheet, the column 'purpose'."
        return None if purpose else ("purpose", UsageError("no purpose is given", next=advice))
    if name not in schemes:
        near = close_matches(name, list(schemes))
        known = f"Did you mean {' or '.join(near)}?" if near else f"It has: {', '.join(schemes) or 'none yet'}."
        advice = f"{known} They are in policy.toml, quality.schemes."
        return "scheme", NotFound(f"the policy has no scheme '{name}'", next=advice)
    scheme = schemes[name]
    if purpose and purpose != label(scheme.purpose):
        told = " ".join(judgement.purpose.split())
        return "purpose", UsageError(f"the scheme '{name}' is for {scheme.purpose}, not for {told}")
    if label(criterion) not in map(label, scheme.criteria):
        said = f"has no criterion '{criterion}'" if criterion else "wants a criterion"
        advice = f"It has: {', '.join(scheme.criteria)}."
        return "criterion", UsageError(f"the scheme '{name}' {said}", next=advice)
    return None


def _evidence_of(context: Context, text: str) -> str:
    """A package by its whole id, or an address."""
    if ID.match(text):
        return context.catalogue.get(text).id
    if not _ADDRESS.match(text):
        raise UsageError(f"'{text}' is not evidence", next="Name a package by its id, or an address: https://…")
    return text


def _replacing(context: Context, package: str, found: Assessment, beginning: str) -> Assessment:
    """The judgement in the place of an earlier one of the same person, of the same dataset."""
    digits = beginning.strip().lower()
    said = [one for one in context.catalogue.assessments(package) if digits and one.statement_id.startswith(digits)]
    if len(said) != 1:
        what = "several assessments begin with this" if said else f"there is no assessment {beginning} of this package"
        raise NotFound(what, where=package, next=f"See: diadem assess {package[7:19]}")
    if (said[0].assessor, said[0].dataset) != (found.assessor, found.dataset):
        raise Refused(
            "only one's own assessment of the same dataset can be replaced",
            where=said[0].statement_id,
            next="State your own: both are kept, and the difference is shown.",
        )
    return replace(found, replaces=said[0].statement_id)
