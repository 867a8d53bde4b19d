"""Before a person's key signs what a node has written out: is it what the person wants to say, and nothing else?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from diadem.custody.statements import transfer_subject
from diadem.errors import DiademError, Refused
from diadem.model.assessments import label
from diadem.model.manifest import PackageId
from diadem.model.statements import ADDED, Statement, Subject
from diadem.model.times import read_time
from diadem.network.offering import FETCHING
from diadem.network.wishes import OfferWish
from diadem.node.quality.assess import Judgement
from diadem.serialization.validation import read_statement
from diadem.trust.envelope import PAYLOAD_TYPE, Envelope, sign
from diadem.trust.keys import PrivateKey

#: By how much clocks, and the time between two statements, may differ.
_CLOCKS: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs.

    Attributes
    ----------
    key : PrivateKey
        The person's.
    by : str
        Their address: ``bob@hu-berlin``.
    node : str
        Id of the node in whose log it will stand.
    """

    key: PrivateKey
    by: str
    node: str

    def read(self, answer: Mapping[str, Any]) -> Statement:
        """What the node has written out; nothing of it is believed. Raises `Refused` for what is no statement."""
        payload = answer.get("payload")
        if not isinstance(payload, str) or answer.get("type") != PAYLOAD_TYPE:
            raise _refused("it is not a statement")
        try:
            return read_statement(payload.encode("utf-8"))
        except DiademError as error:
            raise _refused(error.message) from error

    def assessment(self, statement: Statement, package: PackageId, asked: Judgement) -> Envelope:
        """A judgement that the node has written out, signed; only where it says what was asked for.

        Parameters
        ----------
        statement : Statement
            What the node has written out.
        package : PackageId
            Of what.
        asked : Judgement
            What was asked for; its dataset by its id.

        Raises
        ------
        Refused
            It says something else. Nothing was signed.
        """
        self._require(statement, "assessment", [Subject.package(package)])
        return self._signed(statement, _judged(statement.predicate, asked))

    def grant(self, statement: Statement, asked: OfferWish, now: datetime) -> Envelope:
        """The grant that an offer needs, signed; only where it opens this package to this person for this long."""
        self._require(statement, "grant", [Subject.package(asked.package)])
        said, until = statement.predicate, now + timedelta(seconds=asked.offer.seconds) + FETCHING
        fits = {
            "to": said.get("to") == asked.offer.to,
            "recipient": bool(said.get("recipient")),
            "rights": said.get("rights") == ["read"],
            "scope": said.get("scope") == "package",
            "expires": _ends(said, until),
        }
        return self._signed(statement, fits)

    def offer(
        self, statement: Statement, asked: OfferWish, now: datetime, *, payload_id: str, grant: str = ""
    ) -> Envelope:
        """An offer that the node has written out, signed; only where it offers this package to this person.

        Parameters
        ----------
        statement : Statement
            What the node has written out.
        asked : OfferWish
            What was asked for.
        now : datetime
            By this machine's clock.
        payload_id : str
            Of the package.
        grant : str
            Id of the grant that was signed for it just now; "" where one stood already.
        """
        said = statement.predicate
        transfer = str(said.get("transfer"))  # the node makes it up: any will do
        self._require(statement, "offer", [Subject.package(asked.package), transfer_subject(transfer)])
        fits = {
            "transfer": said.get("transfer") == transfer,
            "package": said.get("package") == asked.package,
            "payload_id": said.get("payload_id") == payload_id,
            "to": said.get("to") == asked.offer.to,
            "recipient": bool(said.get("recipient")),
            "grant": said.get("grant") == grant if grant else bool(said.get("grant")),
            "routes": _is_route(said.get("routes"), asked.offer.route, local=said.get("recipient") == self.node),
            "expires": _ends(said, now + timedelta(seconds=asked.offer.seconds)),
            "comment": said.get("comment", "") == asked.offer.comment,
            "bytes": type(said.get("bytes")) is int,
            "files": type(said.get("files")) is int,
        }
        return self._signed(statement, fits)

    def _require(self, statement: Statement, kind: str, subjects: Sequence[Subject]) -> None:
        if statement.kind != kind or list(statement.subjects) != list(subjects):
            raise _refused(f"it is not the {kind} for {subjects[0].name[:19]}…")
        if statement.node != self.node:
            raise _refused("it is for the log of another node")

    def _signed(self, statement: Statement, fits: Mapping[str, bool]) -> Envelope:
        """The statement, signed, where each member fits; one that nobody asked for does not."""
        said = statement.predicate
        compared = {**fits, "by": said.get("by") == self.by}
        compared |= dict.fromkeys(sorted(said.keys() - compared.keys() - ADDED), False)
        if wrong := [name for name, good in compared.items() if not good]:
            raise _refused(f"it says something else as {', '.join(wrong)}")
        return sign(statement.to_payload(), [self.key])


def _ends(said: Mapping[str, Any], until: datetime) -> bool:
    """Whether it ends about when it should; clocks differ."""
    try:
        return abs(read_time(str(said.get("expires"))) - until) <= _CLOCKS
    except DiademError:
        return False


def _is_route(said: Any, asked: str, *, local: bool) -> bool:
    if local:
        return bool(said == ["local"])
    return isinstance(said, list) and bool(said) and set(said) <= ({"direct", "hub"} if asked == "auto" else {asked})


def _judged(said: Mapping[str, Any], asked: Judgement) -> dict[str, bool]:
    """Whether each member says what was asked for; with a scheme of the node and no purpose, it is the scheme's."""
    target = {name: value for name, value in (("dataset", asked.dataset), ("signal", asked.signal)) if value}
    by_scheme = bool(asked.scheme and not asked.purpose)
    return {
        "verdict": said.get("verdict") == asked.verdict,
        "target": said.get("target") == target,
        "purpose": by_scheme or label(str(said.get("purpose"))) == label(asked.purpose),
        "criterion": label(str(said.get("criterion", ""))) == label(asked.criterion),
        "value": said.get("value") == asked.value,
        "unit": said.get("unit", "") == asked.unit,
        "comment": said.get("comment", "") == asked.comment.strip(),
        "evidence": list(said.get("evidence", ())) == list(asked.evidence),
        "scheme": said.get("scheme", "") == asked.scheme,
        "replaces": _is_replaced(str(said.get("replaces", "")), asked.replaces.strip().lower()),
    }


def _is_replaced(said: str, asked: str) -> bool:
    return said.startswith(asked) if asked else not said


def _refused(why: str) -> Refused:
    return Refused(
        f"the node wants something signed that you did not ask for: {why}",
        where="statement",
        next="Nothing was signed. Tell its operator.",
    )
