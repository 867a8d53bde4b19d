"""Statements against their schemas: what is said is checked before it is signed, and again when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diadem.errors import DocumentError
from diadem.model.statements import Draft, Statement
from diadem.serialization.schemas import check
from diadem.serialization.strict_json import compact, parse


def validate_draft(draft: Draft) -> None:
    """That a log may sign and keep this.

    Raises
    ------
    DocumentError
        The schema of its kind refuses its predicate; names kind, JSON path and rule.
    """
    _check_predicate(draft.kind, draft.predicate)


def validate_statement(statement: Statement) -> None:
    """That a statement is what its kind demands; one of a kind without a schema passes (see `Statement.known`).

    Raises
    ------
    DocumentError
        Names kind, JSON path and rule.
    """
    from diadem.serialization import schemas

    if statement.kind in schemas.STATEMENT_KINDS:
        _check_predicate(statement.kind, statement.predicate)


def read_statement(payload: bytes) -> Statement:
    """The statement in the payload of an envelope, judged by its schema.

    Members that this version does not know are kept. A kind that it does not know can be read, but means nothing to it.

    Raises
    ------
    DocumentError
        Not a statement, not written canonically, or refused by its kind's schema.
    """
    statement = Statement.from_payload(payload)
    validate_statement(statement)
    return statement


def _check_predicate(kind: str, predicate: Mapping[str, Any]) -> None:
    """Raise for the first fault of a predicate."""
    from diadem.serialization import schemas

    name = f"{schemas.STATEMENT}/{kind}"
    document = parse(compact(dict(predicate), where=kind), where=kind)
    try:
        check(name, document)
    except DocumentError as error:
        error.where = f"{kind} statement"
        raise
