"""Statements of the log, as the catalogue keeps them; and what people said in them of packages.

A statement names who says so, and its signature proves a key. It counts only where a card of that name, which the node
has signed, stands for one of its keys: nobody speaks in another's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, select

from diadem.catalogue import database, tables
from diadem.catalogue.package_key import hex_of
from diadem.catalogue.tables import among_texts
from diadem.custody.log_entry import Entry, place_of, position_of
from diadem.errors import DocumentError
from diadem.model.amendments import Amendment
from diadem.model.assessments import Assessment
from diadem.model.lineage import Derivation
from diadem.model.manifest import PREFIX
from diadem.model.ownership import Succession
from diadem.model.times import time_text
from diadem.trust.envelope import Envelope

if TYPE_CHECKING:
    from diadem.custody.brought import Brought
    from diadem.custody.judgements import Inherited

_USER = "user"
_statements, _subjects = tables.statements.c, tables.subjects.c
_successors, _packages = tables.successors.c, tables.packages.c


@dataclass(frozen=True, slots=True)
class StatementEntry:
    """A statement of the log."""

    epoch: int  # with the index, its place in the log
    index: int
    statement_id: str  # 64 hex digits
    kind: str  # ingest, fixity …
    subjects: Sequence[str]  # SHA-256 of what it is about, 64 hex digits each; of a package its id
    time: datetime  # UTC
    line: bytes  # the envelope


def add_statements(connection: Connection, entries: Sequence[StatementEntry]) -> None:
    """Note statements of the log; those that are known already are left as they are."""
    ids = [entry.statement_id for entry in entries]
    known = select(_statements.statement_id).where(among_texts(_statements.statement_id, ids))
    there = set(connection.scalars(known))
    new = {entry.statement_id: entry for entry in entries if entry.statement_id not in there}
    rows = (
        (entry.statement_id, entry.epoch, entry.index, entry.kind, time_text(entry.time), entry.line)
        for entry in new.values()
    )
    database.insert_rows(connection, tables.statements, rows)
    about = (
        (subject.removeprefix(PREFIX), entry.statement_id, entry.kind)
        for entry in new.values()
        for subject in dict.fromkeys(entry.subjects)
    )
    database.insert_rows(connection, tables.subjects, about)


def forget_statements(connection: Connection) -> None:
    """Forget all statements: `reindex` reads them from the log again."""
    connection.execute(delete(tables.statements))


def count_statements(connection: Connection) -> int:
    """How many statements are noted."""
    return int(connection.scalar(select(func.count()).select_from(tables.statements)) or 0)


def known_indices(connection: Connection, epoch: int, start: int, stop: int) -> set[int]:
    """Which of the statements from `start` to `stop` (exclusive) of an epoch are noted."""
    rule = (_statements.epoch == epoch, _statements.index >= start, _statements.index < stop)
    return set(connection.scalars(select(_statements.index).where(*rule)))


def places_after(connection: Connection, epoch: int, index: int) -> list[tuple[int, int]]:
    """Epoch and index of the statements that come later in the log and are noted already: mostly there are none."""
    later = (_statements.epoch > epoch) | ((_statements.epoch == epoch) & (_statements.index > index))
    rows = connection.execute(select(_statements.epoch, _statements.index).where(later))
    return [(int(found), int(at)) for found, at in rows]


def _about(
    connection: Connection, subjects: Sequence[str], kind: str | None = None
) -> Sequence[tuple[int, int, str, bytes]]:
    """Epoch, index, id and envelope of the statements about some subjects, in the order of the log."""
    said, about = tables.statements, tables.subjects
    joined = said.join(about, said.c.statement_id == about.c.statement_id)
    rows = select(said.c.epoch, said.c.index, said.c.statement_id, said.c.line).select_from(joined)
    rows = rows.where(about.c.sha256.in_(list(subjects)))
    rows = rows if kind is None else rows.where(about.c.kind == kind)
    return [tuple(row) for row in connection.execute(rows.order_by(said.c.epoch, said.c.index))]


def statements(connection: Connection, sha256: str) -> list[bytes]:
    """Envelopes of the statements about a subject (a package id or any SHA-256), in the order of the log."""
    return [line for *_, line in _about(connection, [sha256.removeprefix(PREFIX)])]


def sample_statements(connection: Connection, sha256: str) -> list[tuple[int, int, bytes]]:
    """Epoch, index and envelope of the statements about a sample, by the digest of its subject."""
    return [(epoch, index, line) for epoch, index, _, line in _about(connection, [sha256], "sample")]


def sample_places(connection: Connection, sha256: str) -> list[tuple[int, str]]:
    """Place in the log and id of the same statements."""
    return [(place_of(epoch, index), id_) for epoch, index, id_, _ in _about(connection, [sha256], "sample")]


def lines_about(connection: Connection, subjects: Sequence[str], kind: str) -> list[tuple[int, bytes]]:
    """Place in the log and envelope of each statement of a kind on some subjects, whoever has signed it."""
    return [(place_of(epoch, index), line) for epoch, index, _, line in _about(connection, subjects, kind)]


def entries_of(lines: Iterable[tuple[int, bytes]]) -> Iterator[Entry]:
    """The entries of such lines; one of a later version, or damaged, means nothing here, and custody tells."""
    from diadem.serialization.validation import read_statement

    for place, line in lines:
        try:
            envelope = Envelope.from_line(line)
            yield Entry.of(*position_of(place), envelope, read_statement(envelope.payload), line)
        except DocumentError:
            continue


# What people said


def speaks_for(connection: Connection, signers: Iterable[str], name: str) -> bool:
    """Whether one of some keys is, by a card of the log, that of the user ``alice@hu-berlin``."""
    cards = (entry.statement.predicate for entry in entries_of(lines_about(connection, list(signers), "key")))
    return any(card.get("role") == _USER and card.get("name") == name for card in cards)


def _said(connection: Connection, sha256: str, kind: str) -> Iterator[tuple[str, int, dict[str, object]]]:
    """Id, place and predicate of each statement of a kind on a subject that is by whom it says."""
    trusted: dict[tuple[str, tuple[str, ...]], bool] = {}
    for entry in entries_of(lines_about(connection, [sha256], kind)):
        said = str(entry.statement.predicate.get("by", "")), entry.signers
        if said not in trusted:
            trusted[said] = speaks_for(connection, entry.signers, said[0])
        if trusted[said]:
            yield entry.statement_id, entry.place, dict(entry.statement.predicate)


def assessments(connection: Connection, package_id: str) -> list[Assessment]:
    """Every judgement of a package, also those that count no longer, in the order of the log. Raises `NotFound`."""
    return assessments_of(connection, hex_of(connection, package_id))


def assessments_of(connection: Connection, sha256: str) -> list[Assessment]:
    """The same by the digits of its id, whether or not it is here: those with which it came stand first."""
    from diadem.custody.brought import assessments_brought

    own = (Assessment.of(*said) for said in _said(connection, sha256, "assessment"))
    return [*assessments_brought(sheets(connection, sha256)), *own]


def derivations(connection: Connection, package_id: str) -> list[Derivation]:
    """Every derivation in which a package is result or source, in the order of the log. Raises `NotFound`."""
    return [Derivation.of(*said) for said in _said(connection, hex_of(connection, package_id), "derivation")]


def spoken_of(connection: Connection, subjects: Sequence[str]) -> set[str]:
    """Those of some packages that were judged or given out, or whose records were corrected."""
    rule = (
        among_texts(_subjects.sha256, subjects),
        _subjects.kind.in_(("assessment", "amendment", "corrections", "handover")),
    )
    return set(connection.scalars(select(_subjects.sha256).where(*rule)))


def amendments_of(connection: Connection, sha256: str) -> list[Amendment]:
    """Every amendment of a package's record, anybody's: those it came with, then those of the log in its order."""
    from diadem.custody.brought import amendments_brought

    brought = amendments_brought(sheets(connection, sha256))
    return [*brought, *(Amendment.of(*said) for said in _said(connection, sha256, "amendment"))]


def identifiers(connection: Connection, package_id: str) -> list[str]:
    """What a package is called where it was given to, in the order of the log. Raises `NotFound`."""
    return identifiers_of(connection, hex_of(connection, package_id))


def identifiers_of(connection: Connection, sha256: str) -> list[str]:
    """The same by the digits of its id, each once: ``doi:10.5281/zenodo.123``."""
    entries = entries_of(lines_about(connection, [sha256], "handover"))
    said = (str(one) for entry in entries for one in entry.statement.predicate.get("identifiers", ()))
    return list(dict.fromkeys(said))


def sheets(connection: Connection, package_id: str) -> list[Brought]:
    """The sheets of corrections with which a package came, the oldest first."""
    from diadem.custody.brought import Brought
    from diadem.custody.corrections import CorrectionSheet

    found = []
    for entry in entries_of(lines_about(connection, [package_id.removeprefix(PREFIX)], "corrections")):
        said = entry.statement.predicate
        with suppress(DocumentError):  # of a later version: custody tells
            sheet = CorrectionSheet.from_line(str(said["sheet"]).encode("utf-8"))
            found.append(Brought(sheet, said["names"], bool(said["before"]), entry.statement.node))
    return found


def doubts_told(connection: Connection, packages: Sequence[str]) -> dict[str, list[tuple[str, str, Inherited]]]:
    """By the ids of packages, what other nodes said of their sources when they came: node, its name here, and that."""
    from diadem.custody.brought import doubts_brought

    rule = (among_texts(_subjects.sha256, [one.removeprefix(PREFIX) for one in packages]),)
    rows = select(_subjects.sha256).where(*rule, _subjects.kind == "corrections").distinct()
    found: dict[str, list[tuple[str, str, Inherited]]] = {}
    for sha256 in connection.scalars(rows).all():
        if told := doubts_brought(sheets(connection, sha256)):
            found[PREFIX + sha256] = told
    return found


# Whose packages are, now that some have retired: a package keeps the name of the one for whom it was archived; who has
# followed is looked up


def successions(connection: Connection) -> dict[str, Succession]:
    """Who retired, by address; they are few."""
    rows = connection.execute(
        select(_successors.name, _successors.successor, _successors.place, _successors.statement_id)
    )
    return {name: Succession(successor, int(place), said) for name, successor, place, said in rows}
