"""Statements of people whose keys are on their laptops: the node writes them out, they sign, the node logs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from diadem.errors import NotFound, Refused, UsageError
from diadem.model.access import USER, Asker, Right
from diadem.model.ids import PackageId
from diadem.node.access.reading import require
from diadem.node.assessing import ID, Judgement, draft_of, drawn
from diadem.node.context import Context
from diadem.node.custody.entries import Entry
from diadem.node.custody.words import sentence
from diadem.node.following import follow
from diadem.transfer.prepared import prepared_book
from diadem.trust.envelope import PAYLOAD_TYPE, Envelope, statement_id_of
from diadem.trust.keys import PublicKey

ASSESSMENT: Final = "assessment"
#: Texts of a judgement, as they may be sent; and how long each is, and how many pieces of evidence, at most.
TEXTS: Final = ("verdict", "purpose", "criterion", "dataset", "signal", "unit", "comment", "scheme", "replaces")
_LONGEST, _EVIDENCE = 10_000, 100


class NotPrepared(Refused):
    """A statement that does not wait for this signature."""

    code = "not-prepared"


def prepare(context: Context, asker: Asker, document: Mapping[str, Any]) -> dict[str, str]:
    """Write out what a user wants to say, for the user to sign.

    Parameters
    ----------
    context : Context
        The node.
    asker : Asker
        Who wants to say it, and will have to sign.
    document : mapping
        ``kind`` (``assessment``), ``package``, and ``judgement``: the members of `Judgement`.

    Returns
    -------
    dict
        ``payload``, the bytes to sign as a text; ``type``, their type; ``statement``, its id; ``sentence``, what it
        says in words.

    Raises
    ------
    NotFound
        The asker may not judge the package, or not find what is named as evidence; or there is none.
    UsageError
        The judgement cannot be understood.
    Refused
        The asker is no user of this node.
    """
    package, judgement = _read(document)
    require(context, asker, Right.ASSESS, package)
    if asker.kind != USER:
        raise Refused("only users of this node judge here", next="Judge your own copy, on your own node.")
    evidence = tuple(_findable(context, asker, text) for text in judgement.evidence)
    try:
        found = drawn(context, package, replace(judgement, evidence=evidence), by=asker.address)
    except NotFound as error:  # of the package that the asker may judge: what is wrong can be told
        raise UsageError(error.message) from error
    statement = context.ledger.prepared(draft_of(package, found))
    payload = statement.to_payload()
    name = statement_id_of(payload)
    prepared_book(context).keep(name, key=asker.key, package=package, now=int(context.clock().timestamp()))
    said = sentence(statement, {context.settings.id: context.settings.name})
    return {"payload": payload.decode("utf-8"), "type": PAYLOAD_TYPE, "statement": name, "sentence": said}


def append(context: Context, asker: Asker, key: PublicKey, line: bytes) -> Entry:
    """Log what a user has signed, exactly as it was prepared for them; once.

    Parameters
    ----------
    context : Context
        The node.
    asker : Asker
        Who sends it.
    key : PublicKey
        The asker's, in force now.
    line : bytes
        The envelope.

    Raises
    ------
    DocumentError
        It is no envelope, or not signed by this key and no other.
    NotPrepared
        It does not wait here for this key: changed, signed already, or too old.
    Overtaken
        Something else was said of the package meanwhile.
    NotFound
        The asker may not judge the package any more.
    """
    envelope = Envelope.from_line(line)
    now = int(context.clock().timestamp())
    package = prepared_book(context).take(envelope.statement_id, key=key.key_id, now=now)
    if package is None:
        raise NotPrepared("no such statement waits for your signature", next="Have it prepared again.")
    require(context, asker, Right.ASSESS, package)
    if [name for name, _ in envelope.signatures] != [key.key_id] or not envelope.signers([key]):
        raise UsageError("the statement is not signed by your key, and by no other", where="envelope")
    entry = context.ledger.append_signed(envelope)
    follow(context, [entry])
    return entry


def _findable(context: Context, asker: Asker, text: str) -> str:
    """A piece of evidence: an address, or a package that the asker may find, by its whole id and no part of it."""
    if ID.match(text):
        require(context, asker, Right.LIST, text)
    return text


def _read(document: Mapping[str, Any]) -> tuple[str, Judgement]:
    said = document.get("judgement")
    if document.keys() != {"kind", "package", "judgement"} or document["kind"] != ASSESSMENT or type(said) is not dict:
        raise UsageError("a kind (assessment), a package and a judgement are expected", where="request body")
    value, evidence = said.get("value"), said.get("evidence", [])
    texts = {name: said.get(name, "") for name in TEXTS}
    fine = said.keys() <= {*TEXTS, "value", "evidence"} and type(value) in (int, float, type(None))
    fine = fine and all(type(text) is str and len(text) <= _LONGEST for text in texts.values())
    if not fine or not _are_texts(evidence) or type(document["package"]) is not str:
        raise UsageError("the judgement has what none has", where="request body")
    package = str(PackageId(document["package"]))
    return package, Judgement(**texts, value=value, evidence=tuple(evidence))


def _are_texts(found: Any) -> bool:
    one: Sequence[Any] = found if type(found) is list else [None]
    return len(one) <= _EVIDENCE and all(type(text) is str and len(text) <= _LONGEST for text in one)
