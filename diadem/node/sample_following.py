"""The catalogue follows what the log says of samples.

A sample is made anew from all its statements, so that it does not matter in which order a catalogue learns of them.
"""

from __future__ import annotations

from diadem.errors import DocumentError
from diadem.model.sample_statements import sample_of
from diadem.model.samples import is_sample_id
from diadem.model.statements import Statement, Subject
from diadem.node.catalogue import Catalogue
from diadem.node.custody.entries import Entry
from diadem.serialization.statements import validate_statement


def follow_sample(catalogue: Catalogue, statement: Statement) -> None:
    """Enter the samples of a statement anew, from all that the catalogue has of each."""
    for subject in statement.subjects:
        if is_sample_id(subject.name):
            sample = sample_of(subject.name, _stated(catalogue, subject))
            if sample is not None:
                catalogue.add_sample(sample)


def _stated(catalogue: Catalogue, subject: Subject) -> list[tuple[int, Statement]]:
    """Statements on a sample, each signed by whom it says.

    One that a later version wrote, and this one cannot understand, means nothing to it.
    """
    stated = []
    for epoch, index, line in catalogue.sample_statements(subject.sha256):
        entry = Entry.from_line(epoch, index, line)
        try:
            validate_statement(entry.statement)
        except DocumentError:
            continue
        if catalogue.speaks_for(entry.signers, str(entry.statement.predicate.get("by", ""))):
            stated.append((entry.place, entry.statement))
    return stated
