"""Samples in the catalogue: what the log says of each, by its names, with links and parents to be followed quickly."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Select, delete, func, insert, select

from diadem.catalogue import dialects, reading, tables
from diadem.catalogue.opening import CatalogueFile
from diadem.catalogue.words import words
from diadem.custody.log_entry import place_of
from diadem.model.samples import Event, Link, Maker, OtherName, Parent, Retraction, Sample, Step

if TYPE_CHECKING:
    from diadem.catalogue.sample_sessions import SampleDataset
    from diadem.model.sample_relations import Family

#: What a name is: the node's own, that of another lab or of everywhere, or only what the sample is.
OWN, OTHER, TITLE = "identifier", "other", "title"
_LINK, _PARENT = "link", "parent"
#: Ids that fit into one question.
_CHUNK: Final = 500
_samples, _names, _ties = tables.samples.c, tables.sample_names.c, tables.sample_ties.c


@dataclass(frozen=True, slots=True)
class NameRow:
    """A name of a sample.

    Attributes
    ----------
    sample : str
        Id of the sample.
    kind : str
        `OWN`, `OTHER` or `TITLE`.
    text : str
        As it is written.
    lab : str
        Whose name it is; "" for the node's own and those of everywhere.
    words : tuple of str
        What is compared.
    """

    sample: str
    kind: str
    text: str
    lab: str
    words: tuple[str, ...]


class Relating:
    """Relations of samples as the catalogue has them (`diadem.model.sample_relations.Relations`).

    Parameters
    ----------
    connection : Connection
        In a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def linked(self, samples: Collection[str]) -> Iterable[str]:
        """Those that somebody has linked with one of them."""
        yield from self._found(_ties.other, _ties.sample, _LINK, samples)
        yield from self._found(_ties.sample, _ties.other, _LINK, samples)

    def parents(self, samples: Collection[str]) -> Iterable[str]:
        """Those from which one of them was made."""
        return self._found(_ties.other, _ties.sample, _PARENT, samples)

    def parts(self, samples: Collection[str]) -> Iterable[str]:
        """Those that were made from one of them."""
        return self._found(_ties.sample, _ties.other, _PARENT, samples)

    def _found(self, wanted: Any, given: Any, kind: str, samples: Collection[str]) -> Iterator[str]:
        for part in _parts(samples):
            yield from self._connection.scalars(select(wanted).where(_ties.kind == kind, given.in_(part)))


class SampleCatalogue(CatalogueFile):
    """The part of the catalogue that knows samples."""

    def add_sample(self, sample: Sample) -> None:
        """Enter a sample; of one that is there everything is written anew."""
        with self._writing() as connection:
            _write(connection, sample)

    def sample_statements(self, sha256: str) -> list[tuple[int, int, bytes]]:
        """Epoch, index and envelope of the statements about a sample, in the order of the log.

        Parameters
        ----------
        sha256 : str
            Digest of the subject.
        """
        said, about = tables.statements, tables.subjects
        joined = said.join(about, said.c.statement_id == about.c.statement_id)
        rows = select(said.c.epoch, said.c.index, said.c.line).select_from(joined)
        rows = rows.where(about.c.sha256 == sha256, about.c.kind == "sample").order_by(said.c.epoch, said.c.index)
        with self._reading() as connection:
            return [(int(epoch), int(index), line) for epoch, index, line in connection.execute(rows)]

    def sample_places(self, sha256: str) -> list[tuple[int, str]]:
        """Place in the log and id of the statements about a sample, in the order of the log.

        Parameters
        ----------
        sha256 : str
            Digest of the subject.
        """
        said, about = tables.statements, tables.subjects
        joined = said.join(about, said.c.statement_id == about.c.statement_id)
        rows = select(said.c.epoch, said.c.index, said.c.statement_id).select_from(joined)
        rows = rows.where(about.c.sha256 == sha256, about.c.kind == "sample").order_by(said.c.epoch, said.c.index)
        with self._reading() as connection:
            return [(place_of(epoch, index), str(found)) for epoch, index, found in connection.execute(rows)]

    def samples(self, ids: Collection[str] | None = None) -> list[Sample]:
        """Samples by their ids, those that are not known left out; all of them without ids. By identifier."""
        with self._reading() as connection:
            chosen = [select(_samples.id, _samples.document)]
            if ids is not None:
                chosen = [chosen[0].where(_samples.id.in_(part)) for part in _parts(ids)]
            rows = [row for question in chosen for row in connection.execute(question)]
        found = [_restored(row.document) for row in rows]
        return sorted(found, key=lambda one: (words(one.identifier), one.id))

    def count_samples(self) -> int:
        """How many samples there are."""
        with self._reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(tables.samples)) or 0)

    def samples_named(self, names: Iterable[Sequence[str]]) -> list[NameRow]:
        """Names of samples that are one of these, each a row of words; case, accents and signs do not count."""
        with self._reading() as connection:
            return named(connection, names)

    def names_of_samples(self, ids: Collection[str]) -> list[NameRow]:
        """All names of some samples."""
        with self._reading() as connection:
            return names_of(connection, ids)

    def family(self, sample_id: str) -> Family:
        """A sample among its relatives."""
        from diadem.model.sample_relations import family

        with self._reading() as connection:
            return family(Relating(connection), sample_id)

    def sample_texts(self, package_id: str) -> list[tuple[str, bool]]:
        """What a package calls its samples, and whether all its datasets do. Raises `NotFound`."""
        from diadem.catalogue.sample_sessions import texts_of

        with self._reading() as connection:
            return texts_of(connection, reading.resolve(connection, package_id))

    def datasets_naming(self, names: Iterable[tuple[str, ...]]) -> list[SampleDataset]:
        """Every dataset that names a sample by one of these names, each a row of words; the earliest first."""
        from diadem.catalogue.sample_sessions import datasets_of

        with self._reading() as connection:
            return datasets_of(connection, names)


def named(connection: Connection, names: Iterable[Sequence[str]]) -> list[NameRow]:
    """Names of samples that are one of these; see `SampleCatalogue.samples_named`."""
    wanted = {" ".join(found) for found in names if found}
    return _name_rows(
        connection, [select(tables.sample_names).where(_names.words.in_(part)) for part in _parts(wanted)]
    )


def names_of(connection: Connection, ids: Collection[str]) -> list[NameRow]:
    """All names of some samples."""
    return _name_rows(connection, [select(tables.sample_names).where(_names.sample.in_(part)) for part in _parts(ids)])


def meant(connection: Connection, asked: Sequence[str]) -> list[NameRow]:
    """All names of the samples that are called so, of what is the same thing, and of what was made from it."""
    from diadem.model.sample_relations import with_parts

    owners = {row.sample for row in named(connection, [asked]) if row.kind != TITLE}
    everybody = with_parts(Relating(connection), owners) if owners else ()
    return [row for row in names_of(connection, everybody) if row.kind != TITLE]


def _name_rows(connection: Connection, questions: Sequence[Select[Any]]) -> list[NameRow]:
    rows = [row for question in questions for row in connection.execute(question)]
    found = [NameRow(row.sample, row.kind, row.text, row.lab, tuple(row.words.split())) for row in rows]
    return sorted(found, key=lambda one: (one.sample, one.kind, one.text, one.lab))


def _parts(values: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))


def _write(connection: Connection, sample: Sample) -> None:
    for table, column in ((tables.samples, "id"), (tables.sample_names, "sample"), (tables.sample_ties, "sample")):
        connection.execute(delete(table).where(table.c[column] == sample.id))
    row = {"id": sample.id, "identifier": sample.identifier, "document": json.dumps(asdict(sample))}
    connection.execute(insert(tables.samples), row)
    dialects.insert_rows(connection, tables.sample_names, dict.fromkeys(_named(sample)))
    ties = [(sample.id, _LINK, other) for other in sample.linked]
    ties += [(sample.id, _PARENT, parent.sample) for parent in sample.parents]
    dialects.insert_rows(connection, tables.sample_ties, dict.fromkeys(ties))


def _named(sample: Sample) -> Iterator[tuple[str, str, str, str, str]]:
    """Its names as rows of the table; a name without any letter or digit could never be asked for."""
    every = [(OWN, sample.identifier, ""), *((OTHER, text, "") for text in sample.identifiers.values())]
    every += [(OTHER, other.name, other.lab) for other in sample.other_names]
    every += [(TITLE, sample.name, "")] if sample.name else []
    for kind, text, lab in every:
        if found := words(text):
            yield " ".join(found), sample.id, kind, text, lab


def _restored(document: str) -> Sample:
    kept: Mapping[str, Any] = json.loads(document)
    events = (
        {**one, "retracted": Retraction(**one["retracted"]) if one.get("retracted") else None} for one in kept["events"]
    )
    links = ({**one, "other": OtherName(**one["other"]) if one["other"] else None} for one in kept["links"])
    return Sample(
        **{
            **kept,
            "names": tuple(OtherName(**one) for one in kept["names"]),
            "parents": tuple(Parent(**one) for one in kept["parents"]),
            "maker": Maker(**kept["maker"]) if kept["maker"] else None,
            "elements": tuple(kept["elements"]),
            "preparation": tuple(Step(**one) for one in kept["preparation"]),
            "events": tuple(Event(**one) for one in events),
            "links": tuple(Link(**one) for one in links),
        }
    )
