"""What a person at a laptop asks the node to write out: a judgement, or an offer. From somebody else, so it is checked.

::

    {"kind": "assessment", "package": "diadem:…", "judgement": {"verdict": "accept", "purpose": "imaging", …}}
    {"kind": "offer", "package": "diadem:…", "offer": {"to": "marie@nmi", "seconds": 1209600, "comment": "", "route": "auto"}}
"""  # noqa: E501  one line a document

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diadem.errors import UsageError
from diadem.model.manifest import PackageId
from diadem.node.quality.assess import Judgement

ASSESSMENT: Final = "assessment"
OFFER: Final = "offer"
_JUDGED: Final = ("verdict", "purpose", "criterion", "dataset", "signal", "unit", "comment", "scheme", "replaces")
_OFFERED: Final = ("to", "comment", "route")
#: Characters of a text, pieces of evidence, and seconds for which an offer holds, at most.
_LONGEST, _EVIDENCE, _SECONDS = 10_000, 100, 400 * 86_400


@dataclass(frozen=True, slots=True)
class JudgementWish:
    """That somebody wants to judge a package."""

    package: PackageId
    judgement: Judgement
    kind: str = ASSESSMENT


@dataclass(frozen=True, slots=True)
class OfferWish:
    """That somebody wants to offer a package, for so many seconds."""

    package: PackageId
    to: str
    seconds: int
    comment: str = ""
    route: str = "auto"
    kind: str = OFFER


def judgement_document(package: PackageId, judgement: Judgement) -> dict[str, Any]:
    """What asks for a judgement."""
    said = {name: getattr(judgement, name) for name in (*_JUDGED, "value")}
    return {
        "kind": ASSESSMENT,
        "package": str(package),
        "judgement": said | {"evidence": list(judgement.evidence)},
    }


def offer_document(wish: OfferWish) -> dict[str, Any]:
    """What asks for an offer."""
    said = {name: getattr(wish, name) for name in (*_OFFERED, "seconds")}
    return {"kind": OFFER, "package": str(wish.package), "offer": said}


def read_wish(document: Mapping[str, Any]) -> JudgementWish | OfferWish:
    """What is asked for. Raises `UsageError` for anything else."""
    package = document.get("package")
    if type(package) is str and document.keys() == {"kind", "package", "judgement"} and _is(document, ASSESSMENT):
        return JudgementWish(PackageId(package), _judgement(document["judgement"]))
    if type(package) is str and document.keys() == {"kind", "package", "offer"} and _is(document, OFFER):
        return _offer(PackageId(package), document["offer"])
    raise UsageError("an assessment or an offer of a package is expected", where="request body")


def _is(document: Mapping[str, Any], kind: str) -> bool:
    return bool(document["kind"] == kind)


def _judgement(said: Any) -> Judgement:
    members = _members(said, _JUDGED, {"value", "evidence"})
    value, evidence = said.get("value"), said.get("evidence", [])
    if type(value) not in (int, float, type(None)) or not _are_texts(evidence):
        raise UsageError("the value or the evidence of the assessment is malformed", where="request body")
    return Judgement(**members, value=value, evidence=tuple(evidence))


def _offer(package: PackageId, said: Any) -> OfferWish:
    members = _members(said, _OFFERED, {"seconds"})
    seconds = said.get("seconds")
    if type(seconds) is not int or not 0 < seconds <= _SECONDS:
        raise UsageError("an offer lasts a second at least and a year at most", where="request body")
    return OfferWish(package, seconds=seconds, **members)


def _members(said: Any, texts: Sequence[str], more: set[str]) -> dict[str, str]:
    if type(said) is not dict or not said.keys() <= {*texts, *more}:
        raise UsageError("it has members that are not known", where="request body")
    found = {name: said.get(name, "") for name in texts}
    if not all(type(text) is str and len(text) <= _LONGEST for text in found.values()):
        raise UsageError("its members must be texts", where="request body")
    return found


def _are_texts(found: Any) -> bool:
    one: Sequence[Any] = found if type(found) is list else [None]
    return len(one) <= _EVIDENCE and all(type(text) is str and len(text) <= _LONGEST for text in one)
