"""What a person at a laptop asks the node to write out: a judgement, or an offer. From somebody else, so it is checked.

::

    {"kind": "assessment", "package": "diadem:…", "judgement": {"verdict": "accept", "purpose": "imaging", …}}
    {"kind": "offer", "package": "diadem:…", "offer": {"to": "marie@nmi", "seconds": 1209600, "comment": "", "route": "auto"}}
"""  # noqa: E501  one line a document

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from msgspec import Meta, structs

from diadem.model.documents import Document, document_of
from diadem.model.manifest import PackageId
from diadem.node.quality.assess import Judgement

ASSESSMENT: Final = "assessment"
OFFER: Final = "offer"

Text = Annotated[str, Meta(max_length=10_000)]


class _Body(Document, frozen=True):
    """A request, or a part of one."""

    WHAT: ClassVar[str] = "request body"
    ADVICE: ClassVar[str] = "Update DIADEM here and at the node."


class WantedJudgement(_Body, frozen=True):
    """A `Judgement` as it is written."""

    verdict: Text
    purpose: Text = ""
    criterion: Text = ""
    dataset: Text = ""
    signal: Text = ""
    value: int | float | None = None
    unit: Text = ""
    comment: Text = ""
    evidence: Annotated[tuple[Text, ...], Meta(max_length=100)] = ()
    scheme: Text = ""
    replaces: Text = ""


class WantedOffer(_Body, frozen=True):
    """To whom, and for how many seconds, at most some more than a year."""

    to: Text
    seconds: Annotated[int, Meta(ge=1, le=400 * 86_400)]
    comment: Text = ""
    route: Text = "auto"


class JudgementWish(_Body, frozen=True, tag_field="kind", tag=ASSESSMENT):
    """That somebody wants to judge a package."""

    package: PackageId
    judgement: WantedJudgement

    @classmethod
    def of_judgement(cls, package: PackageId, said: Judgement) -> Self:
        """What asks for a judgement."""
        members = {name: getattr(said, name) for name in WantedJudgement.__struct_fields__}
        return cls(package, WantedJudgement(**members | {"evidence": tuple(said.evidence)}))

    @property
    def said(self) -> Judgement:
        """The judgement."""
        return Judgement(**structs.asdict(self.judgement))


class OfferWish(_Body, frozen=True, tag_field="kind", tag=OFFER):
    """That somebody wants to offer a package."""

    package: PackageId
    offer: WantedOffer


def read_wish(document: object) -> JudgementWish | OfferWish:
    """What is asked for. Raises `DocumentError` for anything else, `UsageError` for what is no package."""
    found: JudgementWish | OfferWish = document_of(JudgementWish | OfferWish, document, fault=_Body.fault)
    return found
