"""Facts of the effective record: what is searched of fields that were amended.

The first amendment of a field puts what the sealed record states of it aside; from that and from all that was said, the
facts of this field are made anew each time. So a package need not be at hand, and the order does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

from diadem.catalogue import database, facet_counts, facts, tables
from diadem.catalogue.database import IndexedText
from diadem.catalogue.dataset_sets import full, mask_text
from diadem.catalogue.fact_rows import codes_of, facts_of
from diadem.catalogue.log_statements import amendments_of, identifiers_of, successions
from diadem.catalogue.package_key import free_key, package_key, require, resolve
from diadem.catalogue.tables import among_texts
from diadem.catalogue.vocabulary import SAMPLE_KEYS
from diadem.catalogue.words import padded
from diadem.model.amendments import Corrections, Decision, Stated
from diadem.model.effective import TITLE as SESSION_TITLE
from diadem.model.ownership import Ownership, Succession

#: Values of a field, each with the datasets that state it, as bits.
Values = dict[float | str, int]

_numbers, _phrases, _sealed = tables.numbers.c, tables.phrases.c, tables.sealed_facts.c
_packages, _datasets = tables.packages.c, tables.datasets.c
_successors, _subjects = tables.successors.c, tables.subjects.c
#: Columns of a package that name values of fields.
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "title": (facts.TITLE,),
    "instrument": ("instrument.name", "instrument.model"),
    "sample": SAMPLE_KEYS,
    "operator": ("person.operator",),
}


def corrections(connection: Connection, package_id: str) -> Corrections:
    """All that is said of a package's record. Raises `NotFound`."""
    rows = select(_packages.id, _packages.owner).where(_packages.seq == resolve(connection, package_id))
    return _corrections(connection, *connection.execute(rows).one())


def _corrections(connection: Connection, sha256: str, owner: str) -> Corrections:
    return Corrections(amendments_of(connection, sha256), Ownership.of(owner, successions(connection)))


def restate_record(connection: Connection, package_id: str) -> None:
    """Make what is searched of amended fields, and of names elsewhere, anew. Raises `NotFound`."""
    _restate_all(connection, require(connection, package_id))


def succeed(connection: Connection, name: str, succession: Succession) -> None:
    """Note that a user retired and who follows, once: a name has one successor.

    What is searched of corrected records that came to this successor, from whomever, is made anew.
    """
    if connection.scalar(select(_successors.name).where(_successors.name == name)) is not None:
        return
    row = (name, succession.successor, succession.place, succession.statement)
    database.insert_rows(connection, tables.successors, [row])
    known = successions(connection)
    owners = [one for one in known if name in {holder.name for holder in Ownership.of(one, known).holders}]
    joined = tables.packages.join(tables.subjects, _subjects.sha256 == _packages.id)
    rows = select(_packages.seq).select_from(joined).distinct()
    rows = rows.where(
        _subjects.kind.in_(("amendment", "corrections")), _packages.owner.in_(owners), _packages.tombstone.is_(None)
    )
    for seq in connection.scalars(rows).all():
        _restate_all(connection, seq)


def _restate_all(connection: Connection, seq: int) -> None:
    facet_counts.touch(connection, [seq])
    facet_counts.touch(connection, [restate(connection, seq)])


def restate(connection: Connection, seq: int) -> int:
    """Make the facts of all fields that were amended anew, and what the package is called elsewhere.

    Returns its key, another where its date is.
    """
    asked = select(_packages.id, _packages.owner, _packages.datasets)
    row = connection.execute(asked.where(_packages.seq == seq, _packages.tombstone.is_(None))).first()
    if row is None:
        return seq
    corrections, identifiers = _corrections(connection, row.id, row.owner), identifiers_of(connection, row.id)
    if not corrections.fields and not identifiers:
        return seq
    _write_identifiers(connection, seq, identifiers, row.datasets)
    every = full(row.datasets)
    holds = {_key(field): _restate(connection, seq, corrections, field, every) for field in corrections.fields}
    if facts.SESSION_DATE in corrections.fields:
        seq = _move(connection, seq, row.id)
    _write_text(connection, seq)
    _write_columns(connection, seq, holds)
    return seq


def _move(connection: Connection, seq: int, sha256: str) -> int:
    """Give a package the date that its facts state, and the key that goes with it; its text is written anew then."""
    code = codes_of(connection, {facts.SESSION_DATE})[facts.SESSION_DATE]
    moment = connection.scalar(select(_numbers.number).where(_numbers.package == seq, _numbers.key == code))
    date = None if moment is None else facts.day_of(moment)
    number = package_key(date, sha256)
    if connection.scalar(select(_packages.date).where(_packages.seq == seq)) != (date.isoformat() if date else None):
        database.of(connection).remove_text(connection, seq)
        if number != seq:
            number = free_key(connection, number, sha256)
        changed = update(tables.packages).where(_packages.seq == seq)
        connection.execute(changed, {"seq": number, "date": date.isoformat() if date else None})
        return number
    return seq


def _key(field: str) -> str:
    """The key of the facts of a field."""
    return facts.TITLE if field == SESSION_TITLE else field


def _restate(connection: Connection, seq: int, corrections: Corrections, field: str, every: int) -> list[str]:
    """Make the facts of one field anew; returns the texts that hold, those of most datasets first."""
    key = _key(field)
    code = codes_of(connection, {key})[key]
    sealed = _put_aside(connection, seq, key, code, every)
    # Datasets of which something of their own is said, as far as the package has them.
    own = (_datasets.package == seq, among_texts(_datasets.id, corrections.datasets(field)))
    rows = connection.execute(select(_datasets.id, _datasets.number).where(*own))
    holds, said = weighed(sealed, corrections, field, {id_: 1 << number for id_, number in rows}, every)
    values = {value: holds.get(value, 0) | said.get(value, 0) for value in {**holds, **said}}
    _write(connection, seq, code, values, every)
    texts = [(bits.bit_count(), value) for value, bits in holds.items() if isinstance(value, str)]
    return [value for _, value in sorted(texts, key=lambda item: (-item[0], item[1]))]


def weighed(
    sealed: Values, corrections: Corrections, field: str, own: Mapping[str, int], every: int
) -> tuple[Values, Values]:
    """What holds of a field, and what is merely said of it. Pure.

    `sealed` is what the sealed record states; `own` are datasets of which something of their own is said, each as its
    bit; `every` are all datasets, as bits.
    """
    holds: Values = {}
    said: Values = {}
    rest = every
    for dataset, bit in own.items():
        rest &= ~bit
        _decide(holds, said, sealed, corrections.decide(field, dataset), bit)
    if rest:
        _decide(holds, said, sealed, corrections.decide(field), rest)
    return holds, said


def _decide(holds: Values, said: Values, sealed: Values, decision: Decision, among: int) -> None:
    """Let some datasets state what holds of them, and what is merely said."""
    if decision.chosen is None:
        for value, bits in sealed.items():
            if bits & among:
                holds[value] = holds.get(value, 0) | (bits & among)
    else:
        _state(holds, decision.chosen, among)
    for stated in (*decision.rivals, *decision.extras):
        _state(said, stated, among)


def _state(values: Values, stated: Stated, among: int) -> None:
    for item in stated.change.value if isinstance(stated.change.value, list) else [stated.change.value]:
        for value in facts.kept(stated.change.field, item):
            values[value] = values.get(value, 0) | among


def _put_aside(connection: Connection, seq: int, key: str, code: int, every: int) -> Values:
    """What the sealed record states of a field; kept at the first time."""
    here = (_sealed.package == seq, _sealed.key == code)
    known = connection.scalar(select(_sealed.facts).where(*here))
    if known is not None:
        return sealed_values(known)
    stated = (facts_of(connection, table, (key,), {seq: every}) for table in (tables.numbers, tables.phrases))
    values: Values = {value: bits for rows in stated for _, _, value, bits in rows}
    text = json.dumps([[value, f"{bits:x}"] for value, bits in values.items()], ensure_ascii=False)
    database.insert_rows(connection, tables.sealed_facts, [(seq, code, text)])
    return values


def sealed_values(text: str) -> Values:
    """What was put aside, as it is kept."""
    return {value: int(bits, 16) for value, bits in json.loads(text)}


def _write(connection: Connection, seq: int, code: int, values: Values, every: int) -> None:
    """Facts of one field."""
    for table in (tables.numbers, tables.phrases):
        connection.execute(delete(table).where(table.c.package == seq, table.c.key == code))
    ordered = sorted(values.items(), key=lambda item: (isinstance(item[0], str), item[0]))
    stated = [(value, bits == every, mask_text(bits)) for value, bits in ordered if bits]
    numbers = [(seq, code, *one) for one in stated if not isinstance(one[0], str)]
    texts = [(seq, code, rank, one[0], padded(str(one[0])), *one[1:]) for rank, one in enumerate(stated)]
    database.insert_rows(connection, tables.numbers, numbers)
    database.insert_rows(connection, tables.phrases, [row for row in texts if isinstance(row[3], str)])


def _write_identifiers(connection: Connection, seq: int, identifiers: Sequence[str], count: int) -> None:
    """What the package is called elsewhere: it holds for all of it, whatever datasets it has."""
    code, every = codes_of(connection, {facts.IDENTIFIER})[facts.IDENTIFIER], full(count)
    connection.execute(delete(tables.phrases).where(_phrases.package == seq, _phrases.key == code))
    texts = (facts.storable(one.removeprefix("doi:")) for one in identifiers)
    rows = [(seq, code, rank, text, padded(text), True, mask_text(every)) for rank, text in enumerate(texts)]
    database.insert_rows(connection, tables.phrases, rows)


def _write_text(connection: Connection, seq: int) -> None:
    """The words of a package as its phrases are now."""
    rows = connection.execute(
        select(_phrases.key, _phrases.words, _phrases.everywhere)
        .where(_phrases.package == seq, _phrases.words != "")
        .order_by(_phrases.key, _phrases.rank)
    ).all()
    index = database.of(connection)
    index.remove_text(connection, seq)
    index.write_texts(connection, [(seq, [IndexedText(row.key, row.words, row.everywhere) for row in rows])])


def _write_columns(connection: Connection, seq: int, holds: Mapping[str, list[str]]) -> None:
    """What is shown of a package in a list: what holds, not what is merely said."""
    changed: dict[str, Any] = {}
    for column, keys in _COLUMNS.items():
        if not holds.keys().isdisjoint(keys):
            known = (holds[key] if key in holds else _texts(connection, seq, key) for key in keys)
            changed[column] = facts.named(next((texts for texts in known if texts), []))
    if changed:
        connection.execute(update(tables.packages).where(_packages.seq == seq), changed)


def _texts(connection: Connection, seq: int, key: str) -> list[str]:
    """Texts of a field, those that hold for all datasets first."""
    code = codes_of(connection, {key})[key]
    rows = select(_phrases.text).where(_phrases.package == seq, _phrases.key == code)
    return list(connection.scalars(rows.order_by(_phrases.everywhere.desc(), _phrases.rank)))
