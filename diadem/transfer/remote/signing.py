"""Before a person's key signs what a node has written out: is it what the person wants to say, and nothing else?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diadem.errors import DiademError, Refused
from diadem.model.assessments import label
from diadem.model.ids import PackageId
from diadem.model.statements import ADDED, Statement, Subject
from diadem.node.assessing import Judgement
from diadem.serialization.statements import read_statement
from diadem.trust.envelope import PAYLOAD_TYPE, Envelope, sign
from diadem.trust.keys import PrivateKey


def signed_assessment(
    answer: Mapping[str, Any], key: PrivateKey, *, node: str, by: str, package: PackageId, judgement: Judgement
) -> tuple[Envelope, Statement]:
    """What a node has prepared, signed; only where it says what was asked for.

    Parameters
    ----------
    answer : mapping
        What the node answered.
    key : PrivateKey
        The person's.
    node : str
        Id of the node in whose log it will stand.
    by : str
        Who says it: ``bob@hu-berlin``.
    package : PackageId
        Of what.
    judgement : Judgement
        What was asked for; its dataset by its id.

    Raises
    ------
    Refused
        It says something else. Nothing was signed.
    """
    payload = answer.get("payload")
    if not isinstance(payload, str) or answer.get("type") != PAYLOAD_TYPE:
        raise _refused("it is no statement")
    data = payload.encode("utf-8")
    try:
        statement = read_statement(data)
    except DiademError as error:
        raise _refused(error.message) from error
    if statement.kind != "assessment" or statement.subjects != (Subject(package, package.hex),):
        raise _refused(f"it is no assessment of {package[:19]}…")
    if statement.node != node:
        raise _refused("it is for the log of another node")
    if wrong := [name for name, fits in _compared(statement.predicate, by, judgement).items() if not fits]:
        raise _refused(f"it says something else as {', '.join(wrong)}")
    return sign(data, [key]), statement


def _compared(said: Mapping[str, Any], by: str, asked: Judgement) -> dict[str, bool]:
    """Whether each member says what was asked for; one that an assessment by a person does not have never does.

    Where a scheme of the node is named and no purpose, the purpose is the scheme's.
    """
    target = {name: value for name, value in (("dataset", asked.dataset), ("signal", asked.signal)) if value}
    by_scheme = bool(asked.scheme and not asked.purpose)
    fits = {
        "by": said.get("by") == by,
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
    return fits | dict.fromkeys(sorted(said.keys() - fits.keys() - ADDED), False)


def _is_replaced(said: str, asked: str) -> bool:
    return said.startswith(asked) if asked else not said


def _refused(why: str) -> Refused:
    return Refused(
        f"the node wants something signed that you did not ask for: {why}",
        where="statement",
        next="Nothing was signed. Tell its operator.",
    )
