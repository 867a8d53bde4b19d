"""The catalogue follows what the log says of samples.

A sample is made anew from all its statements, so that it does not matter in which order a catalogue learns of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from diadem.catalogue import Catalogue
from diadem.custody.log_entry import Entry
from diadem.errors import DocumentError
from diadem.model.sample_statements import Stated, sample_of
from diadem.model.samples import is_sample_id
from diadem.model.statements import Statement, Subject
from diadem.serialization.validation import validate_statement


def follow_sample(catalogue: Catalogue, statement: Statement) -> None:
    """Enter the samples of a statement anew, from all that the catalogue has of each."""
    follow_samples(catalogue, [one.name for one in statement.subjects if is_sample_id(one.name)])


def follow_samples(catalogue: Catalogue, ids: Iterable[str]) -> None:
    """Enter samples anew, from all that the catalogue has of each."""
    for one in ids:
        sample = sample_of(one, said_of(catalogue, one))
        if sample is not None:
            catalogue.add_sample(sample)


def said_of(catalogue: Catalogue, sample_id: str) -> list[Stated]:
    """Statements on a sample in the order of the log, each signed by whom it says.

    One that a later version wrote, and this one cannot understand, means nothing to it.
    """
    stated = []
    for epoch, index, line in catalogue.sample_statements(Subject.named(sample_id).sha256):
        entry = Entry.from_line(epoch, index, line)
        try:
            validate_statement(entry.statement)
        except DocumentError:
            continue
        if catalogue.speaks_for(entry.signers, str(entry.statement.predicate.get("by", ""))):
            stated.append(Stated(entry.place, entry.statement_id, entry.statement))
    return stated
