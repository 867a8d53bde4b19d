"""What people said of packages, read back from the statements that the catalogue keeps.

A statement names who says so, and its signature proves a key. It counts only where a card of that name, which the node
has signed, stands for one of its keys: nobody speaks in another's name.

Every function works in the transaction of its caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, select

from diadem.catalogue import tables
from diadem.catalogue.expressions import among_texts
from diadem.custody.log_entry import Entry, place_of
from diadem.errors import DocumentError
from diadem.model.amendments import Amendment
from diadem.model.assessments import Assessment
from diadem.model.lineage import Derivation
from diadem.trust.envelope import Envelope

if TYPE_CHECKING:
    from diadem.custody.corrections import CorrectionSheet

_USER = "user"


class _Line(NamedTuple):
    """A statement as it lies in the catalogue, and its place in the log."""

    place: int
    line: bytes


def assessments_of(connection: Connection, sha256: str) -> list[Assessment]:
    """Every judgement of a package, also those that count no longer, in the order of the log."""
    return [Assessment.of(*said) for said in _said(connection, sha256, "assessment")]


def amendments_of(connection: Connection, sha256: str) -> list[Amendment]:
    """Every amendment of a package's record, anybody's: those it came with, then those of the log in its order."""
    return [*_brought(connection, sha256), *(Amendment.of(*said) for said in _said(connection, sha256, "amendment"))]


class Brought(NamedTuple):
    """A sheet of corrections with which a package came, proven when it was stated.

    Attributes
    ----------
    sheet : CorrectionSheet
        As it came.
    names : mapping of str to str
        What this node called the nodes in it.
    before : bool
        Whether the package had come from the node that signed it.
    """

    sheet: CorrectionSheet
    names: Mapping[str, str]
    before: bool


def sheets_of(connection: Connection, sha256: str) -> list[Brought]:
    """The sheets of corrections with which a package came, the oldest first."""
    from diadem.custody.corrections import CorrectionSheet
    from diadem.serialization.validation import read_statement

    found = []
    for one in _lines(connection, [sha256], "corrections"):
        try:
            said = read_statement(Envelope.from_line(one.line).payload).predicate
            sheet = CorrectionSheet.from_line(str(said["sheet"]).encode("utf-8"))
        except DocumentError:  # of a later version: custody tells
            continue
        found.append(Brought(sheet, said["names"], bool(said["before"])))
    return found


def _brought(connection: Connection, sha256: str) -> list[Amendment]:
    """What owners at other nodes said: all of it stands before what is said here."""
    found: dict[str, tuple[Entry, dict[str, Any]]] = {}
    for sheet, names, before in sheets_of(connection, sha256):
        for entry, of in sheet.all():
            user = str(entry.statement.predicate["by"]).rpartition("@")[0]
            by = f"{user}@{names.get(of.node, of.node[:12])}"
            found.setdefault(entry.statement_id, (entry, {"by": by, "node": of.node, "before": before}))
    return [
        Amendment.of(entry.statement_id, number - len(found), entry.statement.predicate, **more)
        for number, (entry, more) in enumerate(found.values())
    ]


def derivations_of(connection: Connection, sha256: str) -> list[Derivation]:
    """Every derivation in which a package is result or source, in the order of the log."""
    return [Derivation.of(*said) for said in _said(connection, sha256, "derivation")]


def spoken_of(connection: Connection, subjects: Sequence[str]) -> set[str]:
    """Those of some packages that were judged, or whose records were corrected."""
    about = tables.subjects.c
    rule = (among_texts(about.sha256, subjects), about.kind.in_(("assessment", "amendment", "corrections")))
    return set(connection.scalars(select(about.sha256).where(*rule)))


def speaks_for(connection: Connection, signers: Iterable[str], name: str) -> bool:
    """Whether one of these keys is, by a card of this log, that of a user."""
    cards = _lines(connection, list(signers), "key")
    return any(_is_card(card.line, name) for card in cards)


def _said(connection: Connection, sha256: str, kind: str) -> Iterator[tuple[str, int, dict[str, object]]]:
    """Id, place and predicate of each statement of a kind on a subject that is by whom it says."""
    from diadem.serialization.validation import read_statement

    trusted: dict[tuple[str, tuple[str, ...]], bool] = {}
    for found in _lines(connection, [sha256], kind):
        try:
            envelope = Envelope.from_line(found.line)
            statement = read_statement(envelope.payload)
        except DocumentError:  # of a later version, or damaged: custody tells, and it means nothing here
            continue
        name, signers = str(statement.predicate.get("by", "")), tuple(key for key, _ in envelope.signatures)
        if (name, signers) not in trusted:
            trusted[name, signers] = speaks_for(connection, signers, name)
        if trusted[name, signers]:
            yield envelope.statement_id, found.place, dict(statement.predicate)


def lines_about(connection: Connection, sha256: str, kind: str) -> list[tuple[int, bytes]]:
    """Place in the log and envelope of each statement of a kind on a subject, whoever has signed it."""
    return [(one.place, one.line) for one in _lines(connection, [sha256], kind)]


def _lines(connection: Connection, subjects: Sequence[str], kind: str) -> list[_Line]:
    said, about = tables.statements, tables.subjects
    joined = said.join(about, said.c.statement_id == about.c.statement_id)
    rows = select(said.c.epoch, said.c.index, said.c.line).select_from(joined)
    wanted = rows.where(about.c.sha256.in_(list(subjects)), about.c.kind == kind)
    ordered = wanted.order_by(said.c.epoch, said.c.index)
    return [_Line(place_of(epoch, index), line) for epoch, index, line in connection.execute(ordered)]


def _is_card(line: bytes, name: str) -> bool:
    from diadem.serialization.validation import read_statement

    try:
        said = read_statement(Envelope.from_line(line).payload).predicate
    except DocumentError:
        return False
    return said.get("role") == _USER and said.get("name") == name
